"""What the ticks of drains tell the log and Prometheus, and what a process remembers for that.

Nothing is decided by it. A restart loses it: a move that began before has no durations then, and
the time of the last progress counts from the start.
"""

import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from quiesce.api.conditions import find
from quiesce.api.drain.reasons import Stage
from quiesce.api.drain.status import DrainStatus, Progress
from quiesce.drain.model.decision import Decision
from quiesce.drain.model.drain import Drain
from quiesce.drain.model.observation import Observation
from quiesce.drain.model.steps import LEFT, ServerStep, Standing, State, Transition
from quiesce.drain.report import count_states, standing, transitions
from quiesce.kube.resource import Resource
from quiesce.ops import metrics
from quiesce.ops.metrics import DrainFacts

log = logging.getLogger(__name__)

_FIRST_STEPS = (Stage.STARTING, Stage.MIGRATING)
"""Progress at a server's first attempt only: one that is tried again and again gets nowhere."""


@dataclass
class _Watched:
    """One drain. `steps` None: this process has not observed its servers yet; `from_start`: it has
    known the drain since before its first write. `marks`: by server ID, when
    its first move (began) and its part of a move began, in seconds since 1970. All by a clock that
    nobody sets.
    """

    facts: DrainFacts
    steps: Mapping[str, ServerStep] | None = None
    from_start: bool = False
    marks: dict[str, dict[str, float]] = field(default_factory=dict)


class Telemetry:
    """Many threads may use it, each drain in one at a time."""

    def __init__(self) -> None:
        self._of: dict[str, _Watched] = {}

    def observed(
        self, resource: Resource, drain: Drain, observation: Observation, decision: Decision
    ) -> None:
        """Logs a line for each server that stands elsewhere than before, and measures moves."""
        now = observation.now.timestamp()
        watched, found = self._watched(resource, now), standing(observation, decision)
        watched.from_start = watched.from_start or not drain.begun
        if not (drain.begun or observation.whole):  # before the first write servers may be unread
            watched.facts = replace(watched.facts, read_at=now)
            return
        before = {} if watched.steps is None else watched.steps
        changed = transitions(before, found, drain, observation)
        if watched.steps is None and not watched.from_start and found.steps:
            log.info("the operator has started, and continues it: %s", _summary(found))
        fresh = watched.steps is not None or watched.from_start
        for t in changed:
            _measure(watched.marks, t, now, fresh=fresh)
            if fresh and _is_told(t, first=watched.steps is None):
                _tell(t, watched.marks, now, observation.history.requests)
            if t.after.state in LEFT:
                watched.marks.pop(t.server_id, None)
        on = bool(observation.progressing) or any(map(_is_progress, changed))
        watched.steps = found.steps
        watched.facts = _observed(watched.facts, drain, found, now, progressed=on)

    def rested(self, uid: str, now: datetime, set_by: timedelta, *, waits: bool) -> None:
        """Its cloud has just answered that nothing has changed. `waits`: for the moves of others,
        which is no standstill: where these get nowhere, their drains tell.
        """
        watched, at = self._of.get(uid), now.timestamp()
        if watched is not None:
            facts = replace(watched.facts, read_at=at)
            watched.facts = replace(facts, progress_at=at) if waits else facts
            _expose(uid, watched.facts, set_by)

    def call_fields(self, resource: Resource) -> Mapping[str, Mapping[str, Any]]:
        """By server ID: what the log line of a call for it says besides."""
        watched = self._of.get(resource.uid)
        steps = (watched.steps if watched else None) or {}
        return {server_id: _fields(step) for server_id, step in steps.items() if step.called}

    def reported(
        self, resource: Resource, status: DrainStatus, now: datetime, set_by: timedelta
    ) -> None:
        """The status is about to be written: where the drain stands as a whole."""
        watched = self._watched(resource, now.timestamp())
        before, ready, progress = watched.facts, status.ready, status.progress
        shown = progress.to_json() if progress else {}
        states = ("moved", "offloaded", "moving", "waiting", "blocked")
        watched.facts = replace(
            before,
            phase=str(status.phase),
            reason=str(ready.reason) if ready else "",
            stalled=find(status.conditions, "Stalled") is not None,
            progress_at=now.timestamp() if status.phase != before.phase else before.progress_at,
            ratio=_ratio(progress),
            progress={state: shown[state] for state in states} if progress else {},
        )
        _expose(resource.uid, watched.facts, set_by)

    def forget(self, uid: str) -> None:
        self._of.pop(uid, None)
        metrics.drain(uid, None)

    def _watched(self, resource: Resource, now: float) -> _Watched:
        if resource.uid not in self._of:
            key, host = resource.key, str(resource.spec.get("host"))
            phase = str(resource.status.get("phase") or "")
            facts = DrainFacts(
                key.namespace, key.name, host, phase, "", False, now, now, 3600.0, 0.0, {}, {}
            )
            self._of[resource.uid] = _Watched(facts)
        return self._of[resource.uid]


def _expose(uid: str, facts: DrainFacts, set_by: timedelta) -> None:
    """Prometheus compares with the time of day."""
    by = set_by.total_seconds()
    at = replace(facts, progress_at=facts.progress_at + by, read_at=facts.read_at + by)
    metrics.drain(uid, at)


def _observed(
    facts: DrainFacts, drain: Drain, found: Standing, now: float, *, progressed: bool
) -> DrainFacts:
    return replace(
        facts,
        progress_at=now if progressed else facts.progress_at,
        read_at=now,
        migration_timeout=drain.spec.migration.timeout,
        servers=count_states(found.steps),
        guests_off=found.guests_off,
        verify_resize_since=found.verify_resize_since,
    )


def _ratio(progress: Progress | None) -> float:
    if progress is None:
        return 0.0
    return progress.moved / progress.total if progress.total else 1.0


def _is_progress(t: Transition) -> bool:
    first = t.after.state in _FIRST_STEPS and t.after.attempt == 1
    return first or t.after.arrived or t.after.state == Stage.CONFIRMING


# Durations


def _measure(marks: dict[str, dict[str, float]], t: Transition, now: float, *, fresh: bool) -> None:
    """`fresh`: what is seen for the first time is new, and not just new to this process."""
    own, step = marks.setdefault(t.server_id, {}), t.after
    method = step.method or "unknown"
    if t.before is None and fresh:
        own["wait"] = now
    if step.state == Stage.STARTING and step.called:
        _end(own, "wait", method, now)
        own["move"] = now
        own.setdefault("began", now)
    if step.arrived and step.state != State.GONE:
        if _end(own, "move", method, now):
            own["verify"] = now
    elif step.state in (State.WAITING, State.BLOCKED, Stage.REVERTING):
        for part in ("move", "verify", "confirm"):
            own.pop(part, None)
    if step.state == Stage.CONFIRMING and _end(own, "verify", method, now):
        own["confirm"] = now
    if step.state == State.MOVED:
        _end(own, "confirm", method, now)
    if step.state == State.OFFLOADED:
        metrics.move_finished("offload", "completed")


def _end(own: dict[str, float], part: str, method: str, now: float) -> bool:
    """Whether this process saw it begin."""
    began = own.pop(part, None)
    if began is None:
        return False
    metrics.move_stage(method, part, now - began)
    return True


# Log lines


def _is_told(t: Transition, *, first: bool) -> bool:
    """Not what a call's own line tells, nor, at the beginning, that servers wait for their turn."""
    return not t.after.called and not (first and t.after.state == State.WAITING)


def _tell(
    t: Transition, marks: Mapping[str, Mapping[str, float]], now: float, requests: Mapping[str, str]
) -> None:
    began = marks.get(t.server_id, {}).get("began")
    fields = _fields(t.after) | {
        "server": t.server_id,
        "before": t.before.shown if t.before else None,
        "request_id": requests.get(t.server_id),
        "seconds": round(now - began, 1) if began is not None and t.after.state in LEFT else None,
    }
    log.log(logging.WARNING if t.after.person else logging.INFO, "%s", _text(t), extra=fields)


def _summary(found: Standing) -> str:
    """`2 Migrating, 1 Blocked (NoCapacity)`"""
    tally = Counter(step.shown for step in found.steps.values())
    return ", ".join(f"{number} {shown}" for shown, number in sorted(tally.items()))


def _fields(step: ServerStep) -> dict[str, Any]:
    """None: not shown."""
    return {
        "server_name": step.name,
        "state": step.state,
        "reason": step.reason or None,
        "attempt": step.attempt,
        "method": step.method,
        "migration": step.migration,
        "destination": step.destination,
    }


def _text(t: Transition) -> str:
    step = t.after
    match step.state:
        case State.GONE:
            return f"{step.name}: no longer on the host: deleted, or moved by another user"
        case State.MOVED | Stage.MIGRATING if step.destination:
            return f"{step.name}: {step.state} to {step.destination}"
        case Stage.VERIFYING | Stage.SOAKING | State.HELD if step.destination:
            return f"{step.name}: {step.shown} on {step.destination}"
        case _:
            return f"{step.name}: {step.shown}"
