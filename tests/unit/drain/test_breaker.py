"""One cause takes down, or tries, few guests: which servers wait, and which one tries."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import pytest
from tests.unit.drain.build import (
    FOUND,
    HOST,
    NO_HOST,
    ago,
    arrived_elsewhere,
    begun,
    cause,
    decided,
    drain,
    migration,
    observed,
    other,
    replace,
    said,
    server,
    service,
    spec,
    told,
    tried,
    verdict,
    verdicts,
)

from quiesce.api.drain.record import Record
from quiesce.drain.decide import causes
from quiesce.drain.decide.breaker import Breakers, breakers_of
from quiesce.drain.model.history import CUT_OFF, Cause, History
from quiesce.drain.model.observation import Observation
from quiesce.drain.model.verdict import Blocked
from quiesce.openstack.records import NOSTATE, RUNNING, SHUTDOWN, Flavor, Migration, Port

NO_ROUTE = "unable to connect to server at 'cmp2:16514': No route to host"
NO_CPU = "Migration pre-check error: Unacceptable CPU info: CPU doesn't have compatibility."
MKDIR = (
    "Resize error: not able to execute ssh command: Unexpected error while running command.\n"
    "Command: ssh -o BatchMode=yes 192.0.2.2 mkdir -p /var/lib/nova/instances/1\nExit code: {}\n"
)


def said_of(
    sight: Observation, method: str = "Cold", record: Record | None = None
) -> dict[str, str]:
    return {
        name: said(v.verdict)
        for name, v in verdicts(sight, spec(method), record or begun()).items()
    }


def ran(*ids: str) -> Record:
    return begun(tries={id_: tried("ACTIVE") for id_ in ids})


def broken(
    text: str = "disk full", event: str = "compute_resize_instance", **more: Any
) -> Observation:
    """s1 in ERROR after its cold move; s2 and s3 run, s3 the smaller one; s4 is stopped."""
    failed = migration(FOUND + 1, "error", "s1", updated=ago(25))
    servers = (
        server("s1", "ERROR"),
        server("s2", flavor=Flavor(ram=2048)),
        server("s3", flavor=Flavor(ram=512)),
        server("s4", "SHUTOFF"),
    )
    moves = (failed, *more.pop("moves", ()))
    reasons = {failed.id: Cause(text, ago(1000), event=event), **more.pop("causes", {})}
    return observed(more.pop("servers", servers), moves, causes=reasons, **more)


# Cold: a guest was left down


@pytest.mark.field_case("F4")
def test_after_a_guest_was_left_down_the_smallest_running_one_tries_and_stopped_ones_go_on() -> (
    None
):
    assert said_of(broken(), record=ran("s1")) == {
        "s1": "blocked SourceFailed",
        "s2": "blocked ColdMigrationPaused",
        "s3": "cold",
        "s4": "cold",
    }


@pytest.mark.field_case("F4")
def test_the_one_that_tries_is_not_one_that_must_stay() -> None:
    """Everybody would wait for it without end."""
    locked = [server("s1", "ERROR"), server("s2"), server("s3", locked=True, flavor=Flavor(ram=1))]
    asked = spec(servers={"locked": "Block"})
    found = verdicts(broken(servers=locked), asked, ran("s1"))
    assert said(found["s2"].verdict) == "cold"
    failed = migration(FOUND + 1, "failed", "s1", type="live-migration")
    sight = observed(
        [server("s1", locked=True), server("s2", "SHUTOFF"), server("s3")],
        [failed],
        causes={failed.id: cause(NO_ROUTE)},
    )
    live = spec("Live", servers={"locked": "Block"})
    assert said(verdicts(sight, live)["s3"].verdict) == "live"


@pytest.mark.field_case("F4")
def test_once_that_one_has_tried_nobody_does() -> None:
    second = migration(FOUND + 2, "error", "s3", created=ago(20))
    sight = broken(moves=(second,), causes={second.id: cause("disk full")})
    found = said_of(sight, record=ran("s1", "s3"))
    assert (found["s2"], found["s3"]) == ("blocked ColdMigrationPaused",) * 2


@pytest.mark.field_case("F4")
@pytest.mark.parametrize("status", ["migrating", "post-migrating"])
def test_nobody_tries_while_another_is_on_its_way(status: str) -> None:
    other = migration(FOUND + 2, status, "s3", created=ago(28))
    sight = broken(moves=(other,))
    assert said_of(sight, record=ran("s1", "s3"))["s2"] == "blocked ColdMigrationPaused"


@pytest.mark.field_case("F4")
@pytest.mark.parametrize("status", ["confirmed", "confirming"])
def test_a_success_since_then_opens_it_again(status: str) -> None:
    good = migration(FOUND + 2, status, "s9", created=ago(20), updated=ago(1))
    record = begun(tries={"s1": tried("ACTIVE"), "s9": tried("ACTIVE")}, moved=1)
    assert said_of(broken(moves=(good,)), record=record)["s2"] == "cold"


@pytest.mark.field_case("F4")
@pytest.mark.parametrize("status", ["confirmed", "confirming"])
def test_the_late_confirm_of_an_earlier_success_opens_nothing(status: str) -> None:
    """It had arrived before the cause came up, and was only held or soaked until now."""
    early = migration(FOUND + 2, status, "s9", created=ago(900), updated=ago(1))
    found = said_of(broken(moves=(early,)), record=ran("s1"))
    assert found["s2"] == "blocked ColdMigrationPaused"


@pytest.mark.field_case("F4")
def test_one_that_tried_within_the_same_second_has_tried() -> None:
    """Nova's times have whole seconds."""
    second = migration(FOUND + 2, "error", "s3", created=ago(25), updated=ago(20))
    sight = broken(moves=(second,), causes={second.id: cause("disk full")})
    assert said_of(sight, record=ran("s1", "s3"))["s2"] == "blocked ColdMigrationPaused"


@pytest.mark.field_case("F4")
def test_new_tries_open_it_again() -> None:
    record = begun(tries={"s1": tried("ACTIVE")}, attempts_from=FOUND + 1)
    assert said_of(broken(), record=record)["s2"] == "cold"


@pytest.mark.field_case("F4")
@pytest.mark.parametrize("text", [NO_HOST, MKDIR.format(1)])
def test_a_move_that_never_touched_its_guest_pauses_nothing(text: str) -> None:
    sight = broken(text, event="")
    assert said_of(sight, record=ran("s1"))["s2"] == "cold"


def test_who_waits_reads_the_cause_and_the_way_out() -> None:
    found = verdicts(broken(), spec(), ran("s1"))["s2"].verdict
    assert isinstance(found, Blocked)
    assert "it left name-s1 down (disk full)" in found.message
    assert any("quiesce.dev/requestedAt" in remedy for remedy in found.remedies)


# Cold: a guest was off where it arrived


def arrived(
    status: str = "finished",
    power: int = SHUTDOWN,
    *,
    runs: bool | None = None,
    moves: tuple[Migration, ...] = (),
    **fields: Any,
) -> Observation:
    """s1 has moved to cmp2, for two minutes now; s2 and s3 run here, s3 is the smaller one."""
    move = migration(FOUND + 1, status, "s1", created=ago(150), updated=ago(120))
    return observed(
        [server("s2", flavor=Flavor(ram=2048)), server("s3", flavor=Flavor(ram=512))],
        [move, *moves],
        elsewhere=[arrived_elsewhere("s1", power_state=power), *fields.pop("elsewhere", ())],
        running=({} if runs is None else {"s1": runs}) | fields.pop("running", {}),
        first_seen={(move.id, "finished"): ago(120)} | fields.pop("first_seen", {}),
        **fields,
    )


@pytest.mark.field_case("F4")
@pytest.mark.promise("never-12")
@pytest.mark.parametrize(
    ("sight", "was", "paused"),
    [
        (arrived(runs=False), "ACTIVE", True),
        (arrived(power=RUNNING, runs=False), "ACTIVE", True),
        (arrived(), "ACTIVE", True),
        (arrived(runs=True), "ACTIVE", False),
        (arrived(power=RUNNING, runs=True), "ACTIVE", False),
        (arrived(), "SHUTOFF", False),
    ],
)
def test_a_guest_that_is_off_where_it_arrived_lets_the_smallest_try(
    sight: Observation, was: str, paused: bool
) -> None:
    found = said_of(sight, record=begun(tries={"s1": tried(was)}))
    assert found["s3"] == "cold"
    assert found["s2"] == ("blocked ColdMigrationPaused" if paused else "cold")


def test_where_nobody_asks_whether_guests_run_none_that_is_off_pauses_the_others() -> None:
    asked = spec(confirmation={"checks": {"power": False}})
    assert said(verdicts(arrived(), asked, ran("s1"))["s2"].verdict) == "cold"


@pytest.mark.field_case("F4")
def test_who_waits_for_a_guest_that_was_off_reads_so() -> None:
    found = verdicts(arrived(), spec(), ran("s1"))["s2"].verdict
    assert isinstance(found, Blocked)
    assert "it left name-s1 down (it was off where it arrived, on cmp2)" in found.message


@pytest.mark.field_case("F4")
@pytest.mark.promise("never-12")
def test_nobody_tries_while_an_arrival_may_still_turn_out_to_be_off() -> None:
    other = migration(FOUND + 2, "finished", "s9", created=ago(140))
    sight = arrived(moves=(other,), elsewhere=[arrived_elsewhere("s9")], running={"s9": True})
    checked = replace(
        sight, first_seen={**sight.history.first_seen, (other.id, "finished"): ago(1)}
    )
    soaked = spec(confirmation={"checks": {"soak": "30s"}})
    record = ran("s1", "s9")
    assert said(verdicts(checked, soaked, record)["s3"].verdict) == "blocked ColdMigrationPaused"
    assert said(verdicts(checked, spec(), record)["s3"].verdict) == "cold"


@pytest.mark.field_case("F4")
@pytest.mark.promise("never-12")
@pytest.mark.parametrize("policy", ["Automatic", "Manual"])
@pytest.mark.parametrize(("power", "opens"), [(RUNNING, True), (SHUTDOWN, False)])
def test_an_arrival_is_a_success_once_its_checks_pass(power: int, opens: bool, policy: str) -> None:
    """It began after the first was down, which Manual leaves to a person to confirm."""
    second = migration(FOUND + 2, "finished", "s9", created=ago(100), updated=ago(90))
    sight = arrived(
        moves=(second,),
        elsewhere=[arrived_elsewhere("s9", power_state=power)],
        running={"s9": power == RUNNING},
        first_seen={(second.id, "finished"): ago(90)},
    )
    asked = spec(confirmation={"policy": policy})
    found = verdicts(sight, asked, ran("s1", "s9"))
    wanted = "cold" if opens else "blocked ColdMigrationPaused"
    assert {said(found[name].verdict) for name in ("s2", "s3")} == {wanted}


def noted(record: Record, *moves: int, seconds_ago: float = 120) -> Record:
    at = ago(seconds_ago).strftime("%Y-%m-%dT%H:%M:%SZ")
    return dataclasses.replace(record, arrived_off=dict.fromkeys(moves, at))


@pytest.mark.field_case("F4")
@pytest.mark.promise("never-12", "always-2")
@pytest.mark.parametrize("decision", [None, "Confirm", "Revert"])
@pytest.mark.parametrize("on_failed", ["Hold", "Revert"])
def test_a_guest_that_is_off_where_it_arrived_is_noted_before_anything_is_done(
    on_failed: str, decision: str | None
) -> None:
    decisions = [{"server": "s1", "action": decision}] if decision else []
    asked = spec(confirmation={"onFailedCheck": on_failed, "decisions": decisions})
    record = decided(arrived(), asked, ran("s1")).record
    assert record.arrived_off == {FOUND + 1: "2026-03-01T11:58:00Z"}
    assert Record.read(record.to_json()).arrived_off == record.arrived_off
    again = record.acknowledge("again", FOUND + 1)
    assert not decided(observed(), asked, again).record.arrived_off


def test_what_nova_shows_of_a_guest_is_noted_only_where_it_is_acted_upon() -> None:
    early = arrived(first_seen={(FOUND + 1, "finished"): ago(5)})
    assert not decided(early, spec(), ran("s1")).record.arrived_off
    asked = replace(early, running={"s1": False})
    assert decided(asked, spec(), ran("s1")).record.arrived_off


def test_what_cannot_be_acted_upon_for_another_reason_is_not_noted() -> None:
    """Without nova-compute here, right after the move: Nova shows what it heard last."""
    early = arrived(first_seen={(FOUND + 1, "finished"): ago(5)}, service=service(state="down"))
    assert not decided(early, spec(), ran("s1")).record.arrived_off


@pytest.mark.field_case("F4")
@pytest.mark.parametrize("unknown", ["silent", "down"])
def test_a_guest_of_which_nobody_can_say_how_it_is_is_not_off(unknown: str) -> None:
    sight = arrived()
    if unknown == "silent":
        sight = replace(sight, silent=frozenset({"s1"}))
    else:
        sight = replace(sight, services=(service(), replace(other(), state="down")))
    assert said_of(sight, record=ran("s1"))["s2"] == "cold"
    assert not decided(sight, spec(), ran("s1")).record.arrived_off


@pytest.mark.field_case("F4")
@pytest.mark.promise("never-12")
@pytest.mark.parametrize("status", ["reverted", "reverting", "confirmed", "confirming"])
def test_what_becomes_of_a_guest_that_was_off_ends_no_pause(status: str) -> None:
    """The one that tried began before its revert ended: it has tried all the same."""
    first = migration(FOUND + 1, status, "s1", created=ago(150), updated=ago(20))
    second = migration(FOUND + 2, "finished", "s9", created=ago(100), updated=ago(90))
    sight = observed(
        [server("s2"), server("s3")],
        [first, second],
        elsewhere=[arrived_elsewhere("s9", power_state=SHUTDOWN)],
        running={"s9": False},
        first_seen={(second.id, "finished"): ago(90)},
    )
    found = said_of(sight, record=noted(ran("s1", "s9"), first.id))
    assert (found["s2"], found["s3"]) == ("blocked ColdMigrationPaused",) * 2


# A guest that Nova does not call broken, and that is off


def cut_off(status: str, *, runs: bool | None = None, stopped: bool = False) -> Observation:
    failed = migration(FOUND + 1, "error")
    return observed(
        [server("s1", status)],
        [failed],
        causes={failed.id: cause("…")},
        running={} if runs is None else {"s1": runs},
        stopped_by_user=frozenset({"s1"} if stopped else ()),
    )


@pytest.mark.field_case("D3")
@pytest.mark.parametrize(
    ("sight", "was", "wanted"),
    [
        (cut_off("SHUTOFF"), "ACTIVE", "blocked LeftOff"),
        (cut_off("ACTIVE", runs=False), "ACTIVE", "blocked LeftOff"),
        (cut_off("ACTIVE", runs=True), "ACTIVE", "cold"),
        (cut_off("ACTIVE"), "ACTIVE", "cold"),
        (cut_off("SHUTOFF", stopped=True), "ACTIVE", "cold"),
        (cut_off("SHUTOFF"), "SHUTOFF", "cold"),
    ],
)
def test_a_guest_that_ran_and_is_off_since_its_move_is_not_moved_as_a_stopped_one(
    sight: Observation, was: str, wanted: str
) -> None:
    assert said(verdict(sight, record=begun(tries={"s1": tried(was)}))) == wanted


# Live


def refused(texts: Mapping[str, str], **fields: Any) -> Observation:
    """Each of these servers failed live once, in this order, with this text."""
    moves = [
        migration(FOUND + n, "failed", id_, type="live-migration", **fields)
        for n, id_ in enumerate(texts, 1)
    ]
    return observed(
        [server(id_) for id_ in (*texts, "zz")],
        moves,
        causes={m.id: cause(texts[m.server_id]) for m in moves},
    )


@pytest.mark.field_case("F8")
@pytest.mark.parametrize(
    ("texts", "paused"),
    [
        ({"s1": NO_ROUTE}, True),
        ({"s1": "Host key verification failed."}, True),
        ({"s1": "The server certificate is not trusted"}, True),
        ({"s1": "guest CPU doesn't match"}, False),
        ({"s1": "odd", "s2": "odd"}, True),
        ({"s1": "odd", "s2": "other"}, False),
        ({"s1": causes.UNKNOWN, "s2": causes.UNKNOWN}, True),
        ({"s1": f"{CUT_OFF} (1)", "s2": f"{CUT_OFF} (2)"}, False),
        ({"s1": NO_HOST, "s2": NO_HOST}, False),
        ({"s1": NO_CPU, "s2": NO_CPU}, False),
        ({"s1": f"Migration pre-check error: {NO_ROUTE}"}, True),
    ],
)
def test_a_cause_of_the_host_pauses_live_migration_and_sends_nobody_cold(
    texts: dict[str, str], paused: bool
) -> None:
    found = said_of(refused(texts), "LiveThenCold")
    assert (found["zz"] == "blocked LiveMigrationPaused") is paused
    assert "cold" not in found.values()
    assert list(found.values()).count("live") <= (1 if paused else len(found))


def test_a_guest_that_has_arrived_says_nothing_of_the_path() -> None:
    sight = refused({"s1": causes.UNKNOWN, "s2": causes.UNKNOWN})
    arrived = replace(sight, servers=sight.servers[1:], elsewhere={"s1": server("s1", "ERROR")})
    assert breakers_of(drain(), sight).live is not None
    assert breakers_of(drain(), arrived).live is None


@pytest.mark.field_case("F8")
def test_tries_that_the_host_failed_are_no_tries_of_the_server() -> None:
    moves = [migration(FOUND + n, "failed", type="live-migration") for n in range(1, 6)]
    sight = observed([server("s1")], moves, causes={m.id: cause(NO_ROUTE, 99999) for m in moves})
    assert said(verdict(sight, spec("LiveThenCold"))) == "live"


@pytest.mark.field_case("F8")
def test_a_success_since_then_ends_the_pause() -> None:
    sight = refused({"s1": NO_ROUTE})
    good = migration(FOUND + 5, "completed", "gone", type="live-migration", updated=ago(1))
    more = observed(sight.servers, (*sight.migrations, good), causes=sight.history.causes)
    assert breakers_of(drain(), more) == Breakers()


@pytest.mark.field_case("D1")
def test_a_server_that_its_live_migration_left_in_error_pauses_the_others() -> None:
    failed = migration(FOUND + 1, "error", type="live-migration")
    sight = observed(
        [server("s1", "ERROR"), server("s2")], [failed], causes={failed.id: cause("…")}
    )
    found = verdicts(sight, spec("LiveThenCold"))
    assert said(found["s1"].verdict) == "blocked LiveFailedInError"
    assert said(found["s2"].verdict) == "blocked LiveMigrationPaused"
    remedies = found["s1"].verdict.remedies if isinstance(found["s1"].verdict, Blocked) else ()
    assert not any("reboot --hard" in remedy for remedy in remedies)


def cancelled(runs: float | None = None, ends: float = 30, **migration_: Any) -> Observation:
    """s1 after five live tries that were cancelled so many seconds ago.

    `runs`: when they were seen to run, as seconds ago; None: nobody saw that.
    """
    times = {"created": ago(90000), "updated": ago(ends)} | migration_
    moves = [migration(FOUND + n, "cancelled", type="live-migration", **times) for n in range(1, 6)]
    ran_ = {} if runs is None else {m.id: ago(runs) for m in moves}
    reasons = {m.id: cause("…", ends) for m in moves}
    return observed([server("s1")], moves, causes=reasons, began_to_run=ran_)


@pytest.mark.field_case("F2")
@pytest.mark.parametrize("attempts", [1, 3])
@pytest.mark.parametrize(
    ("sight", "wanted"),
    [
        (cancelled(created=ago(660), updated=ago(600), ends=600), "live"),
        (cancelled(ends=600), "live"),  # queued for a day, as far as anybody knows
        (cancelled(runs=610, ends=600), "live"),
        (cancelled(runs=8000, ends=600), "cold"),  # longer than migration.timeout
    ],
)
def test_live_migrations_cancelled_while_they_waited_send_nobody_cold(
    sight: Observation, wanted: str, attempts: int
) -> None:
    asked = spec("LiveThenCold", migration={"attempts": attempts})
    assert said(verdict(sight, asked)) == wanted


@pytest.mark.field_case("F2")
def test_a_live_migration_that_a_stopping_nova_compute_did_not_take_is_no_try() -> None:
    text = "Failed to submit live migration 1 for instance 2 for processing."
    failed = migration(FOUND + 1, "error", type="live-migration")
    sight = observed([server("s1")], [failed], causes={failed.id: cause(text)})
    asked = spec("LiveThenCold", migration={"attempts": 1})
    assert said(verdict(sight, asked)) == "live"


@pytest.mark.field_case("F2")
def test_whether_a_live_migration_runs_is_remembered_until_it_has_ended() -> None:
    def row(status: str) -> Migration:
        return migration(FOUND + 1, status, type="live-migration")

    history = History()
    for seconds, status in ((300, "queued"), (200, "preparing"), (100, "cancelled")):
        history = history.observe([server()], [row(status)], ago(seconds))
    assert not history.began_to_run
    for seconds, status in ((300, "queued"), (200, "running"), (150, "running"), (9, "cancelled")):
        history = history.observe([server()], [row(status)], ago(seconds))
    assert history.began_to_run == {FOUND + 1: ago(200)}


# A server that has left by its record


@pytest.mark.field_case("F1")
@pytest.mark.parametrize("method", ["Cold", "Live", "LiveThenCold"])
@pytest.mark.parametrize(
    ("status", "task"), [("MIGRATING", "migrating"), ("ACTIVE", None), ("SHUTOFF", None)]
)
def test_who_has_left_by_its_record_is_neither_moved_nor_reset(
    status: str, task: str | None, method: str
) -> None:
    left = migration(status_="completed", type="live-migration")
    sight = observed(
        [server("s1", status, task)], [left], first_seen={(left.id, "completed"): ago(999)}
    )
    found = verdict(sight, spec(method))
    assert isinstance(found, Blocked)
    assert (found.reason, found.urgent) == ("HostUncertain", True)
    assert not any(word in remedy for remedy in found.remedies for word in ("--state", "--hard"))
    assert "cmp2" in found.message


@pytest.mark.field_case("F1")
@pytest.mark.parametrize("later", ["error", "cancelled", "queued"])
def test_a_later_try_that_took_it_nowhere_does_not_bring_it_back(later: str) -> None:
    """Somebody has reset its state, and tried once more from where it no longer runs."""
    left = migration(FOUND - 9, "completed", type="live-migration")
    again = migration(FOUND - 5, later, type="live-migration")
    seen = {(left.id, "completed"): ago(999), (again.id, later): ago(999)}
    sight = observed([server()], [left, again], first_seen=seen, idle_since={"s1": ago(999)})
    assert said(verdict(sight)) == "blocked HostUncertain"


@pytest.mark.field_case("F1")
@pytest.mark.parametrize("status", ["confirmed", "error", "running"])
def test_who_came_back_is_moved_as_any_other(status: str) -> None:
    """Nova may leave it in ERROR where it arrives, and its record in `error`."""
    left = migration(FOUND - 9, "completed", type="live-migration")
    back = migration(FOUND - 5, status, source="cmp2", dest=HOST)
    failed = migration(FOUND - 2, "error", dest="cmp3")
    assert said(verdict(observed([server()], [left, back, failed]))) == "cold"


@pytest.mark.field_case("D1")
@pytest.mark.parametrize(
    ("fault", "wanted"), [(None, "LiveFailedInError"), ("No space left", "ServerInError")]
)
def test_a_live_migration_of_another_user_that_broke_off_asks_for_no_reboot(
    fault: str | None, wanted: str
) -> None:
    """Nova leaves no fault then: one with a fault has failed in something else since."""
    theirs = migration(FOUND - 2, "error", type="live-migration", user_id="somebody")
    found = verdict(observed([server("s1", "ERROR", fault=fault)], [theirs]))
    assert isinstance(found, Blocked)
    assert found.reason == wanted
    assert any("--hard" in remedy for remedy in found.remedies) is (fault is not None)


@pytest.mark.field_case("D11")
@pytest.mark.parametrize(
    ("power", "urgent"), [(RUNNING, False), (3, False), (SHUTDOWN, True), (6, True)]
)
def test_a_live_migration_that_broke_off_with_its_guest_is_urgent(power: int, urgent: bool) -> None:
    ours = migration(FOUND + 1, "error", type="live-migration")
    found = verdict(observed([server("s1", "ERROR", power_state=power)], [ours]))
    assert isinstance(found, Blocked)
    assert (found.reason, found.urgent) == ("LiveFailedInError", urgent)
    assert ("runs on here" in found.message) is not urgent


@pytest.mark.field_case("D1")
def test_a_failed_resize_of_its_owner_is_not_told_as_our_failed_live_migration() -> None:
    """It is off after that."""
    ours = migration(FOUND + 1, "failed", type="live-migration")
    theirs = migration(FOUND + 2, "error", type="resize", user_id="its-owner")
    found = verdict(observed([server("s1", "ERROR", fault="disk full")], [theirs, ours]))
    assert said(found) == "blocked ServerInError"


@pytest.mark.field_case("F28")
@pytest.mark.parametrize(
    ("vif_type", "bound_to", "wanted"),
    [
        ("ovs", HOST, "live"),
        ("binding_failed", HOST, "blocked PortUnbound"),
        ("unbound", None, "blocked PortUnbound"),
    ],
)
def test_a_guest_whose_failed_move_took_a_port_along_is_not_moved_again(
    vif_type: str, bound_to: str | None, wanted: str
) -> None:
    failed = migration(status_="failed", type="live-migration")
    sight = observed(
        [server("s1")],
        [failed],
        causes={failed.id: cause("odd", 99999)},
        ports=(Port("p", "s1", "ACTIVE", bound_to, vif_type),),
    )
    assert said(verdict(sight, spec("Live"))) == wanted
    again = begun().acknowledge("again", failed.id)
    assert said(verdict(sight, spec("Live"), again)) == wanted


@pytest.mark.field_case("F28")
def test_a_port_is_no_loss_of_a_try_before_the_server_left_and_came_back() -> None:
    live = {"type": "live-migration"}
    failed, left = migration(FOUND + 1, "failed", **live), migration(FOUND + 2, "completed", **live)
    back = migration(FOUND + 3, "completed", source="cmp2", dest=HOST, **live)
    ports = (Port("p", "s1", "DOWN", None, "unbound"),)
    sight = observed([server("s1")], [failed, left, back], ports=ports)
    assert said(verdict(sight, spec("Live"))) != "blocked PortUnbound"


# A live migration whose end failed, on a Nova that leaves the server on the source


def broken_off(
    status: str = "ERROR", runs: bool | None = None, *later: Migration, **fields: Any
) -> Observation:
    """Our live migration is `error`; `runs`: what the hypervisor of this host says."""
    ours = migration(FOUND + 1, "error", type="live-migration")
    facts: dict[str, Any] = {
        "misplaces": True,
        "running": {} if runs is None else {"s1": runs},
        "causes": {ours.id: cause("…", 99999)},
        "idle_since": {"s1": ago(999)},
    }
    return observed([server("s1", status)], [ours, *later], **facts | fields)


@pytest.mark.promise("always-5")
@pytest.mark.field_case("F30")
@pytest.mark.parametrize("method", ["Cold", "Live", "LiveThenCold"])
@pytest.mark.parametrize("runs", [False, None])
@pytest.mark.parametrize("status", ["ERROR", "ACTIVE", "SHUTOFF", "SHELVED"])
def test_a_guest_that_may_run_over_there_is_looked_for_and_never_started_here(
    status: str, runs: bool | None, method: str
) -> None:
    """Its state was reset, and Nova or its owner may have stopped it: nothing runs here to stop."""
    failed = [
        migration(FOUND + n, "error", type="live-migration", dest=f"cmp{n}") for n in range(2, 9)
    ]
    left = tried("ACTIVE", "live")
    sight = broken_off(status, runs, *failed, stopped_by_user=frozenset({"s1"}))
    found = verdict(sight, spec(method), record=begun(tries={"s1": left}))
    assert isinstance(found, Blocked)
    assert (found.reason, found.urgent) == ("HostUncertain", True)
    advice = " ".join(found.remedies)
    assert "virsh list --all on cmp1 and on cmp8" in advice
    assert not any(word in advice for word in ("server start", "--state", "--hard"))


@pytest.mark.promise("always-5")
@pytest.mark.field_case("F30")
@pytest.mark.parametrize("user", [{}, {"user_id": "somebody"}, {"id_": FOUND - 5}])
def test_whose_live_migration_it_was_does_not_matter(user: dict[str, Any]) -> None:
    """Nova leaves a fault of the end that failed."""
    move: dict[str, Any] = {"id_": FOUND + 1, "status_": "error", "type": "live-migration"}
    theirs = migration(**move | user)
    lost = server("s1", "ERROR", fault="[Errno 28] No space left on device")
    sight = observed([lost], [theirs], misplaces=True)
    assert said(verdict(sight)) == "blocked HostUncertain"


@pytest.mark.field_case("F30")
def test_a_guest_that_is_seen_to_run_here_is_as_before() -> None:
    found = verdict(broken_off("ERROR", True))
    assert said(found) == "blocked LiveFailedInError"
    assert "runs on here as before" in told(found)
    assert "most likely" not in told(found)
    shown_as_off = replace(
        broken_off("ERROR", True), servers=(server("s1", "ERROR", power_state=0),)
    )
    assert "runs on here as before" in told(verdict(shown_as_off))
    assert said(verdict(broken_off("ACTIVE", True), spec("LiveThenCold"))) == "live"


@pytest.mark.field_case("F30")
@pytest.mark.parametrize(
    ("status", "wanted"), [("ERROR", "blocked LiveFailedInError"), ("ACTIVE", "live")]
)
def test_a_newer_nova_has_it_where_it_runs(status: str, wanted: str) -> None:
    sight = broken_off(status, None, misplaces=False)
    assert said(verdict(sight, spec("LiveThenCold"))) == wanted


@pytest.mark.promise("never-13", "always-5")
@pytest.mark.field_case("D12")
@pytest.mark.parametrize("method", ["Cold", "Live", "LiveThenCold"])
@pytest.mark.parametrize("whose", [{}, {"user_id": "somebody"}])
@pytest.mark.parametrize(
    ("status", "power", "runs"),
    [
        ("ACTIVE", RUNNING, False),  # as nova-compute's start leaves it
        ("ERROR", RUNNING, False),
        ("ACTIVE", NOSTATE, None),  # once Nova has looked
        ("SHUTOFF", NOSTATE, None),  # its owner has stopped it, which stopped nothing
        ("SHELVED", NOSTATE, None),
        ("PAUSED", NOSTATE, None),
    ],
)
def test_a_guest_that_arrived_while_nova_compute_was_away_is_not_taken_for_one_that_is_off(
    status: str, power: int, runs: bool | None, whose: dict[str, Any], method: str
) -> None:
    """Any Nova: its nova-compute has it here when it starts, as `error`."""
    lost = server("s1", status, power_state=power)
    moved: dict[str, Any] = {"status_": "error", "type": "live-migration", "dest_node": "n2"}
    sight = broken_off(misplaces=False)
    sight = replace(
        sight,
        servers=(lost,),
        migrations=(migration(FOUND + 1, **moved | whose),),
        running={} if runs is None else {"s1": runs},
        stopped_by_user=frozenset({"s1"}),
    )
    found = verdict(sight, spec(method), record=begun(tries={"s1": tried("ACTIVE", "live")}))
    assert isinstance(found, Blocked)
    assert (found.reason, found.urgent) == ("HostUncertain", True)
    advice = " ".join(found.remedies)
    assert not any(word in advice for word in ("server start", "--state", "--hard"))


@pytest.mark.promise("never-13")
@pytest.mark.field_case("D12")
@pytest.mark.parametrize(
    ("method", "wanted"),
    [("Live", "live"), ("LiveThenCold", "live"), ("Cold", "blocked HostUncertain")],
)
def test_nothing_is_copied_of_a_guest_that_no_hypervisor_has_told_of(
    method: str, wanted: str
) -> None:
    """Nova's checks reject a live migration of a guest that is not there, and not a cold one."""
    sight = broken_off("ACTIVE", None, misplaces=False)
    assert said(verdict(sight, spec(method))) == wanted
    assert said(verdict(broken_off("ACTIVE", True, misplaces=False), spec("Cold"))) == "cold"
    spent = spec("LiveThenCold", migration={"attempts": 1})
    assert said(verdict(sight, spent)) == "blocked HostUncertain"


@pytest.mark.field_case("D12")
def test_the_host_of_a_guest_is_corrected_by_a_statement() -> None:
    id_ = "11111111-2222-3333-4444-555555555555"
    lost = server(id_, "ACTIVE")
    ours = migration(
        FOUND + 1, "error", type="live-migration", server_id=id_, dest_node="cmp2.example.org"
    )
    sight = observed([lost], [ours], running={id_: False})
    found = verdict(sight, spec("Live"), of=id_)
    assert isinstance(found, Blocked)
    statement = (
        "UPDATE instances SET host='cmp2', node='cmp2.example.org' "
        f"WHERE uuid='{id_}' AND host='cmp1' AND deleted=0;"
    )
    assert any(statement in text for text in found.remedies)
    for unusable in (None, "n" * 250):  # unknown; or so long that the status would cut it
        host = ours.dest if unusable is None else unusable
        other = replace(ours, dest=host, dest_node=unusable)
        found = verdict(replace(sight, migrations=(other,)), spec("Live"), of=id_)
        assert isinstance(found, Blocked)
        assert "UPDATE" not in " ".join(found.remedies)


@pytest.mark.field_case("D12")
@pytest.mark.parametrize("status", ["SHUTOFF", "SHELVED"])
def test_a_guest_that_its_host_knows_as_off_is_there(status: str) -> None:
    stopped = server("s1", status, power_state=SHUTDOWN)
    sight = replace(broken_off(misplaces=False), servers=(stopped,), running={})
    sight = replace(sight, stopped_by_user=frozenset({"s1"}))
    assert "HostUncertain" not in said(verdict(sight, spec("Cold")))


@pytest.mark.field_case("F30")
@pytest.mark.parametrize(
    ("later", "fields"),
    [
        (migration(FOUND + 2, "error"), {}),  # ours, cold: it was seen to run before that
        (migration(FOUND + 2, "completed", source="cmp2", dest=HOST), {}),
        (migration(FOUND + 2, "reverted"), {}),
    ],
)
def test_who_was_here_since_is_not_looked_for(later: Migration, fields: dict[str, Any]) -> None:
    assert said(verdict(broken_off("ERROR", None, later, **fields))) != "blocked HostUncertain"


@pytest.mark.field_case("F30")
@pytest.mark.parametrize(
    "move", [{"status_": "failed"}, {"dest": None}, {"updated": ago(99)}, {"source": "cmp3"}]
)
def test_one_that_never_arrived_anywhere_is_as_any_other(move: dict[str, Any]) -> None:
    """Unshelved since, rolled back since Victoria, or never begun."""
    back = server("s1", launched=ago(9))
    broken: dict[str, Any] = {"status_": "error", "type": "live-migration", "updated": ago(1)}
    last = migration(**broken | move)
    sight = observed([back], [last], misplaces=True, causes={last.id: cause("…", 99999)})
    assert said(verdict(sight, spec("Live"))) == "live"


@pytest.mark.field_case("F30")
def test_a_stopped_server_is_moved_whatever_was_before_the_drain() -> None:
    """Nova before Victoria calls every live migration `error` that it has rolled back."""
    old = migration(FOUND - 5, "error", type="live-migration", user_id="somebody")
    assert said(verdict(observed([server("s1", "SHUTOFF")], [old], misplaces=True))) == "cold"


@pytest.mark.field_case("F30")
def test_the_pause_of_the_others_does_not_advise_to_reset_it() -> None:
    sight = broken_off()
    there = breakers_of(drain(spec("Live")), sight).live
    assert there is not None
    assert not any("--state" in remedy for remedy in there.remedies)
    here = breakers_of(drain(spec("Live")), replace(sight, running={"s1": True})).live
    assert here is not None
    assert any("--state" in remedy for remedy in here.remedies)


# Texts


@pytest.mark.field_case("D4")
@pytest.mark.parametrize(
    ("text", "ssh", "mkdir"),
    [
        (MKDIR.format(255), True, False),
        (MKDIR.format(1), False, True),
        (MKDIR.format(1) + "This account is currently not available.", True, False),
        (MKDIR.split("Exit", maxsplit=1)[0], True, False),
        ("disk full", False, False),
    ],
)
def test_ssh_and_what_ran_over_it_are_told_apart(text: str, ssh: bool, mkdir: bool) -> None:
    assert (causes.is_ssh(text), causes.is_mkdir(text)) == (ssh, mkdir)


def test_the_address_of_the_destination_is_read_from_the_command() -> None:
    assert causes.destination_of(MKDIR) == "192.0.2.2"
    assert causes.destination_of("disk full") is None
