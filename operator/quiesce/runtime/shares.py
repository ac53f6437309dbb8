"""PURE. How many workers one namespace, or one cloud, may hold at once.

A cloud that does not answer holds a worker for the whole time of a reconciliation, whatever is done
about its requests. So that others are served meanwhile, a group holds at most half of the workers
that the others leave, and at least one; where all keys are of one group, it may hold them all. A
cloud is known once a reconciliation has named it: until then a key might be of any.
"""

from collections import Counter
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

_K = TypeVar("_K", bound=Hashable)
_Group = tuple[str, Hashable]  # of which kind, and which one


class Shares(Generic[_K]):
    """Of the keys that are known. Not safe to use from several threads at once."""

    def __init__(self, namespace_of: Callable[[_K], Hashable] | None, workers: int) -> None:
        """`namespace_of` None: keys belong to no namespace. `workers` 0: there is no limit."""
        self.workers = workers
        self._namespace_of = namespace_of
        self._groups: dict[_K, tuple[_Group, ...]] = {}
        self._known: Counter[_Group] = Counter()
        self._held: Counter[_Group] = Counter()
        self._busy: set[_K] = set()

    def add(self, key: _K) -> None:
        """From now on `key` may ask for a worker."""
        if key not in self._groups:
            of = self._namespace_of
            self._put(key, () if of is None else (("namespace", of(key)),))

    def forget(self, key: _K) -> None:
        """It is known no longer. It must not be with a worker."""
        self._put(key, ())
        del self._groups[key]

    def may_begin(self, key: _K) -> bool:
        """Whether a worker that is free may take it."""
        return all(self._has_share(group) for group in self._groups[key])

    def begin(self, key: _K) -> None:
        self._busy.add(key)
        self._held.update(self._groups[key])

    def end(self, key: _K) -> None:
        self._busy.discard(key)
        self._held.subtract(self._groups[key])

    def join(self, key: _K, cloud: Hashable) -> bool:
        """`key`, which is with a worker, is of this cloud; False: its share is used up by others,
        and the worker has to hand it back.
        """
        group = ("cloud", cloud)
        if group in self._groups[key]:
            return True
        others = tuple(each for each in self._groups[key] if each[0] != "cloud")
        self.end(key)
        self._put(key, (*others, group))
        fits = self._has_share(group)
        self.begin(key)
        return fits

    def _has_share(self, group: _Group) -> bool:
        held, alone = self._held[group], self._known[group] == len(self._groups)
        if not self.workers or alone:
            return True
        left_by_others = self.workers - (len(self._busy) - held)
        return held < max(1, min(self.workers // 2, (left_by_others + 1) // 2))

    def _put(self, key: _K, groups: tuple[_Group, ...]) -> None:
        self._known.subtract(self._groups.get(key, ()))
        self._groups[key] = groups
        self._known.update(groups)
        self._known = +self._known  # without those of which no key is known any more
