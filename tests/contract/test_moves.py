"""Cold and live migrations that end well: which states are shown, in which order."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from tests.contract.lab import Json, Lab, Sight, different, in_order

pytestmark = pytest.mark.every_driver
COLD = ("pre-migrating", "migrating", "post-migrating", "finished")
CONFIRM = ("finished", "confirming", "confirmed")
REVERT = ("finished", "reverting", "reverted")
LIVE = ("accepted", "queued", "preparing", "running", "completed")
ANYWHERE = {"host": None, "block_migration": "auto"}
RESIZE_TASKS = ("resize_prep", "resize_migrating", "resize_migrated", "resize_finish")


def to_verify(nova: Lab, server: str) -> list[Sight]:
    """Migrate a server cold and return its sights up to VERIFY_RESIZE."""
    answer = nova.migrate(server)
    assert (answer.status, answer.body) == (202, None)
    return nova.watch(server, lambda sight: sight.status == "VERIFY_RESIZE")


@dataclass
class Cold:
    """A cold migration up to VERIFY_RESIZE, and its confirmation: sights, and who held what in
    between.
    """

    server: str
    way: list[Sight]
    holders: dict[str, set[str]]
    confirmation: list[Sight]


@pytest.fixture(scope="module")
def cold(cloud: Lab) -> Iterator[Cold]:
    with cloud.case():
        server = cloud.server()
        way = to_verify(cloud, server)
        holders = {host: set(cloud.held(host)) for host in (cloud.source, cloud.spare)}
        assert cloud.act(server, "confirmResize").status == 204
        yield Cold(
            server, way, holders, cloud.watch(server, lambda sight: sight.status == "ACTIVE")
        )


@dataclass
class Live:
    """A live migration: its sights up to `completed`."""

    server: str
    way: list[Sight]


@pytest.fixture(scope="module")
def live(cloud: Lab) -> Iterator[Live]:
    with cloud.case():
        server = cloud.server()
        answer = cloud.migrate_live(server)
        assert (answer.status, answer.body) == (202, None)
        yield Live(server, cloud.watch(server, lambda sight: sight.migration == "completed"))


def test_cold_migration(nova: Lab, cold: Cold) -> None:
    """The record follows the 202, host changes with resize_migrated, `finished` precedes
    VERIFY_RESIZE.
    """
    assert in_order(different(sight.migration for sight in cold.way), (None, *COLD))
    assert in_order(different(sight.task for sight in cold.way), (*RESIZE_TASKS, None))
    assert different(sight.status for sight in cold.way) == ["RESIZE", "VERIFY_RESIZE"]
    assert different(sight.dest for sight in cold.way if sight.dest) == [nova.spare]
    for sight in cold.way:
        left = sight.task in ("resize_migrated", "resize_finish", None)
        assert sight.host == (nova.spare if left else nova.source), sight
    assert cold.way[-1].migration == "finished"


def test_both_hosts_are_held_until_the_confirmation(nova: Lab, cold: Cold) -> None:
    """The migration holds the source, the server the destination; after the confirmation only the
    latter.
    """
    migration = nova.migration(cold.server)["uuid"]
    involved = {cold.server, migration}
    assert cold.holders[nova.source] & involved == {migration}
    assert cold.holders[nova.spare] & involved == {cold.server}
    nova.wait("the allocation gone", lambda: migration not in nova.held(nova.source))
    assert cold.server in nova.held(nova.spare)


def test_confirmation(nova: Lab, cold: Cold) -> None:
    """`confirmed`, then ACTIVE; a confirming server shows VERIFY_RESIZE."""
    assert in_order(different(sight.migration for sight in cold.confirmation), CONFIRM)
    assert in_order(
        different(sight.status for sight in cold.confirmation), ("VERIFY_RESIZE", "ACTIVE")
    )
    assert cold.confirmation[-1] == Sight("ACTIVE", None, nova.spare, "confirmed", nova.spare)


def test_live_migration(nova: Lab, live: Live) -> None:
    """The host changes when the server is ACTIVE again, which precedes `completed`; then the source
    is free.
    """
    assert in_order(different(sight.migration for sight in live.way), (None, *LIVE))
    assert in_order(different(sight.status for sight in live.way), ("MIGRATING", "ACTIVE"))
    for sight in live.way:
        assert sight.host == (nova.source if sight.status == "MIGRATING" else nova.spare), sight
    migration = nova.migration(live.server)["uuid"]
    nova.wait("the allocation gone", lambda: migration not in nova.held(nova.source))


def actions(nova: Lab, server: str) -> tuple[list[str], dict[str, set[str]]]:
    """Return the actions of a server, newest first, and the steps of each, all of which
    succeeded.
    """
    rows = nova.get(f"/servers/{server}/os-instance-actions", "instanceActions")
    steps: dict[str, set[str]] = {}
    for row in rows:
        message, events = nova.event(server, row["request_id"])
        assert message is None
        assert {event["result"] for event in events.values()} == {"Success"}
        steps[row["action"]] = set(events)
    return [row["action"] for row in rows], steps


def test_cold_actions(nova: Lab, cold: Cold) -> None:
    """One action per request, with a step for each stage on each host."""
    names, steps = actions(nova, cold.server)
    assert names == ["confirmResize", "migrate", "create"]
    assert steps["confirmResize"] == {"compute_confirm_resize"}
    assert steps["migrate"] == {
        "cold_migrate",
        "conductor_migrate_server",
        "compute_prep_resize",
        "compute_resize_instance",
        "compute_finish_resize",
    }


def test_live_actions(nova: Lab, live: Live) -> None:
    names, steps = actions(nova, live.server)
    assert names == ["live-migration", "create"]
    assert steps["live-migration"] == {
        "conductor_live_migrate_instance",
        "compute_check_can_live_migrate_destination",
        "compute_check_can_live_migrate_source",
        "compute_pre_live_migration",
        "compute_live_migration",
        "compute_post_live_migration_at_destination",
    }


def test_ports_follow(nova: Lab, cold: Cold, live: Live) -> None:
    """Ports are ACTIVE and bound to the destination, after a cold move and after a live one."""
    query = f"device_id={cold.server}&device_id={live.server}"

    def bound() -> bool:
        ports = nova.get(f"/ports?{query}", "ports", service="network")
        assert {port["device_id"] for port in ports} == {cold.server, live.server}
        return {(port["binding:host_id"], port["status"]) for port in ports} == {
            (nova.spare, "ACTIVE")
        }

    nova.wait("the ports on the destination", bound)


def test_a_port_that_is_administratively_down(nova: Lab) -> None:
    """It is bound to the destination like any other, and DOWN there as before."""
    server = nova.server()
    (port,) = nova.get(f"/ports?device_id={server}", "ports", service="network")
    down = {"port": {"admin_state_up": False}}
    assert nova.api("PUT", f"/ports/{port['id']}", down, service="network").status == 200
    query = f"binding:host_id={nova.source}&status=DOWN&status=ERROR&status=N/A"

    def found() -> bool:
        rows = nova.get(f"/ports?{query}", "ports", service="network")
        assert all(row["binding:host_id"] == nova.source for row in rows)
        return port["id"] in {row["id"] for row in rows}

    nova.wait("the port among those of its host that do not work", found)
    to_verify(nova, server)
    (shown,) = nova.get(f"/ports?device_id={server}", "ports", service="network")
    assert (shown["admin_state_up"], shown["binding:host_id"]) == (False, nova.spare)
    assert shown["status"] == "DOWN"


def test_the_request_names_its_action(nova: Lab) -> None:
    """The request id of a POST is the key of the instance action; times and initiator are there."""
    server = nova.server()
    request = nova.act(server, "lock").request_id
    action: Json = nova.get(f"/servers/{server}/os-instance-actions/{request}", "instanceAction")
    assert (action["action"], action["request_id"], action["message"]) == ("lock", request, None)
    assert action["user_id"] == nova.connection("operator").current_user_id
    assert action["start_time"].endswith(".000000")
    answer = nova.api("GET", f"/servers/{server}/os-instance-actions/req-nonsense")
    assert (answer.status, answer.message) == (404, "Action req-nonsense not found")


def test_a_stopped_server_stays_off(nova: Lab) -> None:
    """SHUTOFF -> VERIFY_RESIZE -> confirm -> SHUTOFF, power state 4 all along."""
    server = nova.server()
    nova.act(server, "os-stop")
    nova.settled(server, "SHUTOFF")
    to_verify(nova, server)
    assert nova.show(server)["OS-EXT-STS:power_state"] == 4
    nova.act(server, "confirmResize")
    assert nova.settled(server, "SHUTOFF")["OS-EXT-STS:power_state"] == 4


def test_revert(nova: Lab) -> None:
    """`reverting`, `reverted`, then ACTIVE on the source with the source's resources."""
    server = nova.server()
    to_verify(nova, server)
    assert nova.act(server, "revertResize").status == 202
    way = nova.watch(server, lambda sight: sight.status == "ACTIVE")
    assert in_order(different(sight.migration for sight in way), REVERT)
    statuses = different(sight.status for sight in way)
    assert in_order(statuses, ("VERIFY_RESIZE", "REVERT_RESIZE", "ACTIVE"))
    assert way[-1] == Sight("ACTIVE", None, nova.source, "reverted", nova.spare)
    nova.wait("the allocation back", lambda: server in nova.held(nova.source))
    assert nova.migration(server)["uuid"] not in nova.held(nova.source)


def test_a_paused_server_migrates_live(nova: Lab) -> None:
    server = nova.server()
    nova.act(server, "pause")
    nova.settled(server, "PAUSED")
    assert nova.migrate_live(server).status == 202
    nova.until(server, "completed")
    assert nova.settled(server, "PAUSED")["OS-EXT-SRV-ATTR:host"] == nova.spare


def test_no_valid_host(nova: Lab) -> None:
    """202, then as before: no fault, the record `error` without destination, the reason in the
    action.

    The only member of an affinity group may go nowhere: its own host is ruled out.
    """
    group = nova.api(
        "POST", "/os-server-groups", {"server_group": {"name": nova.prefix, "policy": "affinity"}}
    )
    stopped, running = nova.many([{"group": group.body["server_group"]["id"]} for _ in range(2)])
    requests = {
        stopped: nova.act(stopped, "migrate"),
        running: nova.act(running, "os-migrateLive", ANYWHERE),
    }
    steps = {stopped: "cold_migrate", running: "conductor_live_migrate_instance"}
    for server, answer in requests.items():
        assert answer.status == 202
        migration = nova.until(server, "error")
        assert migration["dest_compute"] is None
        shown = nova.settled(server, "ACTIVE")
        assert shown["OS-EXT-SRV-ATTR:host"] == nova.source
        assert "fault" not in shown
        message, events = nova.event(server, answer.request_id)
        assert message == "Error"
        assert events[steps[server]]["result"] == "Error"
        assert events[steps[server]]["details"].startswith("No valid host was found.")
        nova.wait("the allocation back", lambda server=server: server in nova.held(nova.source))  # type: ignore[misc]
        assert migration["uuid"] not in nova.held(nova.source)
