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
