"""(drain, observation) -> Decision. Imports no kopf, no openstack, no kubernetes, no clock.

First a verdict for every server, then few actions, then what is to be reported. The goal of a
resource is a value: the host is kept drained, only watched, or released.
"""

from dataclasses import replace

from quiesce.api.drain.spec import Mode, OnDelete
from quiesce.api.drain.status import PlanStatus
from quiesce.drain.decide import plan, proof, schedule, service
from quiesce.drain.decide.outcome import deletion_of, lacks_capacity, outcome_of, requeue_after
from quiesce.drain.decide.remember import progress_of, record_of_tick
from quiesce.drain.decide.rules import OTHER_TASKS
from quiesce.drain.decide.servers import count_departed, judge_all, open_matters
from quiesce.drain.model.decision import Decision, Goal, Limits
from quiesce.drain.model.drain import Drain
from quiesce.drain.model.observation import Observation
from quiesce.drain.model.verdict import Confirm, Held, Move, Offload, Resume


def decide(
    drain: Drain, observation: Observation, limits: Limits, last_plan: PlanStatus | None = None
) -> Decision:
    """All that this tick reports and does. `last_plan`: as last reported."""
    drain = drain.acknowledge(observation.newest_migration)
    decision = _pursue(drain, observation, _judge(drain, observation, limits), limits)
    begins = not drain.begun and bool(decision.actions) and observation.service is not None
    decision = replace(decision, first_write=begins)
    progress = progress_of(drain, observation, decision)
    outcome = outcome_of(drain, observation, decision, progress, last_plan, limits)
    return replace(
        decision,
        progress=progress if drain.begun or observation.whole else None,
        outcome=outcome,
        deletion=deletion_of(drain, observation, decision) if decision.proof.complete else None,
        record=record_of_tick(drain, observation, decision, outcome, progress),
        requeue=requeue_after(observation, decision, limits),
    )


def goal_of(drain: Drain) -> Goal:
    if drain.deleting:
        return Goal.RELEASE
    return Goal.WATCH if drain.spec.mode is Mode.PLAN else Goal.KEEP_DRAINED


def _judge(drain: Drain, observation: Observation, limits: Limits) -> Decision:
    """Verdicts, proof and plan; no action yet."""
    verdicts = judge_all(drain, observation) if drain.begun or observation.whole else ()
    return Decision(
        goal=goal_of(drain),
        verdicts=verdicts,
        proof=proof.weigh(drain, observation, open_matters(verdicts), limits.settle),
        record=drain.record,
        departed=count_departed(drain, observation, verdicts),
        leftovers=service.leftovers(drain, observation),
        plan=plan.make(drain.spec, observation, verdicts),
    )


def _pursue(drain: Drain, observation: Observation, decision: Decision, limits: Limits) -> Decision:
    """The same with what is to be done for its goal."""
    if decision.goal is Goal.RELEASE:
        return release(drain, observation, decision)
    if drain.spec.suspend:
        return decision
    if decision.goal is Goal.WATCH:
        return _finish_moves(drain, decision) if drain.begun else decision
    return _keep_drained(drain, observation, decision, limits)


def _keep_drained(
    drain: Drain, observation: Observation, decision: Decision, limits: Limits
) -> Decision:
    disable, found = service.disable(drain, observation), observation.service
    if not drain.begun:
        if lacks_capacity(drain, decision):
            return decision
        return service.with_host_calls(decision, observation, disable)
    if found is not None and found.status != "disabled":
        # Nothing moves while the scheduler may still place servers here.
        return service.with_host_calls(decision, observation, disable)
    decision = _finish_moves(drain, decision, foreign=True)
    if found is None:
        return decision
    chosen = schedule.choose(drain, observation, decision.verdicts, limits)
    starts = tuple(a for v in chosen for a in schedule.calls_for(v, drain.spec))
    calls = disable + service.end_service(drain, observation, decision.proof)
    decision = service.with_host_calls(decision, observation, calls)
    return replace(
        decision,
        actions=decision.actions + starts,
        started=frozenset(v.server_id for v in chosen),
    )


def _finish_moves(drain: Drain, decision: Decision, *, foreign: bool = False) -> Decision:
    """Bring to an end what is in flight: confirms, reverts, aborts. `foreign`: other users' too, if
    the spec says so.
    """
    ending = tuple(
        action
        for v in decision.verdicts
        if not isinstance(v.verdict, Move | Offload | Resume)
        and (foreign or not isinstance(v.verdict, Confirm) or v.verdict.ours)
        for action in schedule.calls_for(v, drain.spec)
    )
    return replace(decision, actions=ending)


def release(drain: Drain, observation: Observation, decision: Decision) -> Decision:
    """End what is in flight, then restore the host as it was found; it is released when no action
    remains.
    """
    if not drain.begun:
        return replace(decision, released=True)
    decision = _finish_moves(drain, decision)
    if observation.service is not None and observation.service.status == "UNKNOWN":
        # Its cell is down: neither servers nor moves in flight can be seen, nor can it be enabled.
        return decision
    unfinished = [v for v in decision.verdicts if v.in_flight or isinstance(v.verdict, Held)]
    if any(not (v.server and v.server.task_state in OTHER_TASKS) for v in unfinished):
        return decision
    if drain.spec.on_delete is OnDelete.LEAVE:
        return replace(decision, released=True)
    start = service.start_compute(drain, observation)
    if start is not None:
        return replace(decision, actions=start)
    restore = service.restore(drain, observation)
    decision = service.with_host_calls(decision, observation, restore)
    undone = service.left_stopped(drain, observation)
    differs = service.differs_from_found(drain, observation)
    return replace(decision, released=not restore, left_undone=undone, restored_as=differs)
