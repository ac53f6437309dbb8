"""Moves in flight over all drains of this operator (`--max-moves`), in shares; and those on their
way to one destination (`--max-arrivals`).

First among namespaces: a slot that is free goes to the one that has fewest, and among equals to the
one that was given none for longest. Then among the drains of a namespace, which take turns: each
may have its share for five minutes, then the one that has waited longest. Moves of one host that
are in flight together cost less than as many of different hosts (docs/performance.md).
"""

import threading
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass

from quiesce.drain.model.decision import Arrivals

_WAITS_SECONDS = 30.0
"""A drain that has wanted more is reconciled again before that, unless it has ended or its cloud
does not answer.
"""
_NONE = Arrivals()
_TURN_SECONDS = 300.0
_HEARD_SECONDS = 600.0
"""So long its moves count for a drain that cannot look at its cloud; a drain that can does so every
few seconds while it has some.
"""
_BATCH = 4
"""Slots that a drain has in its turn at least, if there are as many."""
_TAKES_SECONDS = 10.0
"""A slot is kept so long for a drain that has heard that there is one, and looks at its host."""


@dataclass(slots=True)
class _Claim:
    """`since`: when it began to wait for its turn. `began`: when that began. `most`: moves that it
    would have. `waits_until`: till then it counts as waiting for slots. `offered`: it has heard
    that there is one, and was not heard of since. `heard`: when its `moves` were counted, and of
    them the `arrivals`: those on their way, in `cloud`.
    """

    namespace: str
    since: float
    began: float = float("-inf")
    moves: int = 0
    most: int = 1
    waits_until: float = 0.0
    offered: bool = False
    heard: float = 0.0
    cloud: str = ""
    arrivals: Arrivals = _NONE

    def holds(self, now: float) -> int:
        """Moves that count."""
        return self.moves if now - self.heard < _HEARD_SECONDS else 0

    def rank(self, now: float) -> tuple[bool, float]:
        """Who comes first: those whose turn it is, then those that wait for theirs."""
        over = self.began + _TURN_SECONDS
        return (False, self.began) if now < over else (True, max(self.since, over))


class MoveLimiter:
    """As a context: from asking for slots to holding them, no other drain is given the same.

    While several namespaces hold or want slots, each counts for no more than an equal share: what a
    cloud lists as moves in flight, and never ends, takes nothing from others.
    """

    def __init__(
        self, limit: int, clock: Callable[[], float] = time.monotonic, most_arrivals: int = 0
    ) -> None:
        """`limit`, `most_arrivals` 0: no limit."""
        self._limit, self._clock = limit, clock
        self.most_arrivals = most_arrivals or None
        self._lock = threading.RLock()
        self._claims: dict[str, _Claim] = {}
        self._turns: dict[str, float] = {}  # of each namespace, as that of a claim
        self._met: set[str] = set()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def slots(self, uid: str, namespace: str) -> int | None:
        """How many moves this drain may have in flight; None: no limit."""
        if not self._limit:
            return None
        with self._lock:
            now, held, waiting = self._clock(), Counter[str](), set[str]()
            beside = list[_Claim]()
            for other, claim in self._claims.items():
                if other == uid:
                    continue
                held[claim.namespace] += claim.holds(now)
                if now < claim.waits_until:
                    waiting.add(claim.namespace)
                if claim.namespace == namespace:
                    beside.append(claim)
            others = ({*(+held)} | waiting) - {namespace}
            share = max(1, self._limit // (len(others) + 1))
            free = self._limit - sum(min(held[each], share) for each in others)
            rivals = [(min(held[each], share), self._turns[each]) for each in waiting & others]
            free = _share(free, self._turns.get(namespace, now), rivals)
            own = self._claims.get(uid, _Claim(namespace, now))
            return _in_turn(free, own, beside, now)

    def still_waits(self, uid: str, namespace: str) -> bool:
        """Whether there is no slot yet for a drain that has none and wants one."""
        with self._lock:
            claim, now = self._claim(uid, namespace), self._clock()
            if not claim.offered:
                claim.waits_until = now + _WAITS_SECONDS
            slots = self.slots(uid, namespace)
            if slots is not None and slots <= 0:
                return True
            if not claim.offered:
                claim.waits_until, claim.offered = now + _TAKES_SECONDS, True
            return False

    def has_met(self, uid: str) -> bool:
        """Whether anything of this drain is known here: from then on its ticks tell the rest."""
        return uid in self._met

    def beside(self, uid: str, cloud: str) -> Arrivals:
        """What is on its way in this cloud for other drains, as far as there is a limit."""
        if self.most_arrivals is None:
            return _NONE
        with self._lock:
            now, known, unknown = self._clock(), Counter[str](), 0
            for other, claim in self._claims.items():
                if other != uid and claim.cloud == cloud and claim.holds(now):
                    known.update(claim.arrivals.known)
                    unknown += claim.arrivals.open
            return Arrivals(known, unknown)

    def is_full(self, uid: str, cloud: str) -> bool:
        """Whether a drain with no move of its own may begin none, for those on their way."""
        most = self.most_arrivals
        return most is not None and self.beside(uid, cloud).room(most) <= 0

    def hold(
        self,
        uid: str,
        namespace: str,
        moves: int,
        *,
        most: int = 1,
        waits: bool = False,
        cloud: str = "",
        arrivals: Arrivals = _NONE,
    ) -> None:
        """`most`: moves that it would have. `waits`: so it would, if there were more slots.
        `arrivals`: in `cloud`, its moves that are on their way.
        """
        with self._lock:
            if not (moves or waits):
                self._met.add(uid)
                self._drop(uid)
                return
            claim, now = self._claim(uid, namespace), self._clock()
            if moves > claim.moves:
                waited, _ = claim.rank(now)
                claim.began = now if waited else claim.began
                self._turns[namespace] = now
            claim.moves, claim.most, claim.offered = moves, most, False
            claim.heard, claim.cloud, claim.arrivals = now, cloud, arrivals
            claim.waits_until = now + _WAITS_SECONDS if waits else 0.0

    def forget(self, uid: str) -> None:
        with self._lock:
            self._met.discard(uid)
            self._drop(uid)

    def _drop(self, uid: str) -> None:
        claim = self._claims.pop(uid, None)
        if claim is None:
            return
        if all(other.namespace != claim.namespace for other in self._claims.values()):
            del self._turns[claim.namespace]

    def _claim(self, uid: str, namespace: str) -> _Claim:
        now = self._clock()
        self._met.add(uid)
        self._turns.setdefault(namespace, now)
        return self._claims.setdefault(uid, _Claim(namespace, now))


def _share(free: int, turn: float, rivals: Collection[tuple[int, float]]) -> int:
    """Of a namespace: how many of the slots that others leave, and its own, are its. `rivals`: how
    many each other one has that wants more, and when it was given the last one.
    """

    def is_taken(level: int) -> bool:
        """Whether all are given away once this one has so many."""
        before = sum(max(0, level - has + (since < turn)) for has, since in rivals)
        return level + before >= free

    return bisect_left(range(max(0, free)), True, key=is_taken)


def _in_turn(free: int, own: _Claim, beside: Collection[_Claim], now: float) -> int:
    """Of a drain: how many of its namespace's slots, of which those `beside` it have some, are its.

    Its share, as far as those before it leave it; and what nobody wants as their share.
    """
    share = max(free // (len(beside) + 1), _BATCH)
    free -= sum(claim.holds(now) for claim in beside)
    if free <= 0:  # as mostly while many wait
        return 0
    wants = [(c.rank(now), min(share, c.most) - c.moves) for c in beside if now < c.waits_until]
    before = sum(max(0, more) for rank, more in wants if rank < own.rank(now))
    left = free - sum(max(0, more) for _, more in wants)
    return max(0, min(share, free - before), left)
