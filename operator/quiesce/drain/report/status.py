"""What was observed and decided -> the whole status. It renders, and decides nothing.

It is written before the actions it announces are carried out, so that a process that dies
in between leaves behind what it found and what it was about to do.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from quiesce.api.conditions import Condition, State, find, ready, stamped
from quiesce.api.drain.reasons import Stage
from quiesce.api.drain.spec import AfterDrain
from quiesce.api.drain.status import (
    MOVING_ROWS,
    PROBLEM_ROWS,
    DrainStatus,
    MovingRow,
    ProblemRow,
    ServiceStatus,
)
from quiesce.api.errors import Problem, Terminal
from quiesce.api.text import some, timestamp
from quiesce.drain.model.actions import DisableService
from quiesce.drain.model.decision import Decision, Goal, Outcome
from quiesce.drain.model.drain import Drain
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
    ServerVerdict,
    Wait,
)
from quiesce.openstack.records import Migration

FACTS = ("ServiceDisabled", "Drained", "ServiceDeleted", "CapacityAvailable")
"""Conditions that are always there; `Reconciling` and `Stalled` exist only while they are true."""
_ABANDON = " (to release it without restoring the host: annotate with quiesce.dev/abandon=true)"


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that a status is made of. `previous`: the last one."""

    drain: Drain
    observation: Observation
    decision: Decision
    previous: DrainStatus
    generation: int

    @property
    def now(self) -> str:
        return timestamp(self.observation.wall)


def status(report: Report) -> DrainStatus:
    decision, outcome = report.decision, report.decision.outcome
    assert outcome is not None  # noqa: S101 -- decide() always has one
    conditions = [*_facts(report), *_kstatus(outcome)]
    rows = tuple(_problem_row(v, verdict, report) for v, verdict in decision.problems)
    plan = decision.plan
    return DrainStatus(
        generation=report.generation,
        phase=outcome.phase,
        message=outcome.message,
        conditions=stamped(report.previous.conditions, conditions, report.generation, report.now),
        record=decision.record,
        service=_service(report.observation),
        progress=decision.progress,
        moving=tuple(_moving_row(v, report) for v in decision.moving[:MOVING_ROWS]),
        problems=rows[:PROBLEM_ROWS],
        problems_omitted=max(0, len(rows) - PROBLEM_ROWS),
        plan=plan.status if plan else report.previous.plan,
    )


def status_of_problem(
    problem: Problem,
    previous: DrainStatus,
    generation: int,
    now: datetime,
    *,
    restoring: str | None,
) -> DrainStatus:
    """Where a tick could not observe anything: the last report stands, with the problem on top of
    it. `restoring`: the host, where the drain is being deleted.
    """
    deleting, at = restoring is not None, timestamp(now)
    left = left_on_host(restoring, previous) if restoring is not None else ""
    text = ". ".join(part for part in (str(problem), left) if part) + (_ABANDON if deleting else "")
    terminal = isinstance(problem, Terminal)
    kept = [c for c in previous.conditions if c.type in FACTS]
    unread = [
        Condition(kind, "Unknown", "NotRead", f"{problem.reason}: see Ready") for kind in FACTS
    ]
    top = Condition("Stalled" if terminal else "Reconciling", "True", problem.reason, text)
    conditions = [*(kept or unread), top, ready(False, problem.reason, text)]
    record = previous.record
    last = previous.phase if record.begun or previous.phase != "Stalled" else ""  # it was repaired
    phase = "Restoring" if deleting else "Stalled" if terminal else last or "Pending"
    return replace(
        previous,
        generation=generation,
        phase=phase,
        message=text,
        conditions=stamped(previous.conditions, conditions, generation, at),
        record=record if record.started else replace(record, started=at),
    )


def left_on_host(host: str, status: DrainStatus) -> str:
    """What a drain that is not undone leaves behind, and how a person undoes it; empty: nothing.

    `status`: the last one that was reported.
    """
    record, found = status.record, status.service
    if not record.begun:
        return ""
    left = []
    if record.found_status == "enabled" and (found is None or found.status != "deleted"):
        command = f"openstack compute service set --enable {host} nova-compute"
        left.append(f"its service stays disabled ({command})")
    if found is not None and found.status == "deleted" and record.found_aggregates:
        names = some(a.name or str(a.id) for a in record.found_aggregates)
        left.append(f"it is not put back into its aggregates ({names})")
    if record.found_unit is not None and record.found_unit.startswith("running"):
        left.append("nova-compute stays stopped on it")
    return f"Host {host} is not restored: {'; '.join(left)}" if left else ""


# Rows


def _service(observation: Observation) -> ServiceStatus:
    found = observation.service
    if found is None:
        return ServiceStatus("deleted")
    return ServiceStatus(found.status, found.id, found.state)


def _moving_row(v: ServerVerdict, report: Report) -> MovingRow:
    tried = report.decision.record.tries.get(v.server_id)
    migration: Migration | None = getattr(v.verdict, "migration", None)
    copied = report.observation.history.copied.get(migration.id) if migration else None
    return MovingRow(
        id=v.server_id,
        name=v.name,
        method=tried.method if tried else None,
        state=_state(v),
        destination=migration.dest if migration else report.drain.spec.migration.target_host,
        attempt=v.attempt,
        since=tried.began if tried else report.now,
        was=tried.was if tried else None,
        percent=copied.percent if copied else None,
        rate=copied.rate if copied else None,
    )


def _state(v: ServerVerdict) -> str:
    match v.verdict:
        case Move() | Offload() | Resume():
            return Stage.STARTING
        case Follow(stage=stage):
            return stage
        case Confirm():
            return Stage.CONFIRMING
        case Revert():
            return Stage.REVERTING
        case Abort() | ForceComplete():
            return Stage.ENDING
        case Wait(reason=reason):
            return reason
        case _:
            return Stage.STUCK


def _problem_row(v: ServerVerdict, verdict: Blocked | Held, report: Report) -> ProblemRow:
    before = next((row for row in report.previous.problems if row.id == v.server_id), None)
    same = before is not None and before.reason == verdict.reason and before.since
    return ProblemRow(
        id=v.server_id,
        name=v.name,
        reason=verdict.reason,
        message=verdict.message,
        remedies=verdict.remedies,
        attempts=v.attempt - 1,
        since=before.since if before and same else report.now,
        was=report.decision.record.was(v.server_id),
    )


# Conditions


def _kstatus(outcome: Outcome) -> list[Condition]:
    """`Ready`, and `Reconciling` or `Stalled` by kstatus' rules."""
    found = [ready(outcome.ready, outcome.reason, outcome.message)]
    if outcome.stalled:
        found.append(Condition("Stalled", "True", outcome.reason, outcome.message))
    if outcome.reconciling:
        found.append(Condition("Reconciling", "True", outcome.reason, outcome.message))
    return found


def _facts(report: Report) -> list[Condition]:
    return [
        _service_disabled(report),
        _drained(report),
        _service_deleted(report),
        _capacity(report),
    ]


def _service_disabled(report: Report) -> Condition:
    kind, found = "ServiceDisabled", report.observation.service
    if found is None:
        reason = "ServiceDeleted" if report.drain.begun else "HostNotFound"
        return Condition(kind, "Unknown", reason, "Nova lists no service of this host")
    refused = report.decision.refusal_of(DisableService)
    unmarked = f"; Nova refuses to disable it for this drain: {refused}" if refused else ""
    if found.status != "disabled":
        text = f"the scheduler may place servers on the host{unmarked}"
        return Condition(kind, "False", found.status.capitalize(), text)
    if report.drain.identity.owns(found.disabled_reason):
        return Condition(kind, "True", "Disabled", "disabled by this drain")
    text = f"disabled by another user: {found.disabled_reason or 'no reason given'}{unmarked}"
    return Condition(kind, "True", "DisabledByOthers", text)


def _drained(report: Report) -> Condition:
    proof = report.decision.proof
    if proof.complete:
        unproven = f"not proven: {'; '.join(proof.unproven)}" if proof.unproven else ""
        return Condition("Drained", "True", "Empty", unproven or "empty in two complete reads")
    if report.decision.goal is not Goal.KEEP_DRAINED and not report.drain.begun:
        return Condition("Drained", "Unknown", "NotStarted", "")
    if proof.clean:
        text = "empty in one complete read; verifying with a second read"
        return Condition("Drained", "False", "Proving", text)
    reason = "ServersBlocked" if report.decision.problems else "Migrating"
    return Condition("Drained", "False", reason, "; ".join(proof.against))


def _service_deleted(report: Report) -> Condition:
    kind, decision = "ServiceDeleted", report.decision
    if report.drain.begun and report.observation.service is None:
        left = "; ".join(decision.leftovers)
        text = left or "nothing is left behind in Nova and Placement"
        return Condition(kind, "True", "LeftoversRemain" if left else "Deleted", text)
    if report.drain.spec.service.after_drain is AfterDrain.KEEP_DISABLED:
        text = "the spec keeps the service (service.afterDrain)"
        return Condition(kind, "False", "KeepDisabled", text)
    if decision.deletion is None:
        return Condition(kind, "False", "NotDrained", "waits until the host is proven empty")
    return Condition(kind, "False", decision.deletion.reason, decision.deletion.message)


def _capacity(report: Report) -> Condition:
    """From the plan; where none was made in this tick, as it was, unless the host is empty all the
    same.
    """
    kind, plan = "CapacityAvailable", report.decision.plan
    if plan is not None:
        states: dict[str, State] = {"Fits": "True", "Short": "False", "Unknown": "Unknown"}
        found = plan.status.capacity
        return Condition(kind, states[found], found, plan.capacity_message)
    before = find(report.previous.conditions, kind)
    if before is None:
        return Condition(kind, "Unknown", "NotPlanned", "no plan has been made yet")
    if before.status == "False" and report.decision.proof.complete:
        text = "the plan was short of capacity, and every server has found a host"
        return Condition(kind, "True", "Fits", text)
    return Condition(kind, before.status, before.reason, before.message)
