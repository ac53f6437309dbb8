"""The histories of all drains, and how much memory they take.

What a cloud answers is kept in them between ticks, so it decides how large they are. Losing one, or
the lists in it, loses nothing: they are read again.
"""

import threading
from collections.abc import Callable, Iterator, MutableMapping, Sized
from dataclasses import dataclass, fields

from quiesce.drain.model.history import History
from quiesce.ops.weight import weight

_EACH = 4 * 2**20
"""Bytes: twice what a host with 200 servers and 2000 migrations takes."""
_ALL = 32 * 2**20
_FIELDS = tuple(each.name for each in fields(History))


@dataclass(frozen=True, slots=True)
class _Held:
    history: History
    size: int
    marks: tuple[object, ...]


class Histories(MutableMapping[str, History]):
    """By the uid of the drain. Of more than fits the largest are cut, so that drains that keep much
    cost others nothing: first their lists of servers and migrations are dropped, then all of it.
    """

    def __init__(self, each: int = _EACH, all_: int = _ALL) -> None:
        self._each, self._all = each, all_
        self._held: dict[str, _Held] = {}
        self._lock = threading.Lock()

    def __getitem__(self, uid: str) -> History:
        return self._held[uid].history

    def __setitem__(self, uid: str, history: History) -> None:
        found = self._fitting(history, self._held.get(uid))
        with self._lock:
            self._held.pop(uid, None)
            self._held[uid] = found
            for shorter in (History.without_lists, lambda _: History()):
                self._cut(shorter)

    def __delitem__(self, uid: str) -> None:
        with self._lock:
            del self._held[uid]

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._held))

    def __len__(self) -> int:
        return len(self._held)

    @property
    def weight(self) -> int:
        """Bytes."""
        return sum(held.size for held in list(self._held.values()))

    def _fitting(self, history: History, before: _Held | None) -> _Held:
        """As much of it as one drain may keep."""
        marks = _marks(history)
        if before is not None and before.marks == marks:
            return _Held(history, before.size, marks)
        for each in (history, history.without_lists()):
            size = weight(each, self._each)
            if size <= self._each:
                return _Held(each, size, _marks(each))
        return _held(History())

    def _cut(self, shorter: Callable[[History], History]) -> None:
        total = self.weight
        for uid, held in sorted(self._held.items(), key=lambda item: -item[1].size):
            if total <= self._all:
                return
            self._held[uid] = _held(shorter(held.history))
            total += self._held[uid].size - held.size


def _held(history: History) -> _Held:
    return _Held(history, weight(history), _marks(history))


def _marks(history: History) -> tuple[object, ...]:
    """Others wherever it may have become larger: to weigh it takes milliseconds."""
    found = (getattr(history, name) for name in _FIELDS)
    return tuple(len(each) if isinstance(each, Sized) else each for each in found)
