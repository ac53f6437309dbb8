"""A verdict for every server on the host, from an ordered table of small named rules.

The order of RULES is the documentation of the states: the first rule that has a verdict wins.
Nova's own rules (which state allows which action) are those of nova/compute/api.py
check_instance_state at 34.0.0, seen live as well.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile

from quiesce.api import durations
from quiesce.api.drain.reasons import ServerReason, Stage
from quiesce.api.drain.record import Record
from quiesce.api.drain.spec import (
    DecisionAction,
    DrainSpec,
    LockedPolicy,
    Method,
    ShelvedPolicy,
    SuspendedPolicy,
)
from quiesce.drain.decide import breaker, causes, failures
from quiesce.drain.decide.breaker import Breakers
from quiesce.drain.decide.foreign import foreign_unconfirmed
from quiesce.drain.decide.obstacles import (
    cannot_live_migrate,
    cold_obstacle,
    image_not_read,
    live_obstacle,
    unmovable,
)
from quiesce.drain.decide.refusals import remedies_of
from quiesce.drain.decide.remedies import (
    HARD_REBOOT,
    RESET_STATE,
    START_COMPUTE,
    correct_host,
    for_server,
    of_source,
)
from quiesce.drain.model.backoff import back_off
from quiesce.drain.model.drain import Drain
from quiesce.drain.model.history import CAUSE_UNREAD
from quiesce.drain.model.migrations import LEFT_WELL, STALE_AFTER, may_be_elsewhere, stale
from quiesce.drain.model.observation import Observation
from quiesce.drain.model.verdict import (
    Blocked,
    Follow,
    Move,
    MoveMethod,
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
)

# Tasks that Nova sets for a move, the first of them up to 0.3 s before the migration record exists.
_MOVE_TASKS = frozenset(
    {"resize_prep", "resize_migrating", "resize_migrated", "resize_finish", "migrating"}
)
_NEVER_FOR = timedelta(hours=1)
# Tasks of what a drain begins besides migrations, and the method by which it is recorded.
OTHER_TASKS = {"shelving_offloading": "offload", "resuming": "resume"}


@dataclass(frozen=True, slots=True)
class PresentServer:
    """One server on the host with all that matters for its verdict.

    `own`: our migrations of it from this host since the drain began, newest first. `open`: the
    newest migration of it, anybody's, that touches the host and is not terminal.
    """

    server: Server
    drain: Drain
    observation: Observation
    own: tuple[Migration, ...]
    open: Migration | None
    breakers: Breakers

    @property
    def spec(self) -> DrainSpec:
        return self.drain.spec

    @property
    def record(self) -> Record:
        return self.drain.record

    @property
    def idle(self) -> bool:
        return self.server.idle

    @property
    def all(self) -> tuple[Migration, ...]:
        """Anybody's migrations of it, newest first."""
        return tuple(m for m in self.observation.migrations if m.server_id == self.server.id)

    def failed(self, method: MoveMethod | None = None) -> tuple[Migration, ...]:
        """Our failed tries since attempts are counted, newest first."""
        return tuple(
            m
            for m in self.own
            if m.status in FAILED
            and m.id > self.record.attempts_from
            and method in (None, "live" if m.live else "cold")
        )

    @property
    def failed_live_since_it_came(self) -> bool:
        """Whether a live try of ours has failed since it last left the host, whatever counts."""
        stayed = takewhile(lambda m: m.status not in LEFT_WELL, self.own)
        return any(m.live and m.status in FAILED for m in stayed)

    def spent(self, method: MoveMethod) -> tuple[Migration, ...]:
        """Tries that count against `attempts`: what the host fails is no failure of the server's,
        nor is a live migration that has not shown anything.
        """
        breaker = self.breakers.of(method)
        excused = breaker.tries if breaker else frozenset()
        return tuple(
            m
            for m in self.failed(method)
            if m.id not in excused
            and not causes.is_ssh(self.cause_of(m))
            and not self._shows_nothing(m)
        )

    def _shows_nothing(self, m: Migration) -> bool:
        """It never ran, or was cancelled soon after it began to.

        Nova runs few at a time, and cancels those that wait when nova-compute stops
        (compute/manager.py _cleanup_live_migrations_in_pool). Its records do not tell whether one
        that is cancelled ever ran; where nobody saw it run, it counts as one that did not.
        """
        history = self.observation.history
        if m.status != "cancelled":
            return causes.never_began(self.cause_of(m))
        since, cause = history.began_to_run.get(m.id), history.causes.get(m.id)
        if since is None or cause is None:
            return True
        return cause.first_seen - since < timedelta(seconds=self.spec.migration.timeout)

    def cause_of(self, migration: Migration) -> str:
        cause = self.observation.history.causes.get(migration.id)
        return cause.text if cause else ""


def is_soft_deleted(s: PresentServer) -> Verdict | None:
    if s.server.status != "SOFT_DELETED":
        return None
    return Blocked(
        ServerReason.SOFT_DELETED,
        "soft-deleted, and its disk is still on this host",
        for_server(
            s.server, "openstack server restore {id}", "openstack server delete --force {id}"
        ),
    )


def is_being_deleted(s: PresentServer) -> Verdict | None:
    deleting = s.server.task_state in ("deleting", "soft-deleting")
    if s.server.status != "DELETED" and not deleting:
        return None
    again = for_server(s.server, "openstack server delete {id}")
    ours = _has_our_move(s)
    return _never_ends(s, again, ours=ours) or Wait(
        ServerReason.DELETING, "being deleted", ours=ours
    )


def _has_our_move(s: PresentServer) -> bool:
    """One that has not ended: Nova may still copy the disk of a server that is to be deleted."""
    return s.open is not None and s.open in s.own


def has_left_already(s: PresentServer) -> Verdict | None:
    if s.server.status != "SHELVED_OFFLOADED":
        return None
    ours = _recorded_method(s) == "offload"
    return Wait(ServerReason.OFFLOADING, "leaving the host", ours=ours)


def has_left_by_record(s: PresentServer) -> Verdict | None:
    """Nova lists it here, and its newest migration says that it has left.

    After a live migration the guest runs over there, whatever its row says: a reset of its state
    lets Nova's power sync stop it, and one more move starts it twice or copies a stale disk.
    """
    newest = next((m for m in s.all if _says_where_it_is(m, s)), None)
    left = newest is not None and newest.status in ("confirmed", "completed")
    if newest is None or not left or newest.source != s.drain.host:
        return None
    if newest.dest in (None, s.drain.host):
        return None
    if s.server.launched and s.server.launched > (newest.updated or newest.created):
        return None  # unshelved onto this host since: Nova keeps no migration of that
    now, key = s.observation.now, (newest.id, newest.status)
    if now - s.observation.history.first_seen.get(key, now) < STALE_AFTER:
        return Wait(ServerReason.SETTLING, f"its {newest.type} to {newest.dest} is ending")
    return Blocked(
        ServerReason.HOST_UNCERTAIN,
        f"Nova lists it on this host, but its {newest.type} {newest.id} to {newest.dest} is "
        f"{newest.status}: the guest most likely runs on {newest.dest}",
        (
            "Do not reset its state, stop, reboot or migrate it",
            f"See where its domain runs: virsh domstate {s.server.id} on {s.drain.host} and on "
            f"{newest.dest}",
            *correct_host(s.server, newest),
        ),
        urgent=True,
    )


def _says_where_it_is(m: Migration, s: PresentServer) -> bool:
    """One from here that failed, or was left over on its way, leaves a server where it was. One to
    here has brought it, as it is listed here, whatever its status.
    """
    failed = m.status in FAILED or stale(m, s.server, s.observation)
    return m.source != s.drain.host or not failed


def waits_for_owner(s: PresentServer) -> Verdict | None:
    """VERIFY_RESIZE *on* this host: another user's move or resize to here, or a resize in place."""
    if s.server.status != "VERIFY_RESIZE" or s.server.task_state is not None:
        return None
    if s.open is None or s.open.status != "finished":
        return Wait(ServerReason.SETTLING, "a resize onto this host is ending")
    failed = "" if s.server.power_state in (NOSTATE, RUNNING, SHUTDOWN) else "it crashed"
    return foreign_unconfirmed(s.spec, s.observation, s.open, s.server, failed)


def follows_our_move(s: PresentServer) -> Verdict | None:
    if s.idle or s.open is None or s.open not in s.own:
        return None
    if s.observation.compute_is_down:
        return Blocked(
            ServerReason.SOURCE_DOWN,
            f"its {s.open.type} {s.open.id} stays {s.open.status} while nova-compute of this host "
            "is down",
            START_COMPUTE,
            ours=True,
        )
    return failures.overdue(s.drain, s.observation, s.open) or Follow(stage_of(s.open), s.open)


def waits_for_foreign_move(s: PresentServer) -> Verdict | None:
    if s.idle or s.open is None:
        return None
    return _never_ends(s) or Wait(
        ServerReason.FOREIGN_MIGRATION,
        f"another user's {s.open.type} of it is {s.open.status}",
    )


def is_starting(s: PresentServer) -> Verdict | None:
    """Nova sets a server's task up to 0.3 s before the migration record exists; whose it is cannot
    be known yet.
    """
    if s.idle or s.server.status == "ERROR" or s.server.task_state not in _MOVE_TASKS:
        return None
    now, key = s.observation.now, (s.server.id, s.server.task_state)
    since = s.observation.history.busy_since.get(key, now)
    if now - since < timedelta(seconds=s.spec.migration.timeout):
        return Wait(ServerReason.STARTING, "its move is starting", ours=True)
    return Blocked(
        ServerReason.STUCK,
        f"in task {s.server.task_state} without a migration for more than "
        f"{durations.text(s.spec.migration.timeout)}",
        ("Check nova-conductor and nova-compute", *for_server(s.server, RESET_STATE)),
        ours=True,
    )


def answer_is_unknown(s: PresentServer) -> Verdict | None:
    if not s.observation.awaits_answer(s.server.id):
        return None
    return Wait(
        ServerReason.ANSWER_UNKNOWN,
        "the last call for it was not answered; its state is read before anything is repeated",
        ours=True,
    )


def is_busy(s: PresentServer) -> Verdict | None:
    task = s.server.task_state
    if task is None or (s.server.status == "ERROR" and task in _MOVE_TASKS):
        return None
    method = _recorded_method(s)
    ours = (method is not None and method == OTHER_TASKS.get(task)) or _is_returning(s)
    return _never_ends(s, ours=ours) or Wait(ServerReason.BUSY, f"busy: {task}", ours=ours)


def _is_returning(s: PresentServer) -> bool:
    """Our revert of it goes on: Nova starts its guest here after the last write of its record
    (compute/manager.py _finish_revert_resize).
    """
    reverted = bool(s.own) and s.own[0].status == "reverted"
    return reverted and s.server.task_state == "resize_reverting"


def record_is_settling(s: PresentServer) -> Verdict | None:
    """Idle on the host with an open record: the record is behind for a moment, or left over."""
    if s.open is None or s.open.source != s.observation.host:
        return None
    since = s.observation.history.idle_since.get(s.server.id, s.observation.now)
    if s.observation.now - since >= STALE_AFTER:
        return None
    return Wait(ServerReason.SETTLING, f"its last move ({s.open.status}) is ending")


def is_building(s: PresentServer) -> Verdict | None:
    if s.server.status not in ("BUILD", "REBUILD"):
        return None
    return Wait(ServerReason.BUILDING, "being built")


def may_run_elsewhere(s: PresentServer) -> Verdict | None:
    """Before anything is advised or done, it is to be known where its guest runs.

    A live migration of a guest that is not here fails in Nova's checks; a cold one does not.
    """
    cold = s.server.status == "ACTIVE" and method_for(s) == "cold"
    last = may_be_elsewhere(s.drain, s.observation, s.server, doubted=cold)
    return failures.is_elsewhere(s.server, last, s.drain.host) if last else None


def is_in_error(s: PresentServer) -> Verdict | None:
    if s.server.status != "ERROR":
        return None
    fault = f" ({s.server.fault})" if s.server.fault else ""
    last = next(iter(s.all), None)
    return failures.error_on_source(s.server, last, s.own, s.observation) or Blocked(
        ServerReason.SERVER_IN_ERROR,
        f"in ERROR{fault}; Nova cannot migrate it in this state",
        for_server(s.server, HARD_REBOOT, RESET_STATE, "openstack server delete {id}"),
    )


def was_left_off(s: PresentServer) -> Verdict | None:
    """It ran before its first try, and is off since a move of it failed or was cut off."""
    if not breaker.was_left_off(s.drain, s.observation, s.server):
        return None
    return Blocked(
        ServerReason.LEFT_OFF,
        "it ran before its move broke off, and is OFF; no user has stopped it",
        for_server(s.server, "openstack server start {id}", HARD_REBOOT),
        urgent=True,
    )


def is_rescued(s: PresentServer) -> Verdict | None:
    if s.server.status != "RESCUE":
        return None
    return Blocked(
        ServerReason.RESCUED,
        "in rescue mode; Nova cannot migrate it in this state",
        for_server(s.server, "openstack server unrescue {id}"),
    )


def source_is_down(s: PresentServer) -> Verdict | None:
    """Nova refuses a cold migration then, lets a live one fail at the price of a try, and leaves an
    offload hanging.
    """
    if not s.observation.service_is_down:
        return None
    what, remedies = of_source(s.observation.service)
    text = f"{what}, and without it no server leaves the host"
    return Blocked(ServerReason.SOURCE_DOWN, text, remedies)


def is_shelved(s: PresentServer) -> Verdict | None:
    if s.server.status != "SHELVED":
        return None
    if s.spec.servers.shelved is ShelvedPolicy.OFFLOAD:
        return _only_copy(s) or _refused_lately(s, "shelveOffload") or Offload()
    return Blocked(
        ServerReason.SHELVED,
        "shelved, and its disk is still on this host",
        (
            "Set servers.shelved: Offload",
            *for_server(s.server, "openstack server shelve --offload {id}"),
            *for_server(s.server, "openstack server unshelve {id}"),
        ),
    )


def _only_copy(s: PresentServer) -> Verdict | None:
    """Nova deletes its disk here, whether or not the image that it made of it still exists."""
    if s.server.snapshot is None:
        text = "shelved; whether the image of its disk exists cannot be read from Glance"
        return Wait(ServerReason.SERVER_NOT_READ, text)
    if s.server.snapshot:
        return None
    return Blocked(
        ServerReason.SHELVED,
        "shelved, and Glance shows no image of it: its disk on this host may be the only copy, and "
        "an offload deletes it",
        (
            "Unshelve it, which starts it from this disk, and it is moved: "
            + for_server(s.server, "openstack server unshelve {id}")[0],
            "Only where the image exists and the operator's user may not see it: "
            + for_server(s.server, "openstack server shelve --offload {id}")[0],
        ),
    )


def cannot_be_moved(s: PresentServer) -> Verdict | None:
    return unmovable(s.server)


def is_suspended(s: PresentServer) -> Verdict | None:
    if s.server.status != "SUSPENDED":
        return None
    if s.spec.servers.suspended is SuspendedPolicy.RESUME:
        return image_not_read(s.server) or _refused_lately(s, "resume") or Resume()
    return Blocked(
        ServerReason.SUSPENDED,
        "suspended; Nova cannot migrate it in this state",
        ("Set servers.suspended: Resume", *for_server(s.server, "openstack server resume {id}")),
    )


def is_locked(s: PresentServer) -> Verdict | None:
    if not s.server.locked or s.spec.servers.locked is LockedPolicy.MOVE:
        return None
    return Blocked(
        ServerReason.LOCKED,
        "locked, and servers.locked is Block",
        ("Set servers.locked: Move", *for_server(s.server, "openstack server unlock {id}")),
    )


def is_of_unknown_status(s: PresentServer) -> Verdict | None:
    if s.server.status in ("ACTIVE", "PAUSED", "SHUTOFF"):
        return None
    return Blocked(
        ServerReason.UNKNOWN_STATUS,
        f"in status {s.server.status}; Nova cannot migrate it in this state",
        ("Bring it to ACTIVE or SHUTOFF",),
    )


def runs_though_stopped(s: PresentServer) -> Verdict | None:
    """Nova would shut its guest down, and leave it off where it arrives."""
    if s.server.status != "SHUTOFF" or s.server.power_state != RUNNING:
        return None
    return Blocked(
        ServerReason.UNKNOWN_STATUS,
        "stopped as Nova has it, and its guest runs: a move would leave it off",
        (
            f"If it is to run, without touching it: {RESET_STATE.format(id=s.server.id)}",
            "Else wait: Nova stops it at its next sync of power states, by default every 10 "
            "minutes (sync_power_state_interval)",
        ),
    )


def cannot_be_moved_by_method(s: PresentServer) -> Verdict | None:
    method = method_for(s)
    if method == "cold" and s.server.status == "PAUSED":
        return Blocked(
            ServerReason.PAUSED,
            "paused; Nova cannot cold-migrate it in this state",
            (*for_server(s.server, "openstack server unpause {id}"), "Use migration.method: Live"),
        )
    if method == "cold":
        return cold_obstacle(s.server, s.spec)
    return cannot_live_migrate(s.server, s.spec)


def affinity_holds_it(s: PresentServer) -> Verdict | None:
    """A hard affinity group allows only hosts that hold a member, and all members are on
    this one.
    """
    here = {server.id for server in s.observation.servers}
    for group in s.observation.groups:
        mine = group.policy == "affinity" and s.server.id in group.members
        if mine and group.members <= here:
            return Blocked(
                ServerReason.AFFINITY_GROUP,
                f"{_members(group)} on this host, so the scheduler allows no other host",
                ("Shelve, offload and unshelve every member", "Delete the server group"),
            )
    return None


def _members(group: ServerGroup) -> str:
    if len(group.members) > 1:
        return f"all {len(group.members)} members of affinity group {group.name!r} are"
    return f"the only member of affinity group {group.name!r} is"


def stays_by_decision(s: PresentServer) -> Verdict | None:
    """It was rolled back by decision; to move it again would only end in the same revert.

    That holds until the decision is changed, also where new tries were asked for.
    """
    if s.spec.confirmation.decision_for(s.server.id) is not DecisionAction.REVERT:
        return None
    if not s.own or s.own[0].status != "reverted":
        return None
    text = "rolled back to this host by decision, and not moved again while that decision stands"
    return Blocked(
        ServerReason.REVERTED,
        text,
        ("To have it moved, which may restart it, remove its entry from confirmation.decisions",),
    )


def paths_are_not_proven(s: PresentServer) -> Verdict | None:
    """With a keyring named, no guest is stopped for a copy that cannot leave the host."""
    if s.observation.paths.proven or method_for(s) != "cold":
        return None
    return Wait(ServerReason.PATHS_NOT_PROVEN, s.observation.paths.text)


def ports_are_not_read(s: PresentServer) -> Verdict | None:
    """Whether a port works after the move tells nothing without how it was before."""
    if not s.observation.ports_error or s.server.power_state != RUNNING:
        return None
    text = f"its ports cannot be read: {s.observation.ports_error}"
    return Wait(ServerReason.PORTS_NOT_READ, text)


def cause_is_awaited(s: PresentServer) -> Verdict | None:
    """Nova shows that a move has failed a moment before it says why; what is to be done depends on
    it.
    """
    last = next(iter(s.failed()), None)
    cause = s.observation.history.causes.get(last.id) if last else None
    if cause is None or cause.final:
        return None
    unread = cause.text.startswith(CAUSE_UNREAD)
    why = cause.text if unread else "Nova has not given the cause yet"
    return Wait(ServerReason.SETTLING, f"its last move failed, and {why}")


def ports_are_lost(s: PresentServer) -> Verdict | None:
    """A failed live try may take a port's binding along: the next move may take the guest down.

    New tries do not bind it again.
    """
    if not s.failed_live_since_it_came:
        return None
    mine = [p for p in s.observation.ports or () if p.server_id == s.server.id]
    idle = s.record.idle_ports(s.server.id)
    lost = [p for p in mine if (p.unbound or not p.bound_to) and p.id not in idle]
    if not lost:
        return None
    return Blocked(
        ServerReason.PORT_UNBOUND,
        f"its failed live migration left port {lost[0].id} without a binding on this host; the "
        "guest runs, and one more move may take it down",
        tuple(f"openstack port set --host {s.drain.host} {p.id}" for p in lost[:3]),
    )


def is_paused(s: PresentServer) -> Verdict | None:
    """Migrations of its method are paused for a cause that is the host's; a canary tries."""
    found = s.breakers.of(method_for(s))
    if found is None or (found.spares_stopped and s.server.status == "SHUTOFF"):
        return None
    canary = s.server.id == found.canary
    until = _retry_at(s) if canary else None
    if canary and (until is None or s.observation.now >= until):
        return None
    return Blocked(found.reason, found.message, found.remedies, until=until)


def is_exhausted(s: PresentServer) -> Verdict | None:
    failed = s.spent(method_for(s))
    if len(failed) < s.spec.migration.attempts:
        return None
    verdict = failures.exhausted(s.drain, s.server, failed, s.observation)
    return None if verdict.until and s.observation.now >= verdict.until else verdict


def backs_off(s: PresentServer) -> Verdict | None:
    until = _retry_at(s)
    if until is not None and s.observation.now < until:
        failed = s.failed()
        text = f"try {len(failed)} failed: {s.cause_of(failed[0])}"
        return Wait(ServerReason.BACKING_OFF, text, until)
    return _refused_lately(s, "migrate")


def can_move(s: PresentServer) -> Verdict:
    method = method_for(s)
    return Move(method, len(s.failed(method)) + 1)


RULES: tuple[Callable[[PresentServer], Verdict | None], ...] = (
    is_soft_deleted,
    is_being_deleted,
    has_left_already,
    has_left_by_record,
    waits_for_owner,
    follows_our_move,
    waits_for_foreign_move,
    is_starting,
    answer_is_unknown,
    is_busy,
    is_building,
    may_run_elsewhere,
    is_in_error,
    was_left_off,
    is_rescued,
    is_locked,
    source_is_down,
    is_shelved,
    cannot_be_moved,
    stays_by_decision,
    is_suspended,
    record_is_settling,
    is_of_unknown_status,
    runs_though_stopped,
    cannot_be_moved_by_method,
    affinity_holds_it,
    paths_are_not_proven,
    ports_are_not_read,
    cause_is_awaited,
    ports_are_lost,
    is_exhausted,
    is_paused,
    backs_off,
    can_move,
)


def judge(server: PresentServer) -> Verdict:
    """The verdict of the first rule that has one; `can_move` always has."""
    return next(verdict for rule in RULES if (verdict := rule(server)) is not None)


def method_for(s: PresentServer) -> MoveMethod:
    """How the method of the spec moves a server of this status; LiveThenCold falls back after its
    tries by live migration.
    """
    method = s.spec.migration.method
    if method is Method.COLD or s.server.status == "SHUTOFF":
        return "cold"
    if method is Method.LIVE or s.server.status == "PAUSED":
        return "live"
    if _never_live(s) or live_obstacle(s.server):
        return "cold"
    if s.breakers.live is not None:  # a cause that is the host's takes no guest down
        return "live"
    if cold_obstacle(s.server, s.spec) is not None:
        return "live"
    return "cold" if len(s.spent("live")) >= s.spec.migration.attempts else "live"


def _never_live(s: PresentServer) -> bool:
    """Nova has told so. A flavor may change and a cloud be upgraded, so it is asked again later."""
    history, id_ = s.observation.history, s.server.id
    last = history.refusals.get(id_)
    now = last if last is not None and last.call == "os-migrateLive" and last.is_final else None
    told = now or history.never_live.get(id_)
    return told is not None and s.observation.now - told.at < _NEVER_FOR


def stage_of(migration: Migration) -> Stage:
    """Where a move stands, in one word."""
    if migration.status == "confirming":
        return Stage.CONFIRMING
    if migration.status == "finished":
        return Stage.VERIFYING
    return Stage.REVERTING if migration.status == "reverting" else Stage.MIGRATING


def _never_ends(
    s: PresentServer, remedies: tuple[str, ...] = (), *, ours: bool = False
) -> Blocked | None:
    """A task on which nobody can work, or nobody seems to: Nova takes few up again
    (compute/manager.py _init_instance).
    """
    task = s.server.task_state
    if task is None:
        return None
    if s.observation.compute_is_down:
        text = f"its task {task} does not end while nova-compute of this host is down"
        return Blocked(ServerReason.SOURCE_DOWN, text, START_COMPUTE, ours=ours)
    since = s.observation.history.busy_since.get((s.server.id, task), s.observation.now)
    if s.observation.now - since < timedelta(seconds=s.spec.migration.timeout):
        return None
    return Blocked(
        ServerReason.STUCK,
        f"in task {task} for more than {durations.text(s.spec.migration.timeout)}; where "
        "nova-compute "
        "of this host was restarted meanwhile, nothing works on it any more",
        ("Check nova-compute's log on this host", *(remedies or _to_end(s.server, task))),
        ours=ours,
    )


def _to_end(server: Server, task: str) -> tuple[str, ...]:
    """What ends a task on which nothing works. While an image is made of a guest it runs on, or is
    off because it is shelved.
    """
    if task.startswith(("image_", "shelving_image_")):
        wait = "Wait while Glance takes the image of its disk: openstack image list --status saving"
        return (wait, *for_server(server, RESET_STATE))
    return for_server(server, RESET_STATE, HARD_REBOOT)


def _recorded_method(s: PresentServer) -> str | None:
    tried = s.record.tries.get(s.server.id)
    return tried.method if tried else None


def _retry_at(s: PresentServer) -> datetime | None:
    failed = s.failed()
    cause = s.observation.history.causes.get(failed[0].id) if failed else None
    return cause.first_seen + back_off(len(failed), s.server.id) if cause else None


def _refused_lately(s: PresentServer, call: str) -> Verdict | None:
    """A refusal changed nothing, so the call is tried again, with increasing delays, and reported
    after the second time.
    """
    refusal = s.observation.history.refusals.get(s.server.id)
    if refusal is None:
        return None
    if call == "migrate" and refusal.call == "os-migrateLive" and method_for(s) == "cold":
        return None
    until = refusal.at + back_off(refusal.count, s.server.id)
    if s.observation.now >= until:
        return None
    if refusal.count > 1 or refusal.is_final:
        text = f"Nova refuses {refusal.call}: {refusal.text}"
        remedies = remedies_of(refusal, s.server, s.spec.migration.method)
        return Blocked(ServerReason.REFUSED, text, remedies, until=until)
    return Wait(ServerReason.REFUSED, f"Nova refused {refusal.call}: {refusal.text}", until)
