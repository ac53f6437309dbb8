"""A host dies: a tool forces its service down and evacuates its servers. Then it is retired.

Placement goes on counting the evacuated servers on the dead host; Nova releases that itself with
the service. While nova-compute still runs, the same service is not deleted: that it is forced
down says nothing about the process.
"""

import pytest
from tests.harness.kubernetes import Drain, Kube, Operator
from tests.harness.openstack import Lab, until
from tests.harness.promises import nothing_left


def force_down(cloud: Lab, host: str, forced: bool = True) -> None:
    service = cloud.service(host)
    assert service
    status, text = cloud.admin.ask("PUT", f"/os-services/{service['id']}", {"forced_down": forced})
    assert status == 200, text


@pytest.mark.promise("never-4")
@pytest.mark.field_case("F15")
def test_what_evacuated_servers_still_hold_is_no_obstacle(
    kube: Kube, cloud: Lab, operator: Operator, credentials: str, hosts: tuple[str, ...]
) -> None:
    host, there = hosts[:2]
    servers = cloud.boot(host, ["web-1", "web-2"])
    cloud.kill_compute(host)
    until("the service down", lambda: (cloud.service(host) or {})["state"] == "down")
    for server in servers:
        cloud.admin.action(server, "evacuate", {"host": there})
    cloud.wait_all(servers, "SHUTOFF")
    assert set(cloud.holders(host)) == set(servers)

    drain = Drain.apply(kube, credentials, host)
    drain.wait("Ready")
    nothing_left(cloud, host)
    for server in servers:
        assert set(cloud.allocations(server)) == {(cloud.provider(there) or {})["uuid"]}
    assert operator.healthy()


@pytest.mark.promise("never-4")
@pytest.mark.field_case("F14")
def test_a_service_that_is_forced_down_is_not_deleted_while_nova_compute_runs(
    kube: Kube, cloud: Lab, operator: Operator, credentials: str, host: str
) -> None:
    (server,) = cloud.boot(host, ["web-1"])
    drain = Drain.apply(kube, credentials, host)
    drain.wait("Drained")
    force_down(cloud, host)
    drain.until(
        "told that it is forced down",
        lambda s: "says nothing about nova-compute" in s["message"],
    )
    seen = operator.polls
    until("two more polls", lambda: operator.polls > seen + 2)
    assert cloud.service(host)
    assert drain.condition("ServiceDeleted")["reason"] == "ForcedDown"

    force_down(cloud, host, forced=False)
    cloud.stop_compute(host)
    drain.wait("Ready")
    nothing_left(cloud, host)
    assert cloud.host_of(server) != host
