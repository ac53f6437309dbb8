"""The status: bounded, sorted, the same for the same sight, by kstatus' rules, and in words that
say what to do.
"""

import json
from datetime import timedelta
from typing import Any

import pytest
from tests.unit.drain.build import (
    FOUND,
    IDENTITY,
    NO_HOST,
    NOW,
    TENANT,
    ago,
    arrived_elsewhere,
    at,
    begun,
    cause,
    condition,
    empty,
    migration,
    observed,
    refusal,
    replace,
    report,
    server,
    service,
    spec,
    status_of,
    tried,
    was,
)

from quiesce.api.drain.record import Record
from quiesce.api.drain.status import DrainStatus, PlanStatus
from quiesce.api.errors import BadCredentials, CloudUnreachable, HostNotFound, NotAllowed, Problem
from quiesce.drain.model.decision import Plan
from quiesce.drain.model.history import Refusal
from quiesce.drain.model.observation import Observation, PlanReads, ProofReads
from quiesce.drain.model.shapes import shape_of
from quiesce.drain.report import status, status_of_problem
from quiesce.openstack.records import Room

EXPECTED = ("CapacityAvailable", "Drained", "Ready", "ServiceDeleted", "ServiceDisabled")


DEAD = observed(
    [server("s1", "RESIZE", "resize_migrating"), server("s2")],
    [migration(status_="migrating"), migration(FOUND + 2, server_id="s3")],
    elsewhere=[arrived_elsewhere("s3")],
    service=service(state="down"),
)


def crowd(count: int, status: str = "ACTIVE") -> list[Any]:
    return [server(f"s{n:04}", status) for n in range(count)]


DISABLE = f"disable the service ({IDENTITY.mark})"


def refused(call: str) -> dict[str, Refusal]:
    return {call: refusal(call)}


SIGHTS: dict[str, tuple[Observation, Any, Record, Any]] = {
    "pending": (
        observed([server()], service=service("enabled"), aggregates=()),
        spec(),
        Record(),
        False,
    ),
    "no answer yet": (observed(service=None), spec(), Record(), False),
    "moving": (observed(crowd(9)), spec(), begun(), False),
    "blocked": (observed(crowd(3, "SUSPENDED")), spec(), begun(), False),
    "mixed": (observed([*crowd(2), server("z", "SUSPENDED")]), spec(), begun(), False),
    "waiting": (observed([server("s1", "BUILD", "spawning")]), spec(), begun(), False),
    "held": (
        observed(migrations=[migration()], elsewhere=[arrived_elsewhere()], running={"s1": True}),
        spec(confirmation={"policy": "Manual"}),
        was(s1="ACTIVE"),
        False,
    ),
    "proving": (empty(clean_since=None), spec(), begun(), False),
    "wait": (empty(), spec(), begun(), False),
    "deleting": (empty(service=service(state="down")), spec(), begun(), False),
    "refused": (
        empty(service=service(state="down"), refusals=refused("delete the service")),
        spec(),
        begun(),
        False,
    ),
    "disable refused": (
        observed(crowd(3), service=service("enabled"), refusals=refused(DISABLE)),
        spec(),
        begun(),
        False,
    ),
    "disable refused, blocked": (
        observed(crowd(3, "SUSPENDED"), service=service("enabled"), refusals=refused(DISABLE)),
        spec(),
        begun(),
        False,
    ),
    "enable refused": (empty(refusals=refused("enable the service")), spec(), begun(), True),
    "deleted": (empty(service=None, proof=ProofReads(frozenset(), False)), spec(), begun(), False),
    "left behind": (
        empty(service=None, proof=ProofReads(frozenset({"c"}), True)),
        spec(),
        begun(),
        False,
    ),
    "kept": (empty(), spec(service={"afterDrain": "KeepDisabled"}), begun(), False),
    "suspended": (observed(crowd(3)), spec(suspend=True), begun(), False),
    "plan": (observed(crowd(3)), spec(mode="Plan"), Record(), False),
    "restoring": (observed(crowd(3)), spec(), begun(), True),
    "cell down": (
        observed(service=service("UNKNOWN", id="", state="unknown")),
        spec(),
        begun(),
        False,
    ),
    "stuck": (
        observed(
            [server("s1", "RESIZE", "resize_migrating")],
            [migration(status_="migrating", created=ago(9999))],
        ),
        spec(),
        begun(tries={"s1": tried(seconds_ago=9999)}),
        False,
    ),
    "stuck, and no place for others": (
        observed(
            [server("s1", "RESIZE", "resize_migrating"), server("s2")],
            [migration(status_="migrating", created=ago(9999))],
        ),
        spec(migration={"maxParallel": 1}),
        begun(tries={"s1": tried(seconds_ago=9999)}),
        False,
    ),
    "source down": (DEAD, spec(), was(s3="ACTIVE"), False),
    "restoring, source down": (DEAD, spec(), was(s3="ACTIVE"), True),
    "enabled by hand": (observed(crowd(3), service=service("enabled")), spec(), begun(), False),
}


def troubled(
    problem: Problem, before: Any, generation: int, *, hours: int = 1, restoring: str | None = None
) -> dict[str, Any]:
    last, now = DrainStatus.read(before), NOW + timedelta(hours=hours)
    return status_of_problem(problem, last, generation, now, restoring=restoring).to_json()


def test_a_drain_whose_credentials_were_repaired_is_not_stalled_by_a_cloud_that_is_away() -> None:
    """Only a person can help, says the phase, until one has."""
    stalled = troubled(BadCredentials("no Secret"), {}, 1)
    assert stalled["phase"] == "Stalled"
    assert troubled(CloudUnreachable("no answer"), stalled, 1)["phase"] == "Pending"


def shown(name: str, previous: Any = None) -> dict[str, Any]:
    sight, asked, record, who = SIGHTS[name]
    return status_of(sight, asked, record if previous is None else None, who, previous)


@pytest.mark.parametrize("name", SIGHTS)
def test_conditions_follow_kstatus(name: str) -> None:
    found = {c["type"]: c["status"] for c in shown(name)["conditions"]}
    assert set(EXPECTED) <= set(found) <= {*EXPECTED, "Reconciling", "Stalled"}
    assert found.get("Reconciling", "True") == "True"
    assert found.get("Stalled", "True") == "True"
    assert not {"Reconciling", "Stalled"} <= set(found)
    if found["Ready"] == "True":
        assert not {"Reconciling", "Stalled"} & set(found)
    elif name != "suspended":
        assert {"Reconciling", "Stalled"} & set(found)
    if "Stalled" in found:
        assert found["Ready"] == "False"


@pytest.mark.parametrize("name", SIGHTS)
def test_conditions_have_what_the_api_conventions_ask_for(name: str) -> None:
    conditions = shown(name)["conditions"]
    assert [c["type"] for c in conditions] == sorted(c["type"] for c in conditions)
    for found in conditions:
        assert found["reason"].isidentifier()
        assert found["reason"][0].isupper()
        assert found["lastTransitionTime"] == "2026-03-01T12:00:00Z"
        assert found["observedGeneration"] == 1
        assert len(found["message"]) <= 1024


@pytest.mark.parametrize("name", [name for name in SIGHTS if name != "pending"])
def test_an_unchanged_drain_has_an_unchanged_status(name: str) -> None:
    sight, asked, record, who = SIGHTS[name]
    first = status_of(sight, asked, record, who)
    again = status_of(
        at(sight, 1), asked, None, who, status_of(at(sight, 1), asked, None, who, first)
    )
    assert again == status_of(at(sight, 2), asked, None, who, again)


@pytest.mark.parametrize("name", SIGHTS)
def test_the_order_in_which_nova_lists_things_does_not_show(name: str) -> None:
    sight, asked, record, who = SIGHTS[name]
    turned = replace(
        sight, servers=tuple(reversed(sight.servers)), services=tuple(reversed(sight.services))
    )
    assert status_of(turned, asked, record, who) == status_of(sight, asked, record, who)


@pytest.mark.parametrize("name", SIGHTS)
def test_a_status_is_json_and_remembers_what_was_found(name: str) -> None:
    found = shown(name)
    assert json.loads(json.dumps(found)) == found
    record = SIGHTS[name][2]
    if record.begun:
        again = Record.read(found)
        for field in (
            "found_status",
            "found_reason",
            "found_id",
            "found_migration",
            "attempts_from",
            "node",
            "started",
        ):
            assert getattr(again, field) == getattr(record, field), field


PHASES = {
    "pending": ("Pending", "found the service; disabling it"),
    "moving": ("Draining", "moving 4 of 9 servers, 0 moved"),
    "blocked": ("Stalled", "3 blocked: name-s0000, name-s0001, name-s0002 (Suspended)"),
    "mixed": ("Draining", "moving 2 of 3 servers, 0 moved; 1 blocked: name-z (Suspended)"),
    "held": ("Stalled", "1 blocked: name-s1 (AwaitingDecision)"),
    "proving": (
        "Draining",
        "all servers have moved: the host is empty; verifying with a second read",
    ),
    "wait": ("Drained", "Stop nova-compute on cmp1 now"),
    "deleting": ("Drained", "the host is empty; deleting its service"),
    "refused": ("Drained", "Nova refuses to delete its service: Nova's words"),
    "disable refused": (
        "Draining",
        "Nova refuses to disable the service: Nova's words. Nothing moves before it is disabled",
    ),
    "disable refused, blocked": ("Draining", "Nova refuses to disable the service"),
    "enable refused": (
        "Restoring",
        "Nova refuses to enable the service: Nova's words; it is tried again (to release it at "
        "once: ",
    ),
    "deleted": ("Deleted", "nothing is left behind"),
    "left behind": ("Stalled", "resource provider cmp1"),
    "kept": ("Drained", "the host is empty and its service disabled"),
    "suspended": ("Suspended", "nothing is written to OpenStack"),
    "plan": ("Planned", "making a plan"),
    "stuck": ("Stalled", "1 blocked: name-s1 (Stuck)"),
    "stuck, and no place for others": (
        "Stalled",
        "1 blocked: name-s1 (Stuck); waiting for them: name-s2",
    ),
    "restoring": ("Restoring", "restoring the host as it was found"),
    "restoring, source down": (
        "Restoring",
        "restoring the host waits for name-s3: moved; nova-compute of this host",
    ),
    "source down": ("Stalled", "3 blocked: name-s1, name-s2, name-s3 (SourceDown)"),
    "enabled by hand": ("Draining", "disabling the service"),
}


@pytest.mark.parametrize("name", PHASES)
def test_phase_and_message(name: str) -> None:
    phase, message = PHASES[name]
    found = shown(name)
    assert found["phase"] == phase
    assert message in found["message"]
    ready = condition(found, "Ready")
    assert ready is not None
    assert ready["message"] == found["message"]


def test_whoever_waits_for_the_service_to_be_disabled_reads_why_it_is_not() -> None:
    found = condition(shown("disable refused"), "ServiceDisabled")
    assert found is not None
    assert (found["status"], found["reason"]) == ("False", "Enabled")
    assert "Nova's words" in found["message"]


def test_ready_is_true_only_where_the_end_state_holds() -> None:
    assert {
        name for name in SIGHTS if (c := condition(shown(name), "Ready")) and c["status"] == "True"
    } == {"deleted", "kept"}


def test_ready_does_not_stay_true_under_suspension_when_it_no_longer_holds() -> None:
    asked = spec(service={"afterDrain": "KeepDisabled"})
    held = status_of(empty(), asked)
    suspended = spec(suspend=True, service={"afterDrain": "KeepDisabled"})
    still = condition(status_of(empty(), suspended, previous=held), "Ready")
    lost = condition(status_of(observed([server()]), suspended, previous=held), "Ready")
    assert still is not None
    assert lost is not None
    assert (still["status"], lost["status"]) == ("True", "False")


def test_transition_times_move_with_the_status_alone() -> None:
    first = shown("moving")
    sight = at(observed(crowd(5)), 60)
    then = status_of(sight, previous=first)
    assert then["message"] != first["message"]
    assert {c["lastTransitionTime"] for c in then["conditions"]} == {"2026-03-01T12:00:00Z"}
    done = status_of(at(SIGHTS["kept"][0], 60), SIGHTS["kept"][1], previous=first)
    moved = {
        c["type"] for c in done["conditions"] if c["lastTransitionTime"] == "2026-03-01T12:01:00Z"
    }
    assert moved == {"Drained", "Ready"}


def test_times_of_the_drain_are_set_once() -> None:
    first = shown("kept")
    later = status_of(at(SIGHTS["kept"][0], 999), SIGHTS["kept"][1], previous=first)
    for name in ("startTime", "drainedTime", "completionTime"):
        assert later[name] == first[name]


def test_rows_are_bounded_and_what_is_left_out_is_counted() -> None:
    found = shown("blocked")
    many = status_of(observed(crowd(500, "SUSPENDED")))
    assert "problemsOmitted" not in found or found["problemsOmitted"] == 0
    assert (len(many["problems"]), many["problemsOmitted"], many["progress"]["blocked"]) == (
        20,
        480,
        500,
    )
    assert "name-s0000, name-s0001, name-s0002 and 497 more (Suspended)" in many["message"]
    lots = status_of(observed(crowd(300)), spec(migration={"maxParallel": 100}))
    assert len(lots["moving"]) == 100


def test_urgent_problems_come_first() -> None:
    sight = observed(
        [server("a", "SUSPENDED"), server("z", "ERROR", fault="off")],
        [migration(status_="error", server_id="z")],
    )
    assert [row["reason"] for row in status_of(sight)["problems"]] == ["SourceFailed", "Suspended"]


def test_the_message_says_per_cause_which_and_how_many() -> None:
    tries = [migration(FOUND + n, "error", "s9") for n in (1, 2, 3)]
    sight = observed(
        [*crowd(5, "SUSPENDED"), server("s9")],
        tries,
        causes={m.id: cause(NO_HOST, 60) for m in tries},
    )
    assert status_of(sight)["message"] == (
        "6 blocked: name-s9 (NoCapacity); name-s0000, name-s0001, name-s0002 and 2 more (Suspended)"
    )


def test_one_failing_server_does_not_stall_the_drain() -> None:
    sick = [server("a", "ERROR"), server("b", "SUSPENDED")]
    for well in (server("s1"), server("s1", "BUILD"), server("s1", "RESIZE", "resize_prep")):
        assert status_of(observed([*sick, well]))["phase"] == "Draining"
    assert status_of(observed(sick))["phase"] == "Stalled"


def test_a_foreign_resize_that_is_the_last_thing_in_the_way_is_named() -> None:
    sight = observed(
        migrations=[migration(type="resize", user_id=TENANT)], elsewhere=[arrived_elsewhere()]
    )
    found = status_of(sight)
    stalled = condition(found, "Stalled")
    assert stalled is not None
    assert stalled["reason"] == "ForeignResize"
    assert "name-s1" in found["message"]
    assert "until then the service cannot be deleted" in found["problems"][0]["message"]


def test_what_is_only_waited_for_is_named_too() -> None:
    """Nothing moves and nothing is blocked: a person must still see what the drain waits for."""
    found = status_of(observed([server("db", "ACTIVE", "image_uploading", name="db")]))
    assert "db" in found["message"]
    assert "image_uploading" in found["message"]


# Rows


def test_a_move_is_one_row_from_its_start_to_its_end() -> None:
    one = status_of(observed([server("s1")]))
    (row,) = one["moving"]
    assert row == {
        "id": "s1",
        "name": "name-s1",
        "method": "cold",
        "state": "Starting",
        "attempt": 1,
        "was": "ACTIVE",
        "since": "2026-03-01T12:00:00Z",
    }
    going = observed([server("s1", "RESIZE", "resize_prep")], [migration(status_="migrating")])
    two = status_of(at(going, 30), previous=one)
    (row,) = two["moving"]
    assert (row["state"], row["destination"], row["since"], row["was"]) == (
        "Migrating",
        "cmp2",
        "2026-03-01T12:00:00Z",
        "ACTIVE",
    )
    three = status_of(
        at(
            observed(
                migrations=[migration()], elsewhere=[arrived_elsewhere()], running={"s1": True}
            ),
            60,
        ),
        previous=two,
    )
    (row,) = three["moving"]
    assert (row["state"], row["since"], row["was"]) == (
        "Confirming",
        "2026-03-01T12:00:00Z",
        "ACTIVE",
    )
    four = status_of(at(observed(migrations=[migration(status_="confirmed")]), 90), previous=three)
    assert not four["moving"]
    assert four["progress"]["moved"] == 1


def test_the_next_try_of_a_server_is_timed_anew() -> None:
    one = status_of(observed([server("s1")]))
    failed = migration(status_="error")
    again = at(observed([server("s1")], [failed], causes={failed.id: cause("disk full")}), 100)
    (row,) = status_of(again, previous=one)["moving"]
    assert (row["attempt"], row["since"]) == (2, "2026-03-01T12:01:40Z")


def test_a_problem_keeps_its_time_while_its_reason_stays() -> None:
    one = shown("blocked")
    two = status_of(at(SIGHTS["blocked"][0], 100), previous=one)
    assert two["problems"] == one["problems"]
    other = status_of(at(observed(crowd(3, "RESCUE")), 100), previous=one)
    assert {row["since"] for row in other["problems"]} == {"2026-03-01T12:01:40Z"}


def test_names_and_messages_of_others_are_cut() -> None:
    found = status_of(observed([server("s1", "ERROR", name="n" * 999, fault="f" * 9999)]))
    assert len(found["problems"][0]["name"]) == 255
    assert len(found["problems"][0]["message"]) == 1024
    assert len(found["message"]) <= 1024


# Counting


def test_progress_adds_up() -> None:
    past = [migration(FOUND + n, "confirmed", f"gone{n}") for n in range(1, 6)]
    sight = observed([*crowd(6), server("z", "SUSPENDED"), server("b", "BUILD")], past)
    assert status_of(sight)["progress"] == {
        "summary": "5/13",
        "total": 13,
        "moved": 5,
        "offloaded": 0,
        "moving": 4,
        "waiting": 3,
        "blocked": 1,
        "percent": 38,
    }


def test_an_empty_host_is_all_done() -> None:
    assert status_of(observed())["progress"]["percent"] == 100


def test_an_offloaded_server_counts_as_moved_once() -> None:
    one = status_of(observed([server("s1", "SHELVED")]))
    two = status_of(observed([server("s1", "SHELVED", "shelving_offloading")]), previous=one)
    still_listed = status_of(observed([server("s1", "SHELVED_OFFLOADED")]), previous=two)
    gone = [status_of(observed(), previous=before) for before in (two, still_listed)]
    later = status_of(observed(), previous=gone[1])
    assert [s["progress"]["summary"] for s in (one, two, still_listed, *gone, later)] == [
        "0/1"
    ] * 3 + ["1/1"] * 3


def test_servers_that_are_deleted_after_their_move_still_count_as_moved() -> None:
    past = [migration(FOUND + n, "confirmed", f"gone{n}") for n in range(1, 4)]
    one = status_of(observed(crowd(1), past))
    two = status_of(observed(crowd(1)), previous=one)
    three = status_of(observed(), previous=two)
    assert [s["progress"]["summary"] for s in (one, two, three)] == ["3/4", "3/4", "3/3"]


# Where no look was possible


@pytest.mark.parametrize(
    ("problem", "type_", "phase"),
    [
        (BadCredentials("wrong"), "Stalled", "Stalled"),
        (HostNotFound("no such host"), "Stalled", "Stalled"),
        (NotAllowed("403"), "Stalled", "Stalled"),
        (CloudUnreachable("refused"), "Reconciling", "Draining"),
    ],
)
def test_trouble_is_shown_on_top_of_the_last_report(
    problem: Problem, type_: str, phase: str
) -> None:
    before = shown("moving")
    after = troubled(problem, before, 2)
    assert after["phase"] == phase
    found = condition(after, type_)
    ready = condition(after, "Ready")
    assert found is not None
    assert ready is not None
    assert (found["reason"], ready["status"]) == (type(problem).__name__, "False")
    assert condition(after, "Stalled" if type_ == "Reconciling" else "Reconciling") is None
    assert after["message"] == str(problem)
    for name in ("moving", "problems", "progress", "service", "startTime", "foundMigration"):
        assert after.get(name) == before.get(name)
    assert Record.read(after).found_status == "enabled"
    again = troubled(problem, after, 2, hours=2)
    assert again == after


def test_trouble_at_the_first_sight_has_every_condition() -> None:
    after = troubled(HostNotFound("no such host"), {}, 1)
    assert {c["type"] for c in after["conditions"]} == {*EXPECTED, "Stalled"}
    assert not Record.read(after).begun


def test_trouble_while_giving_back_names_the_way_out() -> None:
    after = troubled(CloudUnreachable("refused"), shown("moving"), 1, restoring="cmp1")
    assert after["phase"] == "Restoring"
    assert "quiesce.dev/abandon" in after["message"]


def test_recovery_takes_the_trouble_away() -> None:
    after = troubled(BadCredentials("wrong"), shown("moving"), 1, restoring=None)
    well = status_of(observed(crowd(9)), previous=after)
    assert condition(well, "Stalled") is None
    assert condition(well, "Reconciling") is not None


# Plan


def test_a_plan_is_what_mode_plan_asks_for() -> None:
    servers = crowd(3)
    free = {"VCPU": 64, "MEMORY_MB": 4096, "DISK_GB": 1000}
    offered = (Room("cmp2", free, frozenset(shape_of(s) for s in servers)),)
    sight = replace(observed(servers), plan=PlanReads(offered))
    found = status_of(sight, spec(mode="Plan"), Record())
    assert found["phase"] == "Planned"
    assert found["plan"]["capacity"] == "Fits"
    capacity = condition(found, "CapacityAvailable")
    ready = condition(found, "Ready")
    assert capacity is not None
    assert ready is not None
    assert (capacity["status"], ready["status"]) == ("True", "True")
    kept = status_of(observed(crowd(3)), spec(mode="Plan"), Record(), previous=found)
    assert kept["plan"] == found["plan"]
    assert not Record.read(found).begun


def test_require_capacity_says_why_nothing_is_begun() -> None:
    found = status_of(
        observed(crowd(3), service=service("enabled")),
        spec(migration={"requireCapacity": True}),
        Record(),
    )
    assert found["phase"] == "Stalled"
    assert "requireCapacity" in found["message"]
    assert not Record.read(found).begun


def test_a_host_that_was_emptied_all_the_same_is_not_short_of_room() -> None:
    """The plan is that of the beginning; room has been made since, and a drain that is Ready
    contradicts itself else.
    """
    what = report(observed(crowd(3)), spec(), begun())
    short = Plan(PlanStatus(0, 3, 0, 0, "Short", None, ()), "no capacity for 1 of 3 servers")
    planned = status(replace(what, decision=replace(what.decision, plan=short))).to_json()
    moving = status_of(observed(crowd(1)), previous=planned)
    drained = status_of(empty(), spec(service={"afterDrain": "KeepDisabled"}), previous=moving)
    late = status_of(at(observed(crowd(1)), 60), previous=drained)
    states = [
        (condition(found, "CapacityAvailable") or {})["status"]
        for found in (planned, moving, drained, late)
    ]
    assert states == ["False", "False", "True", "True"]
    assert drained["plan"] == planned["plan"]
