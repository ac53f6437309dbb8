"""What the status remembers from this tick on. It is written before any call goes out."""

from collections.abc import Iterable
from dataclasses import replace

from quiesce.api.drain.record import IDLE_PORTS, FoundAggregate, Record, Try
from quiesce.api.drain.status import Progress
from quiesce.api.text import timestamp
from quiesce.drain.decide.breaker import newly_off
from quiesce.drain.model.decision import Decision, Outcome
from quiesce.drain.model.drain import Drain
from quiesce.drain.model.observation import Observation
from quiesce.drain.model.verdict import (
    Blocked,
    Follow,
    Held,
    Move,
    Offload,
    Resume,
    ServerVerdict,
)
from quiesce.openstack.records import Migration

_NOT_OVER = ("Drained", "Deleted")


def record_of_tick(
    drain: Drain, observation: Observation, decision: Decision, outcome: Outcome, progress: Progress
) -> Record:
    """The record as this tick leaves it. `decision`: without its record."""
    now = timestamp(observation.wall)
    record = replace(
        drain.record,
        started=drain.record.started or now,
        found_unit=drain.record.found_unit or observation.unit,
        node=observation.node or drain.record.node,
        tries=_tries(drain, observation, decision),
        arrived_off=_arrived_off(drain, observation, decision),
        moved=progress.moved,
        offloaded=progress.offloaded,
        proven=decision.proof.complete,
        planned=drain.record.planned or decision.plan is not None,
    )
    if decision.first_write:
        record = _with_findings(drain, observation, record)
    elif not drain.begun:
        record = _with_aggregates(observation, record)
    gone = drain.begun and observation.service is None
    drained = decision.proof.complete or (record.drained_since is not None and gone)
    ended = outcome.phase in _NOT_OVER and outcome.ready is True
    return replace(
        record,
        drained_since=(record.drained_since or now) if drained else None,
        completed=(record.completed or now) if ended else None,
    )


def _with_findings(drain: Drain, observation: Observation, record: Record) -> Record:
    """How the host was found. A disable of our own is no finding: the status was lost, and enabled
    is what a drain mostly finds.
    """
    service = observation.service
    if service is None:
        return record
    own = drain.identity.owns(service.disabled_reason)
    newest = observation.newest_migration
    return replace(
        _with_aggregates(observation, record),
        found_id=service.id,
        found_status="enabled" if own else service.status,
        found_reason=None if own else service.disabled_reason,
        found_migration=newest,
        found_in_flight=_in_flight(observation),
        attempts_from=newest,
        node=observation.node,
        address=observation.address,
    )


def _in_flight(observation: Observation) -> tuple[int, ...]:
    """IDs of the moves away from the host that have not ended, anybody's."""
    away = (m for m in observation.migrations if m.source == observation.host)
    return tuple(sorted({m.id for m in away if not m.terminal}))


def _with_aggregates(observation: Observation, record: Record) -> Record:
    if observation.aggregates is None:
        return record
    inside = [a for a in observation.aggregates if observation.host in a.hosts]
    found = (FoundAggregate(a.id, a.name) for a in sorted(inside, key=lambda a: a.id))
    return replace(record, found_aggregates=tuple(found))


def _tries(drain: Drain, observation: Observation, decision: Decision) -> dict[str, Try]:
    """Of every server that concerns the host and whose move has begun; those that have left are
    forgotten.

    While the host's cell is down, lists are incomplete: nothing is forgotten.
    """
    before = drain.record.tries
    found = dict(before) if _cell_is_down(observation) else {}
    moving = {v.server_id for v in decision.moving}
    for v in decision.verdicts:
        known = before.get(v.server_id)
        if v.server_id in moving:
            found[v.server_id] = _this_try(v, known, decision, observation)
        # An offload or a resume that was refused leaves nothing to remember.
        elif known is not None and (known.migrates or isinstance(v.verdict, Blocked | Held)):
            found[v.server_id] = known
    return found


def _arrived_off(drain: Drain, observation: Observation, decision: Decision) -> dict[int, str]:
    """The time of the first note stays: a later change of the record is no arrival."""
    verdicts = [v.verdict for v in decision.verdicts]
    new = newly_off(drain, observation, verdicts)
    found = {id_: timestamp(at) for id_, at in new.items()} | dict(drain.record.arrived_off)
    return {id_: found[id_] for id_ in sorted(found) if id_ > drain.record.attempts_from}


def _was(v: ServerVerdict, known: Try | None, observation: Observation) -> str | None:
    """How it was before its first try, until one ends well; a stop by a user since is its owner's
    word.
    """
    status = v.server.status if v.server else None
    moved_before = known is not None and known.was is not None and known.migrates
    if known is None or not moved_before or v.server_id in observation.stopped_by_user:
        return status
    return status if known.was == "SHUTOFF" else known.was


def _this_try(
    v: ServerVerdict, known: Try | None, decision: Decision, observation: Observation
) -> Try:
    starts = v.server_id in decision.started
    was = _was(v, known, observation) if starts else known.was if known else None
    same = known is not None and known.attempt == v.attempt and not _is_new(known, v, starts)
    method = _method(v) or (known.method if known else None)
    began = known.began if known and same else timestamp(observation.wall)
    return Try(was, method, v.attempt, began, _idle_ports(v, known, observation, starts))


def _idle_ports(
    v: ServerVerdict, known: Try | None, observation: Observation, starts: bool
) -> tuple[str, ...]:
    """As they were before its first try: a try that failed may have cost a port its binding."""
    if known is not None and known.migrates:
        return known.idle_ports
    found = observation.idle_ports.get(v.server_id, ()) if starts else ()
    return tuple(sorted(found))[:IDLE_PORTS]


def _is_new(known: Try, v: ServerVerdict, starts: bool) -> bool:
    """The same attempt by another method is another move: a server that was resumed is
    moved next.
    """
    return starts and _method(v) != known.method


def _method(v: ServerVerdict) -> str | None:
    match v.verdict:
        case Move(method=method):
            return method
        case Offload():
            return "offload"
        case Resume():
            return "resume"
        case Follow(migration=None):
            return None
        case verdict:
            migration: Migration | None = getattr(verdict, "migration", None)
            return None if migration is None else "live" if migration.live else "cold"


def _cell_is_down(observation: Observation) -> bool:
    return observation.service is not None and observation.service.status == "UNKNOWN"


def progress_of(drain: Drain, observation: Observation, decision: Decision) -> Progress:
    """Counted: servers that left by a migration, those offloaded, and those that are still to
    leave.
    """
    verdicts, problems = decision.verdicts, decision.problems
    mine = [v for v in verdicts if v.counts]
    offloaded = drain.record.offloaded + _offloaded_since(drain, observation, verdicts)
    # Nova forgets the moves of deleted servers.
    moved = max(decision.departed + offloaded, drain.record.moved)
    moving = decision.moving
    blocked_here = sum(isinstance(v.verdict, Blocked | Held) and v not in moving for v in mine)
    on_their_way = sum(v.counts for v in moving)
    return Progress(
        total=moved + len(mine),
        moved=moved,
        offloaded=offloaded,
        moving=on_their_way,
        waiting=max(0, len(mine) - on_their_way - blocked_here),
        blocked=len(problems),
    )


def _offloaded_since(
    drain: Drain, observation: Observation, verdicts: Iterable[ServerVerdict]
) -> int:
    """Servers that were offloaded, and are no longer listed on the host."""
    present = {v.server_id for v in verdicts}
    if _cell_is_down(observation):
        return 0
    return sum(
        tried.method == "offload" and server_id not in present
        for server_id, tried in drain.record.tries.items()
    )
