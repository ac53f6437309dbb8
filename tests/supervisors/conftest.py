"""One booted host with Debian's systemd, podman and dockerd. The product's own code reaches it over
its real sshd.
"""

import shlex
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import count

import pytest
from tests.beds.hosts.booted import Booted, booted

from quiesce.api.host import Supervisor
from quiesce.compute import Unit, UnitState, control
from quiesce.ssh.login import Login, login_key
from quiesce.ssh.pins import read_pins
from quiesce.ssh.session import Session, Target, connect

SESSION_SECONDS = 120.0
PROGRAM = "trap 'exit 0' TERM; while :; do sleep 3600 & wait $!; done"
"""What runs in place of nova-compute: it ends at once where it is told to."""
CONTAINER = "--detach --network host nova /python/busybox sh /nova-compute"
"""To the operator that is Python with nova-compute, by its program and first argument."""


@dataclass(frozen=True)
class Supervised:
    """The host as the operator sees it, by SSH, and as somebody sees it who sits in front of it."""

    host: Booted
    open: Callable[..., AbstractContextManager[Session]]
    reboot: Callable[[], None]
    power_cut: Callable[[], None]

    def look(self, unit: Unit) -> UnitState:
        with self.open() as session:
            return control.observe(session, unit)

    def stop(self, unit: Unit) -> UnitState:
        with self.open() as session:
            return control.stop(session, unit)

    def restore(self, unit: Unit, found: UnitState) -> UnitState:
        """From what a status holds, as a drain does it."""
        with self.open() as session:
            return control.restore(session, unit, UnitState.read(found.text))

    def container(self, kind: Supervisor, name: str, policy: str, *options: str) -> Unit:
        """One that runs, from the image `nova`."""
        self.run(
            f"{kind.lower()} run --name '{name}' --restart {policy} {' '.join(options)} {CONTAINER}"
        )
        return Unit(kind, name)

    def runs(self, kind: Supervisor, name: str) -> bool:
        return self.run(f"{kind.lower()} ps --quiet --filter 'name=^{name}$'").strip() != ""

    def run(self, script: str) -> str:
        return self.host.run(script)

    def fails(self, script: str) -> str:
        """Its output, where it must not succeed."""
        said = self.host.run(f"if {{ {script}; }} 2>&1; then echo IT WORKED; fi")
        assert "IT WORKED" not in said, f"{script}: {said}"
        return said

    def write(self, path: str, text: str) -> None:
        self.run(f"mkdir -p '{path.rpartition('/')[0]}' && cat >'{path}' <<'END'\n{text}\nEND")


@pytest.fixture(scope="session")
def supervised() -> Iterator[Supervised]:
    with booted(1) as bed:
        host = bed["cmp1"]
        assert isinstance(host, Booted)
        pins = read_pins(host.known_hosts, "the bed's known hosts").of([host.address], host.port)
        login = Login("root", login_key(bed.login_key.encode(), "the bed's login key"))

        @contextmanager
        def opened(seconds: float = SESSION_SECONDS) -> Iterator[Session]:
            with connect(
                Target(host.name, host.address, host.port), login, pins, frozenset(), seconds
            ) as session:
                yield session

        def reboot() -> None:
            host.power_off()
            bed.start(host.name)

        def power_cut() -> None:
            host.stop()
            bed.start(host.name)

        yield Supervised(host, opened, reboot, power_cut)


@pytest.fixture(scope="session")
def rootfs(supervised: Supervised) -> str:
    """On the host: an archive with a shell and nothing else, to import as an image."""
    # On its disk: /tmp does not outlive a reboot.
    path = "/var/lib/rootfs.tar"
    supervised.run(
        "d=$(mktemp -d) && mkdir $d/bin $d/dev $d/proc $d/sys $d/etc $d/run $d/python && "
        "cp /bin/busybox $d/bin/ && cp /bin/busybox $d/python/ && "
        f"echo {shlex.quote(PROGRAM)} >$d/nova-compute"
        f" && for each in sh sleep; do ln -s busybox $d/bin/$each; done && tar -C $d -cf {path} ."
    )
    return path


numbers = count(1)


@pytest.fixture
def name(supervised: Supervised) -> Iterator[str]:
    """Of a container that is removed after the test."""
    name = f"nova_compute.{next(numbers)}"
    yield name
    supervised.run(f"podman rm --force --ignore --time 0 '{name}'; docker rm --force '{name}' || :")
