"""Reads of whole lists that all resources of one cloud share while they are recent enough.

What all clouds together keep this way is bounded, together with what `lookups` keeps: what was read
first is dropped first, and read again when it is needed.
"""

import threading
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar
from weakref import WeakKeyDictionary

from quiesce.api.errors import CloudUnreachable
from quiesce.openstack.budget import time_left
from quiesce.ops.weight import weight

T = TypeVar("T")

_LONGEST_READ = 120.0
"""Seconds for which a shared read of another reconciliation is waited for."""
MOST_KEPT = 32 * 2**20
"""Bytes of memory of all lists that are kept, and of what is looked up."""


class Shared(Generic[T]):
    """Safe to use from many threads."""

    def __init__(self, read: Callable[[], T], age: float, clock: Callable[[], float]) -> None:
        """`age`: seconds for which a read counts, at least."""
        self._read, self._age, self._clock = read, age, clock
        self._lock = threading.Lock()
        self._value: tuple[float, T] | None = None
        self._forgotten = False

    def forget(self) -> None:
        """What has been read so far, or is being read, counts no longer."""
        self._forgotten = True

    def drop(self) -> None:
        """Frees its memory."""
        self._value = None

    def known(self, age: float = 0.0) -> T | None:
        """What `get` would return without a read; None: it would read."""
        found = self._value
        if found is None or self._forgotten or self._clock() - found[0] > max(age, self._age):
            return None
        return found[1]

    def get(self, age: float = 0.0, *, fresh: bool = False) -> T:
        """`age`: seconds for which a read counts here, if that is longer than usual. `fresh`: read
        after this call; threads that wait for the same share one read.

        Raises what `read` raises, and CloudUnreachable where another thread's read takes too long.
        """
        recent = None if fresh else self.known(age)
        if recent is not None:  # without waiting for another thread's read
            return recent
        asked = self._clock()
        if not self._lock.acquire(timeout=time_left(_LONGEST_READ)):
            raise CloudUnreachable("OpenStack does not answer another reconciliation's request")
        try:
            if self._forgotten:
                self._forgotten, self._value = False, None
            now, found = self._clock(), self._value
            if found is None or (
                found[0] <= asked if fresh else now - found[0] > max(age, self._age)
            ):
                found = self._value = (now, self._read())
                kept.add(self, weight(found[1], MOST_KEPT))
            return found[1]
        finally:
            self._lock.release()


class _Droppable(Protocol):
    """`drop` is called without a lock of `_Kept`."""

    def drop(self) -> None: ...


class _Kept:
    """What is in memory, the first read first."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._sizes: WeakKeyDictionary[_Droppable, int] = WeakKeyDictionary()

    def add(self, one: _Droppable, size: int) -> None:
        """It has `size` bytes from now on. Must not be called with a lock that a `drop` takes."""
        for oldest in self._too_much(one, size):
            oldest.drop()

    def _too_much(self, one: _Droppable, size: int) -> list[_Droppable]:
        with self._lock:
            self._sizes.pop(one, None)
            if size > self._most:  # nothing else has to go for it
                return [one]
            self._sizes[one] = size
            total, found = sum(self._sizes.values()), list[_Droppable]()
            for oldest in list(self._sizes):
                if total <= self._most:
                    break
                total -= self._sizes.pop(oldest)
                found.append(oldest)
            return found


kept = _Kept(MOST_KEPT)
