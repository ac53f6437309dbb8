"""200 hosts with real sshd: what a keyring costs, against a bare loop of logins in the same run."""

import resource
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from quiesce.keyring.act import scripts
from quiesce.keyring.act.fleet import HEALTHY_LANE
from quiesce.keyring.model import HostLayout, Identity
from quiesce.ssh.login import Login, login_key
from quiesce.ssh.pins import read_pins
from quiesce.ssh.session import Target, connect
from tests.beds.hosts.hosts import Bed, running
from tests.bench.keyring_double import Json, Run

HOSTS = 200

# The bars: against as many logins as there are hosts, each with one look at the host, over as many
# threads. Host and operator share this machine: what the hosts themselves do is most of the time,
# here and there.
LOOK_AGAINST_BARE_LOOP = 2.0
INSTALL_AGAINST_BARE_LOOP = 5.0
WITH_DEAD_HOSTS = 1.5
MEMORY_MIB = 120


@pytest.fixture(scope="module")
def bed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    with running(HOSTS, tmp_path_factory.mktemp("hosts") / "hosts", loopback=True) as hosts:
        yield hosts


def bare_loop(bed: Bed) -> float:
    """Seconds for one login to every host and one run of the look script there, and nothing
    else.
    """
    script = scripts.observe_script(
        HostLayout(
            Identity("bench", "bare"),
            "nova",
            "/var/lib/nova",
            "/bin/bash",
            "/etc/ssh/ssh_known_hosts",
            "/var/lib/nova/instances",
        )
    )
    login, pins = (
        Login("root", login_key(bed.login_key.encode(), "login")),
        read_pins(bed.known_hosts, "hosts"),
    )

    def once(name: str) -> None:
        host = bed[name]
        pinned = pins.of([host.address], host.port)
        with connect(
            Target(name, host.address, host.port), login, pinned, frozenset(), 60.0
        ) as session:
            assert session.run_script(script).output.endswith("end\n")

    began = time.monotonic()
    with ThreadPoolExecutor(HEALTHY_LANE) as pool:
        list(pool.map(once, bed.hosts))
    return time.monotonic() - began


def processor() -> float:
    """Seconds of processor time that this process has used: the operator's share, without the
    hosts'.
    """
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def memory() -> float:
    """MiB that this process has held at most so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def test_many_hosts(bed: Bed) -> None:
    before = memory()
    run = Run(bed)

    install = run.until(lambda status: installed(status, HOSTS))
    sessions, bare = len(run.visits), bare_loop(bed)
    run.visits.clear()
    writes = run.store.writes
    run.look_again()
    used = processor()
    look = run.until(lambda _: len(run.visits) >= HOSTS)
    used = processor() - used
    grown = memory() - before

    print(f"\n{HOSTS} hosts; a bare loop of logins with one look each takes {bare:.1f} s")
    print(
        f"install: {install:.1f} s, {install / bare:.2f} x the bare loop, {sessions / HOSTS:.2f} "
        "sessions a host"
    )
    print(
        f"unchanged look: {look:.1f} s, {look / bare:.2f} x, {len(run.visits) / HOSTS:.2f} "
        "sessions a host"
    )
    print(
        f"the operator itself: {used / HOSTS * 1000:.0f} ms of processor time for each host looked "
        "at"
    )
    print(
        f"memory: {grown:.0f} MiB more; longest tick {max(run.ticks):.1f} s; {writes} status "
        "writes to install"
    )
    assert (sessions, sorted(run.visits)) == (HOSTS, sorted(bed.hosts))
    assert run.store.writes == writes
    assert install / bare <= INSTALL_AGAINST_BARE_LOOP
    assert look / bare <= LOOK_AGAINST_BARE_LOOP
    assert grown <= MEMORY_MIB


def test_every_host_reaches_the_next(bed: Bed) -> None:
    run = Run(bed, probe="Ring")
    seconds = run.until(lambda status: status.get("paths", {}).get("summary") == f"{HOSTS}/{HOSTS}")
    print(
        f"\n{HOSTS} hosts in a ring proven in {seconds:.1f} s, {len(run.visits) / HOSTS:.2f} "
        "sessions a host"
    )


def test_dead_and_slow_hosts_hold_up_no_other(bed: Bed) -> None:
    run = Run(bed)
    run.until(lambda status: installed(status, HOSTS))
    run.look_again()
    run.visits.clear()
    healthy = run.until(lambda _: len(run.visits) >= HOSTS)

    dead, slow = (
        [f"cmp{number}" for number in range(1, 21)],
        [f"cmp{number}" for number in range(21, 31)],
    )
    for name in dead:
        bed[name].stop()
    pits = [bed[name].tarpit() for name in slow]
    try:
        run.look_again()
        run.until(lambda status: status["hosts"]["failed"] == len(dead) + len(slow))
        run.look_again()
        run.visits.clear()
        left = set(bed.hosts) - set(dead) - set(slow)
        with_dead = run.until_visited(left)
    finally:
        for pit in pits:
            pit.kill()
            pit.wait()
    print(
        f"\n{len(left)} healthy hosts looked at in {with_dead:.1f} s beside {len(dead)} dead and "
        f"{len(slow)} slow ones"
    )
    print(f"longest tick {max(run.ticks):.1f} s")
    print(f"all {HOSTS} in {healthy:.1f} s when all are healthy: {with_dead / healthy:.2f} x")
    assert with_dead / healthy <= WITH_DEAD_HOSTS


def installed(status: Json, count: int) -> bool:
    return bool(status.get("hosts", {}).get("ready") == count)
