"""Which events need a tick: those that a person or the API server caused, not our own writes."""

import hashlib
import threading
from collections.abc import Iterable, Mapping

from quiesce.api.annotations import GROUP
from quiesce.kube.resource import Key, Resource

_REQUESTS = f"{GROUP}/"
"""The prefix of every annotation by which people request something; we write none."""

_Fingerprint = tuple[str, int, bool, bytes]


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
    return resource.uid, resource.generation, resource.deleting, _digest(resource.annotations)


def _digest(annotations: Mapping[str, str]) -> bytes:
    """Of the requests among them: their values may be large, and are kept for every object."""
    found = hashlib.sha256()
    for name in sorted(annotations):
        if name.startswith(_REQUESTS):
            for part in (name, annotations[name]):
                encoded = part.encode("utf-8", "surrogatepass")
                found.update(len(encoded).to_bytes(8) + encoded)
    return found.digest()
