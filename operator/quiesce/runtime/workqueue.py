"""Which key is due, and when. Many threads take from it; no key is ever with two of them, and no
namespace or cloud has more of them than its share.

What a person has just done is not kept waiting by what is only polled: a key that is added as
`news` comes before all others that are due, until a tick of it asks for a later one.
"""

import heapq
import threading
import time
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from quiesce.runtime.shares import Shares

_K = TypeVar("_K", bound=Hashable)


class WorkQueue(Generic[_K]):
    """Keys, each with the time at which it is due. Of two times for one key the earlier wins."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        namespace_of: Callable[[_K], Hashable] | None = None,
        waited: Callable[[float], None] = lambda _: None,
    ) -> None:
        """`namespace_of`: by which keys share the threads; None: they do not. `waited` is called
        with the seconds for which a key that is handed out was due.
        """
        self._clock = clock
        self._waited = waited
        self._shares: Shares[_K] = Shares(namespace_of, 0)
        self._changed = threading.Condition()
        self._due: dict[_K, float] = {}
        self._news: dict[_K, None] = {}  # in the order in which they came
        # May hold stale entries: only those in _due count.
        self._heap: list[tuple[float, int, _K]] = []
        self._count = 0  # breaks ties first come, first served; keys need no order
        self._in_work: dict[
            _K, float | None
        ] = {}  # when it is due again, if it was added meanwhile
        self._closed = False

    def share_among(self, workers: int) -> None:
        """How many threads take from it: each namespace and cloud gets its share of them."""
        with self._changed:
            self._shares.workers = workers

    def join(self, key: _K, cloud: Hashable) -> bool:
        """`key`, which is in progress, belongs to this cloud from now on; False: others of that
        cloud use up its share, so the caller has to hand it back at once.
        """
        with self._changed:
            return self._shares.join(key, cloud)

    def add(self, key: _K, delay: float = 0.0, *, news: bool = False) -> None:
        """`key` is due in `delay` seconds at the latest, but not before work on it has ended."""
        with self._changed:
            if self._closed:
                return
            if news:
                self._news[key] = None
            due = self._clock() + delay
            if key in self._in_work:
                self._in_work[key] = _earlier(self._in_work[key], due)
            else:
                self._schedule(key, due)

    def get(self, timeout: float) -> _K | None:
        """News, else the key that is due longest, waiting up to `timeout` seconds; None: none, or
        closed.

        The caller hands it back with done().
        """
        deadline = self._clock() + timeout
        with self._changed:
            while not self._closed:
                now = self._clock()
                key, later = self._next(now)
                if key is not None:
                    return self._take(key)
                if now >= deadline:
                    return None
                self._changed.wait((deadline if later is None else min(deadline, later)) - now)
            return None

    def done(self, key: _K, delay: float | None) -> None:
        """Work on `key` has ended: due again in `delay` seconds; None: when it is added again."""
        with self._changed:
            added = self._in_work.pop(key)
            self._shares.end(key)
            due = added if delay is None else _earlier(added, self._clock() + delay)
            if added is None and delay != 0:
                self._news.pop(key, None)
            if due is None or self._closed:
                self._shares.forget(key)
            else:
                self._schedule(key, due)
            self._changed.notify_all()  # one that waits for its share may begin

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
        self._shares.add(key)
        self._count += 1
        heapq.heappush(self._heap, (due, self._count, key))
        self._changed.notify()

    def _next(self, now: float) -> tuple[_K | None, float | None]:
        """(the key that is due longest and may begin, news first; when the next one is due).

        Those that have to wait for their share keep their place, and hold up nobody.
        """
        for key in self._news:
            if self._due.get(key, now + 1) <= now and self._shares.may_begin(key):
                return key, None
        waiting = []
        found, later = None, None
        while self._heap:
            entry = due, _, key = self._heap[0]
            if self._due.get(key) == due:
                if due > now:
                    later = due
                    break
                if self._shares.may_begin(key):
                    found = key
                    break
                waiting.append(entry)
            heapq.heappop(self._heap)
        for entry in waiting:
            heapq.heappush(self._heap, entry)
        return found, later

    def _take(self, key: _K) -> _K:
        """Its entry in the heap is stale from now on."""
        self._waited(self._clock() - self._due.pop(key))
        self._in_work[key] = None
        self._shares.begin(key)
        self._changed.notify()  # another thread has to wait for the next one now
        return key


def _earlier(one: float | None, other: float) -> float:
    return other if one is None else min(one, other)
