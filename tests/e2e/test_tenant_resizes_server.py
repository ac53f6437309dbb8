"""A tenant's own resize waits for its owner, on a host that is being drained.

Two servers of a tenant have been resized away from the host and stand in VERIFY_RESIZE. The
drain moves what is its own to move, leaves those two alone, and names them as what keeps the
service from being deleted. One is confirmed by its owner, the other one reverted, which
brings it back to the host: it is moved as any other, and the drain comes to its end.
"""

import pytest
from tests.harness.kubernetes import Drain, Kube, Operator
from tests.harness.openstack import Lab, until
from tests.harness.promises import COLD, moved

RESIZED = ("create", "resize")


def boot_as_tenant(cloud: Lab, host: str, names: list[str]) -> list[str]:
    """A tenant may not name a host, so it is the only one that the scheduler can take."""
    services = cloud.admin.get("/os-services?binary=nova-compute")["services"]
    others = [row["host"] for row in services if row["status"] == "enabled" and row["host"] != host]
    for other in others:
        cloud.set_service(other, "disabled", "the tenant's servers go elsewhere")
    ids = cloud.boot(None, names, person=cloud.demo)
    for other in others:
        cloud.set_service(other, "enabled")
    assert {cloud.host_of(server_id) for server_id in ids} == {host}
    return ids


@pytest.mark.promise("never-2")
def test_it_is_left_alone_and_named_until_its_owner_decides(
    kube: Kube, cloud: Lab, operator: Operator, credentials: str, hosts: tuple[str, ...]
) -> None:
    host = hosts[0]
    confirmed, reverted = boot_as_tenant(cloud, host, ["shop-1", "shop-2"])
    (plain,) = cloud.boot(host, ["plain"])
    for server_id in (confirmed, reverted):
        cloud.demo.action(server_id, "resize", {"flavorRef": cloud.flavor("small")})
    cloud.wait_all([confirmed, reverted], "VERIFY_RESIZE")
    drain = Drain.apply(kube, credentials, host, service={"afterDrain": "KeepDisabled"})

    status = drain.until(
        "only theirs left", lambda s: s["phase"] == "Stalled" and s["progress"]["summary"] == "1/1"
    )
    moved(cloud, plain, host, "ACTIVE", COLD)
    assert {(p["id"], p["name"], p["reason"]) for p in status["problems"]} == {
        (confirmed, "shop-1", "ForeignResize"),
        (reverted, "shop-2", "ForeignResize"),
    }
    assert "shop-1, shop-2" in status["message"]
    assert "ForeignResize" in status["message"]
    assert "waits for its owner" in status["problems"][0]["message"]
    assert "ForeignResize" in drain.events()
    seen = operator.polls
    until("two more polls", lambda: operator.polls > seen + 2)
    for server_id in (confirmed, reverted):
        assert (cloud.server(server_id) or {})["status"] == "VERIFY_RESIZE"
        assert cloud.actions(server_id) == list(RESIZED)

    cloud.demo.action(confirmed, "confirmResize")
    status = drain.until("one left", lambda s: len(s["problems"]) == 1)
    assert status["problems"][0]["name"] == "shop-2"
    assert drain.condition("Drained")["status"] == "False"
    cloud.demo.action(reverted, "revertResize")
    drain.wait("Ready")

    moved(cloud, confirmed, host, "ACTIVE", ["confirmResize"], before=RESIZED)
    moved(cloud, reverted, host, "ACTIVE", ["revertResize", *COLD], before=RESIZED)
    status = drain.status
    assert (status["progress"]["summary"], status["problems"]) == ("2/2", [])
    assert operator.healthy()
