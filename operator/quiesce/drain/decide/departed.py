"""PURE. Verdicts for servers that have left the host with a migration that still concerns it."""

from dataclasses import dataclass
from datetime import timedelta

from quiesce.api.drain.record import Record
from quiesce.api.drain.spec import ConfirmationPolicy, DecisionAction, DrainSpec, OnFailedCheck
from quiesce.drain.decide import failures
from quiesce.drain.decide.rules import STALE_AFTER, answer_is_awaited, foreign_unconfirmed, stage
from quiesce.drain.model.observation import Observation
from quiesce.drain.model.verdict import Blocked, Confirm, Follow, Held, Revert, Verdict, Wait
from quiesce.openstack.records import FAILED, NOSTATE, RUNNING, SHUTDOWN, Migration, Port, Server

# A check that fails right after the move may only be early (a port is wired, a guest boots).
GRACE = timedelta(seconds=60)
SHORT_WORK = timedelta(
    minutes=5
)  # a confirm or revert, in which the server stands in VERIFY_RESIZE all the time


@dataclass(frozen=True, slots=True)
class DepartedServer:
    """A server that is no longer on the host, and the migration by which it left (or by which it may come)."""

    server_id: str
    migration: Migration
    ours: bool
    spec: DrainSpec
    memory: Record
    seen: Observation
    tries: int  # our failed or rolled back tries before this one

    @property
    def server(self) -> Server | None:
        return self.seen.elsewhere.get(self.server_id)

    @property
    def superseded(self) -> bool:
        """Nova has begun another move of it since, so nothing works on this one any more."""
        return any(
            m.server_id == self.server_id and m.id > self.migration.id for m in self.seen.migrations
        )

    @property
    def since_finished(self) -> timedelta:
        """How long this process has seen it finished: less than the truth after a restart, never more."""
        return self.seen.now - self.seen.seen.get((self.migration.id, "finished"), self.seen.now)


def judge(leaver: DepartedServer) -> Verdict | None:
    """None: it has left the host and nothing of it concerns the host any more."""
    migration = leaver.migration
    if migration.status == "finished":
        return judge_finished(leaver) if leaver.ours else judge_foreign_finished(leaver)
    if migration.status in FAILED:
        return judge_failed(leaver) if leaver.ours or left_in_our_time(leaver) else None
    if migration.terminal:
        return None
    return judge_under_way(leaver)


def left_in_our_time(leaver: DepartedServer) -> bool:
    """Whoever began it: where it failed on its destination, the only good copy of the disk may be on this host."""
    migration, memory = leaver.migration, leaver.memory
    return (
        memory.begun
        and migration.source == leaver.seen.host
        and migration.id > memory.found_migration
    )


def judge_under_way(leaver: DepartedServer) -> Verdict:
    migration = leaver.migration
    if (stuck := never_ending(leaver)) is not None:
        return stuck
    if not leaver.ours:
        return Wait(
            "ForeignMigration", f"somebody else's {migration.type} of it is {migration.status}"
        )
    return failures.overdue(leaver.spec, leaver.seen, migration) or Follow(
        stage(migration), migration
    )


def never_ending(leaver: DepartedServer) -> Blocked | None:
    """A record that will never end by itself: nova-compute was restarted, or a state reset, in the middle of a move."""
    m, server, seen = leaver.migration, leaver.server, leaver.seen
    if server is None or not server.idle:
        return None
    age = seen.now - max(
        seen.seen.get((m.id, m.status), seen.now), seen.idle_since.get(server.id, seen.now)
    )
    if not leaver.superseded and age <= (
        SHORT_WORK if server.status == "VERIFY_RESIZE" else STALE_AFTER
    ):
        return None
    return Blocked(
        "StuckMigration",
        f"it is {server.status} on {server.host}, but its {m.type} {m.id} stays {m.status}, so the "
        f"service cannot be deleted. {way_out(m, server)}",
    )


def way_out(m: Migration, server: Server) -> str:
    """What ends such a record; all of it tried on a real Nova.

    nova-compute sets a record of its host to error when it finds the server in another cold migration, for which it
    looks once a minute (compute/resource_tracker.py _update_usage_from_migrations). A live one does not do it.
    """
    if server.status == "VERIFY_RESIZE":
        return (
            "The confirm or revert of it was cut off. Way out: have a database administrator set the record back, and it is "
            f"taken up again: {statement(m, 'finished')}"
        )
    return (
        "Ways out: have a database administrator end the record, which touches no guest: "
        f"{statement(m, 'error')} Or cold-migrate that server once more (openstack server migrate), which restarts it, and leave "
        f"it in VERIFY_RESIZE until nova-compute of {m.source} has set the record to error, a minute or so; then confirm it. "
        "Or delete the server"
    )


def statement(m: Migration, status: str) -> str:
    """For the database of Nova's cell."""
    where = f"id={m.id} AND uuid='{m.uuid}' AND status='{m.status}'"
    return f"UPDATE migrations SET status='{status}' WHERE {where};"  # noqa: S608 -- for a person to read, never sent


def judge_foreign_finished(leaver: DepartedServer) -> Verdict:
    server = leaver.server
    if server is None or server.status != "VERIFY_RESIZE" or server.task_state is not None:
        return never_ending(leaver) or Wait(
            "ForeignMigration", f"somebody else's {leaver.migration.type} of it is just ending"
        )
    return foreign_unconfirmed(
        leaver.spec, leaver.seen, leaver.migration, failed_checks(leaver, server)
    )


def judge_failed(leaver: DepartedServer) -> Verdict | None:
    """A move from here failed and the server is not here: healthy elsewhere is fine, in ERROR there it blocks."""
    server = leaver.server
    if server is None:
        return None
    if server.status == "ERROR":
        return failures.error_on_destination(server, leaver.migration)
    if server.task_state is not None or server.status in (
        "RESIZE",
        "MIGRATING",
        "REVERT_RESIZE",
        "BUILD",
        "REBUILD",
        "UNKNOWN",
    ):
        return Wait("Recovering", f"its move failed; it is {server.status} on {server.host}")
    return None


def judge_finished(leaver: DepartedServer) -> Verdict:
    """Our own cold migration, arrived: verify, then confirm, hold or roll back."""
    server, migration, confirmation = leaver.server, leaver.migration, leaver.spec.confirmation
    if server is None or server.status != "VERIFY_RESIZE" or server.task_state is not None:
        return never_ending(leaver) or Follow("Verifying", migration)
    if source_is_down(leaver):
        return Held(
            "SourceDown",
            "it has moved, but nova-compute of this host is down, and without it Nova neither confirms nor reverts: start it",
            migration,
        )
    if answer_is_awaited(leaver.seen, leaver.server_id):
        return Follow("Verifying", migration)
    if (refused := refusal(leaver)) is not None:
        return refused
    decided = confirmation.decision_for(leaver.server_id)
    if decided is DecisionAction.REVERT:
        return Revert(migration, "a person decided so")
    failed = failed_checks(leaver, server)
    if failed and decided is not DecisionAction.CONFIRM:
        return on_failed(leaver, failed)
    if leaver.since_finished < timedelta(seconds=confirmation.checks.soak):
        return Follow("Soaking", migration)
    if confirmation.policy is ConfirmationPolicy.MANUAL and decided is None:
        return Held(
            "AwaitingDecision",
            "moved and checked; confirmation.policy is Manual: add a decision for it",
            migration,
        )
    return Confirm(migration)


def refusal(leaver: DepartedServer) -> Verdict | None:
    """Nova said no to the confirm or revert: mostly it only came a moment too early, so look again; said thrice, it is shown."""
    said = leaver.seen.refusals.get(leaver.server_id)
    if said is None or said.call not in ("confirmResize", "revertResize"):
        return None
    if leaver.seen.now >= said.at + failures.back_off(said.count, leaver.server_id):
        return None
    if said.count < 3:
        return Follow("Verifying", leaver.migration)
    return Held("Refused", f"Nova refuses {said.call}: {said.text}", leaver.migration)


def on_failed(leaver: DepartedServer, failed: str) -> Verdict:
    if leaver.since_finished < GRACE:
        return Follow("Verifying", leaver.migration)
    rolls_back = leaver.spec.confirmation.on_failed_check is OnFailedCheck.REVERT
    if rolls_back and leaver.tries + 1 < leaver.spec.migration.attempts:
        return Revert(leaver.migration, failed)
    return Held(
        "CheckFailed",
        f"moved to {leaver.migration.dest}, not confirmed: {failed}. Both copies are kept. Repair it, or add a decision "
        "(confirmation.decisions: Confirm or Revert)",
        leaver.migration,
    )


def source_is_down(leaver: DepartedServer) -> bool:
    """Of the migration's own source: that is this host for moves away from it, another one for moves to it."""
    source = leaver.migration.source
    return not any(s.host == source and s.state == "up" for s in leaver.seen.services)


def failed_checks(leaver: DepartedServer, server: Server) -> str:
    """What is wrong with a moved server, in words; empty: every check that the spec asks for passes."""
    checks, wrong = leaver.spec.confirmation.checks, []
    was = leaver.memory.was(leaver.server_id) or leaver.seen.was.get(leaver.server_id)
    if checks.power and (text := wrong_power(was, server.power_state, ours=leaver.ours)):
        wrong.append(text)
    if server.host != leaver.migration.dest:
        wrong.append(f"it is on {server.host}, and its migration went to {leaver.migration.dest}")
    if checks.ports:
        mine = [p for p in leaver.seen.ports or () if p.server_id == server.id]
        wrong += [text for p in mine if (text := wrong_port(p, server))]
    if (
        checks.tcp_port
        and server.power_state == RUNNING
        and (text := leaver.seen.unreachable.get(server.id, ""))
    ):
        wrong.append(text)
    return "; ".join(wrong)


def wrong_power(was: str | None, power: int, *, ours: bool) -> str:
    """`was` None: nobody knows. Of our own move that is a loss, and a guest that is off may have been running."""
    if was == "ACTIVE" and power != RUNNING:
        return "it was running and is not"
    if was == "SHUTOFF" and power not in (SHUTDOWN, NOSTATE):
        return "it was shut off and is not"
    if was is None and ours and power != RUNNING:
        return "it is not running, and whether it was before its move is not known any more"
    if was is None and power not in (RUNNING, SHUTDOWN, NOSTATE):
        return f"its power state is {power}, neither running nor shut off"
    return ""


def wrong_port(port: Port, server: Server) -> str:
    if port.vif_type in ("binding_failed", "unbound") or port.bound_to != server.host:
        return f"port {port.id} is not bound to {server.host} ({port.vif_type}, {port.bound_to or 'no host'})"
    if server.power_state == RUNNING and port.status != "ACTIVE":
        return f"port {port.id} is {port.status}"
    return ""
