"""A limited number of places, of which nobody can hold all."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager


class Places:
    """`all_`: places for all owners together. `each`: of them for one owner.

    An owner that holds none can always enter, even where all places are held: so nobody waits for
    others who do not leave.
    """

    def __init__(self, all_: int, each: int) -> None:
        self._all, self._each = all_, each
        self._held: Counter[object] = Counter()
        self._lock = threading.Lock()

    def enter(self, owner: object) -> bool:
        """False: all places are held, or the share of the owner. Never waits."""
        with self._lock:
            own = self._held[owner]
            if own >= self._each or (own > 0 and self._held.total() >= self._all):
                return False
            self._held[owner] += 1
            return True

    def leave(self, owner: object) -> None:
        with self._lock:
            self._held[owner] -= 1
            if self._held[owner] <= 0:
                del self._held[owner]

    @contextmanager
    def held(self, owner: object) -> Iterator[bool]:
        """A place for the time of the block; False: there is none."""
        entered = self.enter(owner)
        try:
            yield entered
        finally:
            if entered:
                self.leave(owner)


class NamespacedPlaces:
    """Places that are shared among namespaces first, and then among the owners in each.

    A namespace holds at most two thirds of what the others leave, and an owner two thirds of what
    the others of its namespace leave of that. So a later one finds some free, and as places are
    left and taken again, all that want them come to hold about as many. A namespace that holds none
    can always enter; its owners share what it has, so that many of them get no more than one.
    """

    def __init__(self, all_: int) -> None:
        self._all = all_
        self._held: Counter[tuple[str, object]] = Counter()
        self._lock = threading.Lock()

    def enter(self, namespace: str, owner: object) -> bool:
        """False: what the namespace, or the owner, may hold is in use. Never waits."""
        with self._lock:
            total, own = self._held.total(), self._held[namespace, owner]
            together = sum(n for (other, _), n in self._held.items() if other == namespace)
            most = _share(self._all - (total - together))
            if together >= most or own >= _share(most - (together - own)):
                return False
            self._held[namespace, owner] += 1
            return True

    def leave(self, namespace: str, owner: object) -> None:
        with self._lock:
            self._held[namespace, owner] -= 1
            if self._held[namespace, owner] <= 0:
                del self._held[namespace, owner]


def _share(left: int) -> int:
    return max(1, left * 2 // 3)
