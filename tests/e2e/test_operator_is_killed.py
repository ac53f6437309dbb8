"""The operator is killed ten times in the middle of a cold drain, and started again each time.

Losing the process loses nothing: the end is the same, and no server is migrated or confirmed
a second time. Where it is killed is drawn by chance, counted in calls to OpenStack, so that
the moments fall alike on a fast and on a slow machine.
"""

import os
import random
import re
import secrets

import pytest
from tests.harness.kubernetes import Drain, Kube, Operator
from tests.harness.openstack import Lab, until
from tests.harness.promises import COLD, moved, nothing_left

KILLS_WHILE_MOVING, KILLS_AT_THE_END = 8, 2
CALL = re.compile(r" (?:GET|POST|PUT|DELETE) /\S+ \d{3} ")


def kill_somewhere(operator: Operator, calls: int) -> None:
    """kill -9 when it has made so many more calls, and start it again."""
    begun = len(CALL.findall(operator.text()))
    until(f"{calls} calls", lambda: len(CALL.findall(operator.text())) >= begun + calls, pause=0.01)
    operator.kill()
    operator.start()


@pytest.mark.promise("never-1", "always-2")
@pytest.mark.timeout(1800)
def test_ten_kills_change_nothing_about_the_end(
    kube: Kube, cloud: Lab, operator: Operator, credentials: str, host: str
) -> None:
    seed = int(os.environ.get("QUIESCE_SEED") or secrets.randbits(32))
    print(f"QUIESCE_SEED={seed} draws the same moments again")
    chance = random.Random(seed)
    running = cloud.boot(host, [f"run-{i}" for i in range(15)])
    stopped = cloud.boot(host, [f"off-{i}" for i in range(5)], "SHUTOFF")
    drain = Drain.apply(kube, credentials, host)

    for _ in range(KILLS_WHILE_MOVING):
        kill_somewhere(operator, chance.randint(1, 25))
    drain.wait("Drained", timeout=600)
    cloud.stop_compute(host)
    for _ in range(KILLS_AT_THE_END):
        kill_somewhere(operator, chance.randint(1, 10))
    drain.wait("Ready")

    for server_id in running:
        moved(cloud, server_id, host, "ACTIVE", COLD)
    for server_id in stopped:
        moved(cloud, server_id, host, "SHUTOFF", COLD, before=("create", "stop"))
    nothing_left(cloud, host)
    status = drain.status
    assert (status["phase"], status["progress"]["summary"], status["problems"]) == (
        "Deleted",
        "20/20",
        [],
    )
    assert operator.healthy()
