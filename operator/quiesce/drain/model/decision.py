"""What one tick decides: all that is to be reported and done, as one frozen value."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from quiesce.api.drain.reasons import DrainReason, Phase, ServerReason
from quiesce.api.drain.record import Record
from quiesce.api.drain.status import PlanStatus, Progress
from quiesce.drain.model.actions import Action, HostAction
from quiesce.drain.model.history import Refusal
from quiesce.drain.model.verdict import Blocked, Held, ServerVerdict


class Goal(StrEnum):
    """What a tick works towards."""

    KEEP_DRAINED = "KeepDrained"
    WATCH = "Watch"  # mode: Plan: no new move
    RELEASE = "Release"  # the resource is being deleted


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Moves on their way to other hosts. `known`: by destination. `open`: those whose destination
    Nova has not shown yet: it may be any.
    """

    known: Mapping[str, int] = field(default_factory=dict)
    open: int = 0

    def __add__(self, other: "Arrivals") -> "Arrivals":
        return Arrivals(Counter(self.known) + Counter(other.known), self.open + other.open)

    @property
    def total(self) -> int:
        return self.open + sum(self.known.values())

    def room(self, most: int) -> int:
        """How many more may begin, so that no destination has more than `most` at once."""
        return most - self.open - max(self.known.values(), default=0)


@dataclass(frozen=True, slots=True)
class Limits:
    """`slots`: moves that the operator-wide limit allows this drain, those in flight included;
    None: no limit. `most_arrivals`: at one destination at once, together with those `beside` it of
    other drains; `arriving`: moves on their way that this drain may have in its turn; None: no
    limit. `held`: none begins now, because another drain's host is about to be disabled.

    `settle`: between the two reads of the proof. `poll`, `idle`: seconds between ticks while
    something moves, and at rest.
    """

    settle: timedelta = timedelta(seconds=10)
    slots: int | None = None
    poll: float = 2.0
    idle: float = 30.0
    held: bool = False
    most_arrivals: int | None = None
    beside: Arrivals = Arrivals()
    arriving: int | None = None


@dataclass(frozen=True, slots=True)
class Proof:
    """`against`: what speaks against an empty host, in words. `unproven`: parts that this cloud
    does not show.

    `leaked`: nothing but allocations of these consumers speaks against it, and Nova will not
    release them.
    """

    against: tuple[str, ...]
    unproven: tuple[str, ...] = ()
    complete: bool = False
    leaked: tuple[str, ...] = ()

    @property
    def clean(self) -> bool:
        return not self.against


@dataclass(frozen=True, slots=True)
class Plan:
    """What would be done, and what there is to say on capacity."""

    status: PlanStatus
    capacity_message: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """Where the drain stands. `ready` None: not yet, and the operator works on it.

    `stalled`: only a person can help. `reason`: of the drain, or of all the servers in its way.
    """

    phase: Phase
    ready: bool | None
    reason: DrainReason | ServerReason | str
    message: str
    stalled: bool = False
    reconciling: bool = False


@dataclass(frozen=True, slots=True)
class Deletion:
    """What the deletion of the service waits for, once the host is proven empty."""

    reason: DrainReason | str
    message: str


@dataclass(frozen=True, slots=True)
class Decision:
    """`verdicts`: of every server that concerns the host, by name. `actions` in order.

    `started`: servers whose move begins with one of the actions. `refused`: calls for the host
    that Nova refuses, whether they are due now or later. `departed`: servers that left by a
    migration since the drain began. `leftovers`: what the deleted service left behind, in words.
    `first_write`: this tick saves how the host was found, and then writes to OpenStack for the
    first time. `record`: what the status remembers from now on. `requeue`: seconds from the
    beginning of this tick to the next one. `released`: the resource may go; `left_undone`: what is
    left to a person then; `restored_as`: how the host differs from how it was found.
    """

    goal: Goal
    verdicts: tuple[ServerVerdict, ...]
    proof: Proof
    record: Record
    actions: tuple[Action, ...] = ()
    started: frozenset[str] = frozenset()
    refused: tuple[tuple[HostAction, Refusal], ...] = ()
    departed: int = 0
    leftovers: tuple[str, ...] = ()
    plan: Plan | None = None
    first_write: bool = False
    progress: Progress | None = None
    outcome: Outcome | None = None
    deletion: Deletion | None = None
    requeue: float = 0.0
    released: bool = False
    left_undone: str = ""
    restored_as: str = ""

    @property
    def problems(self) -> tuple[tuple[ServerVerdict, Blocked | Held], ...]:
        """Most urgent first, then those held, then by name."""
        found = [(v, v.verdict) for v in self.verdicts if isinstance(v.verdict, Blocked | Held)]
        return tuple(sorted(found, key=lambda p: (_rank(p[1]), p[0].name, p[0].server_id)))

    @property
    def moving(self) -> tuple[ServerVerdict, ...]:
        """Servers on their way: those that start now, and those in flight that nothing blocks."""
        return tuple(
            v
            for v in self.verdicts
            if v.server_id in self.started
            or (v.counts and v.in_flight and not isinstance(v.verdict, Blocked))
        )

    def refusal_of(self, kind: type[HostAction]) -> str:
        """Nova's message where it refuses such a call for the host; empty: it does not."""
        found = (
            refusal
            for action, refusal in self.refused
            if isinstance(action, kind) and refusal.is_told
        )
        return next((refusal.text or f"HTTP {refusal.status}" for refusal in found), "")


def _rank(verdict: Blocked | Held) -> int:
    if isinstance(verdict, Held):
        return 1
    return 0 if verdict.urgent else 2
