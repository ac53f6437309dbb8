"""Whether a poll of the moves is enough for what was decided from it."""

from dataclasses import replace

from quiesce.drain.model.actions import ConfirmMove, StartMove
from quiesce.drain.model.decision import Decision
from quiesce.drain.model.drain import Drain
from quiesce.drain.model.migrations import own_of_host
from quiesce.drain.model.observation import Observation
from quiesce.openstack.records import FAILED, cheaper_one_by_one


def suffices(drain: Drain, observation: Observation, decision: Decision) -> bool:
    """Whether a poll is enough for what was decided: nothing, confirms of servers seen elsewhere,
    or moves of servers that it has read.

    Not where the host looks empty, which a poll cannot prove. And nothing is done for which the
    records were not read in this tick.
    """
    if observation.whole:
        return True
    if observation.looks_empty or _is_outdated(observation):
        return False
    if observation.unchanged and decision.actions:
        return False
    if _starting(decision) and _went_wrong(drain, observation, decision):
        return False
    seen = {ConfirmMove: observation.elsewhere.keys(), StartMove: observation.read}
    return all(
        isinstance(a, ConfirmMove | StartMove) and a.server_id in seen[type(a)]
        for a in decision.actions
    )


def to_read(drain: Drain, observation: Observation, decision: Decision) -> tuple[str, ...]:
    """The servers that a poll has to read, and no others of the host, to be enough for what was
    decided; empty: it takes all of them.
    """
    starting = _starting(decision)
    if observation.whole or not cheaper_one_by_one(len(starting), len(observation.servers)):
        return ()
    read = replace(observation, read=frozenset(starting))
    return starting if suffices(drain, read, decision) else ()


def _starting(decision: Decision) -> tuple[str, ...]:
    return tuple(a.server_id for a in decision.actions if isinstance(a, StartMove))


def _went_wrong(drain: Drain, observation: Observation, decision: Decision) -> bool:
    """Whether how other servers are now decides as well which of them may move: a move has failed,
    a guest was off on arrival, a call was refused or not answered.
    """
    history = observation.history
    failed = any(m.status in FAILED for m in own_of_host(drain, observation))
    off = decision.record.arrived_off
    return bool(failed or off or history.refusals or history.unanswered)


def _is_outdated(observation: Observation) -> bool:
    """The list of servers: a record says that the move of one has ended since, or one that it does
    not have is here.
    """
    if any(s is not None and s.host == observation.host for s in observation.elsewhere.values()):
        return True
    newest = {m.server_id: m for m in reversed(observation.migrations)}
    return any(not s.idle and s.id in newest and newest[s.id].terminal for s in observation.servers)
