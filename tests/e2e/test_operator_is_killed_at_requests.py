"""The operator is killed twenty times in one drain, exactly before or after a request.

Twelve servers in mixed states. The end is the same as without a kill, and by Nova's own action log
each server was moved once and confirmed once. A proxy between the operator and the cloud holds the
request while the operator is killed, so that nothing depends on luck: calls that change something
are where it matters, and they are hit most.
"""

import os
import random
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.harness.books import NeverWronglyDrained
from tests.harness.kubernetes import FLAGS, Drain, Kube, Operator
from tests.harness.mixed import METHOD, Mixed
from tests.harness.openstack import Lab, until
from tests.harness.promises import nothing_left
from tests.harness.proxy import TOKENS, Proxy
from tests.harness.reaper import Reaper

WHILE_MOVING, AT_THE_END = 17, 3
A_WRITE = 10  # reads weigh one
FURTHEST = 40  # from one kill to the next


def weigh(moment: str) -> int:
    reads = " GET " in moment or moment.endswith(TOKENS)
    return 1 if reads else A_WRITE


@pytest.fixture
def operator(account: Path, namespace: str, tmp_path: Path) -> Iterator[Operator]:
    """Looks every second also at rest: kills are counted in its requests."""
    flags = (*FLAGS, "--idle-interval", "1s")
    running = Operator(
        account, tmp_path / "operator.log", ("--namespace", namespace), flags
    ).start()
    yield running
    running.kill()
    print(running.text()[-20000:])


@pytest.fixture
def proxy(kube: Kube, cloud: Lab, namespace: str) -> Iterator[Proxy]:
    """Between the operator and the cloud: the only way there that the default Secret has."""
    entry = cloud.entries["operator"]
    with Proxy(entry["auth"]["auth_url"]) as running:
        kube.credentials(namespace, running.clouds_yaml(entry))
        yield running


@pytest.mark.promise("never-1", "never-9", "always-2")
@pytest.mark.timeout(1800)
def test_twenty_kills_at_requests_change_nothing_about_the_end(
    kube: Kube, cloud: Lab, operator: Operator, namespace: str, proxy: Proxy, host: str
) -> None:
    seed = int(os.environ.get("QUIESCE_SEED") or secrets.randbits(32))
    print(f"QUIESCE_SEED={seed} draws the same moments again")
    chance = random.Random(seed)
    servers = Mixed.boot(cloud, host)

    moving = proxy.watch = Reaper(
        operator, [chance.randint(1, FURTHEST) for _ in range(WHILE_MOVING)], weigh
    )
    drain = Drain.apply(kube, namespace, host, METHOD, migration={"maxParallel": 6})
    with NeverWronglyDrained(cloud, drain, host):
        until("the kills", lambda: len(moving.killed) == WHILE_MOVING, timeout=900)
        drain.wait("Drained", timeout=600)
        ending = proxy.watch = Reaper(
            operator, [chance.randint(1, FURTHEST) for _ in range(AT_THE_END)], weigh
        )
        cloud.stop_compute(host)
        until("the last kills", lambda: len(ending.killed) == AT_THE_END, timeout=600)
        drain.wait("Ready")
    print("\n".join(["killed:", *moving.killed, *ending.killed]))

    servers.all_moved_once()
    nothing_left(cloud, host)
    status = drain.status
    assert (status["phase"], status["progress"]["summary"], status["problems"]) == (
        "Deleted",
        "12/12",
        [],
    )
    assert operator.healthy()
