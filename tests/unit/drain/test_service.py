"""The host's own service: disabled with our reason, never over somebody else's unsaved, and given
back exactly as found.
"""

from collections.abc import Iterable
from typing import Any

import pytest
from tests.unit.drain.build import (
    FOUND,
    HOST,
    IDENTITY,
    actions,
    ago,
    arrived_elsewhere,
    begun,
    decided,
    drain,
    empty,
    migration,
    observed,
    refusal,
    replace,
    server,
    service,
    spec,
    status_of,
    verdict,
)

from quiesce.api.drain.record import FoundAggregate, Record
from quiesce.drain.decide import service as service_calls
from quiesce.drain.model.actions import (
    AddToAggregate,
    DeleteService,
    DisableService,
    EnableService,
    HostAction,
    StopCompute,
    describe,
)
from quiesce.drain.model.identity import DrainIdentity
from quiesce.drain.model.observation import SILENT_FOR, Observation
from quiesce.drain.model.verdict import Blocked, Follow
from quiesce.openstack.records import RUNNING, Aggregate

OURS = IDENTITY.mark
THEIRS = "maintenance, ask the rack team"
NOTHING = Record()


def test_the_reason_names_the_drain_and_says_why() -> None:
    assert IDENTITY.reason("") == "quiesce: drain openstack/compute-1 [0a1b2c3d]"
    assert IDENTITY.reason("RAM swap") == "quiesce: drain openstack/compute-1 [0a1b2c3d]: RAM swap"


def test_the_reason_fits_into_novas_column_and_stays_ours() -> None:
    identity = DrainIdentity("n" * 63, "d" * 253, IDENTITY.uid)
    text = identity.reason("r" * 200)
    assert len(text) <= 255
    assert identity.owns(text)


@pytest.mark.parametrize(
    ("reason", "ours"),
    [
        (OURS, True),
        (f"{OURS}: RAM swap", True),
        ("quiesce: drain openstack/renamed [0a1b2c3d]", True),
        ("quiesce: drain openstack/compute-1 [ffffffff]", False),
        (f"not {OURS}", False),
        (THEIRS, False),
        ("", False),
        (None, False),
    ],
)
def test_whose_disable_it_is(reason: str | None, ours: bool) -> None:
    assert IDENTITY.owns(reason) is ours


# Disable


def test_before_it_has_begun_a_drain_only_disables_and_writes_down_what_it_found() -> None:
    sight = observed(
        [server()],
        service=service("enabled"),
        aggregates=(Aggregate(7, "ssd", None, (HOST,)),),
        node="node-1",
    )
    assert actions(sight, record=NOTHING) == (DisableService("svc-1", OURS),)
    found = status_of(sight, record=NOTHING)
    assert found["service"] == {
        "id": "svc-1",
        "status": "enabled",
        "state": "up",
        "foundId": "svc-1",
        "foundStatus": "enabled",
        "node": "node-1",
    }
    assert found["foundAggregates"] == [{"id": 7, "name": "ssd"}]
    assert found["foundMigration"] == 0
    assert "moving" not in found or not found["moving"]


def test_a_foreign_disable_is_saved_before_it_is_written_over() -> None:
    sight = observed([server()], service=service(disabled_reason=THEIRS), aggregates=())
    assert actions(sight, record=NOTHING) == (DisableService("svc-1", OURS),)
    found = status_of(sight, record=NOTHING)["service"]
    assert (found["foundStatus"], found["foundReason"]) == ("disabled", THEIRS)


def test_a_status_that_was_lost_takes_our_own_disable_for_no_finding() -> None:
    found = status_of(observed(service=service()), record=NOTHING)["service"]
    assert found["status"] == "disabled"
    assert "foundReason" not in found
    assert found.get("foundStatus") in (None, "enabled")


@pytest.mark.parametrize(
    ("record", "now", "wanted"),
    [
        (begun(), service("enabled"), OURS),
        (begun(), service("enabled", id="svc-2"), OURS),  # registered anew: enabled
        (begun(), service(), None),
        (begun(), service(disabled_reason=f"{OURS}: old words"), OURS),
        (
            begun(found_status="disabled", found_reason=THEIRS),
            service(disabled_reason=THEIRS),
            OURS,
        ),  # died before the call
        (begun(found_status="disabled"), service(disabled_reason=None), OURS),
        (begun(), service(disabled_reason=THEIRS), None),  # somebody's later word stands
        (begun(), service(disabled_reason=None), None),
        (begun(), service("UNKNOWN", id=""), None),
        (begun(), None, None),
    ],
)
def test_the_service_is_kept_disabled_and_others_words_stand(
    record: Record, now: Any, wanted: str | None
) -> None:
    found = service_calls.disable(drain(record=record), observed(service=now))
    assert found == ((DisableService(now.id, wanted),) if wanted else ())


def test_nothing_moves_while_the_scheduler_may_still_place_servers_here() -> None:
    for now in (service("enabled"), service("UNKNOWN", id="")):
        sight = observed([server()], service=now)
        assert not [a for a in actions(sight) if not isinstance(a, DisableService)]


# Give back


NOVAS_OWN = ("AUTO: Connection to libvirt lost: 1", "AUTO: None", "set by vmwareapi host_state")


@pytest.mark.field_case("F29")
@pytest.mark.parametrize(
    ("record", "now", "wanted"),
    [
        (begun(), service(), (EnableService("svc-1"),)),
        (
            begun(found_status="disabled", found_reason=THEIRS),
            service(),
            (DisableService("svc-1", THEIRS),),
        ),
        *(
            (begun(found_status="disabled", found_reason=reason), now, wanted)
            for reason in NOVAS_OWN
            for now, wanted in (
                (service(), (EnableService("svc-1"),)),
                (service(id="svc-2"), (EnableService("svc-2"),)),
                (service("enabled", id="svc-2"), ()),
                (service(disabled_reason=reason), ()),  # set again meanwhile: Nova lifts it itself
            )
        ),
        (begun(found_status="disabled"), service(), (DisableService("svc-1", None),)),
        (begun(), service(disabled_reason=THEIRS), ()),  # no longer ours
        (begun(), service("enabled"), ()),
        (
            begun(found_status="disabled", found_reason=THEIRS),
            service("enabled"),
            (),
        ),  # enabled by hand: the last word
        (begun(), None, ()),
        # Registered anew, which Nova does enabled:
        (begun(), service("enabled", id="svc-2"), ()),
        (begun(), service(id="svc-2"), (EnableService("svc-2"),)),
        (
            begun(found_status="disabled", found_reason=THEIRS),
            service("enabled", id="svc-2"),
            (DisableService("svc-2", THEIRS),),
        ),
        (
            begun(found_status="disabled", found_reason=THEIRS),
            service(id="svc-2"),
            (DisableService("svc-2", THEIRS),),
        ),
        (
            begun(found_status="disabled", found_reason=THEIRS),
            service(id="svc-2", disabled_reason=THEIRS),
            (),
        ),
    ],
)
def test_the_service_is_released_as_it_was_found(
    record: Record, now: Any, wanted: tuple[Any, ...]
) -> None:
    found = decided(observed(service=now), record=record, deleting=True)
    assert found.actions == wanted
    assert found.released is (not wanted)


def test_a_service_registered_anew_rejoins_the_aggregates_it_was_in_and_no_others() -> None:
    aggregates = (
        Aggregate(1, "ssd", None, ("cmp2",)),
        Aggregate(2, "az1", "az1", ("cmp2", HOST)),
        Aggregate(3, "gpu", None, ()),
    )
    record = begun(found_aggregates=tuple(map(FoundAggregate, (1, 2, 99))))
    again = observed(service=service(id="svc-2"), aggregates=aggregates)
    assert decided(again, record=record, deleting=True).actions == (
        AddToAggregate(1, HOST),
        EnableService("svc-2"),
    )
    same = observed(service=service(), aggregates=aggregates)
    assert decided(same, record=record, deleting=True).actions == (EnableService("svc-1"),)


def test_on_delete_leave_changes_nothing() -> None:
    found = decided(observed([server()]), spec(onDelete="Leave"), deleting=True)
    assert found.released
    assert not found.actions


def test_a_drain_that_never_began_gives_nothing_back() -> None:
    for now in (service(), service("enabled"), service(disabled_reason=THEIRS)):
        found = decided(observed([server()], service=now), record=NOTHING, deleting=True)
        assert found.released
        assert not found.actions


def test_giving_back_starts_nothing_and_leaves_waiting_servers_where_they_are() -> None:
    sight = observed([server("s1"), server("s2", "SHELVED"), server("s3", "SUSPENDED")])
    found = decided(sight, spec(servers={"suspended": "Resume"}), deleting=True)
    assert found.actions == (EnableService("svc-1"),)


@pytest.mark.parametrize(
    "sight",
    [
        observed([server("s1", "RESIZE", "resize_prep")], [migration(status_="migrating")]),
        observed([server("s1", "RESIZE", "resize_prep")]),
        observed(migrations=[migration(status_="post-migrating")]),
        observed(migrations=[migration(status_="confirming")]),
        observed(migrations=[migration()], elsewhere=[arrived_elsewhere()]),
    ],
    ids=["moving", "starting", "arriving", "confirming", "arrived"],
)
def test_our_own_moves_in_flight_end_before_the_host_is_released(sight: Any) -> None:
    found = decided(sight, deleting=True)
    assert not found.released
    assert not [a for a in found.actions if isinstance(a, EnableService)]


def test_a_held_server_keeps_the_host_and_the_message_names_the_way_out() -> None:
    asked = spec(confirmation={"policy": "Manual"})
    arrived = arrived_elsewhere()
    sight = observed(migrations=[migration()], elsewhere=[arrived], running={"s1": True})
    assert not decided(sight, asked, deleting=True).released
    assert "quiesce.dev/abandon" in status_of(sight, asked, deleting=True)["message"]


def test_others_resizes_do_not_keep_the_host() -> None:
    sight = observed(
        migrations=[migration(FOUND, type="resize")],
        elsewhere=[arrived_elsewhere(power_state=RUNNING)],
    )
    asked = spec(confirmation={"foreign": "Confirm"})
    assert decided(sight, asked, deleting=True).actions == (EnableService("svc-1"),)


def test_a_host_whose_cell_is_down_is_not_let_go_before_it_is_seen() -> None:
    sight = observed(service=service("UNKNOWN", id="", state="unknown", disabled_reason=None))
    found = decided(sight, deleting=True)
    assert not found.released
    assert not found.actions
    assert "cell" in status_of(sight, deleting=True)["message"]


def test_an_empty_host_is_released_too() -> None:
    assert decided(empty(), deleting=True).actions == (EnableService("svc-1"),)


# Where Nova says no

ENABLED = observed([server()], service=service("enabled"), aggregates=())
UNMARKED = replace(ENABLED, service=service(disabled_reason=THEIRS))
FOUND_DISABLED = begun(found_status="disabled", found_reason=THEIRS)
DISABLE, ENABLE = DisableService("svc-1", OURS), EnableService("svc-1")
RACKS = tuple(Aggregate(number, f"rack-{number}", None, ()) for number in (7, 8))
ANEW = empty(service=service(id="svc-2"), aggregates=RACKS)
BACK = (AddToAggregate(7, HOST), AddToAggregate(8, HOST), EnableService("svc-2"))
IN_RACKS = begun(found_aggregates=(FoundAggregate(7), FoundAggregate(8)))


def refused(sight: Observation, calls: Iterable[HostAction], **how: Any) -> Observation:
    refusals = {describe(call): refusal(describe(call), **how) for call in calls}
    found: Observation = replace(sight, refusals=refusals)
    return found


@pytest.mark.parametrize(
    ("sight", "record", "deleting", "wanted"),
    [
        (ENABLED, begun(), False, (DISABLE,)),
        (UNMARKED, FOUND_DISABLED, False, (DISABLE,)),
        (empty(), begun(), True, (ENABLE,)),
        (ANEW, IN_RACKS, True, BACK),
    ],
    ids=["disable", "our reason", "enable", "aggregates"],
)
@pytest.mark.parametrize(
    ("how", "tried"),
    [
        ({"count": 1}, False),
        ({"count": 1, "seconds_ago": 7}, True),
        ({"count": 3, "seconds_ago": 7}, False),
        ({"count": 9, "seconds_ago": 400}, True),
    ],
    ids=["just now", "rested", "more often", "after five minutes"],
)
def test_a_refused_call_for_the_host_is_made_again_ever_more_slowly(
    sight: Observation,
    record: Record,
    deleting: bool,
    wanted: tuple[HostAction, ...],
    how: dict[str, Any],
    tried: bool,
) -> None:
    assert set(wanted) <= set(actions(sight, record=record, deleting=deleting))
    found = decided(refused(sight, wanted, **how), record=record, deleting=deleting)
    assert [action for action in found.actions if action in wanted] == (
        list(wanted) if tried else []
    )
    assert [action for action, _ in found.refused] == list(wanted)
    assert not found.released


def test_one_refused_call_holds_up_no_other_and_keeps_the_drain() -> None:
    found = decided(refused(ANEW, BACK[:1]), record=IN_RACKS, deleting=True)
    assert found.actions == BACK[1:]
    last = empty(
        service=service("enabled", id="svc-2"),
        aggregates=(RACKS[0], replace(RACKS[1], hosts=(HOST,))),
    )
    found = decided(refused(last, BACK[:1]), record=IN_RACKS, deleting=True)
    assert not found.actions
    assert not found.released


def test_a_refused_disable_does_not_keep_the_servers_of_a_disabled_host() -> None:
    """Only the reason in Nova is not ours yet."""
    found = decided(refused(UNMARKED, [DISABLE]), record=FOUND_DISABLED)
    assert found.started == {"s1"}


def test_another_reason_is_another_call() -> None:
    assert actions(refused(ENABLED, [DISABLE]), spec(reason="RAM swap")) == (
        DisableService("svc-1", f"{OURS}: RAM swap"),
    )


@pytest.mark.field_case("F29")
def test_what_was_done_with_novas_own_disable_is_told() -> None:
    found = begun(found_status="disabled", found_reason=NOVAS_OWN[0])
    released = decided(empty(service=service("enabled")), record=found, deleting=True)
    assert released.released
    assert NOVAS_OWN[0] in released.restored_as
    assert "enabled now" in released.restored_as
    for record, now in (
        (begun(), service("enabled")),
        (begun(found_status="disabled", found_reason=THEIRS), service("enabled")),
        (found, service(disabled_reason=NOVAS_OWN[0])),
    ):
        assert decided(empty(service=now), record=record, deleting=True).restored_as == ""


def test_a_service_that_stays_deleted_is_not_called_restored() -> None:
    """Nothing in Nova can be enabled, nor put into aggregates, until nova-compute starts."""
    released = decided(empty(service=None), record=IN_RACKS, deleting=True)
    assert released.released
    assert "stays deleted: nova-compute registers it again, enabled" in released.restored_as
    assert "its aggregates (7, 8)" in released.restored_as
    disabled = begun(found_status="disabled", found_reason=THEIRS)
    told = decided(empty(service=None), record=disabled, deleting=True).restored_as
    assert f"found disabled ({THEIRS})" in told


def test_a_disable_of_another_user_that_stays_is_told() -> None:
    now = service(disabled_reason=THEIRS)
    told = decided(empty(service=now), record=begun(), deleting=True).restored_as
    assert told == f"its service stays disabled, as another user has set it ({THEIRS})"


# Forced down

FORCED = service(state="down", forced_down=True, reported="2026-03-01T11:00:00")
LONG_SILENT = (FORCED.reported, ago(SILENT_FOR.total_seconds()))


@pytest.mark.field_case("F14")
@pytest.mark.parametrize(
    ("report", "gone"),
    [
        (None, False),
        ((FORCED.reported, ago(SILENT_FOR.total_seconds() - 1)), False),
        (("2026-03-01T10:59:50", ago(10_000)), False),
        (LONG_SILENT, True),
    ],
    ids=["read once", "not for long", "has reported since", "silent"],
)
def test_a_service_is_never_deleted_because_it_is_forced_down(report: Any, gone: bool) -> None:
    """nova/servicegroup/api.py service_is_up says down of it, whatever nova-compute does."""
    found = decided(empty(service=FORCED, report=report))
    assert found.actions == ((DeleteService("svc-1"),) if gone else ())
    assert found.outcome is not None
    if not gone:
        assert found.outcome.reason == "ForcedDown"
        assert "says nothing about nova-compute" in found.outcome.message
        assert "openstack compute service set --up cmp1 nova-compute" in found.outcome.message


@pytest.mark.field_case("F14")
def test_a_service_that_shows_no_reports_is_never_taken_to_be_silent() -> None:
    blind = replace(FORCED, reported="")
    assert not decided(empty(service=blind, report=("", ago(10_000)))).actions


@pytest.mark.field_case("F14")
def test_a_nova_compute_whose_service_is_forced_down_is_stopped_where_that_is_asked_for() -> None:
    stop = spec(service={"whileRunning": "Stop"})
    record = begun(found_unit="running,enabled")
    assert decided(empty(service=FORCED), stop, record).actions == (StopCompute(),)
    assert decided(empty(service=FORCED, report=LONG_SILENT), stop, record).actions == (
        DeleteService("svc-1"),
    )


@pytest.mark.field_case("F14")
def test_servers_of_a_service_that_is_forced_down_are_told_so() -> None:
    found = verdict(observed([server()], service=FORCED))
    assert isinstance(found, Blocked)
    assert (found.reason, "forced down" in found.message) == ("SourceDown", True)
    assert any("set --up cmp1" in remedy for remedy in found.remedies)
    moving = observed(
        [server(task="resize_migrating")], [migration(status_="migrating")], service=FORCED
    )
    assert isinstance(verdict(moving), Follow)


def test_reports_are_no_difference_between_two_reads_of_a_service() -> None:
    """Every running nova-compute writes its row every ten seconds."""
    assert replace(FORCED, reported="later") == FORCED
