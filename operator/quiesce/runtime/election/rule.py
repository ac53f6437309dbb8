"""PURE. Whose a Lease is: a Lease, when this process saw it change last, and now -> what to do.

As in client-go (tools/leaderelection): no process compares a time that another has written with its
own clock. A Lease is alive for its duration since *this* process saw it *change*, so a clock that
is wrong, or is set, moves nothing. All times here are seconds of one process's `uptime`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto

from quiesce.kube.lease import Lease
from quiesce.runtime.election.scope import Scope

DURATION = 15
"""Whole seconds without a change after which others may take a Lease."""
DEADLINE = 10.0
"""Seconds after which its holder stops writing, counted from when the last renewal was *sent*. The
difference is for calls that were sent before: the process has ended by then, and what it sent has
arrived.
"""
RENEW_EVERY = 2.0
"""These three as in client-go by default."""
POLL_EVERY = 1.0
"""How often one that stands by reads it: after a release it waits no longer than that."""
_LONGEST = 60
"""Seconds that are believed of another's duration: garbage must not keep everyone out for years."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A Lease, and since when it has been like that for this process."""

    lease: Lease
    since: float

    @property
    def free(self) -> bool:
        """Its holder has released it."""
        return not self.lease.holder

    def expired(self, now: float) -> bool:
        """Never sooner than by our own duration, whatever stands in it: its holder may be one of
        us.
        """
        return now - self.since >= min(max(self.lease.duration, DURATION), _LONGEST)

    def held(self, now: float) -> bool:
        return not self.free and not self.expired(now)


class Act(Enum):
    CREATE = auto()
    TAKE = auto()
    WAIT = auto()


def see(before: Seen | None, lease: Lease, now: float) -> Seen:
    """Whatever changed of its spec, its holder lives."""
    same = before is not None and before.lease.spec == lease.spec and before.lease.id == lease.id
    return Seen(lease, before.since if same and before else now)


def act(seen: Seen | None, me: str, now: float) -> Act:
    """What one does that does not lead. `seen` None: there is no Lease.

    One that is `me` already: the answer to our own request was lost.
    """
    if seen is None:
        return Act.CREATE
    if seen.lease.holder == me or not seen.held(now):
        return Act.TAKE
    return Act.WAIT


def rival(others: Iterable[Seen], own: str, scope: Scope, now: float) -> Seen | None:
    """Another Lease than `own` (NAMESPACE/NAME) whose holder works on resources of this scope.

    One whose scope cannot be read is not ours to judge: only those who may write Leases write it.
    """
    for seen in others:
        theirs = Scope.read(seen.lease.scope)
        if seen.lease.id != own and theirs and theirs.overlaps(scope) and seen.held(now):
            return seen
    return None
