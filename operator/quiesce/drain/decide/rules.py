"""PURE. A verdict for every server on the host, from an ordered table of small named filters.

The order of FILTERS is the documentation of the states: the first filter that has an
opinion wins. Nova's own rules (which state allows which action) are those of
nova/compute/api.py check_instance_state at 34.0.0, seen live as well.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from quiesce.api import durations
from quiesce.api.drain.record import Record
from quiesce.api.drain.spec import (
    DecisionAction,
    DrainSpec,
    ForeignPolicy,
    LockedPolicy,
    Method,
    ShelvedPolicy,
    SuspendedPolicy,
)
from quiesce.drain.decide import failures
from quiesce.drain.decide.obstacles import live_obstacle
from quiesce.drain.model.observation import Observation, Refusal
from quiesce.drain.model.verdict import (
    Blocked,
    Confirm,
    Follow,
    How,
    Move,
    Offload,
    Resume,
    Verdict,
    Wait,
)
from quiesce.openstack.records import (
    FAILED,
    NOSTATE,
    RUNNING,
    SHUTDOWN,
    Migration,
    Server,
    ServerGroup,
    moment,
)

# A server whose open migration record does not move while the server itself stands idle:
# the record is left over (a nova-compute was restarted), the server can be moved again.
STALE_AFTER = timedelta(seconds=60)
# A POST without an answer may still be at work in the API: look before doing it again.
UNKNOWN_FOR = timedelta(seconds=15)


@dataclass(frozen=True, slots=True)
class BrokenPath:
    """Cold migration from this host fails on SSH; `canary` is the one server that tries whether it is mended."""

    text: str
    canary: str


@dataclass(frozen=True, slots=True)
class PresentServer:
    """One server on the host with all that matters for its verdict."""

    server: Server
    spec: DrainSpec
    memory: Record
    seen: Observation
    own: tuple[
        Migration, ...
    ]  # our migrations of it from this host since the drain began, newest first
    open: (
        Migration | None
    )  # the newest migration of it, anybody's, that touches the host and is not terminal
    path: BrokenPath | None = None

    def failed(self, how: How | None = None) -> tuple[Migration, ...]:
        """Our failed tries since attempts are counted, newest first."""
        return tuple(
            m
            for m in self.own
            if m.status in FAILED
            and m.id > self.memory.attempts_from
            and how in (None, "live" if m.live else "cold")
        )

    def spent(self, how: How) -> tuple[Migration, ...]:
        """Tries that count against `attempts`: a broken SSH path is the host's trouble, not the server's."""
        return tuple(m for m in self.failed(how) if not failures.is_ssh(self.text_of(m)))

    def text_of(self, migration: Migration) -> str:
        ending = self.seen.endings.get(migration.id)
        return ending.text if ending else ""

    @property
    def open_is_ours(self) -> bool:
        return self.open is not None and self.open in self.own

    @property
    def idle(self) -> bool:
        return self.server.idle


def is_soft_deleted(s: PresentServer) -> Verdict | None:
    if s.server.status != "SOFT_DELETED":
        return None
    return Blocked(
        "SoftDeleted", "soft-deleted, and its disk is still here: restore it or delete it for good"
    )


def is_being_deleted(s: PresentServer) -> Verdict | None:
    if s.server.status != "DELETED" and s.server.task_state not in ("deleting", "soft-deleting"):
        return None
    return never_ends(s, "delete it once more") or Wait("Deleting", "is being deleted")


def has_left_already(s: PresentServer) -> Verdict | None:
    if s.server.status != "SHELVED_OFFLOADED":
        return None
    return Wait("Offloading", "is leaving the host", ours=s.server.id in s.memory.rows)


def waits_for_owner(s: PresentServer) -> Verdict | None:
    """VERIFY_RESIZE *on* this host: somebody's move or resize to here, or a resize in place."""
    if s.server.status != "VERIFY_RESIZE" or s.server.task_state is not None:
        return None
    if s.open is None or s.open.status != "finished":
        return Wait("Settling", "a resize onto this host is just ending")
    failed = "" if s.server.power_state in (NOSTATE, RUNNING, SHUTDOWN) else "it crashed"
    return foreign_unconfirmed(s.spec, s.seen, s.open, failed)


def follows_our_move(s: PresentServer) -> Verdict | None:
    if s.idle or s.open is None or not s.open_is_ours:
        return None
    if is_down(s.seen):
        return Blocked(
            "SourceDown",
            f"its {s.open.type} {s.open.id} stays {s.open.status} while nova-compute of this host is down: start it",
            ours=True,
        )
    return failures.overdue(s.spec, s.seen, s.open) or Follow(stage(s.open), s.open)


def waits_for_foreign_move(s: PresentServer) -> Verdict | None:
    if s.idle or s.open is None:
        return None
    return never_ends(s) or Wait(
        "ForeignMigration", f"somebody else's {s.open.type} of it is {s.open.status}"
    )


def is_starting(s: PresentServer) -> Verdict | None:
    """Nova takes a server in hand up to 0.3 s before the migration record exists; its owner cannot be known yet."""
    if s.idle or s.server.status == "ERROR" or s.server.task_state not in MOVE_TASKS:
        return None
    since = moment(s.memory.rows.get(s.server.id, {}).get("since"))
    if since is None or s.seen.now - since < timedelta(seconds=s.spec.migration.timeout):
        return Wait("Starting", "its move is starting", ours=True)
    return Blocked(
        "Stuck",
        f"stays in task {s.server.task_state} without a migration for more than "
        f"{durations.text(s.spec.migration.timeout)}: look at nova-conductor and nova-compute, and reset its state to active",
        ours=True,
    )


MOVE_TASKS = frozenset(
    {"resize_prep", "resize_migrating", "resize_migrated", "resize_finish", "migrating"}
)


def answer_is_unknown(s: PresentServer) -> Verdict | None:
    if not answer_is_awaited(s.seen, s.server.id):
        return None
    return Wait(
        "AnswerUnknown",
        "the last call for it had no answer; looking before anything is repeated",
        ours=True,
    )


def answer_is_awaited(seen: Observation, server_id: str) -> bool:
    asked = seen.unknown.get(server_id)
    return asked is not None and seen.now - asked <= UNKNOWN_FOR


def is_busy(s: PresentServer) -> Verdict | None:
    if s.server.task_state is None or (
        s.server.status == "ERROR" and s.server.task_state in MOVE_TASKS
    ):
        return None
    ours = s.server.task_state in BESIDES and s.server.id in s.memory.rows
    return never_ends(s, ours=ours) or Wait("Busy", f"busy: {s.server.task_state}", ours=ours)


BESIDES = ("shelving_offloading", "resuming")
"""Tasks of what a drain begins besides migrations."""


def never_ends(
    s: PresentServer,
    remedy: str = "reset its state to active and hard-reboot it",
    *,
    ours: bool = False,
) -> Blocked | None:
    """A task on which nobody can work, or nobody seems to: Nova takes few up again (compute/manager.py _init_instance)."""
    task = s.server.task_state
    if task is None:
        return None
    if is_down(s.seen):
        text = f"its task {task} does not end while nova-compute of this host is down: start it"
        return Blocked("SourceDown", text, ours=ours)
    since = s.seen.busy_since.get((s.server.id, task), s.seen.now)
    if s.seen.now - since < timedelta(seconds=s.spec.migration.timeout):
        return None
    return Blocked(
        "Stuck",
        f"stays in task {task} for more than {durations.text(s.spec.migration.timeout)}: look at nova-compute of this host. "
        f"Where it was restarted meanwhile nobody works on that any more: {remedy}",
        ours=ours,
    )


def record_is_settling(s: PresentServer) -> Verdict | None:
    """Idle on the host with an open record: the record is behind for a moment, or left over for ever."""
    if s.open is None or s.open.source != s.seen.host:
        return None
    since = s.seen.idle_since.get(s.server.id, s.seen.now)
    return (
        Wait("Settling", f"its last move ({s.open.status}) is ending")
        if s.seen.now - since < STALE_AFTER
        else None
    )


def is_building(s: PresentServer) -> Verdict | None:
    return Wait("Building", "is being built") if s.server.status in ("BUILD", "REBUILD") else None


def is_in_error(s: PresentServer) -> Verdict | None:
    if s.server.status != "ERROR":
        return None
    return failures.error_on_source(s.server, s.own, s.seen) or Blocked(
        "ServerInError",
        f"in ERROR{f' ({s.server.fault})' if s.server.fault else ''}: Nova moves no such server. "
        "Repair it (hard reboot, or reset its state), or delete it",
    )


def is_rescued(s: PresentServer) -> Verdict | None:
    if s.server.status != "RESCUE":
        return None
    return Blocked("Rescued", "in rescue mode, which Nova moves in no way: unrescue it")


def source_is_down(s: PresentServer) -> Verdict | None:
    """Nova refuses a cold migration then, lets a live one fail at the price of a try, and leaves an offload hanging."""
    if not is_down(s.seen):
        return None
    return Blocked(
        "SourceDown",
        "nova-compute of this host is down, and without it no server leaves the host: start it",
    )


def is_down(seen: Observation) -> bool:
    return seen.service is not None and seen.service.state == "down"


def is_shelved(s: PresentServer) -> Verdict | None:
    if s.server.status != "SHELVED":
        return None
    if s.spec.servers.shelved is ShelvedPolicy.OFFLOAD:
        return refused_lately(s, "shelveOffload") or Offload()
    return Blocked(
        "Shelved", "shelved on this host: offload or unshelve it, or set servers.shelved: Offload"
    )


def is_suspended(s: PresentServer) -> Verdict | None:
    if s.server.status != "SUSPENDED":
        return None
    if s.spec.servers.suspended is SuspendedPolicy.RESUME:
        return refused_lately(s, "resume") or Resume()
    return Blocked(
        "Suspended",
        "suspended, which Nova moves in no way: resume it, or set servers.suspended: Resume",
    )


def is_locked(s: PresentServer) -> Verdict | None:
    if not s.server.locked or s.spec.servers.locked is LockedPolicy.MOVE:
        return None
    return Blocked("Locked", "locked: unlock it, or set servers.locked: Move")


def is_of_unknown_status(s: PresentServer) -> Verdict | None:
    if s.server.status in ("ACTIVE", "PAUSED", "SHUTOFF"):
        return None
    return Blocked(
        "UnknownStatus",
        f"in status {s.server.status}, which Nova moves in no way: bring it to ACTIVE or SHUTOFF",
    )


def cannot_be_moved_by_method(s: PresentServer) -> Verdict | None:
    how = wanted(s)
    if how == "cold" and s.server.status == "PAUSED":
        return Blocked(
            "Paused", "paused: Nova cold-migrates no paused server. Unpause it, or use method: Live"
        )
    obstacle = live_obstacle(s.server) if how == "live" else None
    return (
        Blocked("CannotLiveMigrate", f"runs and cannot live-migrate: {obstacle}")
        if obstacle
        else None
    )


def affinity_holds_it(s: PresentServer) -> Verdict | None:
    """A hard affinity group allows only hosts that hold a member, and all of them are on this one, be it the server alone."""
    for group in s.seen.groups:
        if group.policy == "affinity" and s.server.id in group.members:
            here = {server.id for server in s.seen.servers}
            if group.members <= here:
                return Blocked(
                    "AffinityGroup",
                    f"{of_affinity_group(group)} on this host, so the scheduler allows no other: "
                    "shelve-offload and unshelve each member, or delete the group",
                )
    return None


def of_affinity_group(group: ServerGroup) -> str:
    all_of_them = (
        f"all {len(group.members)} members" if len(group.members) > 1 else "the only member"
    )
    return f"{all_of_them} of affinity group {group.name!r} {'are' if len(group.members) > 1 else 'is'}"


def stays_by_decision(s: PresentServer) -> Verdict | None:
    """A person had it brought back; to move it again would only restart the guest once more and end in the same revert."""
    last = next(iter(s.failed()), None)
    if (
        last is None
        or last.status != "reverted"
        or s.spec.confirmation.decision_for(s.server.id) is not DecisionAction.REVERT
    ):
        return None
    return Blocked(
        "Reverted",
        "brought back to this host by decision: it is not moved again before that entry of confirmation.decisions is gone",
    )


def paths_are_not_proven(s: PresentServer) -> Verdict | None:
    """With a keyring named, no guest is stopped for a copy that cannot leave the host."""
    if s.seen.paths.proven or wanted(s) != "cold":
        return None
    return Wait("PathsNotProven", s.seen.paths.text)


def cause_is_awaited(s: PresentServer) -> Verdict | None:
    """Nova shows that a move has failed a moment before it says why; what is to be done depends on it."""
    last = next(iter(s.failed()), None)
    ending = s.seen.endings.get(last.id) if last else None
    if ending is None or ending.final:
        return None
    return Wait("Settling", "its last move has failed, and Nova has not said why yet")


def is_exhausted(s: PresentServer) -> Verdict | None:
    failed = s.spent(wanted(s))
    if len(failed) < s.spec.migration.attempts:
        return None
    verdict = failures.exhausted(s.server, failed, s.seen)
    return None if verdict.until and s.seen.now >= verdict.until else verdict


def ssh_path_is_broken(s: PresentServer) -> Verdict | None:
    """Every cold move from this host would fail; all but one server wait for the path to be mended."""
    if s.path is None or wanted(s) != "cold":
        return None
    until = retry_at(s) if s.server.id == s.path.canary else None
    if s.server.id == s.path.canary and (until is None or s.seen.now >= until):
        return None
    return Blocked(
        "SSHPathBroken",
        f"cold migration from this host fails: {s.path.text.rstrip('.')}. {failures.REMEDY['SSHPathBroken']}",
        until=until,
    )


def backs_off(s: PresentServer) -> Verdict | None:
    until = retry_at(s)
    if until is not None and s.seen.now < until:
        failed = s.failed()
        return Wait("BackingOff", f"try {len(failed)} failed: {s.text_of(failed[0])}", until)
    return refused_lately(s, "migrate")


def retry_at(s: PresentServer) -> datetime | None:
    failed = s.failed()
    ending = s.seen.endings.get(failed[0].id) if failed else None
    return ending.seen + failures.back_off(len(failed), s.server.id) if ending else None


def can_move(s: PresentServer) -> Verdict:
    how = wanted(s)
    return Move(how, len(s.failed(how)) + 1)


FILTERS: tuple[Callable[[PresentServer], Verdict | None], ...] = (
    is_soft_deleted,
    is_being_deleted,
    has_left_already,
    waits_for_owner,
    follows_our_move,
    waits_for_foreign_move,
    is_starting,
    answer_is_unknown,
    is_busy,
    is_building,
    is_in_error,
    is_rescued,
    is_locked,
    source_is_down,
    is_shelved,
    is_suspended,
    record_is_settling,
    is_of_unknown_status,
    cannot_be_moved_by_method,
    affinity_holds_it,
    stays_by_decision,
    paths_are_not_proven,
    cause_is_awaited,
    ssh_path_is_broken,
    is_exhausted,
    backs_off,
    can_move,
)


def judge(subject: PresentServer) -> Verdict:
    """The verdict of the first filter that has one; `can_move` always has."""
    return next(verdict for f in FILTERS if (verdict := f(subject)) is not None)


def wanted(s: PresentServer) -> How:
    """How the method of the spec moves a server of this status; LiveThenCold falls back after its tries by live migration."""
    method = s.spec.migration.method
    if method is Method.COLD or s.server.status == "SHUTOFF":
        return "cold"
    if method is Method.LIVE or s.server.status == "PAUSED":
        return "live"
    refusal = s.seen.refusals.get(s.server.id)
    cannot = refusal is not None and refusal.call == "os-migrateLive" and refusal.status == 400
    spent = len(s.spent("live")) >= s.spec.migration.attempts
    return "cold" if spent or cannot or live_obstacle(s.server) else "live"


def refused_lately(s: PresentServer, call: str) -> Verdict | None:
    """A refusal changed nothing, so it is tried again, ever more slowly, and shown after the second time."""
    refusal = s.seen.refusals.get(s.server.id)
    if refusal is None:
        return None
    if call == "migrate" and refusal.call == "os-migrateLive" and wanted(s) == "cold":
        return None
    until = refusal.at + failures.back_off(refusal.count, s.server.id)
    if refusal.count > 1 or refusal.status == 400:
        text = f"Nova refuses {refusal.call}: {refusal.text}{remedy(refusal)}"
        return None if s.seen.now >= until else Blocked("Refused", text)
    return (
        Wait("Refused", f"Nova refused {refusal.call}: {refusal.text}", until)
        if s.seen.now < until
        else None
    )


def remedy(refusal: Refusal) -> str:
    """For the one refusal that nobody would understand: this is asked only where nova-compute of the host is up."""
    if refusal.call != "migrate" or "Service is unavailable" not in refusal.text:
        return ""
    return (
        " But nova-compute of this host is up: Nova takes a deleted service of the same host for it. Have the rows of deleted "
        "services removed from its database (nova-manage db archive_deleted_rows)"
    )


def foreign_unconfirmed(
    spec: DrainSpec, seen: Observation, migration: Migration, failed: str
) -> Verdict:
    """A finished resize or migration of somebody else: theirs to confirm or revert, unless the spec says otherwise.

    `failed`: the checks that it fails; then it is not confirmed for them either.
    """
    if spec.confirmation.foreign is ForeignPolicy.WAIT:
        return Blocked(
            "ForeignResize",
            f"a {migration.type} from {migration.source} to {migration.dest}, not started by this drain, waits for its owner to "
            "confirm or revert it; until then the service cannot be deleted (confirmation.foreign: Confirm does it for them)",
        )
    if (
        migration.type == "migration"
        and migration.user_id == seen.user_id
        and migration.source != seen.host
    ):
        return Blocked(
            "ForeignResize",
            f"a migration from {migration.source}, begun by the operator's own user for another drain, waits for that one to "
            "verify and confirm it. If there is no such drain any more, confirm or revert it by hand",
        )
    if failed:
        return Blocked(
            "CheckFailed",
            f"a {migration.type} by somebody else waits to be confirmed, and a check fails: {failed}",
        )
    if not any(s.host == migration.source and s.state == "up" for s in seen.services):
        return Wait(
            "SourceDown",
            f"Nova confirms nothing while nova-compute of {migration.source} is down: start it",
        )
    if answer_is_awaited(seen, migration.server_id):
        return Wait(
            "AnswerUnknown",
            "the last call for it had no answer; looking before anything is repeated",
        )
    said = seen.refusals.get(migration.server_id)
    if said is not None and seen.now < said.at + failures.back_off(said.count, migration.server_id):
        return Blocked("Refused", f"Nova refuses {said.call}: {said.text}")
    return Confirm(migration, ours=False)


def stage(migration: Migration) -> str:
    """One word for where a move is. Few, so that a move is few writes of the status."""
    if migration.status == "confirming":
        return "Confirming"
    if migration.status == "finished":
        return "Verifying"
    return "Reverting" if migration.status == "reverting" else "Migrating"
