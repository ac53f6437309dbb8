"""Verdicts for servers that have left the host with a migration that still concerns it."""

import re
from dataclasses import dataclass, replace
from datetime import timedelta

from quiesce.api.drain.reasons import ServerReason, Stage
from quiesce.api.drain.spec import ConfirmationPolicy, DecisionAction, DrainSpec, OnFailedCheck
from quiesce.drain.decide import failures
from quiesce.drain.decide.foreign import foreign_unconfirmed
from quiesce.drain.decide.remedies import RESET_STATE, UUID, for_server, of_destination, of_source
from quiesce.drain.decide.rules import stage_of
from quiesce.drain.model.backoff import back_off
from quiesce.drain.model.drain import Drain
from quiesce.drain.model.migrations import POWER_LAG, STALE_AFTER
from quiesce.drain.model.observation import Observation
from quiesce.drain.model.verdict import Blocked, Confirm, Follow, Held, Revert, Verdict, Wait
from quiesce.openstack.records import (
    FAILED,
    NOSTATE,
    RUNNING,
    SHUTDOWN,
    Migration,
    Port,
    Server,
)

# A check that fails right after the move may only be early (a port is wired, a guest boots).
GRACE = timedelta(seconds=60)
# How long a confirm or revert takes, in which the server stands in VERIFY_RESIZE all the time.
SHORT_WORK = timedelta(minutes=5)
# Nova refuses a confirm mostly because it came a moment too early.
_REFUSALS_BEFORE_HELD = 3
# What a statement for a database may quote.
_STATUS = re.compile(r"[a-z-]{1,30}|running \(post-copy\)")


@dataclass(frozen=True, slots=True)
class DepartedServer:
    """A server that is no longer on the host, and the migration by which it left (or by which it
    may come).

    `tries`: our failed or rolled back tries before this one.
    """

    server_id: str
    migration: Migration
    ours: bool
    drain: Drain
    observation: Observation
    tries: int

    @property
    def spec(self) -> DrainSpec:
        return self.drain.spec

    @property
    def server(self) -> Server | None:
        return self.observation.elsewhere.get(self.server_id)

    @property
    def is_gone(self) -> bool:
        """It was asked for, and there is no such server."""
        return self.server_id in self.observation.elsewhere and self.server is None

    @property
    def superseded(self) -> bool:
        """Nova has begun another move of it since, so nothing works on this one any more."""
        return any(
            m.server_id == self.server_id and m.id > self.migration.id
            for m in self.observation.migrations
        )

    @property
    def since_finished(self) -> timedelta:
        """How long this process has seen it finished: less than the truth after a restart, never
        more.
        """
        now = self.observation.now
        return now - self.observation.history.first_seen.get((self.migration.id, "finished"), now)


def judge(departed: DepartedServer) -> Verdict | None:
    """None: it has left the host and nothing of it concerns the host any more."""
    migration = departed.migration
    if departed.server is not None and departed.server.partial:
        text = "its cell is down, so that Nova shows neither its host nor its state"
        ours = departed.ours and not migration.terminal
        return Wait(ServerReason.CELL_DOWN, text, ours=ours)
    if migration.status == "finished":
        return judge_finished(departed) if departed.ours else _judge_foreign_finished(departed)
    if migration.status in FAILED:
        ours = departed.ours or _left_in_our_time(departed)
        return judge_failed(departed) if ours else None
    if migration.terminal:
        return _judge_arrived(departed)
    return judge_in_progress(departed)


def _left_in_our_time(departed: DepartedServer) -> bool:
    """Anyone may have begun it: where it failed on its destination, the only good copy of the disk
    may be on this host.
    """
    migration, drain = departed.migration, departed.drain
    since = drain.record.in_its_time(migration.id)
    return drain.begun and since and migration.source == drain.host


def _judge_arrived(departed: DepartedServer) -> Verdict | None:
    """Nova before 30.2.1 and 31.0.0 also calls a live migration `completed` that failed at its end
    on the destination, and leaves the server in ERROR there (compute/manager.py
    _post_live_migration).
    """
    server, migration = departed.server, departed.migration
    if server is None or server.status != "ERROR" or server.host == departed.drain.host:
        return None
    if not (departed.ours and migration.live):
        return None
    return failures.error_on_destination(server, migration, departed.observation)


def judge_in_progress(departed: DepartedServer) -> Verdict:
    migration = departed.migration
    if (stuck := never_ending(departed)) is not None:
        return stuck
    if not departed.ours:
        return Wait(
            ServerReason.FOREIGN_MIGRATION,
            f"another user's {migration.type} of it is {migration.status}",
        )
    late = failures.overdue(departed.drain, departed.observation, migration)
    return late or Follow(stage_of(migration), migration)


def never_ending(departed: DepartedServer) -> Blocked | None:
    """A record that will never end by itself: nova-compute was restarted, or a state reset, in the
    middle of a move.
    """
    m, server, observation = departed.migration, departed.server, departed.observation
    now, history = observation.now, observation.history
    first_seen = history.first_seen.get((m.id, m.status), now)
    if departed.is_gone and now - first_seen > STALE_AFTER:
        return _left_over(m)
    if server is None or not server.idle:
        return None
    age = now - max(first_seen, history.idle_since.get(server.id, now))
    most = SHORT_WORK if server.status == "VERIFY_RESIZE" else STALE_AFTER
    if not departed.superseded and age <= most:
        return None
    return Blocked(
        ServerReason.STUCK_MIGRATION,
        f"{server.status} on {server.host}, but its {m.type} {m.id} stays {m.status}, so the "
        "service "
        "cannot be deleted",
        _ways_out(m, server),
    )


def _left_over(m: Migration) -> Blocked:
    """Nova deletes the records of a server with it (nova/db/main/api.py instance_destroy), but not
    one that its conductor makes after that.
    """
    return Blocked(
        ServerReason.STUCK_MIGRATION,
        f"it no longer exists, but its {m.type} {m.id} stays {m.status}, so the service cannot be "
        "deleted",
        (
            "End the record in the cell's database, which touches no guest: "
            + _statement(m, "error"),
        ),
    )


def _ways_out(m: Migration, server: Server) -> tuple[str, ...]:
    """What ends such a record; all of it tried on a real Nova.

    nova-compute sets a record of its host to error when it finds the server in another cold
    migration, for which it looks once a minute (compute/resource_tracker.py
    _update_usage_from_migrations). It does not for a live one.
    """
    if server.status == "VERIFY_RESIZE":
        return (
            "Its confirm or revert was cut off; set the record back in the cell's database, and it "
            f"is continued: {_statement(m, 'finished')}",
        )
    return (
        "End the record in the cell's database, which touches no guest: " + _statement(m, "error"),
        f"Cold-migrate it once more, which restarts it (openstack server migrate {server.id}); "
        "leave it "
        f"in VERIFY_RESIZE for a minute or two until nova-compute of {m.source} has set the record "
        "to "
        f"error, then: openstack server migration confirm {server.id}",
        f"openstack server delete {server.id}",
    )


def _statement(m: Migration, status: str) -> str:
    """For the database of Nova's cell. Without SQL where Nova shows what no such record has: a
    compromised nova-compute writes the status, and a person with all rights runs the statement.
    """
    plain = isinstance(m.id, int) and UUID.fullmatch(m.uuid) and _STATUS.fullmatch(m.status)
    if not plain:
        return f"find out why the record of this migration is damaged, then set it to {status}"
    where = f"id={m.id} AND uuid='{m.uuid}' AND status='{m.status}'"
    return f"UPDATE migrations SET status='{status}' WHERE {where};"  # noqa: S608 -- for a person to read, never sent


def _judge_foreign_finished(departed: DepartedServer) -> Verdict:
    server = departed.server
    if server is None or server.status != "VERIFY_RESIZE" or server.task_state is not None:
        return never_ending(departed) or Wait(
            ServerReason.FOREIGN_MIGRATION,
            f"another user's {departed.migration.type} of it is ending",
        )
    failed, spec = failed_checks(departed, server), departed.spec
    return foreign_unconfirmed(spec, departed.observation, departed.migration, server, failed)


def judge_failed(departed: DepartedServer) -> Verdict | None:
    """A move from here failed and the server is not here: healthy elsewhere is fine, in ERROR there
    it blocks.
    """
    server, unread = departed.server, departed.observation.unreadable.get(departed.server_id)
    if server is None and unread is not None:
        text = f"its move failed, and how it is cannot be read: {unread}"
        return Wait(ServerReason.SERVER_NOT_READ, text)
    if server is None:
        return None
    if server.host == departed.drain.host:  # returned since the list of the host was read
        return Wait(ServerReason.SETTLING, f"its move failed; it is {server.status} on this host")
    if server.status == "ERROR":
        return failures.error_on_destination(server, departed.migration, departed.observation)
    unsettled = ("RESIZE", "MIGRATING", "REVERT_RESIZE", "BUILD", "REBUILD", "UNKNOWN")
    if server.task_state is not None or server.status in unsettled:
        text = f"its move failed; it is {server.status} on {server.host}"
        returns = departed.migration.status == "reverted" and server.task_state is not None
        return Wait(ServerReason.RECOVERING, text, ours=departed.ours and returns)
    return None


def judge_finished(departed: DepartedServer) -> Verdict:
    """Our own cold migration, arrived: verify, then confirm, hold or roll back."""
    server, migration = departed.server, departed.migration
    if server is None or server.status != "VERIFY_RESIZE" or server.task_state is not None:
        return (
            never_ending(departed)
            or _never_arriving(departed)
            or Follow(Stage.VERIFYING, migration)
        )
    if source_is_down(departed):
        what, remedies = of_source(departed.observation.service)
        text = f"moved; {what}, and without it Nova neither confirms nor reverts"
        return Held(ServerReason.SOURCE_DOWN, text, migration, remedies)
    if departed.observation.awaits_answer(departed.server_id):
        return Follow(Stage.VERIFYING, migration)
    if (refused := _refused(departed)) is not None:
        return refused
    return _verified(departed, server)


def _never_arriving(departed: DepartedServer) -> Blocked | None:
    """nova-compute of the destination died between its last two writes of a move: the record is
    finished, and the server keeps its task, which no start of nova-compute ends
    (compute/manager.py _finish_resize, _init_instance; _poll_unconfirmed_resizes names the window).
    """
    server, m = departed.server, departed.migration
    if server is None or server.task_state != "resize_finish":
        return None
    if departed.since_finished <= SHORT_WORK:
        return None
    return Blocked(
        ServerReason.STUCK,
        f"its {m.type} {m.id} is finished, but it stays in task resize_finish on {server.host}: "
        "nova-compute there was probably restarted at that moment",
        (
            f"On {server.host}, check nova-compute, and that its guest is there: virsh domstate "
            f"{server.id}",
            *for_server(server, RESET_STATE),
        ),
        ours=departed.ours,
    )


def _verified(departed: DepartedServer, server: Server) -> Verdict:
    """In VERIFY_RESIZE, with nothing in the way of a confirm or revert but its checks and the
    spec's policy.
    """
    migration, confirmation = departed.migration, departed.spec.confirmation
    decided = confirmation.decision_for(departed.server_id)
    if decided is not DecisionAction.CONFIRM and not _is_known(departed, server):
        return _not_known(departed, server)
    if decided is DecisionAction.REVERT:
        return Revert(migration, "decided in confirmation.decisions")
    failed = failed_checks(departed, server)
    if failed and decided is not DecisionAction.CONFIRM:
        return _on_failed(departed, failed)
    if decided is None and confirmation.checks.ports and departed.observation.ports_error:
        return _unread(departed)
    if decided is None and confirmation.checks.power and _is_shown_as_off(departed, server):
        return _not_stopped(departed)
    if departed.since_finished < _soak(departed):
        return Follow(Stage.SOAKING, migration)
    if confirmation.policy is ConfirmationPolicy.MANUAL and decided is None:
        return Held(
            ServerReason.AWAITING_DECISION,
            f"moved to {migration.dest}, and its checks pass; confirmation.policy is Manual",
            migration,
            _decide(departed.server_id),
        )
    return Confirm(migration)


def _is_known(departed: DepartedServer, server: Server) -> bool:
    """Whether anybody can say how it is where it has arrived. Nova keeps the power state that it
    heard last, and confirms it all the same: it asks the source only.
    """
    is_silent = departed.server_id in departed.observation.silent
    return departed.observation.is_up(server.host) and not is_silent


def _not_known(departed: DepartedServer, server: Server) -> Verdict:
    """Nova does not revert it either without its destination (compute/api.py revert_resize casts to
    that).
    """
    migration, observation = departed.migration, departed.observation
    if departed.since_finished < GRACE:
        return Follow(Stage.VERIFYING, migration)
    service = next((s for s in observation.services if s.host == server.host), None)
    what, remedies = of_destination(server.host, service)
    return Held(
        ServerReason.DESTINATION_DOWN,
        f"moved to {migration.dest}, neither confirmed nor rolled back: {what}, so whether it runs "
        "is not known. Both copies are kept",
        migration,
        remedies,
    )


def _soak(departed: DepartedServer) -> timedelta:
    """As the spec asks; where a guest may have run and its hypervisor is not one that can be asked
    whether it does, long enough for Nova to hear of its death.
    """
    soak = timedelta(seconds=departed.spec.confirmation.checks.soak)
    ran = departed.drain.record.may_have_run(departed.server_id)
    known = departed.server_id in departed.observation.running
    checked = departed.spec.confirmation.checks.power
    return max(soak, POWER_LAG) if ran and checked and not known else soak


def _unread(departed: DepartedServer) -> Verdict:
    """Nothing is known of its ports: no reason to confirm it, and none to roll it back."""
    migration = departed.migration
    if departed.since_finished < GRACE:
        return Follow(Stage.VERIFYING, migration)
    return Held(
        ServerReason.PORTS_NOT_READ,
        f"moved to {migration.dest}, not confirmed yet: its ports cannot be read: "
        f"{departed.observation.ports_error}",
        migration,
        ("Repair Neutron, and it is verified", *_decide(departed.server_id)),
    )


def _is_shown_as_off(departed: DepartedServer, server: Server) -> bool:
    """It runs, as its hypervisor says, and Nova shows what it heard last: it does not look again at
    the end of a move (compute/manager.py _finish_resize).
    """
    runs = departed.observation.running.get(departed.server_id)
    return bool(runs) and server.power_state != RUNNING


def _not_stopped(departed: DepartedServer) -> Verdict:
    """What Nova shows as off at a confirm it writes down as stopped (compute/manager.py
    _confirm_resize), and what is stopped and runs it stops at its next sync of power states.
    """
    migration = departed.migration
    if departed.since_finished < GRACE:
        return Follow(Stage.VERIFYING, migration)
    return Held(
        ServerReason.CHECK_FAILED,
        f"moved to {migration.dest}, not confirmed yet: it runs, but Nova shows it as off and "
        "would stop it after a confirm. Both copies are kept",
        migration,
        (
            "It is confirmed once Nova has synced its power state, which it does every 10 minutes "
            "by default (sync_power_state_interval)",
        ),
    )


def _decide(server_id: str) -> tuple[str, ...]:
    return tuple(
        f"Add to confirmation.decisions: {{server: {server_id}, action: {action}}}"
        for action in DecisionAction
    )


def _refused(departed: DepartedServer) -> Verdict | None:
    """Nova refused the confirm or revert: mostly it only came too early, so it is sent again; after
    three times it is reported.
    """
    refusal = departed.observation.history.refusals.get(departed.server_id)
    if refusal is None or refusal.call not in ("confirmResize", "revertResize"):
        return None
    if departed.observation.now >= refusal.at + back_off(refusal.count, departed.server_id):
        return None
    if refusal.count < _REFUSALS_BEFORE_HELD:
        return Follow(Stage.VERIFYING, departed.migration)
    text = f"Nova refuses {refusal.call}: {refusal.text}"
    return Held(ServerReason.REFUSED, text, departed.migration)


def _on_failed(departed: DepartedServer, failed: str) -> Verdict:
    """Under policy Manual only a person has it rolled back."""
    migration, spec = departed.migration, departed.spec
    if departed.since_finished < GRACE:
        return Follow(Stage.VERIFYING, migration)
    automatic = spec.confirmation.policy is ConfirmationPolicy.AUTOMATIC
    rolls_back = automatic and spec.confirmation.on_failed_check is OnFailedCheck.REVERT
    if rolls_back and departed.tries + 1 < spec.migration.attempts:
        return Revert(migration, failed)
    return Held(
        ServerReason.CHECK_FAILED,
        f"moved to {migration.dest}, not confirmed: {failed}. Both copies are kept",
        migration,
        ("Repair it, and it is confirmed", *_decide(departed.server_id)),
    )


def source_is_down(departed: DepartedServer) -> bool:
    """Of the migration's own source: this host for moves away from it, another one for
    moves to it.
    """
    return not departed.observation.is_up(departed.migration.source)


def failed_checks(departed: DepartedServer, server: Server) -> str:
    """What is wrong with a moved server, in words; empty: every check that the spec asks for
    passes.
    """
    checks, observation, wrong = departed.spec.confirmation.checks, departed.observation, []
    record = departed.drain.record
    was = record.was(departed.server_id)
    ran = record.may_have_run(departed.server_id) if departed.ours else was == "ACTIVE"
    if _is_shown_as_off(departed, server):
        server = replace(server, power_state=RUNNING)
    if checks.power and (text := wrong_power(was, server.power_state, ours=departed.ours)):
        wrong.append(text)
    elif checks.power and ran and observation.running.get(server.id) is False:
        before = "it was running" if was else "it may have been running"
        wrong.append(f"{before} and is not, as its hypervisor says")
    if server.host != departed.migration.dest:
        wrong.append(f"it is on {server.host}, and its migration went to {departed.migration.dest}")
    if checks.ports:
        mine = [p for p in observation.ports or () if p.server_id == server.id]
        idle = record.idle_ports(server.id) if departed.ours else ()
        wrong += [text for p in mine if (text := wrong_port(p, server, idle))]
    unreachable = observation.unreachable.get(server.id, "")
    if checks.tcp_port and server.power_state == RUNNING and unreachable:
        wrong.append(unreachable)
    return "; ".join(wrong)


def wrong_power(was: str | None, power: int, *, ours: bool) -> str:
    """`was` None: nobody knows. Of our own move that is a loss, and a guest that is off may have
    been running.
    """
    if was == "ACTIVE" and power != RUNNING:
        return "it was running and is not"
    if was == "SHUTOFF" and power not in (SHUTDOWN, NOSTATE):
        return "it was shut off and is not"
    if was is None and ours and power != RUNNING:
        return "it is not running, and whether it was before its move is no longer known"
    if was is None and power not in (RUNNING, SHUTDOWN, NOSTATE):
        return f"its power state is {power}, neither running nor shut off"
    return ""


def wrong_port(port: Port, server: Server, idle: tuple[str, ...]) -> str:
    """`idle`: ports of it that did not work before the move either: these need not work now.

    Nor does one that is administratively down, which is DOWN wherever it is.
    """
    was_idle = port.id in idle
    if port.bound_to != server.host or (port.unbound and not was_idle):
        where = port.bound_to or "no host"
        return f"port {port.id} is not bound to {server.host} ({port.vif_type}, {where})"
    expected = port.enabled and not was_idle
    if expected and server.power_state == RUNNING and port.status != "ACTIVE":
        return f"port {port.id} is {port.status}"
    return ""
