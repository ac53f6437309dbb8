"""PURE. Is the host empty? Never an empty list alone: every part of the proof must hold, in two reads `settle` apart."""

from dataclasses import dataclass
from datetime import timedelta

from quiesce.api.drain.record import Record
from quiesce.api.text import count, some
from quiesce.drain.model.observation import Observation

# Nova gives up what a move holds on its source within seconds of its end. What anybody else holds may be a server
# whose build has been sent here and is not listed yet.
GIVEN_UP_WITHIN = timedelta(seconds=10)
BUILT_WITHIN = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class Proof:
    """`against`: what speaks against an empty host, in words. `unproven`: parts that this cloud does not show.

    `leaked`: nothing but allocations of these consumers speaks against it, and nobody will give them up.
    """

    against: tuple[str, ...]
    unproven: tuple[str, ...] = ()
    complete: bool = False
    leaked: tuple[str, ...] = ()

    @property
    def clean(self) -> bool:
        return not self.against


def worth_reading(seen: Observation) -> bool:
    """Whether the cheap reads speak for an empty host, so that the dear ones of the proof are worth their while."""
    return not seen.servers and all(m.terminal for m in seen.migrations)


def weigh(
    seen: Observation, memory: Record, open_matters: tuple[str, ...], settle: timedelta
) -> Proof:
    """The proof from one observation.

    `open_matters`: what the verdicts of servers elsewhere still hold against the host. It is
    complete when clean now and at an earlier read at least `settle` before with nothing
    against it in between, or when the status says that it was proven and it still is clean.
    """
    if seen.proof is None:
        return Proof(_cheap(seen) or ("the host was not read completely",))
    against = [*_cheap(seen), *open_matters]
    if seen.service is None and not memory.begun:
        against.append("Nova lists no service of this host")
    if seen.service is not None and seen.service.status not in ("enabled", "disabled"):
        against.append("Nova cannot say the status of the service: its cell is down")
    leaked = () if against else leaks(seen, seen.proof.consumers or frozenset())
    if seen.proof.consumers:
        left = count(len(seen.proof.consumers), "allocation")
        against.append(f"{left} left in placement (consumers {some(seen.proof.consumers)})")
    long_enough = seen.clean_since is not None and seen.now - seen.clean_since >= settle
    return Proof(
        tuple(against), seen.proof.unproven, not against and (memory.proven or long_enough), leaked
    )


def leaks(seen: Observation, consumers: frozenset[str]) -> tuple[str, ...]:
    """These consumers, sorted, if every one of them has held something for longer than is to be expected; else none."""
    ended = ended_moves(seen)
    late = [
        seen.now - seen.held_since.get(c, seen.now)
        >= (GIVEN_UP_WITHIN if c in ended else BUILT_WITHIN)
        for c in consumers
    ]
    return tuple(sorted(consumers)) if all(late) else ()


def ended_moves(seen: Observation) -> frozenset[str]:
    """Migrations of the drain's time that have ended, by the uuid under which they hold allocations."""
    return frozenset(m.uuid for m in seen.migrations if m.terminal)


def _cheap(seen: Observation) -> tuple[str, ...]:
    found = []
    if seen.servers:
        found.append(f"{count(len(seen.servers), 'server')} on the host")
    unfinished = [m for m in seen.migrations if not m.terminal]
    if unfinished:
        found.append(f"{count(len(unfinished), 'migration')} not ended")
    return tuple(found)
