"""Cold and live migrations that end well: which states are shown, in which order."""

from collections.abc import Iterable, Sequence

from tests.contract.lab import Lab, Sight

COLD = ("pre-migrating", "migrating", "post-migrating", "finished")
CONFIRM = ("finished", "confirming", "confirmed")
REVERT = ("finished", "reverting", "reverted")
LIVE = ("accepted", "queued", "preparing", "running", "completed")
ANYWHERE = {"host": None, "block_migration": "auto"}
RESIZE_TASKS = ("resize_prep", "resize_migrating", "resize_migrated", "resize_finish")


def different(values: Iterable[str | None]) -> list[str | None]:
    """Return values without repetitions in a row."""
    result: list[str | None] = []
    for value in values:
        if not result or result[-1] != value:
            result.append(value)
    return result


def in_order(seen: Sequence[str | None], expected: Sequence[str | None]) -> bool:
    """Tell whether all that was seen is expected, and in this order; steps may go unseen."""
    rest = iter(expected)
    return all(any(value == step for step in rest) for value in seen)


def to_verify(nova: Lab, server: str) -> list[Sight]:
    """Migrate a server cold and return its sights up to VERIFY_RESIZE."""
    answer = nova.migrate(server)
    assert (answer.status, answer.body) == (202, None)
    return nova.watch(server, lambda sight: sight.status == "VERIFY_RESIZE")


def test_cold_migration(nova: Lab) -> None:
    """The record follows the 202, host changes with resize_migrated, `finished` precedes VERIFY_RESIZE."""
    way = to_verify(nova, nova.server())
    assert in_order(different(sight.migration for sight in way), (None, *COLD))
    tasks = different(sight.task for sight in way)
    assert in_order(tasks, (*RESIZE_TASKS, None))
    assert different(sight.status for sight in way) == ["RESIZE", "VERIFY_RESIZE"]
    assert different(sight.dest for sight in way if sight.dest) == [nova.spare]
    for sight in way:
        left = sight.task in ("resize_migrated", "resize_finish", None)
        assert sight.host == (nova.spare if left else nova.source), sight
    assert way[-1].migration == "finished"


def test_both_hosts_are_held_until_the_confirmation(nova: Lab) -> None:
    """The migration holds the source, the server the destination."""
    server = nova.server()
    assert set(nova.held(nova.source)) >= {server}
    to_verify(nova, server)
    migration = nova.migration(server)
    assert migration["uuid"] in nova.held(nova.source)
    assert server not in nova.held(nova.source)
    assert server in nova.held(nova.spare)


def test_confirmation(nova: Lab) -> None:
    """`confirmed`, then ACTIVE, then the allocation gone; a confirming server shows VERIFY_RESIZE."""
    server = nova.server()
    to_verify(nova, server)
    assert nova.act(server, "confirmResize").status == 204
    way = nova.watch(server, lambda sight: sight.status == "ACTIVE")
    assert in_order(different(sight.migration for sight in way), CONFIRM)
    assert in_order(different(sight.status for sight in way), ("VERIFY_RESIZE", "ACTIVE"))
    assert way[-1] == Sight("ACTIVE", None, nova.spare, "confirmed", nova.spare)
    migration = nova.migration(server)
    nova.wait("the allocation gone", lambda: migration["uuid"] not in nova.held(nova.source))
    assert server in nova.held(nova.spare)


def test_a_stopped_server_stays_off(nova: Lab) -> None:
    """SHUTOFF -> VERIFY_RESIZE -> confirm -> SHUTOFF, power state 4 all along."""
    server = nova.server()
    nova.act(server, "os-stop")
    nova.settled(server, "SHUTOFF")
    to_verify(nova, server)
    assert nova.show(server)["OS-EXT-STS:power_state"] == 4
    nova.act(server, "confirmResize")
    shown = nova.settled(server, "SHUTOFF")
    assert shown["OS-EXT-STS:power_state"] == 4


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
    nova.wait("the allocation back", lambda: set(nova.held(nova.source)) >= {server})
    assert nova.migration(server)["uuid"] not in nova.held(nova.source)


def test_live_migration(nova: Lab) -> None:
    """The host changes when the server is ACTIVE again, which precedes `completed`."""
    server = nova.server()
    answer = nova.migrate_live(server)
    assert (answer.status, answer.body) == (202, None)
    way = nova.watch(server, lambda sight: sight.migration == "completed")
    assert in_order(different(sight.migration for sight in way), (None, *LIVE))
    assert in_order(different(sight.status for sight in way), ("MIGRATING", "ACTIVE"))
    for sight in way:
        assert sight.host == (nova.source if sight.status == "MIGRATING" else nova.spare), sight
    migration = nova.migration(server)
    nova.wait("the allocation gone", lambda: migration["uuid"] not in nova.held(nova.source))


def test_a_paused_server_migrates_live(nova: Lab) -> None:
    server = nova.server()
    nova.act(server, "pause")
    nova.settled(server, "PAUSED")
    assert nova.migrate_live(server).status == 202
    nova.until(server, "completed")
    shown = nova.settled(server, "PAUSED")
    assert shown["OS-EXT-SRV-ATTR:host"] == nova.spare


def test_actions_record_the_request(nova: Lab) -> None:
    """The request id of the POST names the instance action, whose events tell the steps."""
    server = nova.server()
    request = nova.migrate(server).request_id
    nova.watch(server, lambda sight: sight.status == "VERIFY_RESIZE")
    confirm = nova.act(server, "confirmResize").request_id
    nova.settled(server, "ACTIVE")
    steps = {"cold_migrate", "conductor_migrate_server", "compute_prep_resize"}
    steps |= {"compute_resize_instance", "compute_finish_resize"}
    message, events = nova.event(server, request)
    assert (message, set(events)) == (None, steps)
    assert {event["result"] for event in events.values()} == {"Success"}
    assert set(nova.event(server, confirm)[1]) == {"compute_confirm_resize"}
    listed = nova.get(f"/servers/{server}/os-instance-actions", "instanceActions")
    assert [action["action"] for action in listed] == ["confirmResize", "migrate", "create"]


def test_live_actions_record_the_request(nova: Lab) -> None:
    server = nova.server()
    request = nova.migrate_live(server).request_id
    nova.until(server, "completed")
    message, events = nova.event(server, request)
    assert message is None
    assert set(events) == {
        "conductor_live_migrate_instance",
        "compute_check_can_live_migrate_destination",
        "compute_check_can_live_migrate_source",
        "compute_pre_live_migration",
        "compute_live_migration",
        "compute_post_live_migration_at_destination",
    }
    listed = nova.get(f"/servers/{server}/os-instance-actions", "instanceActions")
    assert listed[0]["action"] == "live-migration"


def test_ports_follow(nova: Lab) -> None:
    """Ports are ACTIVE and bound to the destination, after a cold move and after a live one."""
    cold, live = nova.many([{}, {}])
    nova.migrate(cold)
    nova.migrate_live(live)
    nova.watch(cold, lambda sight: sight.status == "VERIFY_RESIZE")
    nova.until(live, "completed")
    for server in (cold, live):

        def bound(server: str = server) -> bool:
            ports = nova.get(f"/ports?device_id={server}", "ports", service="network")
            assert len(ports) == 1
            return (ports[0]["binding:host_id"], ports[0]["status"]) == (nova.spare, "ACTIVE")

        nova.wait("the port on the destination", bound)


def test_no_valid_host(nova: Lab) -> None:
    """202, then as before: no fault, the record `error` without destination, the reason in the action.

    The only member of an affinity group may go nowhere: its own host is ruled out.
    """
    group = nova.api("POST", "/os-server-groups", {"server_group": {"name": nova.prefix, "policy": "affinity"}})
    cold, live = nova.many([{"group": group.body["server_group"]["id"]} for _ in range(2)])
    requests = {cold: nova.act(cold, "migrate"), live: nova.act(live, "os-migrateLive", ANYWHERE)}
    steps = {cold: "cold_migrate", live: "conductor_live_migrate_instance"}
    for server, answer in requests.items():
        assert answer.status == 202
        migration = nova.until(server, "error")
        assert migration["dest_compute"] is None
        shown = nova.settled(server, "ACTIVE")
        assert shown["OS-EXT-SRV-ATTR:host"] == nova.source
        assert "fault" not in shown
        message, events = nova.event(server, answer.request_id)
        assert message == "Error"
        failed = events[steps[server]]
        assert failed["result"] == "Error"
        assert failed["details"].startswith("No valid host was found.")
        nova.wait("the allocation back", lambda server=server: server in nova.held(nova.source))  # type: ignore[misc]
        assert migration["uuid"] not in nova.held(nova.source)
