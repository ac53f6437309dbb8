"""Reads of whole lists that all resources of one cloud share while they are recent enough.

What all clouds together keep this way is bounded: the list that was read first is dropped first,
and read again when it is needed.
"""

import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar
from weakref import WeakKeyDictionary

from quiesce.api.errors import CloudUnreachable
from quiesce.openstack.budget import spent, time_left

T = TypeVar("T")

_LONGEST_READ = 120.0
"""Seconds for which a shared read of another reconciliation is waited for."""
_MOST_KEPT = 16 * 2**20
"""Bytes of the answers from which all lists that are kept were made."""


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

    def get(self, age: float = 0.0, *, fresh: bool = False) -> T:
        """`age`: seconds for which a read counts here, if that is longer than usual. `fresh`: read
        after this call; threads that wait for the same share one read.

        Raises what `read` raises, and CloudUnreachable where another thread's read takes too long.
        """
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
                before = spent()
                found = self._value = (now, self._read())
                _kept.add(self, spent() - before)
            return found[1]
        finally:
            self._lock.release()


class _Kept:
    """Whose lists are in memory, the first read first."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._sizes: WeakKeyDictionary[Shared[Any], int] = WeakKeyDictionary()

    def add(self, one: Shared[Any], size: int) -> None:
        with self._lock:
            self._sizes.pop(one, None)
            self._sizes[one] = size
            total = sum(self._sizes.values())
            for oldest in list(self._sizes):
                if total <= self._most:
                    return
                total -= self._sizes.pop(oldest)
                oldest.drop()


_kept = _Kept(_MOST_KEPT)
