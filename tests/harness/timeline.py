"""What becomes of a host's servers, sampled in virtual time: for figures, and for a picture."""

from collections import Counter
from dataclasses import dataclass, field

from tests.beds.sim.model import Cloud as Model

EVERY = 0.25  # virtual seconds
TO_CONFIRM = ("finished", "confirming")
ENDED = ("confirmed", "completed")


@dataclass(frozen=True)
class Sample:
    """How many servers wait, are moved, wait for a confirm, and have left for good."""

    seconds: float
    waiting: int
    moving: int
    to_confirm: int
    left: int


@dataclass
class Timeline:
    """`off`: seconds for which each guest of a cold move was off. `most_at_once`: moves to one
    destination.
    """

    model: Model
    servers: int
    samples: list[Sample] = field(default_factory=list)
    off: Counter[str] = field(default_factory=Counter)
    most_at_once: int = 0

    def begin(self) -> "Timeline":
        self._began = self.model.clock.now()
        self._sample()
        return self

    def _sample(self) -> None:
        moves = self.model.state.migrations
        confirms = sum(m.status in TO_CONFIRM for m in moves)
        left = sum(m.status in ENDED for m in moves)
        under_way = [m for m in moves if m.status not in (*TO_CONFIRM, *ENDED, "error")]
        seconds = self.model.clock.now() - self._began
        waiting = self.servers - confirms - left - len(under_way)
        self.samples.append(Sample(seconds, waiting, len(under_way), confirms, left))
        arriving = Counter(m.dest for m in under_way if m.dest)
        self.most_at_once = max(self.most_at_once, *arriving.values(), 0)
        for m in under_way:
            if m.status in ("migrating", "post-migrating"):
                self.off[m.server] += EVERY  # type: ignore[assignment]
        if left < self.servers:
            self.model.clock.call_later(EVERY, self._sample)

    @property
    def mean_off(self) -> float:
        return sum(self.off.values()) / self.servers
