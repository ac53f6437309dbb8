"""PURE: what was found and decided -> the whole status, for people and for the next tick. Bounded, sorted, stable.

It is written before the actions it announces are carried out, so that a process that dies
in between leaves behind what it found and what it was about to do.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from quiesce.api.conditions import Condition, State, merged, ready
from quiesce.api.drain.record import Record
from quiesce.api.drain.spec import AfterDrain, DrainSpec, WhileRunning
from quiesce.api.errors import Problem, Terminal
from quiesce.api.text import count, some
from quiesce.drain.decide import compute_service
from quiesce.drain.decide.compute_service import DrainIdentity
from quiesce.drain.decide.goals import (
    START_TRIES,
    Decision,
    Goal,
    ServerVerdict,
    lacks_capacity,
    start_trouble,
    starved,
)
from quiesce.drain.decide.proof import ended_moves
from quiesce.drain.model.actions import DeleteService, DisableService, HostAction
from quiesce.drain.model.observation import Observation
from quiesce.drain.model.verdict import (
    Abort,
    Blocked,
    Confirm,
    Follow,
    ForceComplete,
    Held,
    Move,
    Offload,
    Resume,
    Revert,
    Wait,
)
from quiesce.openstack.records import Migration

PROBLEM_ROWS = 20
MOVING_ROWS = 100
CLAIMS = 10  # named in one message: each is to be given up by a person
TEXT = 1024


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that a status is made of."""

    who: DrainIdentity
    spec: DrainSpec
    memory: Record
    seen: Observation
    decision: Decision
    previous: dict[str, Any]
    generation: int

    @property
    def now(self) -> str:
        return stamp(self.seen.now)

    @property
    def problems(self) -> list[tuple[ServerVerdict, Blocked | Held]]:
        """Most urgent first, then those held, whose rows are needed (how they were), then by name."""
        found = [
            (j, j.verdict) for j in self.decision.judged if isinstance(j.verdict, Blocked | Held)
        ]
        return sorted(found, key=lambda p: (rank(p[1]), p[0].name, p[0].server_id))

    @property
    def moving(self) -> list[ServerVerdict]:
        flying = [
            j
            for j in self.decision.judged
            if j.here and j.in_flight and not isinstance(j.verdict, Blocked)
        ]
        return [
            j for j in self.decision.judged if j.server_id in self.decision.started or j in flying
        ]


def refusal_of(report: Report, kind: type[HostAction]) -> str:
    """Nova's words where it refuses such a call for the host; empty: it does not."""
    return next(
        (
            said.text or f"HTTP {said.status}"
            for action, said in report.decision.refused
            if isinstance(action, kind)
        ),
        "",
    )


def disable_refused(report: Report) -> str:
    """Nova's words where that is why the service is not disabled; one that is needs our reason only."""
    service = report.seen.service
    return (
        refusal_of(report, DisableService)
        if service is not None and service.status != "disabled"
        else ""
    )


def rank(verdict: Blocked | Held) -> int:
    if isinstance(verdict, Held):
        return 1
    return 0 if verdict.urgent else 2


def stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def status(report: Report) -> dict[str, Any]:
    """The status as JSON, whole. Keys without a value are absent."""
    progress = progress_of(report)
    phase, conditions = phase_and_conditions(report, progress)
    memory = report.memory
    drained = report.decision.proof.complete or (memory.drained_since is not None and gone(report))
    ended = phase in ("Drained", "Deleted") and any(
        c.type == "Ready" and c.status == "True" for c in conditions
    )
    whole = {
        "observedGeneration": report.generation,
        "phase": phase,
        "message": next(c.message for c in conditions if c.type == "Ready")[:TEXT],
        "conditions": merged(
            report.previous.get("conditions") or (), conditions, report.generation, report.now
        ),
        "service": service_of(report),
        "foundAggregates": found_aggregates(report),
        "foundMigration": from_here_on(report, memory.found_migration),
        "attemptsFrom": from_here_on(report, memory.attempts_from),
        "lastHandledRequestedAt": memory.handled_request,
        "progress": progress if report.memory.begun or report.seen.whole else None,
        "moving": [moving_row(j, report) for j in report.moving[:MOVING_ROWS]],
        "problems": [
            problem_row(j, verdict, report) for j, verdict in report.problems[:PROBLEM_ROWS]
        ],
        "problemsOmitted": max(0, len(report.problems) - PROBLEM_ROWS),
        "plan": report.decision.plan.as_json()
        if report.decision.plan
        else report.previous.get("plan"),
        "startTime": memory.started or report.now,
        "drainedTime": (memory.drained_since or report.now) if drained else None,
        "completionTime": (memory.completed or report.now) if ended else None,
    }
    return {key: value for key, value in whole.items() if value is not None}


def from_here_on(report: Report, remembered: int) -> int | None:
    """The migration id from which on migrations are this drain's: fixed with what else is found before the first write."""
    if report.memory.begun:
        return remembered
    return newest_migration(report.seen.migrations) if begins(report) else None


def begins(report: Report) -> bool:
    """Whether this tick is the one that saves how the host was found, and then writes to OpenStack for the first time."""
    service = report.seen.service
    return not report.memory.begun and bool(report.decision.actions) and service is not None


def newest_migration(migrations: tuple[Migration, ...]) -> int:
    return max((m.id for m in migrations), default=0)


def service_of(report: Report) -> dict[str, Any]:
    """What is there now, and what was found before the first write: that is what Restore puts back."""
    memory, seen, who = report.memory, report.seen, report.who
    service = seen.service
    now = (
        {"id": service.id, "status": service.status, "state": service.state}
        if service
        else {"status": "deleted"}
    )
    found: dict[str, Any]
    if memory.begun:
        found = {
            "foundId": memory.found_id,
            "foundStatus": memory.found_status,
            "foundReason": memory.found_reason,
            "foundUnit": memory.found_unit or report.seen.unit,
            "node": memory.node,
            "address": memory.address,
        }
    elif service is None or not begins(report):
        found = {}
    else:
        # A disable of our own is no finding: the status was lost, and enabled is what a drain mostly finds.
        own = compute_service.is_ours(who, service.disabled_reason)
        found = {
            "foundId": service.id,
            "foundStatus": "enabled" if own else service.status,
            "foundReason": None if own else service.disabled_reason,
            "node": seen.node,
            "address": seen.address,
        }
    return {key: value for key, value in (now | found).items() if value is not None}


def found_aggregates(report: Report) -> list[dict[str, Any]] | None:
    if report.memory.begun or report.seen.aggregates is None:
        return list(report.previous.get("foundAggregates") or ()) or None
    inside = [a for a in report.seen.aggregates if report.seen.host in a.hosts]
    return [{"id": a.id, "name": a.name} for a in sorted(inside, key=lambda a: a.id)] or None


def progress_of(report: Report) -> dict[str, Any]:
    judged = report.decision.judged
    mine = [j for j in judged if j.here]
    present = {j.server_id for j in judged}
    offloaded = report.memory.offloaded + sum(
        row.get("method") == "offload" and server_id not in present
        for server_id, row in report.memory.rows.items()
    )
    moved = max(
        report.decision.left + offloaded, report.memory.moved
    )  # Nova forgets the moves of deleted servers
    total, moving = moved + len(mine), sum(j.here for j in report.moving)
    blocked = len(report.problems)
    here_blocked = sum(
        isinstance(j.verdict, Blocked | Held) and j not in report.moving for j in mine
    )
    return {
        "summary": f"{moved}/{total}",
        "total": total,
        "moved": moved,
        "offloaded": offloaded,
        "moving": moving,
        "waiting": max(0, len(mine) - moving - here_blocked),
        "blocked": blocked,
        "percent": 100 * moved // total if total else 100,
    }


def moving_row(j: ServerVerdict, report: Report) -> dict[str, Any]:
    verdict, before = j.verdict, report.memory.rows.get(j.server_id, {})
    migration: Migration | None = getattr(verdict, "migration", None)
    method, state = method_and_state(j, before)
    same = before.get("attempt") == j.attempt and "state" in before
    was = (
        j.server.status
        if j.server and j.server_id in report.decision.started
        else before.get("was")
    )
    was = was or report.seen.was.get(j.server_id)
    row = {
        "id": j.server_id,
        "name": j.name[:255],
        "method": method,
        "state": state,
        "destination": migration.dest if migration else report.spec.migration.target_host,
        "attempt": j.attempt,
        "since": before["since"] if same and "since" in before else report.now,
        "was": was,
    }
    return {key: value for key, value in row.items() if value is not None}


def method_and_state(j: ServerVerdict, before: Any) -> tuple[str | None, str]:
    match j.verdict:
        case Move(how=how):
            return how, "Starting"
        case Offload():
            return "offload", "Starting"
        case Resume():
            return "resume", "Starting"
        case Follow(stage=state, migration=m):
            return ("live" if m.live else "cold") if m else before.get("method"), state
        case Confirm(migration=m):
            return "live" if m.live else "cold", "Confirming"
        case Revert(migration=m):
            return "live" if m.live else "cold", "Reverting"
        case Abort(migration=m) | ForceComplete(migration=m):
            return "live" if m.live else "cold", "Ending"
        case Wait(reason=reason):
            return before.get("method"), reason
        case _:
            return before.get("method"), "Stuck"


def problem_row(j: ServerVerdict, verdict: Blocked | Held, report: Report) -> dict[str, Any]:
    before = report.memory.rows.get(j.server_id, {})
    row = {
        "id": j.server_id,
        "name": j.name[:255],
        "reason": verdict.reason,
        "message": verdict.message[:TEXT],
        "attempts": j.attempt - 1,
        "since": before["since"]
        if before.get("reason") == verdict.reason and "since" in before
        else report.now,
        "was": before.get("was"),
    }
    return {key: value for key, value in row.items() if value is not None}


# Phase and conditions


def gone(report: Report) -> bool:
    """The service that this drain found is no longer in Nova."""
    return report.memory.begun and report.seen.service is None


def phase_and_conditions(report: Report, progress: dict[str, Any]) -> tuple[str, list[Condition]]:
    facts = [service_disabled(report), drained(report), service_deleted(report), capacity(report)]
    if report.decision.goal is Goal.GIVEN_BACK:
        text = restoring_message(report)
        return "Restoring", [
            *facts,
            Condition("Reconciling", "True", "Restoring", text),
            ready(False, "Restoring", text),
        ]
    if report.spec.suspend:
        text = "suspended: nothing is written to OpenStack (spec.suspend)"
        return "Suspended", [*facts, ready(is_ended(report), "Suspended", text)]
    if report.decision.goal is Goal.WATCHED and not report.moving:
        return planned(report, facts)
    if is_ended(report):
        phase, text = (
            ("Deleted", deleted_text(report))
            if gone(report)
            else ("Drained", "the host is empty and its service disabled")
        )
        return phase, [*facts, ready(True, phase, text)]
    reason, text = stall(report)
    if reason:
        return "Stalled", [
            *facts,
            Condition("Stalled", "True", reason, text),
            ready(False, reason, text),
        ]
    phase, reason, text = working(report, progress)
    return phase, [
        *facts,
        Condition("Reconciling", "True", reason, text),
        ready(None, reason, text),
    ]


def planned(report: Report, facts: list[Condition]) -> tuple[str, list[Condition]]:
    """mode: Plan wants a plan and nothing else, so once it is there the resource is as asked for."""
    plan = (
        report.previous.get("plan")
        if report.decision.plan is None
        else report.decision.plan.as_json()
    )
    if plan is None:
        text = "making a plan"
        return "Planned", [
            *facts,
            Condition("Reconciling", "True", "Planning", text),
            ready(None, "Planning", text),
        ]
    text = (
        f"would move {plan['live']} live and {plan['cold']} cold, offload {plan['offload']}; {plan['blocked']} cannot move; "
        f"capacity: {plan['capacity']}. Nothing is changed in OpenStack; set mode: Drain to start"
    )
    return "Planned", [*facts, ready(True, "Planned", text)]


def is_ended(report: Report) -> bool:
    """The end state that the spec asks for holds now."""
    seen, proof = report.seen, report.decision.proof
    if report.spec.service.after_drain is AfterDrain.KEEP_DISABLED:
        return proof.complete and seen.service is not None and seen.service.status == "disabled"
    return gone(report) and proof.complete and not report.decision.leftovers


def deleted_text(report: Report) -> str:
    text = "the host is empty and its service deleted; nothing is left behind"
    unproven = report.decision.proof.unproven
    return f"{text} (not proven: {'; '.join(unproven)})" if unproven else text


def stall(report: Report) -> tuple[str, str]:
    """(reason, message) where only a person can help; ('', '') where the drain can still go on by itself."""
    judged = report.decision.judged
    if disable_refused(report):
        return "", ""
    if not report.memory.begun and lacks_capacity(report.spec, report.decision):
        plan = report.decision.plan
        said = plan.capacity_message if plan else "no plan yet"
        return (
            "CapacityShort",
            f"not started (migration.requireCapacity): {said}. Add or enable capacity; this is looked at again",
        )
    if gone(report) and report.decision.leftovers:
        return "Leftovers", "; ".join(report.decision.leftovers)
    if report.decision.proof.leaked:
        return "AllocationsLeft", leaked_text(report)
    trouble = report.seen.host_trouble
    if trouble is not None and trouble.person and report.decision.proof.complete:
        return waiting_for_delete(report)
    if not report.problems or report.moving:
        return "", ""
    waiting = starved(report.spec, report.seen, judged)
    if any(
        not isinstance(j.verdict, Blocked | Held) for j in judged if j.here and j not in waiting
    ):
        return "", ""
    reasons = {verdict.reason for _, verdict in report.problems}
    text = problems_text(report) + (
        f"; waiting for them: {some(j.name for j in waiting)}" if waiting else ""
    )
    return reasons.pop() if len(reasons) == 1 else "ServersBlocked", text


def leaked_text(report: Report) -> str:
    """What placement still counts, and how it is given up: of a server that would give up its place elsewhere, too."""
    leaked, ended = report.decision.proof.leaked, ended_moves(report.seen)
    moves, others = [c for c in leaked if c in ended], [c for c in leaked if c not in ended]
    parts = [
        f"no server is left, but placement still counts {count(len(leaked), 'allocation')} on the host that Nova forgot"
    ]
    if moves:
        parts.append(
            f"of moves that have ended: {some(moves, CLAIMS)} (openstack resource provider allocation delete UUID)"
        )
    if others:
        parts.append(
            f"of others: {some(others)} (nova-manage placement audit says whose they are, and --delete gives them up)"
        )
    return "; ".join(parts)


def problems_text(report: Report) -> str:
    """Per cause which three and how many: `3 blocked: db-3 (Suspended); web-1, web-2 (NoCapacity)`, bounded and sorted."""
    reasons = sorted({verdict.reason for _, verdict in report.problems})
    parts = [
        f"{some(j.name for j, v in report.problems if v.reason == reason)} ({reason})"
        for reason in reasons
    ]
    return f"{len(report.problems)} blocked: {'; '.join(parts)}"


def waits_text(report: Report) -> str:
    """Where nothing moves: what is waited for, so that no drain stands still without a word."""
    waits = [
        (j.name, j.verdict.message) for j in report.decision.judged if isinstance(j.verdict, Wait)
    ]
    if not waits or report.moving:
        return ""
    return f"; waiting for {some(name for name, _ in waits)}: {min(waits)[1]}"


def working(report: Report, progress: dict[str, Any]) -> tuple[str, str, str]:
    """(phase, reason, message) while the drain goes on by itself."""
    seen, decision = report.seen, report.decision
    trouble = waits_text(report) + (f"; {problems_text(report)}" if report.problems else "")
    if not report.memory.begun:
        return (
            "Pending",
            "Starting",
            "found the service; disabling it" if seen.service else "looking for the service",
        )
    if refused := disable_refused(report):
        text = f"Nova refuses to disable the service, and nothing moves before it is: {refused}; it is tried again"
        return "Draining", "DisableRefused", text
    if seen.service is not None and seen.service.status != "disabled":
        return "Draining", "Disabling", "disabling the service"
    if progress["moved"] < progress["total"] or report.problems:
        return (
            "Draining",
            "Migrating",
            f"moving {progress['moving']} of {count(progress['total'], 'server')}, {progress['moved']} moved{trouble}",
        )
    if not decision.proof.complete:
        against = (
            "; ".join(decision.proof.against) or "empty; looking again to be sure that it stays so"
        )
        return "Draining", "Proving", f"all servers have moved: {against}{waits_text(report)}"
    return "Drained", *waiting_for_delete(report)


def waiting_for_delete(report: Report) -> tuple[str, str]:
    seen = report.seen
    if refused := refusal_of(report, DeleteService):
        return (
            "DeleteRefused",
            f"the host is empty, and Nova refuses to delete its service: {refused}",
        )
    if seen.host_trouble is not None:
        return (
            seen.host_trouble.reason,
            f"the host is empty, and nova-compute there cannot be stopped: {seen.host_trouble.text}",
        )
    if any(isinstance(a, DeleteService) for a in report.decision.actions):
        return "Deleting", "the host is empty; deleting its service"
    if seen.service is not None and report.spec.service.while_running is WhileRunning.WAIT:
        return "NovaComputeRunning", (
            f"the host is empty. Now stop nova-compute on {seen.host} (systemctl disable --now nova-compute, or power it off); "
            "its service is deleted from Nova as soon as Nova reports it down"
        )
    return "Deleting", "the host is empty"


def restoring_message(report: Report) -> str:
    held = [
        (j, verdict) for j, verdict in report.problems if isinstance(verdict, Held) or verdict.ours
    ]
    if held:
        return (
            f"giving the host back waits for {held[0][0].name}: {held[0][1].message}"
            " (or let go at once: annotate with quiesce.dev/abandon=true)"
        )
    moving = sum(j.in_flight and j.here for j in report.decision.judged)
    if moving:
        return f"giving the host back; waiting for {count(moving, 'move')} in flight to end"
    if report.seen.service is not None and report.seen.service.status == "UNKNOWN":
        return "giving the host back waits until Nova can see it again: its cell is down"
    if trouble := start_trouble(report.seen):
        return f"giving the host back; nova-compute there cannot be started: {trouble.text}; tried {START_TRIES} times in all"
    if report.decision.refused:
        said = "; ".join(
            f"Nova refuses to {said.call}: {said.text}" for _, said in report.decision.refused
        )
        return f"giving the host back; {said}; it is tried again (or let go at once: annotate with quiesce.dev/abandon=true)"
    return "giving the host back as it was found"


def service_disabled(report: Report) -> Condition:
    service = report.seen.service
    if service is None:
        return Condition(
            "ServiceDisabled",
            "Unknown",
            "ServiceDeleted" if report.memory.begun else "HostNotFound",
            "Nova lists no service of this host",
        )
    refused = refusal_of(report, DisableService)
    unmarked = f"; Nova refuses to disable it for this drain: {refused}" if refused else ""
    if service.status != "disabled":
        text = f"the scheduler may place servers here{unmarked}"
        return Condition("ServiceDisabled", "False", service.status.capitalize(), text[:TEXT])
    if compute_service.is_ours(report.who, service.disabled_reason):
        return Condition("ServiceDisabled", "True", "Disabled", "disabled by this drain")
    return Condition(
        "ServiceDisabled",
        "True",
        "DisabledByOthers",
        f"disabled by somebody else: {service.disabled_reason or 'no reason given'}{unmarked}"[
            :TEXT
        ],
    )


def drained(report: Report) -> Condition:
    evidence = report.decision.proof
    if evidence.complete:
        unproven = (
            f"not proven: {'; '.join(evidence.unproven)}"
            if evidence.unproven
            else "empty in two complete reads"
        )
        return Condition("Drained", "True", "Empty", unproven)
    if report.decision.goal is not Goal.KEPT_DRAINED and not report.memory.begun:
        return Condition("Drained", "Unknown", "NotStarted", "")
    if evidence.clean:
        return Condition("Drained", "False", "Proving", "empty in one complete read; looking again")
    reason = "ServersBlocked" if report.problems else "Migrating"
    return Condition("Drained", "False", reason, "; ".join(evidence.against)[:TEXT])


def service_deleted(report: Report) -> Condition:
    if gone(report):
        left = "; ".join(report.decision.leftovers)
        return Condition(
            "ServiceDeleted",
            "True",
            "LeftoversRemain" if left else "Deleted",
            left or "nothing is left behind in Nova and Placement",
        )
    if report.spec.service.after_drain is AfterDrain.KEEP_DISABLED:
        return Condition(
            "ServiceDeleted",
            "False",
            "KeepDisabled",
            "the spec keeps the service (service.afterDrain)",
        )
    if not report.decision.proof.complete:
        return Condition(
            "ServiceDeleted", "False", "NotDrained", "waits until the host is proven empty"
        )
    reason, text = waiting_for_delete(report)
    return Condition("ServiceDeleted", "False", reason, text)


def capacity(report: Report) -> Condition:
    """From the plan; where none was made in this tick, as it was, unless the host is empty all the same."""
    plan = report.decision.plan
    if plan is not None:
        states: dict[str, State] = {"Fits": "True", "Short": "False", "Unknown": "Unknown"}
        return Condition(
            "CapacityAvailable", states[plan.capacity], plan.capacity, plan.capacity_message
        )
    before = next(
        (c for c in report.previous.get("conditions") or () if c["type"] == "CapacityAvailable"),
        None,
    )
    if before is None:
        return Condition("CapacityAvailable", "Unknown", "NotPlanned", "no plan has been made yet")
    if before["status"] == "False" and report.decision.proof.complete:
        return Condition(
            "CapacityAvailable", "True", "Fits", "planned as short of room, and all have found some"
        )
    return Condition("CapacityAvailable", before["status"], before["reason"], before["message"])


# Where no look was possible


def troubled(
    error: Problem, previous: dict[str, Any], generation: int, now: str, *, deleting: bool
) -> dict[str, Any]:
    """The status when something kept us from looking: the last report stands, with the trouble on top of it."""
    text = str(error)[:TEXT]
    if deleting:
        text = (
            text
            + " (to let go without giving the host back: annotate with quiesce.dev/abandon=true)"
        )[:TEXT]
    terminal = isinstance(error, Terminal)
    kept = [
        Condition(c["type"], c["status"], c["reason"], c["message"])
        for c in previous.get("conditions") or ()
        if c["type"] not in ("Ready", "Reconciling", "Stalled")
    ]
    top = Condition("Stalled" if terminal else "Reconciling", "True", error.reason, text)
    phase = (
        "Restoring" if deleting else "Stalled" if terminal else previous.get("phase") or "Pending"
    )
    conditions = [*(kept or unknowns(error)), top, ready(False, error.reason, text)]
    return dict(previous) | {
        "observedGeneration": generation,
        "phase": phase,
        "message": text,
        "conditions": merged(previous.get("conditions") or (), conditions, generation, now),
        "startTime": previous.get("startTime") or now,
    }


def unknowns(error: Problem) -> list[Condition]:
    """Every condition is there from the first sight on."""
    return [
        Condition(kind, "Unknown", "NotRead", f"{error.reason}: see Ready")
        for kind in ("ServiceDisabled", "Drained", "ServiceDeleted", "CapacityAvailable")
    ]
