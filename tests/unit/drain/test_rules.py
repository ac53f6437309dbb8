"""The verdict of every server on the host: what Nova's state, the method and the policies make of
it.
"""

from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.unit.drain.build import (
    FOUND,
    NO_HOST,
    NO_SSH,
    NOW,
    TENANT,
    ago,
    at,
    begun,
    cause,
    decided,
    flavor,
    migration,
    observed,
    refusal,
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
from quiesce.drain.model.history import Refusal
from quiesce.drain.model.migrations import STALE_AFTER
from quiesce.drain.model.observation import UNKNOWN_FOR, Observation, Paths
from quiesce.drain.model.verdict import Blocked, Confirm, Wait
from quiesce.openstack.records import RUNNING, SHUTDOWN, Migration, Server, ServerGroup

METHODS = ("Cold", "Live", "LiveThenCold")


@pytest.mark.parametrize(
    ("status", "task", "by_method"),
    [
        ("ACTIVE", None, ("cold", "live", "live")),
        ("SHUTOFF", None, ("cold", "cold", "cold")),
        ("PAUSED", None, ("blocked Paused", "live", "live")),
        ("SUSPENDED", None, ("blocked Suspended",) * 3),
        ("RESCUE", None, ("blocked Rescued",) * 3),
        ("ERROR", None, ("blocked ServerInError",) * 3),
        ("SHELVED", None, ("offload",) * 3),
        ("SHELVED_OFFLOADED", None, ("wait Offloading",) * 3),
        ("SOFT_DELETED", None, ("blocked SoftDeleted",) * 3),
        ("DELETED", None, ("wait Deleting",) * 3),
        ("BUILD", "spawning", ("wait Busy",) * 3),
        ("BUILD", None, ("wait Building",) * 3),
        ("REBUILD", "rebuilding", ("wait Busy",) * 3),
        ("PASSWORD", None, ("blocked UnknownStatus",) * 3),
        ("UNKNOWN", None, ("blocked UnknownStatus",) * 3),
        ("ACTIVE", "deleting", ("wait Deleting",) * 3),
        ("ACTIVE", "soft-deleting", ("wait Deleting",) * 3),
        ("ACTIVE", "powering-off", ("wait Busy",) * 3),
        ("REBOOT", "rebooting", ("wait Busy",) * 3),
        ("SHELVED", "shelving_offloading", ("wait Busy",) * 3),
        ("RESIZE", "resize_prep", ("wait Starting",) * 3),
        ("RESIZE", "resize_migrating", ("wait Starting",) * 3),
        ("MIGRATING", "migrating", ("wait Starting",) * 3),
        ("REVERT_RESIZE", "resize_reverting", ("wait Busy",) * 3),
        ("VERIFY_RESIZE", None, ("wait Settling",) * 3),
    ],
)
def test_states_without_a_migration(
    status: str, task: str | None, by_method: tuple[str, str, str]
) -> None:
    for method, wanted in zip(METHODS, by_method, strict=True):
        assert said(verdict(observed([server("s1", status, task)]), spec(method))) == wanted, method


@pytest.mark.parametrize(
    ("policies", "status", "wanted"),
    [
        ({"shelved": "Offload"}, "SHELVED", "offload"),
        ({"shelved": "Block"}, "SHELVED", "blocked Shelved"),
        ({"suspended": "Block"}, "SUSPENDED", "blocked Suspended"),
        ({"suspended": "Resume"}, "SUSPENDED", "resume"),
        ({"locked": "Move"}, "ACTIVE", "cold"),
        ({"locked": "Block"}, "ACTIVE", "blocked Locked"),
        ({"locked": "Block"}, "SHELVED", "blocked Locked"),
        ({"locked": "Block", "suspended": "Resume"}, "SUSPENDED", "blocked Locked"),
    ],
)
def test_policies(policies: dict[str, str], status: str, wanted: str) -> None:
    locked = "locked" in policies
    assert (
        said(verdict(observed([server("s1", status, locked=locked)]), spec(servers=policies)))
        == wanted
    )


@pytest.mark.parametrize(
    ("status", "task", "moving", "wanted"),
    [
        ("RESIZE", "resize_prep", "pre-migrating", "follow Migrating"),
        ("RESIZE", "resize_migrating", "migrating", "follow Migrating"),
        ("RESIZE", "resize_finish", "post-migrating", "follow Migrating"),
        ("REVERT_RESIZE", "resize_reverting", "reverting", "follow Reverting"),
    ],
)
def test_our_own_move_is_followed(status: str, task: str, moving: str, wanted: str) -> None:
    assert (
        said(verdict(observed([server("s1", status, task)], [migration(status_=moving)]))) == wanted
    )


FOREIGN: list[dict[str, Any]] = [
    {"user_id": TENANT},  # another admin's migration
    {"type": "resize", "user_id": TENANT},  # a tenant's resize
    {"type": "resize"},  # a resize, by whomever, is never ours
    {"id_": FOUND},  # from before this drain
    {"source": "cmp2", "dest": "cmp1"},  # to this host
    {"type": "evacuation"},
]


@pytest.mark.parametrize("kind", FOREIGN, ids=str)
def test_others_moves_under_way_are_waited_for(kind: dict[str, Any]) -> None:
    what = verdict(
        observed([server("s1", "RESIZE", "resize_prep")], [migration(status_="migrating", **kind)])
    )
    assert said(what) == "wait ForeignMigration"


@pytest.mark.parametrize("kind", FOREIGN, ids=str)
def test_others_resizes_left_unconfirmed_here_wait_for_their_owner(kind: dict[str, Any]) -> None:
    sight = observed(
        [server("s1", "VERIFY_RESIZE")], [migration(**{"source": "cmp2", "dest": "cmp1"} | kind)]
    )
    assert said(verdict(sight)) == "blocked ForeignResize"
    assert not decided(sight).actions
    if kind.get("type") or kind.get(
        "user_id"
    ):  # the operator's own cold migrations are those of another drain: see below
        asked = spec(confirmation={"foreign": "Confirm"})
        assert isinstance(verdict(replace(sight, running={"s1": True}), asked), Confirm)


@pytest.mark.promise("never-13")
@pytest.mark.parametrize(
    ("power", "known", "verdict_"),
    [
        (RUNNING, {"running": {"s1": True}}, "confirm"),
        (RUNNING, {"running": {"s1": False}}, "blocked CheckFailed"),
        (RUNNING, {}, "wait ForeignMigration"),
        (RUNNING, {"first_seen": {(FOUND + 1, "finished"): ago(20)}}, "confirm"),
        (SHUTDOWN, {}, "blocked CheckFailed"),
        (SHUTDOWN, {"stopped_by_user": frozenset({"s1"})}, "confirm"),
    ],
)
def test_others_guests_are_confirmed_where_they_run_or_were_stopped(
    power: int, known: dict[str, Any], verdict_: str
) -> None:
    """How they were before nobody knows; Nova writes down as stopped what has died."""
    theirs = migration(type="resize", user_id=TENANT, source="cmp2", dest="cmp1")
    sight = observed([server("s1", "VERIFY_RESIZE", power_state=power)], [theirs], **known)
    assert said(verdict(sight, spec(confirmation={"foreign": "Confirm"}))) == verdict_


def test_a_foreign_resize_is_not_confirmed_again_and_again_where_nova_refuses() -> None:
    sight = observed(
        [server("s1", "VERIFY_RESIZE")],
        [migration(type="resize", user_id=TENANT, source="cmp2", dest="cmp1")],
        refusals={"s1": refusal("confirmResize", count=2, seconds_ago=1)},
    )
    assert not decided(sight, spec(confirmation={"foreign": "Confirm"})).actions


def test_a_move_of_another_drain_to_this_host_is_left_to_that_drain() -> None:
    """The same user began it; that drain may still be checking it, or hold it for a decision."""
    arrived = observed([server("s1", "VERIFY_RESIZE")], [migration(source="cmp2", dest="cmp1")])
    asked = spec(confirmation={"foreign": "Confirm"})
    assert said(verdict(arrived, asked)) == "blocked ForeignResize"
    assert not decided(arrived, asked).actions
    tenants = replace(
        arrived,
        running={"s1": True},
        migrations=(migration(source="cmp2", dest="cmp1", type="resize", user_id=TENANT),),
    )
    assert isinstance(verdict(tenants, asked), Confirm)


def test_a_foreign_resize_is_not_confirmed_while_its_source_is_down() -> None:
    sight = observed(
        [server("s1", "VERIFY_RESIZE")],
        [migration(type="resize", user_id=TENANT, source="cmp9", dest="cmp1")],
    )
    assert said(verdict(sight, spec(confirmation={"foreign": "Confirm"}))) == "wait SourceDown"


@pytest.mark.parametrize(
    ("how", "until", "wanted"),
    [
        ("Abort", "running", "abort"),
        ("ForceComplete", "running", "forcecomplete"),
        ("Wait", "running", "blocked Stuck"),
        ("Abort", "post-migrating", "blocked Stuck"),
    ],
)
def test_a_live_migration_over_its_time(how: str, until: str, wanted: str) -> None:
    late = migration(status_=until, type="live-migration", created=ago(9999))
    asked = spec("Live", migration={"onLiveTimeout": how})
    sight = observed(
        [server("s1", "MIGRATING", "migrating")],
        [late],
        first_seen={(late.id, until): ago(3601)},
    )
    assert said(verdict(sight, asked)) == wanted
    assert (
        said(verdict(replace(sight, progressing=frozenset({late.id})), asked)) == "follow Migrating"
    )


@pytest.mark.field_case("F2")
@pytest.mark.parametrize("how", ["Abort", "ForceComplete", "Wait"])
@pytest.mark.parametrize("waits", ["accepted", "queued", "preparing"])
def test_a_live_migration_that_waits_for_its_turn_is_never_late(how: str, waits: str) -> None:
    late = migration(status_=waits, type="live-migration", created=ago(99999))
    runs = migration(FOUND + 2, "running", "s2", type="live-migration")
    before = migration(FOUND + 3, "completed", "s3", type="live-migration", updated=ago(9))
    for other in (runs, before):
        sight = observed(
            [server("s1", "MIGRATING", "migrating")],
            [late, other],
            first_seen={(late.id, waits): ago(99999)},
        )
        found = verdict(sight, spec("Live", migration={"onLiveTimeout": how}))
        assert said(found) == "follow Migrating"


@pytest.mark.parametrize(
    ("snapshot", "wanted"),
    [(True, "offload"), (False, "blocked Shelved"), (None, "wait ServerNotRead")],
)
def test_a_shelved_server_is_offloaded_only_where_its_image_exists(
    snapshot: bool | None, wanted: str
) -> None:
    """Nova deletes the disk on the host and does not look."""
    sight = observed([server("s1", "SHELVED", snapshot=snapshot)])
    assert said(verdict(sight)) == wanted
    kept = spec(servers={"shelved": "Block"})
    assert said(verdict(sight, kept)) == "blocked Shelved"


@pytest.mark.parametrize(
    ("waits", "aborts"), [("accepted", False), ("queued", True), ("preparing", True)]
)
def test_one_that_waits_for_nothing_is_stuck(waits: str, aborts: bool) -> None:
    """nova-conductor was killed before it asked nova-compute, say: nothing works on it."""
    late = migration(status_=waits, type="live-migration", created=ago(99999))
    moving = [server("s1", "MIGRATING", "migrating")]
    seen = {(late.id, waits): ago(99999)}
    found = verdict(observed(moving, [late], first_seen=seen), spec("Live"))
    assert isinstance(found, Blocked)
    assert (found.reason, found.ours) == ("Stuck", True)
    assert any("migration abort" in remedy for remedy in found.remedies) is aborts


@pytest.mark.parametrize("created", [ago(99999), ago(-99999)])
def test_how_long_a_move_takes_is_told_by_our_own_clock(created: datetime) -> None:
    """Nova's may be hours off."""
    task, m = "resize_migrating", migration(status_="migrating", created=created)
    sight = observed([server("s1", "RESIZE", task)], [m])
    for seconds, wanted in ((60, "follow Migrating"), (3700, "blocked Stuck")):
        record = begun(tries={"s1": tried(seconds_ago=seconds)})
        assert said(verdict(sight, spec(), record)) == wanted


@pytest.mark.parametrize("jump", [86400.0, -86400.0])
@pytest.mark.parametrize(("seconds", "wanted"), [(60, "follow Migrating"), (3700, "blocked Stuck")])
def test_how_long_a_move_takes_is_true_where_the_clock_was_set(
    jump: float, seconds: float, wanted: str
) -> None:
    """The status tells when its try began as the machine's clock was then."""
    began = tried(seconds_ago=seconds)
    sight = observed(
        [server("s1", "RESIZE", "resize_migrating")],
        [migration(status_="migrating")],
        tries={("s1", began.began): ago(seconds)},
        set_by=timedelta(seconds=jump),
    )
    assert said(verdict(sight, spec(), begun(tries={"s1": began}))) == wanted


@pytest.mark.parametrize("asked_again", [False, True])
def test_a_move_of_the_future_is_late_after_its_time_all_the_same(*, asked_again: bool) -> None:
    """Its try began by a clock that was set back before this process started, or Nova's."""
    task, m = "resize_migrating", migration(status_="migrating", created=ago(-99999))
    began = tried(seconds_ago=-99999)
    record = begun(tries={"s1": began}, attempts_from=FOUND + asked_again)
    sight = observed([server("s1", "RESIZE", task)], [m])
    assert sight.began("s1", began.began) == NOW
    assert said(verdict(sight, spec(), record)) == "follow Migrating"
    later = replace(
        at(sight, 3601), tries={("s1", began.began): NOW}, first_seen={(m.id, m.status): NOW}
    )
    assert said(verdict(later, spec(), record)) == "blocked Stuck"


@pytest.mark.parametrize("jump", [0.0, 99999.0, -99999.0])
@pytest.mark.parametrize(("seconds", "wanted"), [(60, "wait Starting"), (3700, "blocked Stuck")])
def test_how_long_a_move_is_starting_is_told_by_no_clock_that_is_set(
    jump: float, seconds: float, wanted: str
) -> None:
    task, record = "resize_prep", begun(tries={"s1": tried(seconds_ago=seconds + jump)})
    sight = observed(
        [server("s1", task=task)],
        busy_since={("s1", task): ago(seconds)},
        set_by=timedelta(seconds=jump),
    )
    assert said(verdict(sight, spec(), record)) == wanted


@pytest.mark.parametrize("jump", [86400.0, -86400.0])
def test_one_that_waits_for_nothing_is_stuck_where_the_clock_was_set(jump: float) -> None:
    """Nova's clock goes by the time of day, as the machine's does, or did."""
    late = migration(status_="queued", type="live-migration", created=ago(99999))
    ended = migration(FOUND + 2, "completed", "s2", type="live-migration", updated=ago(60 - jump))
    sight = observed(
        [server("s1", "MIGRATING", "migrating")],
        [late, ended],
        first_seen={(late.id, "queued"): ago(99999)},
    )
    set_too = replace(sight, set_by=timedelta(seconds=jump))
    assert said(verdict(sight, spec("Live"))) == "blocked Stuck"
    assert said(verdict(set_too, spec("Live"))) == "follow Migrating"


def test_a_guest_that_runs_though_nova_has_it_stopped_is_not_moved_as_a_stopped_one() -> None:
    """Under any method it would be off where it arrives."""
    for method in ("Cold", "Live", "LiveThenCold"):
        found = verdict(observed([server("s1", "SHUTOFF", power_state=RUNNING)]), spec(method))
        assert said(found) == "blocked UnknownStatus"


def test_a_snapshot_that_takes_long_asks_for_no_reboot() -> None:
    task = "image_uploading"
    sight = observed([server(task=task)], busy_since={("s1", task): ago(99999)})
    found = verdict(sight)
    assert isinstance(found, Blocked)
    assert found.reason == "Stuck"
    assert not any("--hard" in remedy for remedy in found.remedies)


@pytest.mark.parametrize("kind", ["migration", "live-migration"])
@pytest.mark.parametrize("created", [ago(1), ago(3601)])
def test_a_move_under_way_while_nova_compute_is_down_is_reported(
    kind: str, created: datetime
) -> None:
    """It goes on when nova-compute comes back, so it is not over, and nothing is aborted: the call
    would wait in a queue.
    """
    task = "migrating" if kind == "live-migration" else "resize_migrating"
    moving = migration(status_="running", type=kind, created=created)
    sight = observed([server("s1", "MIGRATING", task)], [moving], service=service(state="down"))
    found = verdicts(sight, spec("Live"))["s1"]
    assert said(found.verdict) == "blocked SourceDown"
    assert found.in_flight
    assert not decided(sight, spec("Live")).actions


@pytest.mark.parametrize(("how", "verb"), [("Abort", "abort"), ("ForceComplete", "forcecomplete")])
def test_a_live_migration_is_not_told_to_end_at_every_look(how: str, verb: str) -> None:
    """Nova shows nothing of it until it has ended, and a second call is one more action in the
    server's log.
    """
    late = migration(status_="running", type="live-migration", created=ago(3601))
    asked = spec("Live", migration={"onLiveTimeout": how})
    sight = observed(
        [server("s1", "MIGRATING", "migrating")],
        [late],
        told_to_end={late.id: ago(1)},
        first_seen={(late.id, "running"): ago(3601)},
    )
    assert said(verdict(sight, asked)) == "follow Ending"
    assert said(verdict(replace(sight, told_to_end={late.id: ago(61)}), asked)) == verb

    call = {"Abort": "abort", "ForceComplete": "force_complete"}[how]
    lacks = Refusal(call, 403, "Policy doesn't allow servers:migrations:x", 1, ago(1))
    refused = sight.history.refuse("s1", lacks.call, lacks.status, lacks.text, NOW)
    busy = refused.observe(sight.servers, [late], NOW)
    assert not busy.observe([server("s1")], [], NOW).refusals
    found = verdict(replace(sight, refusals=busy.refusals), asked)
    assert isinstance(found, Blocked)
    assert found.message.endswith(f"and Nova refuses {call}: {lacks.text}")
    assert found.remedies[0].startswith("Give the operator's user the role")


@pytest.mark.field_case("D6")
def test_a_late_cold_migration_is_reported_and_still_counts_as_a_move_in_flight() -> None:
    found = verdicts(
        observed(
            [server("s1", "RESIZE", "resize_migrating")],
            [migration(status_="migrating", created=ago(3601))],
        )
    )
    assert said(found["s1"].verdict) == "blocked Stuck"
    assert found["s1"].in_flight
    assert "Nova cannot abort a cold migration" in told(found["s1"].verdict)


@pytest.mark.field_case("D5")
def test_a_failed_copy_names_the_destination_and_where_its_message_is() -> None:
    """All that Nova shows is the name of an exception."""
    copy = migration(status_="error")
    sight = observed(
        [server("s1", "ERROR")], [copy], causes={copy.id: cause("ProcessExecutionError")}
    )
    found = verdict(sight)
    assert said(found) == "blocked SourceFailed"
    assert "the copy to cmp2 failed" in told(found)
    assert "nova-compute's log on cmp1" in told(found)


def test_a_server_taken_in_hand_for_a_move_that_never_gets_a_record_is_reported() -> None:
    sight = observed([server("s1", "RESIZE", "resize_prep")])
    long = begun(tries={"s1": tried(seconds_ago=7200)})
    busy = replace(sight, busy_since={("s1", "resize_prep"): ago(7200)})
    assert said(verdict(busy, record=long)) == "blocked Stuck"
    assert said(verdict(sight, record=long)) == "wait Starting"  # as this process sees it first
    another = replace(sight, busy_since={("s1", "resize_prep"): ago(1)})
    assert said(verdict(another, record=long)) == "wait Starting"  # begun since, by whomever


@pytest.mark.parametrize("task", ["resize_migrating", "resize_prep", "migrating"])
def test_a_server_in_error_is_that_whatever_task_it_was_left_with(task: str) -> None:
    found = verdicts(observed([server("s1", "ERROR", task)], [migration(status_="error")]))["s1"]
    assert said(found.verdict) == "blocked SourceFailed"
    assert not found.in_flight
    assert said(verdict(observed([server("s1", "ERROR", "rebooting_hard")]))) == "wait Busy"


def test_a_refusal_that_nobody_would_understand_is_explained() -> None:
    """Nova says that the service is unavailable, and it is up: a deleted service of the same host
    is meant.
    """
    said_so = replace(refusal("migrate", count=2), text="Service is unavailable at this time.")
    found = verdict(observed([server()], refusals={"s1": said_so}))
    assert said(found) == "blocked Refused"
    assert "archive_deleted_rows" in told(found)
    found = verdict(observed([server()], refusals={"s1": refusal("migrate", count=2)}))
    assert told(found) == "Nova refuses migrate: Nova's words"


@pytest.mark.parametrize(
    ("status", "task", "waits", "words"),
    [
        ("ACTIVE", "powering-off", "wait Busy", "openstack server reboot --hard s1"),
        (
            "REVERT_RESIZE",
            "resize_reverting",
            "wait Busy",
            "openstack server reboot --hard s1",
        ),
        ("ACTIVE", "deleting", "wait Deleting", "openstack server delete s1"),
    ],
)
def test_a_task_that_does_not_end_is_named(status: str, task: str, waits: str, words: str) -> None:
    sight = observed([server("s1", status, task)])
    hour = timedelta(hours=1)
    assert (
        said(verdict(replace(sight, busy_since={("s1", task): NOW - hour + timedelta(seconds=1)})))
        == waits
    )
    found = verdict(replace(sight, busy_since={("s1", task): NOW - hour}))
    assert said(found) == "blocked Stuck"
    assert words in told(found)
    assert said(verdict(replace(sight, service=service(state="down")))) == "blocked SourceDown"


def test_somebodys_move_that_does_not_end_is_named() -> None:
    theirs = migration(status_="migrating", user_id="someone")
    sight = observed([server("s1", "RESIZE", "resize_migrating")], [theirs])
    assert said(verdict(sight)) == "wait ForeignMigration"
    assert (
        said(verdict(replace(sight, busy_since={("s1", "resize_migrating"): ago(7200)})))
        == "blocked Stuck"
    )
    assert said(verdict(replace(sight, service=service(state="down")))) == "blocked SourceDown"


def test_our_offload_that_does_not_end_still_counts_as_in_flight() -> None:
    sight = observed(
        [server("s1", "SHELVED", "shelving_offloading")],
        busy_since={("s1", "shelving_offloading"): ago(7200)},
    )
    ours = begun(tries={"s1": tried("SHELVED", "offload")})
    found = verdicts(sight, record=ours)["s1"]
    assert said(found.verdict) == "blocked Stuck"
    assert found.in_flight


def test_a_call_without_an_answer_is_not_repeated_before_a_good_look() -> None:
    sight = observed([server()], unanswered={"s1": ago(1)})
    found = verdicts(sight)["s1"]
    assert said(found.verdict) == "wait AnswerUnknown"
    assert found.in_flight
    assert (
        said(verdict(replace(sight, unanswered={"s1": NOW - UNKNOWN_FOR - timedelta(seconds=1)})))
        == "cold"
    )


def test_an_open_record_of_an_idle_server_is_waited_for_and_then_taken_as_left_over() -> None:
    sight = observed([server()], [migration(status_="migrating")], idle_since={"s1": ago(5)})
    assert said(verdict(sight)) == "wait Settling"
    assert said(verdict(replace(sight, idle_since={"s1": NOW - STALE_AFTER}))) == "cold"


def test_our_offload_and_resume_count_as_moves_in_flight() -> None:
    for task, method in (("shelving_offloading", "offload"), ("resuming", "resume")):
        busy = server("s1", "SHELVED", task)
        ours = begun(tries={"s1": tried("SHELVED", method)})
        assert verdicts(observed([busy]), record=ours)["s1"].in_flight
        assert not verdicts(observed([busy]))["s1"].in_flight


@pytest.mark.parametrize("where", ["flavor", "image"])
def test_encrypted_memory_cannot_live_migrate(where: str) -> None:
    encrypted = (
        server(flavor=flavor(hw__mem_encryption="true"))
        if where == "flavor"
        else server(image_properties={"hw_mem_encryption": "true"})
    )
    assert said(verdict(observed([encrypted]), spec("Live"))) == "blocked CannotLiveMigrate"


def test_a_tpm_whose_secret_belongs_to_the_deployment_can_live_migrate() -> None:
    ready = server(flavor=flavor(hw__tpm_version="2.0", hw__tpm_secret_security="host"))
    assert said(verdict(observed([ready]), spec("Live"))) == "live"


def group(policy: str, *members: str) -> ServerGroup:
    return ServerGroup("g1", "web", policy, frozenset(members))


def test_an_affinity_group_wholly_on_this_host_is_reported() -> None:
    both = [server("s1"), server("s2")]
    assert (
        said(verdict(observed(both, groups=(group("affinity", "s1", "s2"),))))
        == "blocked AffinityGroup"
    )
    assert (
        said(verdict(observed(both, groups=(group("affinity", "s1", "s2", "elsewhere"),))))
        == "cold"
    )
    assert (
        said(verdict(observed(both, groups=(group("affinity", "s1"),)))) == "blocked AffinityGroup"
    )  # its own host is the only one


# Failed tries


def failed(
    count: int, text: str, *, type_: str = "migration", seconds_ago: float = 1000, **fields: Any
) -> Observation:
    """`count` failed tries of s1, the last one seen to fail so long ago."""
    tries = [migration(FOUND + n, "error", type=type_, dest=None) for n in range(1, count + 1)]
    return observed(
        [server(**fields)], tries, causes={m.id: cause(text, seconds_ago) for m in tries}
    )


@pytest.mark.parametrize(
    ("text", "fields", "groups", "reason"),
    [
        (NO_HOST, {}, (), "NoCapacity"),
        (NO_HOST, {"zone_pinned": "az1"}, (), "NoValidHostByZone"),
        (NO_HOST, {}, (group("anti-affinity", "s1", "s2"),), "NoValidHostByGroup"),
        ("disk full", {}, (), "MigrationFailed"),
    ],
)
def test_when_all_tries_are_spent_the_cause_is_named(
    text: str, fields: dict[str, Any], groups: tuple[ServerGroup, ...], reason: str
) -> None:
    sight = replace(failed(3, text, seconds_ago=100, **fields), groups=groups)
    found = verdict(sight)
    assert said(found) == f"blocked {reason}"
    assert isinstance(found, Blocked)
    assert text.rstrip(".") in found.message
    assert "tried 3 times" in found.message
    once = verdict(failed(1, text, seconds_ago=100, **fields), spec(migration={"attempts": 1}))
    assert isinstance(once, Blocked)
    assert "tried 1 time" in once.message
    assert "1 times" not in once.message
    assert said(verdict(failed(2, text, **fields))) == "cold"


def test_as_long_as_nova_has_not_said_why_nobody_is_called() -> None:
    """It may be that only the scheduler said no: then it goes on by itself."""
    unsaid = failed(3, "Nova gives no cause", seconds_ago=1)
    sight = replace(
        unsaid, causes={id_: replace(e, final=False) for id_, e in unsaid.history.causes.items()}
    )
    assert said(verdict(unsaid)) == "blocked MigrationFailed"
    assert said(verdict(sight)) == "wait Settling"


def test_what_a_live_try_left_on_the_destination_is_named_with_its_path() -> None:
    """DestinationDiskExists: Nova could not remove it, and every further try fails on it."""
    text = "The supplied disk path ({}) already exists, it is expected not to exist"
    for path, is_named in (("/srv/nova/s1", True), ("/srv/nova", False)):
        found = verdict(failed(3, text.format(path), type_="live-migration"), spec("Live"))
        assert isinstance(found, Blocked)
        assert any(remedy.endswith(f"rm -r {path}") for remedy in found.remedies) == is_named


def test_a_port_that_nova_cannot_see_as_the_operators_user_is_a_matter_of_neutrons_policy() -> None:
    for text, is_named in (
        ("Port id 94b1 could not be found.", True),
        ("Failed to access port 94b1: The resource could not be found. Neutron server", True),
        ("Failed to access port 94b1: Connection timed out", False),
        ("Port 94b1 failed", False),
    ):
        found = verdict(failed(3, text), spec("Cold"))
        assert isinstance(found, Blocked)
        assert any("context_with_global_access" in each for each in found.remedies) == is_named


def test_a_failed_live_migration_is_named_so_and_live_then_cold_falls_back() -> None:
    sight = failed(3, "copy failed", type_="live-migration")
    found = verdict(sight, spec("Live"))
    assert said(found) == "blocked LiveMigrationFailed"
    assert isinstance(found, Blocked)
    assert "Check nova-compute's log on both hosts" in found.remedies
    assert "Use migration.method: LiveThenCold, which restarts the guest" in found.remedies
    assert said(verdict(sight, spec("LiveThenCold"))) == "cold"
    paused = replace(sight, servers=(server("s1", "PAUSED"),))
    assert said(verdict(paused, spec("LiveThenCold"))) == "blocked LiveMigrationFailed"


def test_a_live_migration_refused_as_impossible_is_not_tried_again_where_cold_is_allowed() -> None:
    sight = observed([server()], refusals={"s1": refusal("os-migrateLive", 400)})
    assert said(verdict(sight, spec("LiveThenCold"))) == "cold"
    assert said(verdict(sight, spec("Live"))) == "blocked Refused"


def test_tries_are_spaced_out() -> None:
    found = verdict(failed(1, "disk full", seconds_ago=1))
    assert said(found) == "wait BackingOff"
    assert isinstance(found, Wait)
    assert found.until is not None
    assert ago(1) + timedelta(seconds=4) <= found.until <= ago(1) + timedelta(seconds=6)
    assert said(verdict(failed(1, "disk full", seconds_ago=10))) == "cold"


def test_no_capacity_is_tried_again_slowly_without_being_asked() -> None:
    assert said(verdict(failed(3, NO_HOST, seconds_ago=599))) == "blocked NoCapacity"
    assert said(verdict(failed(3, NO_HOST, seconds_ago=601))) == "cold"
    assert said(verdict(failed(3, "disk full", seconds_ago=100_000))) == "blocked MigrationFailed"


def test_attempts_count_from_the_last_request_on() -> None:
    sight = failed(3, "disk full")
    again = begun().acknowledge("again", newest_migration=FOUND + 3)
    assert said(verdict(sight, record=again)) == "cold"


def test_failures_from_before_the_drain_do_not_count() -> None:
    old = [migration(FOUND - n, "error") for n in range(3)]
    assert said(verdict(observed([server()], old))) == "cold"


def test_before_the_drain_begins_no_migration_is_its_own() -> None:
    """A plan is not spoilt by what an earlier drain of this host met."""
    old = [migration(n, "error") for n in (1, 2, 3)]
    nothing = Record()
    assert said(verdict(observed([server()], old), record=nothing)) == "cold"
    asked = spec(confirmation={"policy": "Automatic"})
    left = observed(
        migrations=[migration(7, "finished")],
        elsewhere=[server("s1", "VERIFY_RESIZE", host="cmp2")],
    )
    assert said(verdict(left, asked, nothing)) == "blocked ForeignResize"


def test_a_server_that_people_roll_back_is_left_after_its_tries() -> None:
    back = [migration(FOUND + n, "reverted") for n in (1, 2, 3)]
    assert said(verdict(observed([server()], back))) == "blocked Reverted"


def test_a_server_reverted_by_decision_is_not_moved_again() -> None:
    asked = spec(
        confirmation={"policy": "Manual", "decisions": [{"server": "s1", "action": "Revert"}]}
    )
    back = observed(
        [server()], [migration(status_="reverted")], causes={FOUND + 1: cause("", 1000)}
    )
    assert said(verdict(back, asked)) == "blocked Reverted"
    assert said(verdict(back, spec(confirmation={"policy": "Manual"}))) == "cold"
    assert said(verdict(back, asked, begun().acknowledge("again", FOUND + 1))) == "blocked Reverted"


@pytest.mark.parametrize(
    ("word", "first", "then"),
    [
        (refusal("migrate"), "wait Refused", "cold"),
        (refusal("migrate", count=2), "blocked Refused", "cold"),
        (refusal("migrate", 400), "blocked Refused", "cold"),
    ],
)
def test_a_refused_move_is_tried_again_ever_more_slowly(word: Any, first: str, then: str) -> None:
    sight = observed([server()], refusals={"s1": word})
    assert said(verdict(sight)) == first
    assert said(verdict(replace(sight, refusals={"s1": replace(word, at=ago(3600))}))) == then


@pytest.mark.parametrize(
    ("call", "status", "does"),
    [("shelveOffload", "SHELVED", "offload"), ("resume", "SUSPENDED", "resume")],
)
def test_a_refused_offload_or_resume_is_tried_again_later(
    call: str, status: str, does: str
) -> None:
    asked = spec(servers={"suspended": "Resume"})
    sight = observed([server("s1", status)], refusals={"s1": refusal(call)})
    assert said(verdict(sight, asked)) == "wait Refused"
    assert said(verdict(replace(sight, refusals={}), asked)) == does


# ERROR after our own move


def test_a_server_whose_copy_failed_is_urgent_and_says_what_to_do() -> None:
    sight = observed([server("s1", "ERROR", fault="disk full")], [migration(status_="error")])
    found = verdict(sight)
    assert isinstance(found, Blocked)
    assert (found.reason, found.urgent) == ("SourceFailed", True)
    assert "may be OFF" in found.message
    assert "disk full" in found.message


@pytest.mark.promise("always-5")
@pytest.mark.field_case("D13")
def test_a_server_whose_shutdown_failed_runs_and_is_not_to_be_rebooted() -> None:
    broken = server("s1", "ERROR", fault="no libvirt")
    found = verdict(observed([broken], [migration(status_="error")], running={"s1": True}))
    assert isinstance(found, Blocked)
    assert (found.reason, found.urgent) == ("SourceFailed", False)
    assert "its guest runs here: no libvirt" in found.message
    assert found.remedies == ("Without a reboot: openstack server set --state active s1",)


def test_before_a_reboot_its_hypervisor_is_to_answer() -> None:
    broken, failed = server("s1", "ERROR"), migration(status_="error")
    silent = observed([broken], [failed], silent=frozenset({"s1"}))
    found = verdict(silent)
    assert isinstance(found, Blocked)
    assert "check libvirtd and nova-compute on cmp1" in found.remedies[0]
    assert "server reboot --hard" in found.remedies[-1]


@pytest.mark.parametrize("kind", [{"user_id": TENANT}, {"type": "resize"}, {"status_": "reverted"}])
def test_other_errors_are_not_blamed_on_our_move(kind: dict[str, Any]) -> None:
    found = verdict(observed([server("s1", "ERROR")], [migration(**{"status_": "error"} | kind)]))
    assert said(found) == "blocked ServerInError"


# The SSH path


def broken(
    *servers: Server, last: str = "s1", seconds_ago: float = 1000, more: tuple[Migration, ...] = ()
) -> Observation:
    failed_ = migration(FOUND + 1, "error", last, dest="cmp2")
    return observed(
        servers or [server("s1"), server("s2")],
        [failed_, *more],
        causes={FOUND + 1: cause(NO_SSH, seconds_ago)},
    )


def test_a_broken_ssh_path_stops_every_cold_move_but_one() -> None:
    found = verdicts(broken())
    assert {name: said(j.verdict) for name, j in found.items()} == {
        "s1": "cold",
        "s2": "blocked SSHPathBroken",
    }
    assert len(decided(broken()).actions) == 1


def test_while_the_one_backs_off_all_wait_and_know_why() -> None:
    found = verdicts(broken(seconds_ago=1))
    assert {said(j.verdict) for j in found.values()} == {"blocked SSHPathBroken"}


def test_live_moves_go_on_over_a_broken_ssh_path() -> None:
    found = verdicts(broken(server("s1"), server("s2"), server("s3", "SHUTOFF")), spec("Live"))
    assert {name: said(j.verdict) for name, j in found.items()} == {
        "s1": "live",
        "s2": "live",
        "s3": "blocked SSHPathBroken",
    }


def test_a_success_mends_the_path() -> None:
    mended = broken(more=(migration(FOUND + 2, "confirmed", "s0"),))
    assert said(verdict(mended, of="s2")) == "cold"


def test_a_broken_path_costs_no_server_its_attempts() -> None:
    tries = tuple(migration(FOUND + n, "error") for n in range(1, 9))
    sight = observed([server()], tries, causes={m.id: cause(NO_SSH) for m in tries})
    assert said(verdict(sight)) == "cold"


@pytest.mark.field_case("F20")
def test_an_address_that_the_keyring_does_not_check_is_the_first_remedy() -> None:
    """Nova copies to [libvirt]migration_inbound_addr, which its API does not show."""
    address, note = "198.51.100.2", "set hosts.migrationAddresses"
    text = f"not able to execute ssh command: Command: ssh -o BatchMode=yes {address} mkdir -p /x"
    sight = replace(
        broken(seconds_ago=1),
        paths=Paths(True, "proven", {address: note}),
        causes={FOUND + 1: cause(text, 1)},
    )
    found = verdict(sight)
    assert isinstance(found, Blocked)
    assert found.remedies[0] == note


def test_where_the_one_is_gone_another_tries() -> None:
    found = verdicts(broken(server("s2"), server("s3"), last="gone"))
    assert {name: said(j.verdict) for name, j in found.items()} == {
        "s2": "cold",
        "s3": "blocked SSHPathBroken",
    }


# nova-compute of the host is down


@pytest.mark.parametrize("status", ["ACTIVE", "SHUTOFF", "SHELVED"])
@pytest.mark.parametrize("method", METHODS)
def test_nothing_is_started_on_a_host_whose_nova_compute_is_down(status: str, method: str) -> None:
    """A cold migration would be refused, a live one would fail and cost an attempt, an offload
    would hang (nova-observed 3e).
    """
    sight = observed([server("s1", status)], service=service(state="down"))
    assert said(verdict(sight, spec(method))) == "blocked SourceDown"
    assert not decided(sight, spec(method)).actions
