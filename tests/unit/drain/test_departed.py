"""Servers that have left the host: verified, then confirmed, held or rolled back; and what still
ties them to it.
"""

from datetime import timedelta
from typing import Any

import pytest
from tests.unit.drain.build import (
    FOUND,
    HOST,
    NOW,
    TENANT,
    ago,
    arrived_elsewhere,
    begun,
    decided,
    migration,
    observed,
    other,
    refusal,
    replace,
    said,
    server,
    service,
    spec,
    status_of,
    told,
    tried,
    verdict,
    verdicts,
)

from quiesce.drain.decide.departed import GRACE, SHORT_WORK
from quiesce.drain.model.actions import ConfirmMove, RevertMove
from quiesce.drain.model.history import Cause
from quiesce.drain.model.migrations import POWER_LAG, STALE_AFTER
from quiesce.drain.model.observation import UNKNOWN_FOR, Observation, ProofReads
from quiesce.drain.model.verdict import Blocked, Confirm, Held, Revert, Wait
from quiesce.openstack.records import NOSTATE, RUNNING, SHUTDOWN, Migration, Port, Server

LONG_AGO = 100_000


def arrived(power: int = RUNNING, **fields: Any) -> Server:
    return arrived_elsewhere(power_state=power, **fields)


def left(at: Server | None = None, finished_for: float = LONG_AGO, **fields: Any) -> Observation:
    """s1 has been moved to cmp2 by us, and waits there."""
    mine = fields.pop("migration", migration())
    since = {(mine.id, mine.status): ago(finished_for)}
    return observed(migrations=[mine], elsewhere=[at or arrived()], first_seen=since, **fields)


def was(status: str) -> Any:
    return begun(tries={"s1": tried(status)})


def port(**fields: Any) -> Port:
    return Port(
        **{"id": "p1", "server_id": "s1", "status": "ACTIVE", "bound_to": "cmp2", "vif_type": "ovs"}
        | fields
    )


def test_a_server_that_passes_its_checks_is_confirmed() -> None:
    sight = left(ports=(port(),))
    assert verdict(sight, record=was("ACTIVE")) == Confirm(migration())
    assert decided(sight, record=was("ACTIVE")).actions == (ConfirmMove("s1", FOUND + 1),)


@pytest.mark.parametrize("task", ["resize_reverting", "deleting"])
def test_nothing_is_confirmed_while_the_server_is_busy(task: str) -> None:
    assert said(verdict(left(arrived(task=task)))) == "follow Verifying"


@pytest.mark.promise("always-5")
def test_a_server_that_never_arrives_is_named_with_a_way_out() -> None:
    """Its nova-compute died after it had written the record, before it wrote the server."""
    cut_off = replace(arrived(task="resize_finish"), status="RESIZE")
    assert said(verdict(left(cut_off, finished_for=60))) == "follow Verifying"
    found = verdict(left(cut_off))
    assert said(found) == "blocked Stuck"
    assert isinstance(found, Blocked)
    assert found.remedies[-1] == "openstack server set --state active s1"


def test_finished_is_not_enough_the_server_must_show_it() -> None:
    for status in ("RESIZE", "ACTIVE", "ERROR"):
        sight = left(replace(arrived(), status=status), finished_for=1)
        assert said(verdict(sight)) == "follow Verifying", status
    unseen = observed(migrations=[migration()])
    assert said(verdict(unseen)) == "follow Verifying"


@pytest.mark.parametrize(
    "kind",
    [{"user_id": TENANT}, {"type": "resize"}, {"id_": FOUND}, {"source": "cmp3", "dest": HOST}],
)
def test_what_is_not_ours_is_never_confirmed_unasked(kind: dict[str, Any]) -> None:
    sight = left(migration=migration(**kind))
    assert said(verdict(sight)) == "blocked ForeignResize"
    assert not decided(sight).actions


@pytest.mark.promise("never-2")
@pytest.mark.parametrize(
    ("tries", "wanted"),
    [
        ({}, "blocked ForeignResize"),
        ({"s2": tried()}, "blocked ForeignResize"),
        ({"s1": tried(method=None)}, "blocked ForeignResize"),
        ({"s1": tried(method="offload")}, "blocked ForeignResize"),
        ({"s1": tried(method="cold")}, "confirm"),
    ],
    ids=["none", "of another", "only seen to begin", "offloaded", "announced"],
)
def test_what_the_record_does_not_announce_is_never_confirmed(
    tries: dict[str, Any], wanted: str
) -> None:
    """An older move has a higher ID than the newest one that was found, where the list that was
    read then lacked it.
    """
    assert said(verdict(left(), record=begun(tries=tries))) == wanted


def test_what_is_not_ours_is_confirmed_where_the_spec_says_so_and_its_checks_pass() -> None:
    asked = spec(confirmation={"foreign": "Confirm"})
    foreign = left(migration=migration(type="resize", user_id=TENANT))
    assert decided(foreign, asked).actions == (ConfirmMove("s1", FOUND + 1),)
    unplugged = replace(foreign, ports=(port(vif_type="binding_failed"),))
    assert said(verdict(unplugged, asked)) == "blocked CheckFailed"
    down = replace(foreign, services=(service(state="down"), other()))
    assert said(verdict(down, asked)) == "wait SourceDown"
    off = replace(foreign, running={"s1": False})
    assert said(verdict(off, asked)) == "blocked CheckFailed"
    for unknown in ({"silent": frozenset({"s1"})}, {"services": (service(), other(state="down"))}):
        assert said(verdict(replace(foreign, **unknown), asked)) == "wait DestinationDown"


CHECKS: list[tuple[str, Server, dict[str, Any], str, str]] = [
    ("ACTIVE", arrived(SHUTDOWN), {}, "power", "it was running and is not"),
    ("SHUTOFF", arrived(RUNNING), {}, "power", "it was shut off and is not"),
    ("ACTIVE", arrived(), {"ports": (port(bound_to=HOST),)}, "ports", "not bound to cmp2"),
    ("ACTIVE", arrived(), {"ports": (port(vif_type="binding_failed"),)}, "ports", "binding_failed"),
    ("ACTIVE", arrived(), {"ports": (port(status="DOWN"),)}, "ports", "is DOWN"),
    (
        "ACTIVE",
        arrived(),
        {"unreachable": {"s1": "no answer on TCP port 22"}},
        "tcpPort",
        "no answer on TCP port 22",
    ),
    (
        "ACTIVE",
        arrived(host="cmp3"),
        {"services": (service(), other("cmp3"))},
        "",
        "its migration went to cmp2",
    ),
]


@pytest.mark.parametrize(("before", "at", "sight", "check", "text"), CHECKS)
@pytest.mark.parametrize("how", ["Hold", "Revert"])
def test_a_failed_check_holds_or_reverts(
    before: str, at: Server, sight: dict[str, Any], check: str, text: str, how: str
) -> None:
    asked = spec(
        confirmation={"onFailedCheck": how, "checks": {"tcpPort": 22} if check == "tcpPort" else {}}
    )
    early = verdict(left(at, GRACE.total_seconds() - 1, **sight), asked, was(before))
    assert said(early) == "follow Verifying"
    found = verdict(left(at, **sight), asked, was(before))
    match found:
        case Held(reason=reason, message=message):
            assert (how, reason) == ("Hold", "CheckFailed")
            assert text in message
            assert "Both copies are kept" in message
        case Revert(why=why):
            assert how == "Revert"
            assert text in why
        case _:
            pytest.fail(f"{found} on a failed check")


@pytest.mark.parametrize(
    ("before", "at", "sight", "check", "text"),
    [row for row in CHECKS if row[3] in ("power", "ports")],
)
def test_a_check_that_is_switched_off_holds_nothing(
    before: str, at: Server, sight: dict[str, Any], check: str, text: str
) -> None:
    asked = spec(confirmation={"checks": {check: False}})
    assert isinstance(verdict(left(at, **sight), asked, was(before)), Confirm), text


def test_a_stopped_server_needs_no_active_port_and_no_answer() -> None:
    asked = spec(confirmation={"checks": {"tcpPort": 22}})
    sight = left(arrived(SHUTDOWN), ports=(port(status="DOWN"),), unreachable={"s1": "no answer"})
    assert isinstance(verdict(sight, asked, was("SHUTOFF")), Confirm)


@pytest.mark.field_case("F17")
@pytest.mark.parametrize(
    ("found", "idle", "wanted"),
    [
        (port(status="DOWN", enabled=False), (), "confirm"),
        (port(status="DOWN"), ("p1",), "confirm"),
        (port(status="ERROR", vif_type="binding_failed"), ("p1",), "confirm"),
        (port(status="DOWN"), ("p2",), "held"),
        (port(status="DOWN", bound_to=HOST), ("p1",), "held"),
        (port(vif_type="binding_failed", enabled=False), (), "held"),
    ],
    ids=[
        "administratively down",
        "down before",
        "not bound before",
        "another was down",
        "left behind",
        "lost its binding",
    ],
)
@pytest.mark.parametrize("how", ["Hold", "Revert"])
def test_a_port_is_compared_with_how_it_was(
    found: Port, idle: tuple[str, ...], wanted: str, how: str
) -> None:
    record = begun(tries={"s1": replace(tried("ACTIVE"), idle_ports=idle)})
    judged = verdict(left(ports=(found,)), spec(confirmation={"onFailedCheck": how}), record)
    failed = Held if how == "Hold" else Revert
    assert isinstance(judged, Confirm if wanted == "confirm" else failed)


@pytest.mark.field_case("F16")
@pytest.mark.parametrize("how", ["Hold", "Revert"])
def test_a_server_whose_ports_cannot_be_read_is_neither_confirmed_nor_rolled_back(how: str) -> None:
    asked = spec(confirmation={"onFailedCheck": how})
    unread: dict[str, Any] = {"ports_error": "GET /ports: HTTP 414 URI Too Long"}
    early = left(finished_for=GRACE.total_seconds() - 1, **unread)
    assert said(verdict(early, asked, was("ACTIVE"))) == "follow Verifying"
    found = verdict(left(**unread), asked, was("ACTIVE"))
    assert isinstance(found, Held)
    assert found.reason == "PortsNotRead"
    assert "HTTP 414" in found.message
    switched_off = spec(confirmation={"checks": {"ports": False}})
    assert isinstance(verdict(left(**unread), switched_off, was("ACTIVE")), Confirm)
    decision = spec(confirmation={"decisions": [{"server": "s1", "action": "Confirm"}]})
    assert isinstance(verdict(left(**unread), decision, was("ACTIVE")), Confirm)


@pytest.mark.field_case("F16")
def test_a_server_that_cannot_be_read_is_neither_gone_nor_healthy() -> None:
    failed = migration(status_="error")
    assert not verdicts(observed(migrations=[failed]))
    unread = observed(migrations=[failed], unreadable={"s1": "GET /servers/s1: HTTP 500"})
    assert said(verdict(unread)) == "wait ServerNotRead"
    assert not decided(replace(unread, proof=ProofReads(frozenset(), True))).proof.clean


@pytest.mark.field_case("F14")
def test_a_service_that_is_forced_down_is_not_said_to_have_no_process() -> None:
    forced = service(state="down", forced_down=True)
    found = verdict(left(service=forced), record=was("ACTIVE"))
    assert isinstance(found, Held)
    assert (found.reason, "forced down" in found.message) == ("SourceDown", True)
    remedies = " ".join(found.remedies)
    assert "openstack compute service set --up cmp1 nova-compute" in remedies
    assert "systemctl start" not in remedies


def test_where_nobody_knows_how_it_was_a_guest_that_is_off_is_not_confirmed() -> None:
    """The row that said how it was may be lost; a guest that ran and is off must not lose its good
    copy for that.
    """
    assert isinstance(verdict(left(arrived(SHUTDOWN))), Held)
    assert isinstance(verdict(left(arrived(RUNNING))), Confirm)


def test_reverts_end_with_the_attempts() -> None:
    asked = spec(confirmation={"onFailedCheck": "Revert"}, migration={"attempts": 2})
    once = migration(FOUND + 1, "reverted")
    again = migration(FOUND + 2)
    sight = replace(left(arrived(SHUTDOWN), migration=again), migrations=(again, once))
    assert isinstance(verdict(sight, asked, was("ACTIVE")), Held)


def test_nothing_is_reverted_or_confirmed_while_the_source_is_down() -> None:
    down = service(state="down")
    for decisions in (
        [],
        [{"server": "s1", "action": "Revert"}],
        [{"server": "s1", "action": "Confirm"}],
    ):
        asked = spec(confirmation={"onFailedCheck": "Revert", "decisions": decisions})
        sight = left(arrived(SHUTDOWN), service=down)
        found = verdict(sight, asked, was("ACTIVE"))
        assert isinstance(found, Held)
        assert found.reason == "SourceDown"
        assert not decided(sight, asked, was("ACTIVE")).actions


@pytest.mark.parametrize(
    ("policy", "decision", "power", "wanted"),
    [
        ("Manual", None, RUNNING, "held"),
        ("Manual", "Confirm", RUNNING, "confirm"),
        ("Manual", "Revert", RUNNING, "revert"),
        ("Manual", "Confirm", SHUTDOWN, "confirm"),
        ("Automatic", "Confirm", SHUTDOWN, "confirm"),
        ("Automatic", "Revert", RUNNING, "revert"),
        ("Automatic", None, SHUTDOWN, "held"),
    ],
)
def test_a_persons_word(policy: str, decision: str | None, power: int, wanted: str) -> None:
    decisions = [{"server": "s1", "action": decision}] if decision else []
    asked = spec(confirmation={"policy": policy, "decisions": decisions})
    assert said(verdict(left(arrived(power)), asked, was("ACTIVE"))) == wanted


def test_under_manual_a_failed_check_rolls_nothing_back() -> None:
    """The spec says so: only `decisions` do. What the guest has written there would be lost."""
    checked = {"policy": "Manual", "onFailedCheck": "Revert"}
    found = verdict(left(arrived(SHUTDOWN)), spec(confirmation=checked), was("ACTIVE"))
    assert isinstance(found, Held)
    assert found.reason == "CheckFailed"
    sent_back = {**checked, "decisions": [{"server": "s1", "action": "Revert"}]}
    sight = left(arrived(SHUTDOWN))
    assert said(verdict(sight, spec(confirmation=sent_back), was("ACTIVE"))) == "revert"


def test_a_decision_acts_on_its_server_alone() -> None:
    asked = spec(
        confirmation={"policy": "Manual", "decisions": [{"server": "s2", "action": "Confirm"}]}
    )
    assert said(verdict(left(), asked, was("ACTIVE"))) == "held"


def test_a_server_soaks_before_it_is_confirmed() -> None:
    asked = spec(confirmation={"checks": {"soak": "5m"}})
    assert said(verdict(left(finished_for=299), asked, was("ACTIVE"))) == "follow Soaking"
    assert said(verdict(left(finished_for=300), asked, was("ACTIVE"))) == "confirm"
    fresh = observed(migrations=[migration()], elsewhere=[arrived()])
    assert said(verdict(fresh, asked, was("ACTIVE"))) == "follow Soaking"


@pytest.mark.field_case("D7")
def test_a_guest_that_ran_is_confirmed_only_while_it_runs_on_its_hypervisor() -> None:
    """Nova shows it as running for some time after its death."""
    ran = was("ACTIVE")
    assert said(verdict(left(finished_for=1, running={"s1": True}), record=ran)) == "confirm"
    assert said(verdict(left(running={"s1": False}), record=ran)) == "held"
    lag = POWER_LAG.total_seconds()
    assert said(verdict(left(finished_for=lag - 1), record=ran)) == "follow Soaking"
    assert said(verdict(left(finished_for=lag), record=ran)) == "confirm"


@pytest.mark.promise("never-13")
def test_a_guest_of_which_nobody_knows_how_it_was_may_have_run() -> None:
    lost = begun(tries={"s1": tried(None)})
    assert said(verdict(left(finished_for=1, running={"s1": True}), record=lost)) == "confirm"
    assert said(verdict(left(running={"s1": False}), record=lost)) == "held"
    lag = POWER_LAG.total_seconds()
    assert said(verdict(left(finished_for=lag - 1), record=lost)) == "follow Soaking"
    assert said(verdict(left(finished_for=lag), record=lost)) == "confirm"


@pytest.mark.promise("never-13")
@pytest.mark.parametrize("before", ["ACTIVE", "SHUTOFF"])
@pytest.mark.parametrize(
    ("sight", "text", "remedy"),
    [
        ({"services": (service(), other(state="down"))}, "is down", "systemctl start"),
        (
            {"services": (service(), other(state="down", forced_down=True))},
            "forced down",
            "set --up cmp2",
        ),
        ({"services": (service(),)}, "is down", "systemctl start"),
        ({"silent": frozenset({"s1"})}, "does not answer", "virsh list"),
    ],
)
def test_nobody_knows_how_a_server_is_where_its_destination_is_down(
    sight: dict[str, Any], text: str, remedy: str, before: str
) -> None:
    """Nova shows what it heard last, asks the source only, and deletes the copy there."""
    at, ran = arrived(RUNNING if before == "ACTIVE" else SHUTDOWN), was(before)
    assert said(verdict(left(at, 1, **sight), record=ran)) == "follow Verifying"
    for action in (None, "Revert"):
        decisions = [{"server": "s1", "action": action}] if action else []
        found = verdict(left(at, **sight), spec(confirmation={"decisions": decisions}), ran)
        assert isinstance(found, Held)
        assert (found.reason, text in found.message) == ("DestinationDown", True)
        assert remedy in " ".join(found.remedies)
    decided = spec(confirmation={"decisions": [{"server": "s1", "action": "Confirm"}]})
    assert said(verdict(left(at, **sight), decided, ran)) == "confirm"


@pytest.mark.field_case("D10")
def test_a_guest_that_runs_and_that_nova_shows_as_off_waits_for_nova() -> None:
    """After a revert Nova goes on showing it as off for minutes, also when it has moved again (seen
    on real hypervisors). To roll it back would lose what it wrote; confirmed now, Nova would take
    it for stopped, and stop it.
    """
    stale = arrived(SHUTDOWN)
    ran, asked = was("ACTIVE"), spec(confirmation={"onFailedCheck": "Revert"})
    found = verdict(left(stale, running={"s1": True}), asked, ran)
    assert isinstance(found, Held)
    assert "it runs, but Nova shows it as off" in found.message
    assert said(verdict(left(stale, 1, running={"s1": True}), asked, ran)) == "follow Verifying"
    assert said(verdict(left(stale, running={"s1": False}), asked, ran)) == "revert"
    assert said(verdict(left(stale), asked, ran)) == "revert"
    down = (port(status="DOWN"),)
    assert said(verdict(left(stale, running={"s1": True}, ports=down), asked, ran)) == "revert"


def test_held_servers_do_not_stop_the_drain_but_stop_its_end() -> None:
    sight = left(arrived(SHUTDOWN))
    found = verdicts(sight, record=was("ACTIVE"))["s1"]
    assert not found.in_flight
    assert not decided(sight, record=was("ACTIVE")).proof.clean


@pytest.mark.parametrize("call", ["confirmResize", "revertResize"])
def test_a_refused_confirm_or_revert_is_looked_at_again_and_shown_the_third_time(call: str) -> None:
    for count, wanted in ((1, "follow Verifying"), (2, "follow Verifying"), (3, "held")):
        sight = left(refusals={"s1": refusal(call, count=count)})
        assert said(verdict(sight, record=was("ACTIVE"))) == wanted
    later = left(refusals={"s1": refusal(call, count=3, seconds_ago=3600)})
    assert said(verdict(later, record=was("ACTIVE"))) == "confirm"


def test_a_confirm_or_revert_without_an_answer_is_not_repeated_before_a_good_look() -> None:
    assert not decided(left(unanswered={"s1": ago(1)}), record=was("ACTIVE")).actions
    again = left(unanswered={"s1": NOW - UNKNOWN_FOR - timedelta(seconds=1)})
    assert decided(again, record=was("ACTIVE")).actions == (ConfirmMove("s1", FOUND + 1),)
    asked = spec(confirmation={"decisions": [{"server": "s1", "action": "Revert"}]})
    assert not decided(left(unanswered={"s1": ago(1)}), asked).actions
    assert decided(left(), asked).actions == (
        RevertMove("s1", FOUND + 1, "decided in confirmation.decisions"),
    )


# On its way, or never to end


@pytest.mark.parametrize(
    ("moving", "stage"),
    [("post-migrating", "Migrating"), ("confirming", "Confirming"), ("reverting", "Reverting")],
)
def test_our_move_under_way_is_followed_elsewhere_too(moving: str, stage: str) -> None:
    found = verdicts(observed(migrations=[migration(status_=moving)]))["s1"]
    assert said(found.verdict) == f"follow {stage}"
    assert found.in_flight


def test_others_moves_from_and_to_this_host_are_waited_for() -> None:
    kinds: list[dict[str, Any]] = [{"user_id": TENANT}, {"source": "cmp3", "dest": HOST}]
    for kind in kinds:
        found = verdicts(observed(migrations=[migration(status_="running", **kind)]))["s1"]
        assert said(found.verdict) == "wait ForeignMigration"
        assert not found.in_flight


def test_a_confirm_after_a_long_wait_is_not_taken_for_a_stuck_move() -> None:
    """Held for hours by policy Manual, then confirmed: the time of the move has run out
    long ago.
    """
    old = migration(status_="confirming", created=ago(LONG_AGO))
    sight = observed(migrations=[old], first_seen={(old.id, "confirming"): ago(2)})
    assert said(verdict(sight)) == "follow Confirming"
    stuck = verdict(replace(sight, first_seen={(old.id, "confirming"): ago(3601)}))
    assert isinstance(stuck, Blocked)
    assert stuck.reason == "Stuck"
    assert not any(word in way for way in stuck.remedies for word in ("--state", "--hard", "scp"))


def lingering(record: Migration, at: Server, since: timedelta, idle: timedelta) -> Observation:
    """The server stands there idle, and this is its only record."""
    return observed(
        migrations=[record],
        elsewhere=[at],
        first_seen={(record.id, record.status): NOW - since},
        idle_since={at.id: NOW - idle},
    )


LATE = timedelta(seconds=1)


def test_a_left_over_record_of_post_copy_is_no_damaged_one() -> None:
    left = migration(status_="running (post-copy)", type="live-migration")
    stay = timedelta(hours=1)
    found = verdict(lingering(left, server("s1", host="cmp2"), stay, stay))
    assert isinstance(found, Blocked)
    assert found.reason == "StuckMigration"
    assert any("status='running (post-copy)'" in way for way in found.remedies)


@pytest.mark.parametrize(
    "status", ["migrating", "post-migrating", "queued", "confirming", "finished"]
)
@pytest.mark.parametrize("kind", [{}, {"user_id": TENANT}, {"id_": FOUND}])
def test_a_record_that_never_ends_is_named_with_the_ways_out(
    status: str, kind: dict[str, Any]
) -> None:
    record = migration(status_=status, **kind)
    at = server("s1", "ACTIVE", host="cmp3")
    sight = lingering(record, at, STALE_AFTER + LATE, STALE_AFTER + LATE)
    found = verdict(sight)
    assert isinstance(found, Blocked)
    assert found.reason == "StuckMigration"
    assert f"stays {status}" in found.message
    where = f"id={record.id} AND uuid='{record.uuid}' AND status='{status}'"
    assert f"UPDATE migrations SET status='error' WHERE {where};" in told(found)
    assert "Cold-migrate it once more" in told(found)
    assert not verdicts(sight)["s1"].in_flight


def test_a_long_live_migration_that_just_ended_is_not_taken_for_one_that_never_ends() -> None:
    """Nova ends the record a moment after the server has arrived."""
    long = migration(status_="running", type="live-migration")
    sight = lingering(long, server("s1", "ACTIVE", host="cmp2"), SHORT_WORK + LATE, timedelta(0))
    assert said(verdict(sight)) == "follow Migrating"


def test_a_record_older_than_another_of_its_server_never_ends() -> None:
    """Nova has one move of a server in hand at a time."""
    old, new = migration(FOUND + 1, "migrating"), migration(FOUND + 2, "confirmed")
    at = server("s1", "ACTIVE", host="cmp2")
    sight = observed(migrations=[old, new], elsewhere=[at])
    assert said(verdict(sight)) == "blocked StuckMigration"
    assert (
        said(verdict(replace(sight, elsewhere={"s1": replace(at, task_state="resize_prep")})))
        == "follow Migrating"
    )


def test_a_confirm_that_was_cut_off_can_be_taken_up_again() -> None:
    """Nova refuses both confirm and revert then, and every other move."""
    at = arrived_elsewhere()
    cut = migration(status_="confirming")
    assert (
        said(verdict(lingering(cut, at, SHORT_WORK - LATE, SHORT_WORK + LATE)))
        == "follow Confirming"
    )
    found = verdict(lingering(cut, at, SHORT_WORK + LATE, SHORT_WORK + LATE))
    assert isinstance(found, Blocked)
    assert found.reason == "StuckMigration"
    assert "SET status='finished' WHERE" in told(found)
    assert "old-migrate" not in told(found)


# Failed


@pytest.mark.parametrize("kind", [{}, {"type": "resize", "user_id": TENANT}])
def test_a_move_that_failed_on_its_destination_blocks_the_end_and_is_urgent(
    kind: dict[str, Any],
) -> None:
    """Whoever began it: the only good copy of the disk may be on this host."""
    sight = observed(
        migrations=[migration(status_="error", **kind)],
        elsewhere=[server("s1", "ERROR", host="cmp2", fault="no disk")],
    )
    found = verdict(sight)
    assert isinstance(found, Blocked)
    assert (found.reason, found.urgent) == ("DestinationFailed", True)
    assert "no disk" in found.message
    assert not decided(sight).proof.clean


@pytest.mark.field_case("F26")
def test_a_live_migration_that_ended_in_error_is_reported_without_alarm() -> None:
    """The guest was never shut down: a reboot would be the outage."""
    sight = observed(
        migrations=[migration(status_="error", type="live-migration")],
        elsewhere=[server("s1", "ERROR", host="cmp2", fault="no disk")],
    )
    found = verdict(sight)
    assert isinstance(found, Blocked)
    assert (found.reason, found.urgent) == ("DestinationFailed", False)
    assert not any("reboot --hard" in remedy for remedy in found.remedies)
    assert not decided(sight).proof.clean


@pytest.mark.promise("always-5")
@pytest.mark.field_case("D13")
@pytest.mark.parametrize(("runs", "reboots"), [(True, False), (False, True), (None, True)])
def test_a_guest_that_runs_though_its_confirm_failed_is_not_to_be_rebooted(
    runs: bool | None, reboots: bool
) -> None:
    moved = migration(status_="error")
    broken = Cause("no libvirt", NOW, event="compute_confirm_resize")
    sight = observed(
        migrations=[moved],
        elsewhere=[server("s1", "ERROR", host="cmp2")],
        causes={moved.id: broken},
        running={} if runs is None else {"s1": runs},
    )
    found = verdict(sight)
    assert isinstance(found, Blocked)
    assert (found.reason, found.urgent) == ("DestinationFailed", reboots)
    assert ("server reboot --hard" in " ".join(found.remedies)) == reboots
    assert ("its confirm failed on cmp1 (no libvirt)" in found.message) == (not reboots)


@pytest.mark.field_case("D11")
@pytest.mark.parametrize("power", [NOSTATE, SHUTDOWN])
def test_a_live_migration_that_ended_in_error_without_its_guest_is_urgent(power: int) -> None:
    """QEMU died on the source in the middle, and Nova removed the disk (seen on real ones)."""
    sight = observed(
        migrations=[migration(status_="error", type="live-migration")],
        elsewhere=[server("s1", "ERROR", host="cmp2", power_state=power)],
    )
    found = verdict(sight)
    assert isinstance(found, Blocked)
    assert (found.reason, found.urgent) == ("DestinationFailed", True)
    assert "does not run there" in found.message
    assert not any("set --state active" in remedy for remedy in found.remedies)


@pytest.mark.parametrize(
    ("kind", "blocks"),
    [({}, True), ({"user_id": TENANT}, False), ({"type": "migration"}, False)],
)
def test_a_live_migration_of_ours_that_completed_in_error(
    kind: dict[str, Any], blocks: bool
) -> None:
    """Nova before 30.2.1 only logs what failed at its end on the destination."""
    sight = observed(
        migrations=[migration(status_="completed", **{"type": "live-migration", **kind})],
        elsewhere=[server("s1", "ERROR", host="cmp2", fault="no disk")],
    )
    assert ("s1" in verdicts(sight)) is blocks


@pytest.mark.parametrize("kind", [{"id_": FOUND}, {"source": "cmp3", "dest": HOST}])
def test_failures_of_before_or_to_this_host_do_not_block_it(kind: dict[str, Any]) -> None:
    sight = observed(
        migrations=[migration(status_="error", **kind)],
        elsewhere=[server("s1", "ERROR", host="cmp2")],
    )
    assert "s1" not in verdicts(sight)


@pytest.mark.promise("always-6", "never-2")
@pytest.mark.parametrize("kind", [{}, {"type": "resize", "user_id": TENANT}])
def test_a_move_that_was_in_flight_when_the_drain_began_blocks_once_it_has_failed(
    kind: dict[str, Any],
) -> None:
    record = begun(found_in_flight=(FOUND - 3,))
    there = server("s1", "ERROR", host="cmp2", fault="no disk")
    failed = migration(FOUND - 3, "error", **kind)
    sight = observed(migrations=[failed], elsewhere=[there])
    found = verdict(sight, record=record)
    assert isinstance(found, Blocked)
    assert (found.reason, found.urgent) == ("DestinationFailed", True)
    assert f"Keep {HOST} and its disks until the server is healthy" in found.remedies
    assert not decided(sight, record=record).proof.clean
    arrived_ = left(migration=migration(FOUND - 3, **kind))
    assert said(verdict(arrived_, record=record)) == "blocked ForeignResize"
    assert not decided(arrived_, record=record).actions
    other_ = observed(migrations=[migration(FOUND - 2, "error")], elsewhere=[there])
    assert not verdicts(other_, record=record)


def test_a_server_that_is_healthy_again_elsewhere_blocks_nothing() -> None:
    for status in ("ACTIVE", "SHUTOFF", "PAUSED"):
        sight = observed(
            migrations=[migration(status_="error")], elsewhere=[server("s1", status, host="cmp2")]
        )
        assert "s1" not in verdicts(sight)
    mending = observed(
        migrations=[migration(status_="error")], elsewhere=[server("s1", "REBUILD", host="cmp2")]
    )
    assert said(verdict(mending)) == "wait Recovering"
    assert not decided(mending).proof.clean


@pytest.mark.parametrize("status", ["confirmed", "completed"])
def test_a_move_that_succeeded_concerns_the_host_no_more(status: str) -> None:
    sight = observed(migrations=[migration(status_=status)])
    assert not verdicts(sight)
    assert decided(sight).departed == 1


# How a server was, as the status keeps it


def test_how_a_server_was_is_written_down_before_its_move_and_kept_until_it_is_confirmed() -> None:
    first = status_of(observed([server("s1", "SHUTOFF")]))
    assert first["moving"][0]["was"] == "SHUTOFF"
    going = status_of(
        observed([server("s1", "RESIZE", "resize_prep")], [migration(status_="migrating")]),
        previous=status_of_begun(first),
    )
    assert going["moving"][0]["was"] == "SHUTOFF"
    there = status_of(left(arrived(RUNNING)), previous=going)
    assert there["problems"][0]["was"] == "SHUTOFF"
    assert there["problems"][0]["reason"] == "CheckFailed"


def test_a_resumed_server_was_running_when_its_move_began() -> None:
    asked = spec(servers={"suspended": "Resume"})
    first = status_of(observed([server("s1", "SUSPENDED")]), asked)
    assert first["moving"][0]["state"] == "Starting"
    then = status_of(observed([server("s1", "ACTIVE")]), asked, previous=status_of_begun(first))
    assert then["moving"][0]["was"] == "ACTIVE"


def status_of_begun(status: dict[str, Any]) -> dict[str, Any]:
    """A status written by `begun()` remembers what was found."""
    assert status["service"]["foundStatus"] == "enabled"
    return status


def test_held_servers_keep_their_row_however_many_problems_there_are() -> None:
    """Their row holds how they were; without it their check cannot fail."""
    crowd = [server(f"a{n:02}", "SUSPENDED", name=f"a{n:02}") for n in range(40)]
    sight = replace(left(arrived(SHUTDOWN, name="zz")), servers=tuple(crowd))
    after = status_of(sight, record=was("ACTIVE"))
    assert len(after["problems"]) == 20
    assert after["problemsOmitted"] == 21
    assert {"id": "s1", "was": "ACTIVE"}.items() <= next(
        row for row in after["problems"] if row["id"] == "s1"
    ).items()


@pytest.mark.field_case("F13")
@pytest.mark.parametrize("status", ["migrating", "finished", "error"])
def test_a_server_in_a_cell_that_is_down_is_waited_for(status: str) -> None:
    """Nova shows its id and little else: no host, no state; nothing follows from that."""
    unseen = server("s1", "UNKNOWN", host=None, partial=True)
    sight = observed(
        [],
        [migration(status_=status)],
        elsewhere=[unseen],
        first_seen={(FOUND + 1, status): ago(9999)},
        idle_since={"s1": ago(9999)},
    )
    found = verdict(sight)
    assert isinstance(found, Wait)
    assert found.reason == "CellDown"
    assert not decided(sight).proof.complete


@pytest.mark.finding("M7")
@pytest.mark.parametrize(
    "status", ["x' OR 1=1; DROP TABLE instances; -- ", "migrating\n", "Migrating", "", "a" * 31]
)
def test_a_statement_for_a_database_quotes_nothing_but_what_a_record_has(status: str) -> None:
    at = server("s1", "ACTIVE", host="cmp3")
    wait = STALE_AFTER + LATE
    found = verdict(lingering(migration(status_=status), at, wait, wait))
    assert isinstance(found, Blocked)
    assert "UPDATE" not in told(found) and "DROP" not in "".join(found.remedies)
    forged = replace(migration(status_="migrating"), uuid="' OR ''='")
    found = verdict(lingering(forged, at, wait, wait))
    assert isinstance(found, Blocked)
    assert "UPDATE" not in told(found)
