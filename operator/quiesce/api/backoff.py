"""PURE. How long to wait after failures in a row: one formula for everything that is retried."""

import hashlib
from dataclasses import dataclass

_MOST_DOUBLINGS = 32
"""So that no count of failures, however large, overflows."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """`first` seconds after one failure, doubling up to `longest`.

    `spread` 0.2: up to 20 % more or less, by the key of what is retried, so that many that failed
    together are not retried together, and the same one waits the same time at every calculation.
    """

    first: float
    longest: float
    spread: float = 0.0

    def delay(self, failures: int, key: str = "") -> float:
        """Seconds to wait after `failures` in a row; none after none."""
        if failures <= 0:
            return 0.0
        whole = min(self.first * 2.0 ** min(failures - 1, _MOST_DOUBLINGS), self.longest)
        return whole * (1.0 + self.spread * (2.0 * _share(f"{key}/{failures}") - 1.0))


def _share(text: str) -> float:
    """A number from 0 to 1 that looks random and is always the same for this text."""
    return int(hashlib.sha256(text.encode()).hexdigest()[:4], 16) / 0xFFFF
