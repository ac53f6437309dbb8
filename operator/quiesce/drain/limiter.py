"""Moves in flight over all drains of this operator (`--max-moves`), shared among namespaces."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

_WAITS_SECONDS = 120.0
"""A drain that has wanted more is reconciled again before that, unless it has ended or its cloud
does not answer.
"""


@dataclass(slots=True)
class _Claim:
    """`waits_until`: till then it counts as waiting for slots."""

    namespace: str
    moves: int = 0
    waits_until: float = 0.0


class MoveLimiter:
    """As a context: from asking for slots to holding them, no other drain is given the same.

    While several namespaces hold or want slots, each has an equal share that the others leave to
    it, and counts for no more than its share: what a cloud lists as moves in flight, and never
    ends, takes nothing from others.
    """

    def __init__(self, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        """`limit` 0: no limit."""
        self._limit, self._clock = limit, clock
        self._lock = threading.RLock()
        self._claims: dict[str, _Claim] = {}

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def slots(self, uid: str, namespace: str) -> int | None:
        """How many moves this drain may have beside those of all others; None: no limit."""
        if not self._limit:
            return None
        with self._lock:
            now, held, waiting = self._clock(), Counter[str](), set[str]()
            for other, claim in self._claims.items():
                if other != uid:
                    held[claim.namespace] += claim.moves
                    if now < claim.waits_until:
                        waiting.add(claim.namespace)
            others = ({*(+held)} | waiting) - {namespace}
            share = max(1, self._limit // (len(others) + 1))
            kept = sum(share if each in waiting else min(held[each], share) for each in others)
            return max(0, self._limit - kept - held[namespace])

    def still_waits(self, uid: str, namespace: str) -> bool:
        """Whether there is no slot yet for a drain that has none and wants one."""
        self.hold(uid, namespace, 0, waits=True)
        slots = self.slots(uid, namespace)
        return slots is not None and slots <= 0

    def hold(self, uid: str, namespace: str, moves: int, *, waits: bool = False) -> None:
        """`waits`: it would have more if there were more slots."""
        with self._lock:
            until = self._clock() + _WAITS_SECONDS if waits else 0.0
            self._claims[uid] = _Claim(namespace, moves, until)
            if not (moves or waits):
                del self._claims[uid]

    def forget(self, uid: str) -> None:
        with self._lock:
            self._claims.pop(uid, None)
