"""Which events are news: those that a person or the API server caused, not those of our own writes."""

import threading
from collections.abc import Iterable

from quiesce.kube.resource import GROUP, Key, Resource

ASKED = f"{GROUP}/"
"""What begins every annotation by which people ask for something (requestedAt, abandon, rotateKey); we write none."""

_Sight = tuple[str, int, bool, frozenset[tuple[str, str]]]


class WakeUps:
    """Remembers of each object what it was last like. Safe to use from many threads.

    Status and finalizer writes move neither `generation` nor what else is compared here: they wake nobody.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: dict[Key, _Sight] = {}

    def is_news(self, resource: Resource, gone: bool = False) -> bool:
        """Is it new, gone, or different in what calls for a look? Remembers it."""
        with self._lock:
            if gone:
                self._seen.pop(resource.key, None)
                return True
            sight = _sight(resource)
            before = self._seen.get(resource.key)
            self._seen[resource.key] = sight
            return before != sight

    def forget_all_but(self, keys: Iterable[Key]) -> None:
        """Objects that went while no watch was open are never reported gone."""
        with self._lock:
            self._seen = {key: self._seen[key] for key in keys if key in self._seen}


def _sight(resource: Resource) -> _Sight:
    asked = frozenset(
        (name, value) for name, value in resource.annotations.items() if name.startswith(ASKED)
    )
    return resource.uid, resource.generation, resource.deleting, asked
