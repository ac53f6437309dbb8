"""PURE. Is the host empty? Never an empty list alone: every part of the proof must hold, in two reads `settle` apart."""

from dataclasses import dataclass
from datetime import timedelta

from quiesce.api.memory import Memory
from quiesce.drain.observation import Observation
from quiesce.drain.words import count, some


@dataclass(frozen=True, slots=True)
class Proof:
    """`against`: what speaks against an empty host, in words. `unproven`: parts that this cloud does not show."""

    against: tuple[str, ...]
    unproven: tuple[str, ...] = ()
    complete: bool = False

    @property
    def clean(self) -> bool:
        return not self.against


def worth_reading(seen: Observation) -> bool:
    """Whether the cheap reads speak for an empty host, so that the dear ones of the proof are worth their while."""
    return not seen.servers and all(m.terminal for m in seen.migrations)


def weigh(seen: Observation, memory: Memory, open_matters: tuple[str, ...], settle: timedelta) -> Proof:
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
    if seen.proof.consumers:
        left = count(len(seen.proof.consumers), "allocation")
        against.append(f"{left} left in placement (consumers {some(seen.proof.consumers)})")
    long_enough = seen.clean_since is not None and seen.now - seen.clean_since >= settle
    return Proof(tuple(against), seen.proof.unproven, complete=not against and (memory.proven or long_enough))


def _cheap(seen: Observation) -> tuple[str, ...]:
    found = []
    if seen.servers:
        found.append(f"{count(len(seen.servers), 'server')} on the host")
    unfinished = [m for m in seen.migrations if not m.terminal]
    if unfinished:
        found.append(f"{count(len(unfinished), 'migration')} not ended")
    return tuple(found)
