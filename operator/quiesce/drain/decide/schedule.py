"""Which servers move now: at most `maxParallel` at once, the largest first, and of an anti-affinity
group no more than it allows on one host: its moves may all go to the same one.
"""

from collections import Counter
from collections.abc import Iterable
from datetime import timedelta

from quiesce.api.drain.reasons import ServerReason, Stage
from quiesce.api.drain.spec import DrainSpec
from quiesce.api.drain.status import MovingRow
from quiesce.drain.model.actions import (
    AbortLive,
    ConfirmMove,
    ForceCompleteLive,
    OffloadServer,
    ResumeServer,
    RevertMove,
    ServerAction,
    StartMove,
)
from quiesce.drain.model.decision import Arrivals, Decision, Goal, Limits
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
from quiesce.openstack.records import WAITING, Migration, ServerGroup

# Nova takes some seconds to begin a live migration; one that waits longer waits for its turn.
QUEUED_AFTER = timedelta(seconds=5)


def choose(
    drain: Drain, observation: Observation, verdicts: tuple[ServerVerdict, ...], limits: Limits
) -> tuple[ServerVerdict, ...]:
    """The servers whose move begins now; those that failed before come last."""
    free = drain.spec.migration.max_parallel - sum(v.in_flight for v in verdicts)
    if limits.slots is not None:
        free = min(free, limits.slots - sum(holds_slot(drain, v) for v in verdicts))
    if free <= 0 or limits.held:
        return ()
    groups = [g for g in observation.groups if g.policy == "anti-affinity"]
    busy = {v.server_id for v in verdicts if v.in_flight or isinstance(v.verdict, Held)}
    live, room = _live_slots(observation, verdicts), room_to_arrive(verdicts, limits)
    chosen: list[ServerVerdict] = []
    for v in sorted(waiting(verdicts), key=_order):
        mine = [g for g in groups if v.server_id in g.members]
        moves = isinstance(v.verdict, Move)
        goes_live = isinstance(v.verdict, Move) and v.verdict.method == "live"
        if len(chosen) >= free or (goes_live and live <= 0) or (moves and room <= 0):
            continue
        if not any(_is_full(g, busy) for g in mine):
            chosen.append(v)
            busy.add(v.server_id)
            live, room = live - goes_live, room - moves
    return tuple(chosen)


def holds_slot(drain: Drain, v: ServerVerdict) -> bool:
    """Whether a move counts for --max-moves: one in flight that does not wait for a person, as a
    suspended drain's do once they have arrived.
    """
    stands_still = drain.spec.suspend and not drain.deleting
    match v.verdict:
        case Blocked():
            return False
        case Confirm(migration=m) | Revert(migration=m) | Follow(migration=m) if stands_still:
            return v.in_flight and not (m is not None and m.status == "finished")
    return v.in_flight


def on_their_way(verdicts: tuple[ServerVerdict, ...]) -> Arrivals:
    """Of moves in flight those that have not arrived, as far as Nova gets on with them."""
    known, unknown = Counter[str](), 0
    for v in verdicts:
        match v.verdict:
            case Follow(stage=Stage.STARTING | Stage.MIGRATING, migration=m):
                if m is not None and m.dest:
                    known[m.dest] += 1
                else:
                    unknown += 1
            case Wait(reason=ServerReason.STARTING | ServerReason.ANSWER_UNKNOWN, ours=True):
                unknown += 1
    return Arrivals(known, unknown)


def as_stored(moving: Iterable[MovingRow]) -> Arrivals:
    """As `on_their_way`, of the rows of a status."""
    rows = [row for row in moving if row.state in (Stage.STARTING, Stage.MIGRATING)]
    known = Counter(row.destination for row in rows if row.destination)
    return Arrivals(known, len(rows) - known.total())


def room_to_arrive(verdicts: tuple[ServerVerdict, ...], limits: Limits) -> int:
    """How many moves may begin for all that is on its way (--max-arrivals)."""
    if limits.most_arrivals is None:
        return len(verdicts)
    mine = on_their_way(verdicts)
    room = (mine + limits.beside).room(limits.most_arrivals)
    return room if limits.arriving is None else min(room, limits.arriving - mine.total)


def _is_full(group: ServerGroup, busy: set[str]) -> bool:
    return len(group.members & busy) >= group.most


def _live_slots(observation: Observation, verdicts: tuple[ServerVerdict, ...]) -> int:
    """How many live migrations are worth asking for: where some wait for their turn although
    others run, Nova runs no more at a time; one more than that waits usefully.
    """
    mine = {v.server_id for v in verdicts if v.in_flight}
    live = [m for m in observation.migrations if m.live and m.server_id in mine and not m.terminal]
    queued = [m for m in live if m.status in WAITING and _waits_long(observation, m)]
    runs = sum(m.status not in WAITING for m in live)
    return max(0, runs + 1 - len(live)) if queued and runs else len(verdicts)


def _waits_long(observation: Observation, m: Migration) -> bool:
    since = observation.history.first_seen.get((m.id, m.status), observation.now)
    return observation.now - since >= QUEUED_AFTER


def waiting(verdicts: tuple[ServerVerdict, ...]) -> list[ServerVerdict]:
    """Those that could move now."""
    return [v for v in verdicts if isinstance(v.verdict, Move | Offload | Resume)]


def wants_more(drain: Drain, decision: Decision) -> bool:
    """Whether it would begin more moves than it does, if it may."""
    works = decision.goal is Goal.KEEP_DRAINED and not drain.spec.suspend
    return works and len(waiting(decision.verdicts)) > len(decision.started)


def only_waits_for_others(drain: Drain, observation: Observation, decision: Decision) -> bool:
    """Whether nothing keeps its servers from moving but that too many others do (--max-moves,
    --max-arrivals).
    """
    service = observation.service
    return (
        wants_more(drain, decision)
        and len(waiting(decision.verdicts)) == len(decision.verdicts)
        and service is not None
        and service.status == "disabled"
        and not (decision.actions or decision.refused or decision.leftovers)
        and observation.history.host_failure is None
    )


def starved(
    spec: DrainSpec, observation: Observation, verdicts: tuple[ServerVerdict, ...]
) -> tuple[ServerVerdict, ...]:
    """Servers that wait for moves which only a person can end: these hold all slots, or one of
    their anti-affinity group.
    """
    ended_by_people = [
        v
        for v in verdicts
        if isinstance(v.verdict, Held) or (isinstance(v.verdict, Blocked) and v.in_flight)
    ]
    full = sum(v.in_flight for v in ended_by_people) >= spec.migration.max_parallel
    holders = {v.server_id for v in ended_by_people}
    taken = [
        g.members
        for g in observation.groups
        if g.policy == "anti-affinity" and _is_full(g, holders)
    ]
    return tuple(
        v for v in waiting(verdicts) if full or any(v.server_id in members for members in taken)
    )


def calls_for(verdict: ServerVerdict, spec: DrainSpec) -> tuple[ServerAction, ...]:
    """The call that a verdict asks for."""
    server_id = verdict.server_id
    match verdict.verdict:
        case Move(method=method):
            return (StartMove(server_id, method, spec.migration.target_host),)
        case Offload():
            return (OffloadServer(server_id),)
        case Resume():
            return (ResumeServer(server_id),)
        case Confirm(migration=m):
            return (ConfirmMove(server_id, m.id),)
        case Revert(migration=m, why=why):
            return (RevertMove(server_id, m.id, why),)
        case Abort(migration=m):
            return (AbortLive(server_id, m.id),)
        case ForceComplete(migration=m):
            return (ForceCompleteLive(server_id, m.id),)
        case _:
            return ()


def _order(verdict: ServerVerdict) -> tuple[int, int, int, str]:
    flavor = verdict.server.flavor if verdict.server else None
    ram, disk = (flavor.ram, flavor.disk) if flavor else (0, 0)
    return (verdict.attempt, -ram, -disk, verdict.server_id)
