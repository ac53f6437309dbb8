"""Is the host empty? Never an empty list alone: every part of the proof must hold, in two reads
`settle` apart.
"""

from datetime import timedelta

from quiesce.api.text import count, some
from quiesce.drain.model.decision import Proof
from quiesce.drain.model.drain import Drain
from quiesce.drain.model.observation import Observation

# Nova releases what a move holds on its source within seconds of its end. What anything else holds
# may be a server whose build has been sent here and is not listed yet.
RELEASED_WITHIN = timedelta(seconds=10)
BUILT_WITHIN = timedelta(minutes=2)


def weigh(
    drain: Drain, observation: Observation, open_matters: tuple[str, ...], settle: timedelta
) -> Proof:
    """The proof from one observation.

    `open_matters`: what the verdicts of servers elsewhere still hold against the host. It is
    complete when clean now and at an earlier read at least `settle` before with nothing
    against it in between, or when the status says that it was proven and it still is clean.
    """
    reads, service = observation.proof, observation.service
    if reads is None:
        return Proof(_cheap(observation) or ("the host was not read completely",))
    against = [*_cheap(observation), *open_matters]
    if service is None and not drain.begun:
        against.append("Nova lists no service of this host")
    if service is not None and service.status not in ("enabled", "disabled"):
        against.append("Nova cannot tell the status of the service: its cell is down")
    if reads.unwell:
        against.append(
            f"evacuated from this host and not healthy: {some(reads.unwell)}; what they left here "
            "may be their only good disk"
        )
    if reads.unnamed:
        against.append(
            "Nova lists no hypervisor for this host, so what placement holds there is not known: "
            "run nova-manage cell_v2 discover_hosts, or delete the service by hand"
        )
    leaked = () if against else _leaks(observation, reads.held)
    if reads.held:
        left = count(len(reads.held), "allocation")
        against.append(f"{left} left in placement (consumers {some(reads.held)})")
    since = observation.history.clean_since
    long_enough = since is not None and observation.now - since >= settle
    complete = not against and (drain.record.proven or long_enough)
    return Proof(tuple(against), reads.unproven, complete, leaked)


def _leaks(observation: Observation, consumers: frozenset[str]) -> tuple[str, ...]:
    """These consumers, sorted, if every one of them has held something for longer than is to be
    expected; else none.
    """
    ended, held = ended_moves(observation), observation.history.held_since
    late = [
        observation.now - held.get(consumer, observation.now)
        >= (RELEASED_WITHIN if consumer in ended else BUILT_WITHIN)
        for consumer in consumers
    ]
    return tuple(sorted(consumers)) if all(late) else ()


def ended_moves(observation: Observation) -> frozenset[str]:
    """Migrations of the drain's time that have ended, by the uuid under which they hold
    allocations.
    """
    return frozenset(m.uuid for m in observation.migrations if m.terminal)


def _cheap(observation: Observation) -> tuple[str, ...]:
    found = []
    if observation.servers:
        found.append(f"{count(len(observation.servers), 'server')} on the host")
    unfinished = [m for m in observation.migrations if not m.terminal]
    if unfinished:
        found.append(f"{count(len(unfinished), 'migration')} not ended")
    return tuple(found)
