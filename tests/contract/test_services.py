"""Compute services: disabling, deleting, and what is left or comes back.

`spare` is deleted and registered again here, and has to be empty for it.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from tests.contract.changes import (
    DELETE_RELEASES_EVACUATED,
    NODE_KEEPS_ITS_UUID,
    UP_WAITS_FOR_EVACUATIONS,
    ZONE_OF_SERVERS_IS_KEPT,
)
from tests.contract.lab import Answer, Json, Lab

HOSTING = (
    "Unable to delete compute service that is hosting instances. "
    "Migrate or delete the instances first."
)
IN_PROGRESS = (
    "Unable to delete compute service that has in-progress migrations. "
    "Complete the migrations or delete the instances first."
)
FIELDS = {
    "binary",
    "disabled_reason",
    "forced_down",
    "host",
    "id",
    "state",
    "status",
    "updated_at",
    "zone",
}


def service(nova: Lab, host: str) -> Json:
    row = nova.service(host)
    assert row is not None
    return row


def put(nova: Lab, host: str, **body: Any) -> Answer:
    return nova.api("PUT", f"/os-services/{service(nova, host)['id']}", body)


@pytest.fixture
def untouched(nova: Lab) -> Iterator[Lab]:
    """A cloud whose spare host is enabled again afterwards, for Placement too (TRAIT_AT_ONCE)."""
    yield nova
    put(nova, nova.spare, status="enabled", forced_down=False)
    nova.wait("no trait", lambda: not nova.barred(nova.spare))


def test_fields(nova: Lab) -> None:
    row = service(nova, nova.source)
    assert set(row) == FIELDS
    assert (row["status"], row["state"], row["disabled_reason"]) == ("enabled", "up", None)
    assert (row["binary"], row["zone"], row["forced_down"]) == ("nova-compute", "nova", False)
    everything = nova.get("/os-services", "services")
    assert {"nova-compute", "nova-conductor", "nova-scheduler"} <= {
        row["binary"] for row in everything
    }


def test_disable(untouched: Lab) -> None:
    """200 with the new row; the trait follows; a disable without a reason clears a foreign one."""
    nova = untouched
    answer = put(nova, nova.spare, status="disabled", disabled_reason="somebody's")
    assert answer.status == 200
    row = answer.body["service"]
    assert (row["status"], row["disabled_reason"], row["state"]) == ("disabled", "somebody's", "up")
    nova.wait("the trait", lambda: nova.barred(nova.spare))
    assert put(nova, nova.spare, status="disabled").body["service"]["disabled_reason"] is None
    assert put(nova, nova.spare, status="enabled").body["service"]["disabled_reason"] is None
    nova.wait("no trait", lambda: not nova.barred(nova.spare))


def test_host_status(untouched: Lab) -> None:
    """UP, MAINTENANCE when disabled, DOWN when forced down, which shows at once and can be
    undone.
    """
    nova = untouched
    server = nova.active(host=nova.spare)
    assert nova.show(server)["host_status"] == "UP"
    put(nova, nova.spare, status="disabled")
    assert nova.show(server)["host_status"] == "MAINTENANCE"
    assert put(nova, nova.spare, forced_down=True).body["service"]["state"] == "down"
    assert nova.show(server)["host_status"] == "DOWN"
    refused = nova.act(server, "migrate", {"host": nova.source})
    assert (refused.status, refused.message) == (409, "Service is unavailable at this time.")
    assert put(nova, nova.spare, forced_down=False).body["service"]["state"] == "up"


def test_a_service_that_is_forced_down_shows_whether_its_process_reports(emptied: Lab) -> None:
    """`state` says nothing of the process; `updated_at` moves with each of its reports, and with
    nothing else that happens by itself.
    """
    nova = emptied
    put(nova, nova.spare, status="disabled", forced_down=True)

    def reported() -> str:
        row = service(nova, nova.spare)
        assert row["state"] == "down"
        return str(row["updated_at"])

    for _ in range(2):
        before = reported()
        nova.wait("a report", lambda before=before: reported() != before)  # type: ignore[misc]
    nova.kill_compute(nova.spare)
    last = reported()
    nova.pause(15)
    assert reported() == last
    assert put(nova, nova.spare, forced_down=False).body["service"]["state"] == "down"
    put(nova, nova.spare, status="enabled")


def test_bad_updates(nova: Lab) -> None:
    path = f"/os-services/{service(nova, nova.spare)['id']}"
    for body in (
        {},
        {"status": "gone"},
        {"status": "disabled", "disabled_reason": "x" * 256},
        {"nonsense": 1},
    ):
        assert nova.api("PUT", path, body).status == 400, body
    both = nova.api("PUT", path, {"status": "enabled", "disabled_reason": "why"})
    assert (both.status, both.message) == (
        400,
        "Specifying 'disabled_reason' with status 'enabled' is invalid.",
    )
    assert nova.api("PUT", "/os-services/12", {"status": "enabled"}).status == 400
    missing = "00000000-0000-4000-8000-000000000000"
    answer = nova.api("PUT", f"/os-services/{missing}", {"status": "enabled"})
    assert (answer.status, answer.message) == (404, f"Service {missing} could not be found.")
    answer = nova.api("DELETE", f"/os-services/{missing}")
    assert (answer.status, answer.message) == (404, f"Service {missing} not found.")


def test_a_disabled_host_gets_no_server(untouched: Lab) -> None:
    """Asked for by name, too: the server goes to ERROR."""
    nova = untouched
    put(nova, nova.spare, status="disabled")
    server = nova.boot(host=nova.spare)
    nova.settled(server, "ERROR")
    shown = nova.wait(
        "its fault, written a moment later",
        lambda: found if "fault" in (found := nova.show(server)) else None,
    )
    assert shown["fault"]["message"].startswith("No valid host was found.")
    assert shown["OS-EXT-SRV-ATTR:host"] is None


def test_a_disabled_source_can_be_drained(nova: Lab) -> None:
    """Migrations from a disabled host go, and are confirmed."""
    server = nova.server()
    put(nova, nova.source, status="disabled", disabled_reason="drain")
    try:
        nova.migrate(server)
        nova.settled(server, "VERIFY_RESIZE")
        assert nova.act(server, "confirmResize").status == 204
        nova.settled(server, "ACTIVE")
    finally:
        put(nova, nova.source, status="enabled")


def test_delete_is_refused(nova: Lab) -> None:
    """409 while a server is there, in any state, and while an unconfirmed migration involves the
    host.
    """
    path = f"/os-services/{service(nova, nova.spare)['id']}"
    server = nova.server()
    nova.migrate(server)
    nova.settled(server, "VERIFY_RESIZE")
    answer = nova.api("DELETE", path)
    assert (answer.status, answer.message) == (409, HOSTING)
    nova.act(server, "confirmResize")
    nova.settled(server, "ACTIVE")
    nova.act(server, "os-resetState", {"state": "error"})
    answer = nova.api("DELETE", path)
    assert (answer.status, answer.message) == (409, HOSTING)


@pytest.fixture
def emptied(nova: Lab) -> Iterator[Lab]:
    """A cloud whose spare host holds nothing; its nova-compute runs again afterwards."""
    for row in nova.get(f"/servers/detail?all_tenants=1&host={nova.spare}", "servers"):
        assert row["name"].startswith("contract-"), f"{row['name']} is in the way on {nova.spare}"
        nova.api("DELETE", f"/servers/{row['id']}")
    nova.wait(
        "an empty host",
        lambda: not nova.get(f"/servers?all_tenants=1&host={nova.spare}", "servers"),
    )
    yield nova
    nova.start_compute(nova.spare)
    nova.forget_deleted_services()


def test_delete_waits_for_a_confirmation(emptied: Lab) -> None:
    """No server on the host, one unconfirmed migration from it: 409 in-progress."""
    nova = emptied
    server = nova.active(host=nova.spare)
    nova.migrate(server, nova.source)
    nova.settled(server, "VERIFY_RESIZE")
    answer = nova.api("DELETE", f"/os-services/{service(nova, nova.spare)['id']}")
    assert (answer.status, answer.message) == (409, IN_PROGRESS)
    nova.delete(server)


def test_delete_releases_what_evacuated_servers_still_hold(emptied: Lab) -> None:
    """Of a host that died: each holds resources there and where it is now. `--up` is refused.

    The delete releases what is held on the dead host, and nothing else; in older releases nothing.
    """
    nova = emptied
    server = nova.active(host=nova.spare)
    put(nova, nova.spare, status="disabled", forced_down=True)
    nova.kill_compute(nova.spare)
    assert nova.act(server, "evacuate", {"host": nova.source}).status == 200
    nova.until(server, "done")
    nova.settled(server, nova.after_evacuation)
    query = f"source_compute={nova.spare}&migration_type=evacuation&status=done"
    rows = nova.get(f"/os-migrations?{query}", "migrations")
    assert {row["instance_uuid"] for row in rows} == {server}
    assert server in nova.held(nova.spare)
    assert server in nova.held(nova.source)
    if nova.has(UP_WAITS_FOR_EVACUATIONS):
        refused = put(nova, nova.spare, forced_down=False)
        assert refused.status == 400
        assert "`done` evacuation migration records remain" in refused.message
    path = f"/os-services/{service(nova, nova.spare)['id']}"
    dead = nova.provider(nova.spare)
    assert nova.api("DELETE", path).status == 204
    held = set(nova.get(f"/allocations/{server}", "allocations", service="placement"))
    released = nova.has(DELETE_RELEASES_EVACUATED)
    assert held == {nova.provider(nova.source)} | (set() if released else {dead})
    assert nova.provider(nova.spare) == (None if released else dead)
    nova.delete(server)
    if not released:
        gone = nova.api("DELETE", f"/resource_providers/{dead}", service="placement")
        assert gone.status == 204, "it holds nothing any more"


def test_delete_and_return(emptied: Lab) -> None:
    """Stopped, deleted: service, hypervisor, provider and aggregates gone; started: enabled, a new
    id, no aggregate.
    """
    nova = emptied
    made = nova.api("POST", "/os-aggregates", {"aggregate": {"name": nova.prefix}})
    assert made.status == 200
    aggregate = f"/os-aggregates/{made.body['aggregate']['id']}"
    joined = nova.api("POST", f"{aggregate}/action", {"add_host": {"host": nova.spare}})
    assert joined.body["aggregate"]["hosts"] == [nova.spare]
    again = nova.api("POST", f"{aggregate}/action", {"add_host": {"host": nova.spare}})
    assert again.status == 409
    put(nova, nova.spare, status="disabled", disabled_reason="drain")
    before, provider = service(nova, nova.spare), nova.provider(nova.spare)
    nova.kill_compute(nova.spare)
    nova.wait("the service down", lambda: service(nova, nova.spare)["state"] == "down")
    assert nova.api("DELETE", f"/os-services/{before['id']}").status == 204
    assert nova.service(nova.spare) is None
    assert nova.provider(nova.spare) is None
    assert nova.get(aggregate, "aggregate")["hosts"] == []
    shown = nova.get("/os-hypervisors/detail", "hypervisors")
    assert nova.spare not in {row["service"]["host"] for row in shown}
    nova.start_compute(nova.spare)
    after = service(nova, nova.spare)
    assert after["id"] != before["id"]
    assert (after["status"], after["state"], after["disabled_reason"]) == ("enabled", "up", None)
    nova.wait("a provider", lambda: nova.provider(nova.spare))
    assert (nova.provider(nova.spare) == provider) == nova.has(NODE_KEEPS_ITS_UUID)
    assert nova.get(aggregate, "aggregate")["hosts"] == []
    assert nova.api("DELETE", aggregate).status == 200


def test_availability_zones(emptied: Lab) -> None:
    """A host has one zone; with servers on it, it cannot get one."""
    nova = emptied
    numbers = []
    for zone in ("east", "west"):
        wanted = {"name": f"{nova.prefix}-{zone}", "availability_zone": f"{nova.prefix}-{zone}"}
        numbers.append(
            nova.api("POST", "/os-aggregates", {"aggregate": wanted}).body["aggregate"]["id"]
        )
    east, west = (f"/os-aggregates/{number}" for number in numbers)
    host = {"host": nova.spare}
    assert nova.api("POST", f"{east}/action", {"add_host": host}).status == 200
    assert service(nova, nova.spare)["zone"] == f"{nova.prefix}-east"
    second = nova.api("POST", f"{west}/action", {"add_host": host})
    words = (
        f"Cannot add host to aggregate {numbers[1]}. "
        "Reason: One or more hosts already in availability zone(s)"
    )
    assert second.status == 409
    assert second.message.startswith(words)
    assert nova.api("DELETE", east).status == 400
    assert nova.api("POST", f"{east}/action", {"remove_host": host}).status == 200
    server = nova.active(host=nova.spare)
    inhabited = nova.api("POST", f"{east}/action", {"add_host": host})
    if nova.has(ZONE_OF_SERVERS_IS_KEPT):
        assert inhabited.status == 409
        assert "but the host already has 1 instance(s)" in inhabited.message
    else:
        assert inhabited.status == 200
        assert nova.api("POST", f"{east}/action", {"remove_host": host}).status == 200
    nova.delete(server)
    for path in (east, west):
        assert nova.api("DELETE", path).status == 200


def test_deleted_while_it_runs(emptied: Lab) -> None:
    """204; the record does not come back by itself, and nothing can be booted there."""
    nova = emptied
    assert nova.api("DELETE", f"/os-services/{service(nova, nova.spare)['id']}").status == 204
    assert nova.provider(nova.spare) is None
    nova.pause(5)
    assert nova.service(nova.spare) is None
    unknown = nova.migrate(nova.server(), nova.spare)
    assert (unknown.status, unknown.message) == (
        400,
        f"Compute host {nova.spare} could not be found.",
    )
    nova.kill_compute(nova.spare)
