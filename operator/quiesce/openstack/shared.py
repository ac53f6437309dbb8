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
        """`age`: seconds for which a read counts, where who asks does not say otherwise."""
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

    def known(self, age: float | None = None) -> T | None:
        """What `get` would return without a read; None: it would read."""
        found = self._value
        if found is None or self._forgotten or not self._counts(found[0], self._clock(), age):
            return None
        return found[1]

    def get(self, age: float | None = None) -> T:
        """`age`: seconds before this call in which the read may have begun; None: as usual; 0: it
        begins after this call, and threads that wait for such a one share it.

        Raises what `read` raises, and CloudUnreachable where another thread's read takes too long.
        """
        recent = self.known(age)
        if recent is not None:  # without waiting for another thread's read
            return recent
        asked = self._clock()
        if not self._lock.acquire(timeout=time_left(_LONGEST_READ)):
            raise CloudUnreachable("OpenStack does not answer another reconciliation's request")
        try:
            if self._forgotten:
                self._forgotten, self._value = False, None
            found = self._value
            if found is None or not self._counts(found[0], asked, age):
                found = self._value = (self._clock(), self._read())
                kept.add(self, weight(found[1], MOST_KEPT))
            return found[1]
        finally:
            self._lock.release()

    def _counts(self, began: float, asked: float, age: float | None) -> bool:
        age = self._age if age is None else age
        return began > asked or (age > 0 and asked - began <= age)


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
