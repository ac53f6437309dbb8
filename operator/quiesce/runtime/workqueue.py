"""Which key is due, and when. Many threads take from it; no key is ever with two of them."""

import heapq
import threading
import time
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

_K = TypeVar("_K", bound=Hashable)


class WorkQueue(Generic[_K]):
    """Keys, each with the time at which it is due. Of two times for one key the earlier wins."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._due: dict[_K, float] = {}
        # May hold stale entries: only those in _due count.
        self._heap: list[tuple[float, int, _K]] = []
        self._count = 0  # breaks ties first come, first served; keys need no order
        self._in_work: dict[
            _K, float | None
        ] = {}  # when it is due again, if it was added meanwhile
        self._closed = False

    def add(self, key: _K, delay: float = 0.0) -> None:
        """`key` is due in `delay` seconds at the latest, but not before work on it has ended."""
        with self._changed:
            if self._closed:
                return
            due = self._clock() + delay
            if key in self._in_work:
                self._in_work[key] = _earlier(self._in_work[key], due)
            else:
                self._schedule(key, due)

    def get(self, timeout: float) -> _K | None:
        """The key that is due longest, waiting up to `timeout` seconds; None: none, or closed.

        The caller hands it back with done().
        """
        deadline = self._clock() + timeout
        with self._changed:
            while not self._closed:
                now, first = self._clock(), self._first()
                if first is not None and first[0] <= now:
                    return self._take(first[1])
                if now >= deadline:
                    return None
                self._changed.wait((deadline if first is None else min(deadline, first[0])) - now)
            return None

    def done(self, key: _K, delay: float | None) -> None:
        """Work on `key` has ended: due again in `delay` seconds; None: when it is added again."""
        with self._changed:
            added = self._in_work.pop(key)
            due = added if delay is None else _earlier(added, self._clock() + delay)
            if due is not None and not self._closed:
                self._schedule(key, due)

    def close(self) -> None:
        """Nothing is handed out any more; get() returns at once."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def __contains__(self, key: _K) -> bool:
        """Whether it is waiting or in progress: it will be handed out without being added."""
        with self._changed:
            return key in self._due or key in self._in_work

    def due(self) -> int:
        """The backlog: how many keys are due and not in progress."""
        with self._changed:
            now = self._clock()
            return sum(due <= now for due in self._due.values())

    def _schedule(self, key: _K, due: float) -> None:
        if key in self._due and self._due[key] <= due:
            return
        self._due[key] = due
        self._count += 1
        heapq.heappush(self._heap, (due, self._count, key))
        self._changed.notify()

    def _first(self) -> tuple[float, _K] | None:
        while self._heap:
            due, _, key = self._heap[0]
            if self._due.get(key) == due:
                return due, key
            heapq.heappop(self._heap)
        return None

    def _take(self, key: _K) -> _K:
        heapq.heappop(self._heap)
        del self._due[key]
        self._in_work[key] = None
        self._changed.notify()  # another thread has to wait for the next one now
        return key


def _earlier(one: float | None, other: float) -> float:
    return other if one is None else min(one, other)
