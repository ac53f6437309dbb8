"""A drain is suspended in the middle, taken up again, and taken back before it is done.

Suspended, it writes nothing more to OpenStack, and still reports. Deleted in the middle, it
starts nothing more, brings what is on its way to a clean end, and restores the host: the
servers that were still waiting have never been touched.
"""

import pytest
from tests.harness.kubernetes import Drain, Kube, Operator
from tests.harness.openstack import Lab, until
from tests.harness.promises import COLD, moved


def started(cloud: Lab, ids: list[str]) -> list[str]:
    return [server_id for server_id in ids if "migrate" in cloud.actions(server_id)]


@pytest.mark.promise("always-8")
def test_it_stops_where_it_is_and_ends_what_it_began(
    kube: Kube, cloud: Lab, operator: Operator, credentials: str, host: str
) -> None:
    ids = cloud.boot(host, [f"web-{i}" for i in range(8)])
    cloud.fault(f"host:{host}", migrate_disk_and_power_off="sleep:3")  # moves take a moment
    drain = Drain.apply(kube, credentials, host, migration={"maxParallel": 2})

    drain.until("on its way", lambda s: s.get("progress", {}).get("moved", 0) >= 1)
    drain.patch({"suspend": True})
    drain.until("suspended", lambda s: s["phase"] == "Suspended")
    begun = started(cloud, ids)
    until(
        "what was begun arrives",
        lambda: not any(s["OS-EXT-STS:task_state"] for s in cloud.servers()),
    )
    seen = operator.polls
    until("two more polls", lambda: operator.polls > seen + 2)
    status = drain.status
    assert started(cloud, ids) == begun
    assert 1 <= len(begun) < len(ids)
    assert drain.row()[2] == "Suspended"
    assert (
        status["message"]
        == "suspended by spec.suspend: nothing is written to OpenStack until it is false"
    )
    assert {s["status"] for s in cloud.servers()} <= {"ACTIVE", "VERIFY_RESIZE"}

    drain.patch({"suspend": False})
    until("taken up again", lambda: len(started(cloud, ids)) > len(begun))
    drain.delete()

    touched = started(cloud, ids)
    assert len(touched) < len(ids)
    for server_id in touched:
        moved(cloud, server_id, host, "ACTIVE", COLD)
    for server_id in set(ids) - set(touched):
        assert (cloud.host_of(server_id), cloud.actions(server_id)) == (host, ["create"])
    service = cloud.service(host)
    assert service
    assert (service["status"], service["disabled_reason"]) == ("enabled", None)
    assert operator.healthy()
