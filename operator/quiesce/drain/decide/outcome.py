"""Where the drain stands: phase, reason, message, and when to look again. Decided once, here."""

from dataclasses import dataclass

from quiesce.api import durations
from quiesce.api.drain.reasons import DrainReason, Phase, ServerReason
from quiesce.api.drain.spec import AfterDrain, WhileRunning
from quiesce.api.drain.status import PlanStatus, Progress
from quiesce.api.errors import NotAllowed
from quiesce.api.text import count, some, with_remedy
from quiesce.drain.decide import service
from quiesce.drain.decide.allocations import left_behind
from quiesce.drain.decide.refusals import not_permitted
from quiesce.drain.decide.remedies import SET_UP
from quiesce.drain.decide.schedule import room_to_arrive, starved, waiting
from quiesce.drain.model.actions import DeleteService, DisableService
from quiesce.drain.model.backoff import back_off
from quiesce.drain.model.decision import Decision, Deletion, Goal, Limits, Outcome
from quiesce.drain.model.drain import Drain
from quiesce.drain.model.history import HostFailure, Refusal
from quiesce.drain.model.observation import SILENT_FOR, Observation
from quiesce.drain.model.verdict import Blocked, Held, Wait

_ABANDON = "to release it at once: annotate with quiesce.dev/abandon=true"
_AT_ONCE = 1.0  # seconds after a call for the host
_AFTER_FIRST_WRITE = 0.1
"""Seconds: Nova answers a disable once nova-compute has told placement of it (compute/api.py
HostAPI._update_compute_provider_status)."""
_SOON = 5.0  # seconds: nova-compute of an empty host is watched that closely while it runs


@dataclass(frozen=True, slots=True)
class _Case:
    """All that the outcome depends on. `plan`: of this tick, else the last one. `slots`: moves that
    all drains together leave to this one; None: as many as it likes.
    """

    drain: Drain
    observation: Observation
    decision: Decision
    progress: Progress
    plan: PlanStatus | None
    slots: int | None
    is_full: bool  # no move may begin before others have arrived


def outcome_of(
    drain: Drain,
    observation: Observation,
    decision: Decision,
    progress: Progress,
    last_plan: PlanStatus | None,
    limits: Limits,
) -> Outcome:
    """`decision`: without its outcome."""
    plan = decision.plan.status if decision.plan else last_plan
    is_full = room_to_arrive(decision.verdicts, limits) <= 0
    case = _Case(drain, observation, decision, progress, plan, limits.slots, is_full)
    if decision.goal is Goal.RELEASE:
        return _reconciling(Phase.RESTORING, DrainReason.RESTORING, _restoring(case), False)
    if drain.spec.suspend:
        text = "suspended by spec.suspend: nothing is written to OpenStack until it is false"
        return Outcome(Phase.SUSPENDED, _is_ended(case), DrainReason.SUSPENDED, text)
    if decision.goal is Goal.WATCH and not decision.moving:
        return _planned(case)
    if _is_ended(case):
        return _ended(case)
    stall = _stall(case)
    if stall is not None:
        return stall
    return _working(case)


def _reconciling(
    phase: Phase, reason: DrainReason | str, message: str, ready: bool | None = None
) -> Outcome:
    return Outcome(phase, ready, reason, message, reconciling=True)


def _stalled(reason: DrainReason | ServerReason | str, message: str) -> Outcome:
    return Outcome(Phase.STALLED, False, reason, message, stalled=True)


def _gone(case: _Case) -> bool:
    """The service that this drain found is no longer in Nova."""
    return case.drain.begun and case.observation.service is None


def _is_ended(case: _Case) -> bool:
    """The end state that the spec asks for holds now."""
    found, proof = case.observation.service, case.decision.proof
    if case.drain.spec.service.after_drain is AfterDrain.KEEP_DISABLED:
        return proof.complete and found is not None and found.status == "disabled"
    return _gone(case) and proof.complete and not case.decision.leftovers


def _ended(case: _Case) -> Outcome:
    if not _gone(case):
        text = "the host is empty and its service disabled"
        return Outcome(Phase.DRAINED, True, DrainReason.DRAINED, text)
    text = "the host is empty and its service deleted; nothing is left behind"
    unproven = case.decision.proof.unproven
    text += f" (not proven: {'; '.join(unproven)})" if unproven else ""
    return Outcome(Phase.DELETED, True, DrainReason.DELETED, text)


def _planned(case: _Case) -> Outcome:
    """mode: Plan wants a plan and nothing else, so once it is there the resource is as
    asked for.
    """
    plan = case.plan
    if plan is None:
        return _reconciling(Phase.PLANNED, DrainReason.PLANNING, "making a plan")
    text = (
        f"would move {plan.live} live and {plan.cold} cold, and offload {plan.offload}; "
        f"{plan.blocked} "
        f"cannot move; capacity: {plan.capacity}. Nothing is changed in OpenStack; "
        "set mode: Drain to start"
    )
    return Outcome(Phase.PLANNED, True, DrainReason.PLANNED, text)


# Where only a person can help


def _stall(case: _Case) -> Outcome | None:
    """None: the drain can still continue by itself."""
    drain, decision, observation = case.drain, case.decision, case.observation
    if _disable_refused(case):
        return None
    if not drain.begun and lacks_capacity(drain, decision):
        text = decision.plan.capacity_message if decision.plan else "no plan yet"
        return _stalled(
            DrainReason.CAPACITY_SHORT,
            f"not started, because of migration.requireCapacity: {text}. Add or enable capacity; "
            "it is checked again by itself",
        )
    if _gone(case) and decision.leftovers:
        return _stalled(DrainReason.LEFTOVERS, "; ".join(decision.leftovers))
    if decision.proof.leaked:
        text = left_behind(observation, decision.proof.leaked)
        return _stalled(DrainReason.ALLOCATIONS_LEFT, text)
    if lacking := not_permitted(drain, observation):
        return _stalled(NotAllowed.reason, lacking)
    failure = observation.history.host_failure
    if failure is not None and failure.person and decision.proof.complete:
        deletion = deletion_of(drain, observation, decision)
        return _stalled(deletion.reason, deletion.message)
    return _blocked(case)


def _blocked(case: _Case) -> Outcome | None:
    """Every server that is left is in the way, or waits for one that is."""
    drain, decision = case.drain, case.decision
    if not decision.problems or decision.moving:
        return None
    waiting = starved(drain.spec, case.observation, decision.verdicts)
    mine = [v for v in decision.verdicts if v.counts and v not in waiting]
    if any(not isinstance(v.verdict, Blocked | Held) for v in mine):
        return None
    reasons = {verdict.reason for _, verdict in decision.problems}
    text = _problems(case)
    if waiting:
        text += f"; waiting for them: {some(v.name for v in waiting)}"
    return _stalled(reasons.pop() if len(reasons) == 1 else DrainReason.SERVERS_BLOCKED, text)


def lacks_capacity(drain: Drain, decision: Decision) -> bool:
    """The spec wants capacity for all servers before anything is begun, and the plan does not say
    that there is.
    """
    plan = decision.plan
    return drain.spec.migration.require_capacity and (
        plan is None or plan.status.capacity != "Fits"
    )


def _problems(case: _Case) -> str:
    """Per cause which three and how many: `3 blocked: db-3 (Suspended); web-1, web-2 (NoCapacity)`,
    bounded and sorted.
    """
    problems = case.decision.problems
    reasons = sorted({verdict.reason for _, verdict in problems})
    parts = [
        f"{some(v.name for v, verdict in problems if verdict.reason == reason)} ({reason})"
        for reason in reasons
    ]
    return f"{len(problems)} blocked: {'; '.join(parts)}"


# Where the drain continues by itself


def _working(case: _Case) -> Outcome:
    drain, observation, decision = case.drain, case.observation, case.decision
    progress, found = case.progress, observation.service
    if not drain.begun:
        text = "found the service; disabling it" if found else "looking for the service"
        return _reconciling(Phase.PENDING, DrainReason.STARTING, text)
    if refused := _disable_refused(case):
        return _reconciling(
            Phase.DRAINING,
            DrainReason.DISABLE_REFUSED,
            f"Nova refuses to disable the service: {refused}. Nothing moves before it is disabled; "
            "it is tried again",
        )
    if found is not None and found.status != "disabled":
        return _reconciling(Phase.DRAINING, DrainReason.DISABLING, "disabling the service")
    if progress.moved < progress.total or decision.problems:
        text = (
            f"moving {progress.moving} of {count(progress.total, 'server')}, {progress.moved} moved"
            f"{_waits(case)}{f'; {_problems(case)}' if decision.problems else ''}"
        )
        waits = case.slots is not None and case.slots <= 0 and not progress.moving
        if waits and waiting(decision.verdicts):
            text += "; none begins before moves of other drains have ended (--max-moves)"
        elif case.is_full and waiting(decision.verdicts) and not progress.moving:
            text += "; none begins before others have arrived at their destination (--max-arrivals)"
        return _reconciling(Phase.DRAINING, DrainReason.MIGRATING, text)
    if not decision.proof.complete:
        against = "; ".join(decision.proof.against)
        text = against or "the host is empty; verifying with a second read"
        return _reconciling(
            Phase.DRAINING, DrainReason.PROVING, f"all servers have moved: {text}{_waits(case)}"
        )
    deletion = deletion_of(drain, observation, decision)
    return _reconciling(Phase.DRAINED, deletion.reason, deletion.message)


def _disable_refused(case: _Case) -> str:
    """Nova's message where that is why the service is not disabled; one that is needs our reason
    only.
    """
    found = case.observation.service
    enabled = found is not None and found.status != "disabled"
    return case.decision.refusal_of(DisableService) if enabled else ""


def _waits(case: _Case) -> str:
    """Where nothing moves: what is waited for, so that no drain stands still without a message."""
    verdicts = case.decision.verdicts
    waits = [(v.name, v.verdict.message) for v in verdicts if isinstance(v.verdict, Wait)]
    if not waits or case.decision.moving:
        return ""
    return f"; waiting for {some(name for name, _ in waits)}: {min(waits)[1]}"


def deletion_of(drain: Drain, observation: Observation, decision: Decision) -> Deletion:
    """What the deletion of the service waits for, once the host is proven empty."""
    found, failure = observation.service, observation.history.host_failure
    if refused := decision.refusal_of(DeleteService):
        text = f"the host is empty; Nova refuses to delete its service: {refused}"
        return Deletion(DrainReason.DELETE_REFUSED, text)
    if failure is not None:
        text = f"the host is empty; nova-compute there cannot be stopped: {failure.whole}"
        return Deletion(failure.reason, text)
    if any(isinstance(a, DeleteService) for a in decision.actions):
        return Deletion(DrainReason.DELETING, "the host is empty; deleting its service")
    if found is not None and found.forced_down and not observation.compute_is_down:
        return _forced_down(drain)
    if found is not None and drain.spec.service.while_running is WhileRunning.WAIT:
        return Deletion(
            DrainReason.NOVA_COMPUTE_RUNNING,
            f"the host is empty. Stop nova-compute on {drain.host} now (systemctl disable --now "
            "nova-compute), or power the host off; its service is deleted when Nova reports it "
            "down",
        )
    return Deletion(DrainReason.DELETING, "the host is empty")


def _forced_down(drain: Drain) -> Deletion:
    """Nova does not tell when nova-compute has stopped: only its silence does."""
    waits = (
        f"once nova-compute has reported nothing for {durations.text(SILENT_FOR.total_seconds())}"
    )
    text = (
        "the host is empty. Nova shows its service as down because it is forced down, which says "
        f"nothing about nova-compute; it is deleted {waits}"
    )
    if drain.spec.service.while_running is WhileRunning.WAIT:
        text += (
            f". Stop nova-compute on {drain.host} now, or power the host off. To see whether it "
            f"runs: {SET_UP.format(host=drain.host)}"
        )
    return Deletion(DrainReason.FORCED_DOWN, text)


def _restoring(case: _Case) -> str:
    observation, decision = case.observation, case.decision
    held = [(v, w) for v, w in decision.problems if isinstance(w, Held) or w.ours]
    if held:
        v, verdict = held[0]
        text = with_remedy(verdict.message, verdict.remedies)
        return f"restoring the host waits for {v.name}: {text} ({_ABANDON})"
    moving = sum(v.in_flight and v.counts for v in decision.verdicts)
    if moving:
        return f"restoring the host; waiting for {count(moving, 'move')} in flight to end"
    if observation.service is not None and observation.service.status == "UNKNOWN":
        return "restoring the host waits until its cell is up again: Nova cannot see it"
    if failure := service.start_failure(observation):
        return (
            f"restoring the host; nova-compute there cannot be started: {failure.whole}; "
            f"{service.START_TRIES} tries in all"
        )
    if decision.refused:
        refused = "; ".join(
            f"Nova refuses to {refusal.call}: {refusal.text}" for _, refusal in decision.refused
        )
        return f"restoring the host; {refused}; it is tried again ({_ABANDON})"
    return "restoring the host as it was found"


# When to look again


def requeue_after(observation: Observation, decision: Decision, limits: Limits) -> float:
    """Seconds from the beginning of this tick: at once after a call for the host, soon while
    anything moves, slowly at rest.
    """
    verdicts, proof = decision.verdicts, decision.proof
    in_flight = any(v.in_flight for v in verdicts)
    if decision.first_write:
        return min(_AFTER_FIRST_WRITE, limits.poll)
    if decision.actions and not decision.started and not in_flight:
        return min(_AT_ONCE, limits.poll)
    if (
        decision.started
        or any(v.is_lively for v in verdicts)
        or (limits.held and waiting(verdicts))
    ):
        return limits.poll
    waits = [
        v.verdict.until - observation.now
        for v in verdicts
        if isinstance(v.verdict, Wait | Blocked) and v.verdict.until
    ]
    tried: list[Refusal | HostFailure] = [refusal for _, refusal in decision.refused]
    failure = observation.history.host_failure
    tried += [failure] if failure else []
    waits += [each.at + back_off(each.count, observation.host) - observation.now for each in tried]
    soon = [w.total_seconds() for w in waits if w.total_seconds() > 0]
    if decision.goal is Goal.KEEP_DRAINED and proof.clean and not proof.complete:
        soon.append(limits.settle.total_seconds())
    elif proof.complete and observation.service and observation.service.state == "up":
        soon.append(min(_SOON, limits.idle))
    return min([limits.idle, *soon])
