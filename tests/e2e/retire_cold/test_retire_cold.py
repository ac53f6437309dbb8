"""Retire a node, cold: from `kubectl apply` to nothing left behind in Nova and Placement."""

from tests.harness.kubernetes import Drain, Kube, Operator
from tests.harness.openstack import Lab


def test_twenty_servers_move_once_each_and_nothing_is_left(
    kube: Kube, cloud: Lab, operator: Operator, credentials: str, host: str
) -> None:
    running = cloud.boot(host, [f"run-{i}" for i in range(15)])
    stopped = cloud.boot(host, [f"off-{i}" for i in range(5)], "SHUTOFF")
    drain = Drain.apply(kube, credentials, host)

    drain.wait("Drained")
    cloud.stop_compute(host)
    drain.wait("Ready")

    for server_id in running + stopped:
        server = cloud.wait_status(server_id, "ACTIVE" if server_id in running else "SHUTOFF")
        assert server["OS-EXT-SRV-ATTR:host"] != host
        moves = [action for action in cloud.actions(server_id) if action in ("migrate", "confirmResize", "live-migration")]
        assert moves == ["migrate", "confirmResize"]
    assert cloud.service(host) is None
    assert cloud.provider(host) is None
    status = drain.status
    assert (status["phase"], status["progress"]["summary"]) == ("Deleted", "20/20")
    assert not status["problems"]
    assert operator.alive
    assert "Traceback" not in operator.text()
