"""Which few actions follow from the verdicts: how many moves at once, in which order, and when the
service is deleted.
"""

from typing import Any

import pytest
from tests.unit.drain.build import (
    FOUND,
    HOST,
    ME,
    NO_SSH,
    TENANT,
    actions,
    ago,
    arrived_elsewhere,
    begun,
    cause,
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
    verdicts,
)

from quiesce.api.drain.record import Record
from quiesce.drain.decide.schedule import holds_slot, starved
from quiesce.drain.model.actions import (
    ConfirmMove,
    DeleteService,
    DisableService,
    OffloadServer,
    ResumeServer,
    StartMove,
)
from quiesce.drain.model.observation import Observation, ProofReads
from quiesce.openstack.records import Flavor, Migration, Server, ServerGroup


def started(what: Observation, *args: Any, **kwargs: Any) -> list[str]:
    return sorted(decided(what, *args, **kwargs).started)


def many(count: int) -> list[Server]:
    return [server(f"s{n}") for n in range(count)]


# What is moved


def test_every_move_is_of_a_server_read_on_the_host_in_this_tick() -> None:
    """Not of one known from its migrations alone, and not of one that has been moved and
    confirmed.
    """
    past = [
        migration(FOUND + n, status, f"gone{n}")
        for n, status in enumerate(("confirmed", "completed", "error", "reverted"), 1)
    ]
    elsewhere = [server(f"gone{n}", host="cmp2") for n in range(1, 5)]
    found = actions(observed([server("s1")], past, elsewhere=elsewhere))
    assert found == (StartMove("s1", "cold", None),)


@pytest.mark.parametrize(
    ("status", "asked", "wanted"),
    [
        ("ACTIVE", spec("Live"), StartMove("s1", "live", None)),
        ("SHUTOFF", spec("Live"), StartMove("s1", "cold", None)),
        ("ACTIVE", spec("Cold", migration={"targetHost": "cmp9"}), StartMove("s1", "cold", "cmp9")),
        ("ACTIVE", spec("Live", migration={"targetHost": "cmp9"}), StartMove("s1", "live", "cmp9")),
        ("SHELVED", spec(), OffloadServer("s1")),
        ("SUSPENDED", spec(servers={"suspended": "Resume"}), ResumeServer("s1")),
    ],
)
def test_the_call_for_each_verdict(status: str, asked: Any, wanted: Any) -> None:
    assert actions(observed([server("s1", status)]), asked) == (wanted,)


@pytest.mark.parametrize("status", ["ACTIVE", "PAUSED"])
def test_live_never_restarts_a_running_guest(status: str) -> None:
    """Whatever failed or was refused before."""
    tries = [migration(FOUND + n, "failed", type="live-migration") for n in range(1, 9)]
    for refused in (
        {},
        {"s1": refusal("os-migrateLive", 400, 9, 99999)},
        {"s1": refusal("os-migrateLive", 409, 9, 99999)},
    ):
        for sight in (
            observed([server("s1", status)], tries, refusals=refused),
            observed([server("s1", status)], refusals=refused),
        ):
            assert not [
                a
                for a in actions(sight, spec("Live"))
                if isinstance(a, StartMove) and a.method == "cold"
            ]


# How many


@pytest.mark.parametrize(
    ("most", "waiting", "wanted"), [(4, 10, 4), (1, 10, 1), (100, 10, 10), (4, 2, 2)]
)
def test_no_more_moves_at_once_than_the_spec_allows(most: int, waiting: int, wanted: int) -> None:
    assert len(started(observed(many(waiting)), spec(migration={"maxParallel": most}))) == wanted


IN_FLIGHT: dict[str, tuple[list[Server], list[Migration], dict[str, Any]]] = {
    "migrating": (
        [server("x", "RESIZE", "resize_migrating")],
        [migration(status_="migrating", server_id="x")],
        {},
    ),
    "starting": ([server("x", "MIGRATING", "migrating")], [], {}),
    "no answer": ([server("x")], [], {"unanswered": {"x": ago(1)}}),
    "arriving": ([], [migration(status_="post-migrating", server_id="x")], {}),
    "confirmed now": ([], [migration(server_id="x")], {"elsewhere": [arrived_elsewhere("x")]}),
    "confirming": ([], [migration(status_="confirming", server_id="x")], {}),
    "reverting": ([], [migration(status_="reverting", server_id="x")], {}),
    "stuck": (
        [server("x", "RESIZE", "resize_prep")],
        [migration(status_="migrating", server_id="x", created=ago(99999))],
        {},
    ),
}


@pytest.mark.parametrize("state", IN_FLIGHT)
def test_what_is_in_flight_counts(state: str) -> None:
    servers, migrations, more = IN_FLIGHT[state]
    sight = observed([*many(5), *servers], migrations, **more)
    assert len(started(sight, spec(migration={"maxParallel": 3}))) == 2


def test_what_is_held_or_not_ours_does_not_count() -> None:
    held = observed(
        many(5),
        [migration(server_id="x")],
        elsewhere=[arrived_elsewhere("x")],
        running={"x": True},
    )
    assert (
        len(started(held, spec(confirmation={"policy": "Manual"}, migration={"maxParallel": 3})))
        == 3
    )
    foreign = observed(
        [*many(5), server("x", "RESIZE", "resize_prep")],
        [migration(status_="migrating", server_id="x", user_id=TENANT)],
    )
    assert len(started(foreign, spec(migration={"maxParallel": 3}))) == 3


@pytest.mark.parametrize(("room", "wanted"), [(None, 4), (2, 2), (0, 0), (9, 4)])
def test_the_brake_of_the_whole_operator_holds_too(room: int | None, wanted: int) -> None:
    assert len(started(observed(many(9)), slots=room)) == wanted


def test_more_in_flight_than_allowed_starts_nothing() -> None:
    """The limit was lowered meanwhile."""
    going = [server(f"x{n}", "RESIZE", "resize_prep") for n in range(3)]
    assert not started(observed([*many(5), *going]), spec(migration={"maxParallel": 2}))


# In which order


def test_the_largest_go_first_and_those_that_failed_last() -> None:
    sizes = {"s0": (64, 10), "s1": (512, 10), "s2": (512, 80), "s3": (4096, 1)}
    servers = [
        server(name, flavor=Flavor(ram=ram, disk=disk)) for name, (ram, disk) in sizes.items()
    ]
    failed = migration(status_="error", server_id="s3")
    sight = observed(servers, [failed], causes={failed.id: cause("disk full")})
    found = [a.server_id for a in actions(sight) if isinstance(a, StartMove)]
    assert found == ["s2", "s1", "s0", "s3"]


def anti(*members: str, policy: str = "anti-affinity") -> tuple[ServerGroup, ...]:
    return (ServerGroup("g1", "web", policy, frozenset(members)),)


def test_one_move_at_a_time_in_an_anti_affinity_group() -> None:
    assert len(started(observed(many(4), groups=anti("s0", "s1", "s2")))) == 2
    assert (
        len(started(observed(many(4), groups=anti("s0", "s1", "s2", "else", policy="affinity"))))
        == 4
    )


@pytest.mark.field_case("F18")
@pytest.mark.parametrize(("most", "wanted"), [(1, 1), (2, 2), (3, 3), (9, 4)])
def test_a_group_that_allows_several_on_one_host_may_have_as_many_in_flight(
    most: int, wanted: int
) -> None:
    """All of them may go to the same host."""
    group = ServerGroup("g1", "web", "anti-affinity", frozenset({"s0", "s1", "s2", "s3"}), most)
    assert len(started(observed(many(4), groups=(group,)))) == wanted


@pytest.mark.field_case("F18")
def test_a_held_member_holds_up_only_a_group_that_allows_no_other() -> None:
    manual = spec(confirmation={"policy": "Manual"})
    for most, wanted in ((1, []), (2, ["s0"])):
        group = ServerGroup("g1", "web", "anti-affinity", frozenset({"s0", "x"}), most)
        sight = observed(
            [server("s0")],
            [migration(server_id="x")],
            elsewhere=[arrived_elsewhere("x")],
            running={"x": True},
            groups=(group,),
        )
        assert started(sight, manual) == wanted
        assert bool(starved(manual, sight, decided(sight, manual).verdicts)) is not bool(wanted)


@pytest.mark.parametrize("state", IN_FLIGHT)
def test_a_group_with_a_move_in_flight_waits(state: str) -> None:
    servers, migrations, more = IN_FLIGHT[state]
    sight = observed([server("s0"), *servers], migrations, groups=anti("s0", "x"), **more)
    assert not started(sight)


def test_a_group_with_a_held_member_waits() -> None:
    sight = observed(
        [server("s0")],
        [migration(server_id="x")],
        elsewhere=[arrived_elsewhere("x")],
        groups=anti("s0", "x"),
    )
    assert not started(sight, spec(confirmation={"policy": "Manual"}))


def test_a_server_in_two_groups_respects_both() -> None:
    groups = (*anti("s0", "s1"), ServerGroup("g2", "db", "anti-affinity", frozenset({"s1", "s2"})))
    assert started(observed(many(3), groups=groups)) in (["s0", "s2"], ["s1"])


# When nothing is done


@pytest.mark.parametrize(
    "sight",
    [
        observed(many(3)),
        observed(many(3), service=service("enabled")),
        observed(migrations=[migration()], elsewhere=[arrived_elsewhere()], running={"s1": True}),
        observed(
            [server("s1", "MIGRATING", "migrating")],
            [migration(status_="running", type="live-migration", created=ago(99999))],
            first_seen={(FOUND + 1, "running"): ago(99999)},
        ),
        empty(service=service(state="down")),
    ],
    ids=["servers", "enabled", "to confirm", "to abort", "to delete"],
)
def test_suspended_means_no_write(sight: Observation) -> None:
    assert actions(sight)
    assert not actions(sight, spec(suspend=True))
    assert not actions(sight, spec(suspend=True), Record())


def test_plan_writes_nothing_before_a_drain_and_ends_what_is_in_flight_during_one() -> None:
    plan = spec(mode="Plan")
    sight = observed(
        many(3),
        [migration(server_id="x")],
        elsewhere=[arrived_elsewhere("x")],
        running={"x": True},
    )
    assert not actions(sight, plan, Record())
    assert actions(sight, plan) == (ConfirmMove("x", FOUND + 1),)
    assert not actions(empty(service=service(state="down")), plan)


def test_with_require_capacity_nothing_is_begun_without_a_plan_that_fits() -> None:
    asked = spec(migration={"requireCapacity": True})
    assert not actions(observed(many(3), service=service("enabled")), asked, Record())


# The delete of the service


REFUSED = {"delete the service": refusal("delete the service")}


def test_the_service_is_deleted_when_the_host_is_proven_empty_and_nova_compute_down() -> None:
    assert actions(empty(service=service(state="down"))) == (DeleteService("svc-1"),)


@pytest.mark.parametrize(
    ("sight", "asked"),
    [
        (empty(), spec()),  # still up
        (empty(service=service(state="unknown")), spec()),
        (empty(service=service(state="down")), spec(service={"afterDrain": "KeepDisabled"})),
        (empty(service=service(state="down"), clean_since=None), spec()),
        (empty(service=service(state="down"), clean_since=ago(9)), spec()),
        (empty(service=service(state="down"), proof=None), spec()),
        (empty(service=service(state="down"), proof=ProofReads(frozenset({"s1"}), True)), spec()),
        (empty(service=service("enabled", state="down")), spec()),
        (empty(service=service("UNKNOWN", state="down", id="")), spec()),
        (
            replace(empty(service=service(state="down")), servers=(server("s1", "SOFT_DELETED"),)),
            spec(),
        ),
        (
            replace(empty(service=service(state="down")), migrations=(migration(user_id=TENANT),)),
            spec(),
        ),
        (
            empty(
                service=service(state="down"),
                migrations=(migration(status_="queued", source="cmp3", dest=HOST),),
            ),
            spec(),
        ),
        (empty(service=service(state="down"), refusals=REFUSED), spec()),
        (
            empty(
                service=service(state="down"),
                migrations=(migration(status_="error"),),
                elsewhere=[server("s1", "ERROR", host="cmp2")],
            ),
            spec(),
        ),
    ],
)
def test_the_service_is_not_deleted_otherwise(sight: Observation, asked: Any) -> None:
    assert not [a for a in actions(sight, asked) if isinstance(a, DeleteService)]


def test_while_running_delete_does_not_wait_for_nova_compute() -> None:
    assert actions(empty(), spec(service={"whileRunning": "Delete"})) == (DeleteService("svc-1"),)


def test_a_refused_delete_is_tried_again_later() -> None:
    later = empty(
        service=service(state="down"),
        refusals={"delete the service": refusal("delete the service", seconds_ago=60)},
    )
    assert actions(later) == (DeleteService("svc-1"),)


def test_a_service_that_registers_again_is_disabled_again() -> None:
    assert actions(empty(service=service("enabled", id="svc-2"))) == (
        DisableService("svc-2", decided_reason()),
    )


def decided_reason() -> str:
    found = service().disabled_reason
    assert found
    return found


def test_what_a_delete_left_behind_is_named() -> None:
    left = empty(service=None, proof=ProofReads(frozenset({"m1"}), True))
    found = decided(left).leftovers
    assert len(found) == 2
    assert "m1" in found[0]
    assert "resource provider cmp1" in found[1]
    assert not decided(empty(service=None, proof=ProofReads(frozenset(), False))).leftovers


# Counting


def test_servers_that_left_are_counted_once_and_only_those_that_really_did() -> None:
    past = [
        migration(FOUND + 1, "confirmed", "a"),
        migration(FOUND + 2, "completed", "b", type="live-migration"),
        migration(FOUND + 3, "reverted", "c"),
        migration(FOUND + 4, "confirmed", "a"),
        migration(FOUND + 5, "confirmed", "d", type="resize", user_id=TENANT),
        migration(FOUND, "confirmed", "of-before"),
        migration(FOUND + 6, "confirmed", "to-here", source="cmp3", dest=HOST),
        migration(FOUND + 7, "confirmed", "back"),
    ]
    found = decided(observed([server("back"), server("c")], past))
    assert found.departed == 3


def test_a_server_that_comes_back_is_moved_again() -> None:
    left = migration(status_="confirmed", updated=ago(20))
    back = migration(FOUND + 2, "confirmed", source="cmp2", dest=HOST, user_id=TENANT)
    assert started(observed([server("s1")], [left, back])) == ["s1"]
    unshelved = server("s1", launched=ago(5))
    assert started(observed([unshelved], [left])) == ["s1"]


def test_ours_are_only_migrations_from_here_by_us_since_the_drain_began() -> None:
    for fields in (
        {"user_id": TENANT},
        {"type": "resize"},
        {"type": "evacuation"},
        {"source": "cmp3", "dest": HOST},
        {"id_": FOUND},
    ):
        assert not verdicts(observed(migrations=[migration(status_="migrating", **fields)]))[
            "s1"
        ].in_flight, fields
    assert verdicts(observed(migrations=[migration(status_="migrating", user_id=ME)]))[
        "s1"
    ].in_flight


def test_a_broken_ssh_path_of_a_server_that_is_gone_still_holds_the_others_back() -> None:
    gone = migration(status_="error", server_id="zz")
    sight = observed(many(3), [gone], causes={gone.id: cause(NO_SSH)})
    assert started(sight) == ["s0"]
    assert started(sight, record=begun(attempts_from=FOUND)) == ["s0"]


def test_moves_in_flight_take_slots_of_the_whole_operator() -> None:
    """As they take those of the drain."""
    moving = migration(FOUND + 1, "running", "s0")
    idle = [server(f"s{number}") for number in range(1, 4)]
    seen = observed([server("s0", "RESIZE", "resize_migrating"), *idle], [moving])
    assert len(decided(seen).started) == 3
    assert len(decided(seen, slots=2).started) == 1
    assert not decided(seen, slots=1).started
    assert not decided(seen, slots=0).started


@pytest.mark.promise("never-11")
@pytest.mark.parametrize("state", IN_FLIGHT)
def test_a_move_that_only_a_person_ends_takes_none(state: str) -> None:
    """For this drain as for all others, while it still counts for `maxParallel`."""
    servers, migrations, more = IN_FLIGHT[state]
    ends_by_itself = state != "stuck"
    seen = observed([*many(5), *servers], migrations, **more)
    assert [holds_slot(drain(), v) for v in verdicts(seen).values() if v.in_flight] == [
        ends_by_itself
    ]
    assert len(decided(seen, slots=2).started) == 2 - ends_by_itself
    assert not decided(seen, spec(migration={"maxParallel": 1}), slots=2).started


@pytest.mark.promise("never-11")
@pytest.mark.parametrize("state", IN_FLIGHT)
def test_of_a_suspended_drain_what_has_arrived_takes_none(state: str) -> None:
    """Nothing confirms it. What Nova works on counts, and one that is deleted works again."""
    servers, migrations, more = IN_FLIGHT[state]
    asked = spec(suspend=True)
    seen = verdicts(observed(servers, migrations, **more), asked)
    mine = next(v for v in seen.values() if v.in_flight)
    ends_by_itself = state != "stuck"
    assert holds_slot(drain(asked, deleting=True), mine) == ends_by_itself
    assert holds_slot(drain(asked), mine) == (ends_by_itself and state != "confirmed now")


@pytest.mark.promise("never-11")
@pytest.mark.parametrize(
    "confirmation",
    [
        {},
        {"checks": {"soak": "1h"}},
        {"decisions": [{"server": "x", "action": "Revert"}]},
    ],
)
def test_nor_while_it_soaks_or_is_to_be_reverted(confirmation: dict[str, Any]) -> None:
    asked = spec(suspend=True, confirmation=confirmation)
    arrived = observed([], [migration(server_id="x")], elsewhere=[arrived_elsewhere("x")])
    assert not holds_slot(drain(asked), verdicts(arrived, asked)["x"])
