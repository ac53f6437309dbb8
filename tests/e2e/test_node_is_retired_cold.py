"""Retire a node, cold: from `kubectl apply` to nothing left behind in Nova and Placement.

Twenty servers, 15 running and 5 shut off. Each is migrated once and confirmed once, ends on
another host in its old power state, and never are more than `maxParallel` of them on their
way. The service is deleted, with its resource provider and all allocations. The operator
has the rights of the overlay for all namespaces, watches them, and has an environment full of
OS_* variables that lead nowhere. kubectl shows how it goes at each stage.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.harness.kubernetes import EVERYWHERE, FLAGS, Drain, Kube, Operator
from tests.harness.openstack import Lab
from tests.harness.promises import COLD, most_at_once, moved, nothing_left

MISLEADING = {
    "OS_CLOUD": "elsewhere",
    "OS_AUTH_URL": "http://127.0.0.1:9/v3",
    "OS_USERNAME": "nobody",
    "OS_PASSWORD": "wrong",
}


@pytest.fixture
def everywhere(kube: Kube) -> Iterator[None]:
    """What the overlay for all namespaces adds to the rights of manifests/base, for one story."""
    kube.kubectl("apply", "-f", str(EVERYWHERE))
    try:
        kube.await_rights("default")
        yield
    finally:
        kube.kubectl("delete", "-f", str(EVERYWHERE))


@pytest.fixture
def operator(account: Path, everywhere: None, tmp_path: Path) -> Iterator[Operator]:
    running = Operator(
        account, tmp_path / "operator.log", flags=FLAGS, environment=MISLEADING
    ).start()
    yield running
    running.kill()
    print(running.text()[-20000:])


@pytest.mark.all_namespaces
@pytest.mark.promise("never-5", "never-7", "always-6")
def test_twenty_servers_move_once_each_and_nothing_is_left(
    kube: Kube, cloud: Lab, operator: Operator, credentials: str, host: str
) -> None:
    running = cloud.boot(host, [f"run-{i}" for i in range(15)])
    stopped = cloud.boot(host, [f"off-{i}" for i in range(5)], "SHUTOFF")
    drain = Drain.apply(kube, credentials, host)

    drain.wait("Drained")
    assert drain.row()[1:-1] == [host, "Drained", "20/20", "0", "0", "disabled"]
    assert "Stop nova-compute on cmp1 now" in drain.status["message"]
    cloud.stop_compute(host)
    drain.wait("Ready")

    assert drain.row()[1:-1] == [host, "Deleted", "20/20", "0", "0", "deleted"]
    assert " ".join(drain.row("-o", "wide")).endswith(
        "Cold the host is empty and its service deleted; nothing is left behind"
    )
    assert not {"Draining", "Drained", "Deleted"} - set(drain.events())
    assert not drain.status["problems"]
    for server_id in running:
        moved(cloud, server_id, host, "ACTIVE", COLD)
    for server_id in stopped:
        moved(cloud, server_id, host, "SHUTOFF", COLD, before=("create", "stop"))
    nothing_left(cloud, host)
    assert most_at_once(cloud.migrations(host)) <= 4

    drain.delete()
    assert cloud.service(host) is None
    assert operator.healthy()
