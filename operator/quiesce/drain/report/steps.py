"""What was decided -> where each server stands, and what changed since the last tick."""

from collections import Counter
from collections.abc import Mapping

from quiesce.api.drain.reasons import ServerReason, Stage
from quiesce.drain.model.actions import ServerAction
from quiesce.drain.model.decision import Decision
from quiesce.drain.model.drain import Drain
from quiesce.drain.model.migrations import LEFT_WELL
from quiesce.drain.model.observation import Observation
from quiesce.drain.model.steps import ServerStep, Standing, State, Transition
from quiesce.drain.model.verdict import (
    Abort,
    Blocked,
    Confirm,
    Follow,
    ForceComplete,
    Held,
    Revert,
    ServerVerdict,
    Wait,
)
from quiesce.openstack.records import RUNNING, Migration


def standing(observation: Observation, decision: Decision) -> Standing:
    """Of every server that concerns the host."""
    called = {a.server_id for a in decision.actions if isinstance(a, ServerAction)}
    newest: dict[str, Migration] = {}
    for m in observation.migrations:
        newest.setdefault(m.server_id, m)
    steps = {v.server_id: _step(v, decision, called, newest) for v in decision.verdicts}
    finished = filter(None, map(_finished, decision.verdicts))
    since = min(((m.updated or m.created).timestamp() for m in finished), default=None)
    off = sum(_is_left_off(v, verdict, observation, decision) for v, verdict in decision.problems)
    return Standing(steps, off, since)


def transitions(
    before: Mapping[str, ServerStep], now: Standing, drain: Drain, observation: Observation
) -> tuple[Transition, ...]:
    """By name. Nothing where the host's cell is down: servers are missing from lists then."""
    if observation.service is not None and observation.service.status == "UNKNOWN":
        return ()
    changed = [
        Transition(server_id, before.get(server_id), step)
        for server_id, step in now.steps.items()
        if server_id not in before or before[server_id].shown != step.shown
    ]
    left = [
        Transition(server_id, step, _departure(server_id, step, drain, observation))
        for server_id, step in before.items()
        if server_id not in now.steps
    ]
    return tuple(sorted((*changed, *left), key=lambda t: (t.after.name, t.server_id)))


def count_states(steps: Mapping[str, ServerStep]) -> dict[tuple[str, str], int]:
    """(state, reason) -> how many servers."""
    return dict(Counter((step.state, step.reason) for step in steps.values()))


def _step(
    v: ServerVerdict, decision: Decision, called: set[str], newest: Mapping[str, Migration]
) -> ServerStep:
    tried = decision.record.tries.get(v.server_id)
    state, reason = _state(v, starts=v.server_id in decision.started)
    migration: Migration | None = getattr(v.verdict, "migration", None)
    if migration is None and tried is not None and state != Stage.STARTING:
        migration = newest.get(v.server_id)
    return ServerStep(
        v.name,
        state,
        tried.attempt if tried else 0,
        reason,
        tried.method if tried else None,
        migration.uuid if migration else None,
        migration.dest if migration else None,
        person=isinstance(v.verdict, Blocked | Held),
        finished=_finished(v) is not None,
        called=v.server_id in called,
    )


def _state(v: ServerVerdict, *, starts: bool) -> tuple[str, str]:
    if starts:
        return Stage.STARTING.value, ""
    match v.verdict:
        case Follow(stage=stage):
            return stage.value, ""
        case Confirm():
            return Stage.CONFIRMING.value, ""
        case Revert():
            return Stage.REVERTING.value, ""
        case Abort() | ForceComplete():
            return Stage.ENDING.value, ""
        case Wait(reason=ServerReason.STARTING):
            return Stage.STARTING.value, ""
        case Wait(reason=reason):
            return State.WAITING, reason.value
        case Blocked(reason=reason):
            return State.BLOCKED, reason.value
        case Held(reason=reason):
            return State.HELD, reason.value
        case _:  # it may move, and waits for its turn
            return State.WAITING, ""


def _finished(v: ServerVerdict) -> Migration | None:
    """The move of the drain's own after which it stands in VERIFY_RESIZE."""
    if isinstance(v.verdict, Confirm) and not v.verdict.ours:
        return None
    found: Migration | None = getattr(v.verdict, "migration", None)
    return found if found is not None and found.status == "finished" else None


def _is_left_off(
    v: ServerVerdict, verdict: Blocked | Held, observation: Observation, decision: Decision
) -> bool:
    if verdict.reason is ServerReason.LEFT_OFF:
        return True
    server, stopped = v.server, v.server_id in observation.stopped_by_user
    if server is None or server.partial or stopped or decision.record.was(v.server_id) != "ACTIVE":
        return False
    runs = observation.running.get(v.server_id)
    return not runs if runs is not None else server.power_state != RUNNING


def _departure(
    server_id: str, step: ServerStep, drain: Drain, observation: Observation
) -> ServerStep:
    """It concerns the host no more. Without a migration that ended well: it was deleted, or moved
    by others.
    """
    newest = next((m for m in observation.migrations if m.server_id == server_id), None)
    tried = drain.record.tries.get(server_id)
    method = step.method or (tried.method if tried else None)
    state = State.OFFLOADED if method == "offload" else State.GONE
    uuid, dest = step.migration, step.destination
    if newest is not None and newest.source == drain.host and newest.status in LEFT_WELL:
        state, uuid, dest = State.MOVED, newest.uuid, newest.dest
    return ServerStep(step.name, state, step.attempt, "", method, uuid, dest)
