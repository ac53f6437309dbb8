"""Retire a node, cold: from `kubectl apply` to nothing left behind in Nova and Placement.

Twenty servers, 15 running and 5 shut off. Each is migrated once and confirmed once, ends on
another host in its old power state, and never are more than `maxParallel` of them on their
way. The service is deleted, with its resource provider and all allocations. The operator
has the rights of manifests/base, looks after all namespaces, and has an environment full of
OS_* variables that lead nowhere. kubectl shows how it goes at each stage.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.harness.kubernetes import Drain, Kube, Operator
from tests.harness.openstack import Json, Lab

MISLEADING = {"OS_CLOUD": "elsewhere", "OS_AUTH_URL": "http://127.0.0.1:9/v3", "OS_USERNAME": "nobody", "OS_PASSWORD": "wrong"}
RUNNING, SHUTDOWN = 1, 4


@pytest.fixture
def operator(account: Path, tmp_path: Path) -> Iterator[Operator]:
    running = Operator(account, tmp_path / "operator.log", environment=MISLEADING).start()
    yield running
    running.kill()
    print(running.text()[-20000:])


def test_twenty_servers_move_once_each_and_nothing_is_left(
    kube: Kube, cloud: Lab, operator: Operator, credentials: str, host: str
) -> None:
    running = cloud.boot(host, [f"run-{i}" for i in range(15)])
    stopped = cloud.boot(host, [f"off-{i}" for i in range(5)], "SHUTOFF")
    drain = Drain.apply(kube, credentials, host)

    drain.wait("Drained")
    assert drain.row()[1:-1] == [host, "Drained", "20/20", "0", "0", "disabled"]
    assert "stop nova-compute on cmp1" in drain.status["message"]
    cloud.stop_compute(host)
    drain.wait("Ready")

    assert drain.row()[1:-1] == [host, "Deleted", "20/20", "0", "0", "deleted"]
    assert drain.row("-o", "wide")[-1] == "behind"  # "... nothing is left behind"
    assert not {"Draining", "Drained", "Deleted"} - set(drain.events())
    assert not drain.status["problems"]
    for server_id in running:
        check(cloud, server_id, host, "ACTIVE", RUNNING, ["create", "migrate", "confirmResize"])
    for server_id in stopped:
        check(cloud, server_id, host, "SHUTOFF", SHUTDOWN, ["create", "stop", "migrate", "confirmResize"])
    assert cloud.service(host) is None
    assert cloud.provider(host) is None
    assert most_at_once(cloud.migrations(host)) <= 4

    drain.delete()
    assert cloud.service(host) is None
    assert operator.healthy()


def check(cloud: Lab, server_id: str, host: str, status: str, power: int, actions: list[str]) -> None:
    server = cloud.server(server_id)
    assert server
    assert (server["status"], server["OS-EXT-STS:power_state"], server["OS-EXT-STS:task_state"]) == (status, power, None)
    assert server["OS-EXT-SRV-ATTR:host"] != host
    assert len(cloud.allocations(server_id)) == 1
    assert cloud.actions(server_id) == actions


def most_at_once(migrations: list[Json]) -> int:
    """How many migrations were under way at the same time, from the call to the end of the confirm (times are whole seconds)."""
    ends = [(row["updated_at"], -1) for row in migrations]
    starts = [(row["created_at"], 1) for row in migrations]
    highest = level = 0
    for _, step in sorted(ends + starts):
        level += step
        highest = max(highest, level)
    return highest
