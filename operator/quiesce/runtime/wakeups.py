"""Which events need a tick: those that a person or the API server caused, not our own writes."""

import threading
from collections.abc import Iterable

from quiesce.api.annotations import GROUP
from quiesce.kube.resource import Key, Resource

_REQUESTS = f"{GROUP}/"
"""The prefix of every annotation by which people request something; we write none."""

_Fingerprint = tuple[str, int, bool, frozenset[tuple[str, str]]]


class WakeUps:
    """Remembers what each object was last like. Safe to use from many threads.

    Status and finalizer writes change neither `generation` nor anything else that is compared here.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: dict[Key, _Fingerprint] = {}

    def is_news(self, resource: Resource, gone: bool = False) -> bool:
        """Whether it is new, gone, or changed in what calls for a tick. Remembers it."""
        with self._lock:
            if gone:
                self._seen.pop(resource.key, None)
                return True
            now = _fingerprint(resource)
            before = self._seen.get(resource.key)
            self._seen[resource.key] = now
            return before != now

    def forget_all_but(self, keys: Iterable[Key]) -> None:
        """Objects that were deleted while no watch was open are never reported gone."""
        with self._lock:
            self._seen = {key: self._seen[key] for key in keys if key in self._seen}


def _fingerprint(resource: Resource) -> _Fingerprint:
    requests = frozenset(
        (name, value) for name, value in resource.annotations.items() if name.startswith(_REQUESTS)
    )
    return resource.uid, resource.generation, resource.deleting, requests
