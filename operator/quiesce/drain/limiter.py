"""Moves in flight over all drains of this operator (`--max-moves`), and those on their way to one
destination (`--max-arrivals`), both in shares.

First among namespaces: a slot that is free goes to the one that has fewest, and among equals to the
one that was given none for longest. Then among the drains of a namespace, which take turns: each
may have its share for five minutes, then the one that has waited longest. Moves of one host that
are in flight together cost less than as many of different hosts (docs/performance.md).

What may be on its way is shared in the same way, in each cloud for itself: how much that is depends
on where Nova sends it, so it is what is on its way now, and what may begin. Of drains whose turn is
not over, or is the first one, any may take it: little may begin before Nova has named destinations,
and if that were kept for one of them until its next tick, most of it would stay unused.
"""

import threading
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
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
_FIRST = (False, float("-inf"))
"""The rank before all others."""
_BATCH = 4
"""Slots that a drain has in its turn at least, if there are as many."""
_TAKES_SECONDS = 10.0
"""A slot is kept so long for a drain that has heard that there is one, and looks at its host."""


@dataclass(slots=True)
class _Claim:
    """`since`: when it began to wait for its turn. `began`: when that began. `most`: moves that it
    would have. `waits_until`: till then it counts as waiting for slots; `arrives_until`: for others
    to arrive. `offered`: it has heard that it need not wait, and was not heard of since. `heard`:
    when its `moves` were counted, and of them the `arrivals`: those on their way, in `cloud`.
    """

    namespace: str
    since: float
    began: float = float("-inf")
    moves: int = 0
    most: int = 1
    waits_until: float = 0.0
    arrives_until: float = 0.0
    offered: bool = False
    heard: float = 0.0
    cloud: str = ""
    arrivals: Arrivals = _NONE

    def had_its_turn(self, now: float) -> bool:
        return float("-inf") < self.began <= now - _TURN_SECONDS

    def is_known(self, now: float) -> bool:
        """Whether its moves count."""
        return now - self.heard < _HEARD_SECONDS

    def of_moves(self, now: float) -> "_Part":
        has = self.moves if self.is_known(now) else 0
        return _Part(self, has, self.most, now < self.waits_until)

    def of_arrivals(self, now: float) -> "_Part":
        has = self.arrivals.total if self.is_known(now) else 0
        return _Part(self, has, has + self.most - self.moves, now < self.arrives_until)

    def rank(self, now: float) -> tuple[bool, float]:
        """Who comes first: those whose turn it is, then those that wait for theirs."""
        over = self.began + _TURN_SECONDS
        return (False, self.began) if now < over else (True, max(self.since, over))


@dataclass(frozen=True, slots=True)
class _Part:
    """Of what is shared: how much a claim has, how much it would have, and whether it waits for
    more.
    """

    claim: _Claim
    has: int
    most: int
    waits: bool


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
            now = self._clock()
            own = self._claims.get(uid, _Claim(namespace, now))
            parts = [claim.of_moves(now) for claim in self._others(uid)]
            return self._given(self._limit, namespace, own.rank(now), parts)

    def arriving(self, uid: str, namespace: str, cloud: str) -> int | None:
        """How many of its moves may be on their way in this cloud; None: no limit."""
        if self.most_arrivals is None:
            return None
        with self._lock:
            now = self._clock()
            own = self._claims.get(uid, _Claim(namespace, now))
            parts = [c.of_arrivals(now) for c in self._others(uid) if c.cloud == cloud]
            has = own.of_arrivals(now).has
            on_their_way = self.beside(uid, cloud) + (own.arrivals if has else _NONE)
            begin = max(0, on_their_way.room(self.most_arrivals))
            rank = own.rank(now) if own.had_its_turn(now) else _FIRST
            given = self._given(on_their_way.total + begin, namespace, rank, parts)
            return min(given, has + begin)

    def _others(self, uid: str) -> Iterator[_Claim]:
        return (claim for other, claim in self._claims.items() if other != uid)

    def _given(
        self, limit: int, namespace: str, rank: tuple[bool, float], parts: Iterable[_Part]
    ) -> int:
        """How many of `limit` are a drain's. `parts`: of the others among whom it is shared."""
        now, held, waiting, beside = self._clock(), Counter[str](), set[str](), list[_Part]()
        for part in parts:
            held[part.claim.namespace] += part.has
            if part.waits:
                waiting.add(part.claim.namespace)
            if part.claim.namespace == namespace:
                beside.append(part)
        others = ({*(+held)} | waiting) - {namespace}
        share = max(1, limit // (len(others) + 1))
        free = limit - sum(min(held[each], share) for each in others)
        rivals = [(min(held[each], share), self._turns[each]) for each in waiting & others]
        free = _share(free, self._turns.get(namespace, now), rivals)
        return _in_turn(free, rank, beside, now)

    def still_waits(self, uid: str, namespace: str, cloud: str) -> bool:
        """Whether a drain that has no move in flight, and wants one, may begin none yet."""
        with self._lock:
            claim, now = self._claim(uid, namespace), self._clock()
            claim.cloud = cloud
            lacks_slot = _is_none_left(self.slots(uid, namespace))
            lacks_arrivals = _is_none_left(self.arriving(uid, namespace, cloud))
            waits = lacks_slot or lacks_arrivals
            if not claim.offered:
                until = now + (_WAITS_SECONDS if waits else _TAKES_SECONDS)
                if lacks_slot or not waits:
                    claim.waits_until = until
                if lacks_arrivals or not waits:
                    claim.arrives_until = until
                claim.offered = not waits
            return waits

    def has_met(self, uid: str) -> bool:
        """Whether anything of this drain is known here: from then on its ticks tell the rest."""
        return uid in self._met

    def beside(self, uid: str, cloud: str) -> Arrivals:
        """What is on its way in this cloud for other drains, as far as there is a limit."""
        if self.most_arrivals is None:
            return _NONE
        with self._lock:
            now, known, unknown = self._clock(), Counter[str](), 0
            for claim in self._others(uid):
                if claim.cloud == cloud and claim.is_known(now):
                    known.update(claim.arrivals.known)
                    unknown += claim.arrivals.open
            return Arrivals(known, unknown)

    def hold(
        self,
        uid: str,
        namespace: str,
        moves: int,
        *,
        most: int = 1,
        waits: bool = False,
        waits_for_arrivals: bool = False,
        cloud: str = "",
        arrivals: Arrivals = _NONE,
    ) -> None:
        """`most`: moves that it would have. `waits`: so it would, if there were more slots;
        `waits_for_arrivals`: if more could be on their way. `arrivals`: in `cloud`, its moves that
        are.
        """
        with self._lock:
            if not (moves or waits or waits_for_arrivals):
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
            claim.arrives_until = now + _WAITS_SECONDS if waits_for_arrivals else 0.0

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


def _is_none_left(given: int | None) -> bool:
    """For a drain that has nothing. None: no limit."""
    return given is not None and given <= 0


def _share(free: int, turn: float, rivals: Collection[tuple[int, float]]) -> int:
    """Of a namespace: how many of the slots that others leave, and its own, are its. `rivals`: how
    many each other one has that wants more, and when it was given the last one.
    """

    def is_taken(level: int) -> bool:
        """Whether all are given away once this one has so many."""
        before = sum(max(0, level - has + (since < turn)) for has, since in rivals)
        return level + before >= free

    return bisect_left(range(max(0, free)), True, key=is_taken)


def _in_turn(free: int, rank: tuple[bool, float], beside: Collection[_Part], now: float) -> int:
    """Of a drain of this `rank`: how many of what is its namespace's, of which those `beside` it
    have some, are its.

    Its share, as far as those before it leave it; and what nobody wants as their share.
    """
    share = max(free // (len(beside) + 1), _BATCH)
    free -= sum(part.has for part in beside)
    if free <= 0:  # as mostly while many wait
        return 0
    wants = [(p.claim.rank(now), min(share, p.most) - p.has) for p in beside if p.waits]
    before = sum(max(0, more) for each, more in wants if each < rank)
    left = free - sum(max(0, more) for _, more in wants)
    return max(0, min(share, free - before), left)
