"""Volumes and images by ID, each read once an hour: what is asked of them hardly ever changes. That
a shelved server has its image does: it is read again within seconds.
"""

import threading
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Generic, TypeVar

from quiesce.api.errors import CloudUnreachable, NotAllowed
from quiesce.openstack.addresses import path
from quiesce.openstack.budget import used_up
from quiesce.openstack.errors import NotFound, NotInCatalog
from quiesce.openstack.fields import id_of, items, mapping, optional_text
from quiesce.openstack.http import MISREAD, Api
from quiesce.openstack.records import Image, Volume
from quiesce.openstack.shared import kept as kept_in_all
from quiesce.openstack.side_by_side import side_by_side
from quiesce.openstack.transport import LIST
from quiesce.ops.weight import weight

T = TypeVar("T")

_AGE = 3600.0  # seconds
_SNAPSHOT_AGE = 5.0
"""Seconds: its owner may delete the image, and an offload deletes the only other copy."""
_GONE = ("deleted", "killed", "pending_delete")  # statuses of images without data
_IMAGES = 100  # newest first, and none is made of a server after it was shelved
_MOST = 10_000  # objects of a kind that are kept
_HEAVIEST = 8 * 2**20  # bytes of memory of these
# Seconds for which a service that did not answer is not asked again: a tick does not wait for it.
_REST = 60.0


class _ById(Generic[T]):
    """Objects of one service, read one by one; None: there is no such object."""

    def __init__(
        self,
        read: Callable[[str], T],
        clock: Callable[[], float],
        *,
        age: float = _AGE,
        keeps_missing: bool = True,
    ) -> None:
        """`age`: seconds for which an answer counts. `keeps_missing`: what does not exist is not
        asked for again either, and what no longer exists is known as it was.
        """
        self._read, self._clock, self._age = read, clock, age
        self._keeps_missing = keeps_missing
        self._lock = threading.Lock()
        self._found: dict[str, tuple[float, T | None]] = {}
        self._sizes: dict[str, int] = {}
        self._failed: tuple[float, Exception] | None = None

    def get(self, ids: Iterable[str]) -> dict[str, T]:
        """Those that exist. Raises what the first failed read raised, for a while."""
        wanted, now = set(ids), self._clock()
        with self._lock:
            if self._failed is not None and now - self._failed[0] < _REST:
                raise self._failed[1]
            missing = sorted(i for i in wanted if not self._is_fresh(i, now))
        try:
            read = self._read_all(missing)
        except (CloudUnreachable, NotAllowed, NotInCatalog) as error:
            if not used_up():
                with self._lock:
                    self._failed = (now, error)
            raise
        with self._lock:
            self._failed = None
            for object_id, value in read.items():
                _, last = self._found.pop(object_id, (now, None))
                if value is not None or self._keeps_missing:
                    self._found[object_id] = (now, value or last)
            known = {i: self._found[i][1] for i in wanted if i in self._found}
            for oldest in list(self._found)[: max(0, len(self._found) - _MOST)]:
                del self._found[oldest]
            size = self._shrink(read)
        if read:
            kept_in_all.add(self, size)
        return {i: value for i, value in known.items() if value is not None}

    def _is_fresh(self, object_id: str, now: float) -> bool:
        return object_id in self._found and now - self._found[object_id][0] < self._age

    def _read_all(self, missing: list[str]) -> dict[str, T | None]:
        if not missing:
            return {}
        # The first one alone: where the service is not there, nothing else is asked of it.
        found = {missing[0]: self._one(missing[0])}
        rest = side_by_side(partial(self._one, each) for each in missing[1:])
        found.update(zip(missing[1:], rest, strict=True))
        return found

    def _one(self, object_id: str) -> T | None:
        try:
            return self._read(object_id)
        except NotFound:
            return None

    def drop(self) -> None:
        """Frees its memory."""
        with self._lock:
            self._found, self._sizes = {}, {}

    def _shrink(self, read: Iterable[str]) -> int:
        """Drops the oldest ones until the others fit. -> bytes of these"""
        self._sizes |= {i: weight((i, self._found.get(i))) for i in read}
        self._sizes = {i: size for i, size in self._sizes.items() if i in self._found}
        total = sum(self._sizes.values())
        for oldest in list(self._found):
            if total <= _HEAVIEST:
                break
            total -= self._sizes.pop(oldest, 0)
            del self._found[oldest]
        return total


class Lookups:
    """What Cinder and Glance tell about volumes and images.

    Reads raise NotInCatalog, CloudUnreachable, NotAllowed, BadCredentials.
    """

    def __init__(self, api: Api, clock: Callable[[], float] = time.monotonic) -> None:
        self._api = api
        self._volumes = _ById(self._read_volume, clock)
        self._images = _ById(self._read_image, clock)
        self._snapshots = _ById(self._read_snapshot, clock, age=_SNAPSHOT_AGE, keeps_missing=False)

    def volumes(self, ids: Iterable[str]) -> dict[str, Volume]:
        return self._volumes.get(ids)

    def images(self, ids: Iterable[str]) -> dict[str, Image]:
        return self._images.get(ids)

    def snapshots(self, server_ids: Iterable[str]) -> frozenset[str]:
        """Those of these shelved servers of which there is the image that Nova made of them, as
        read seconds ago at most.
        """
        return frozenset(self._snapshots.get(server_ids))

    def _read_snapshot(self, server_id: str) -> str:
        """The ID of the newest image of that name (nova/compute/api.py shelve). Raises NotFound."""
        query: dict[str, str | int] = {"instance_uuid": server_id, "limit": _IMAGES}
        body = self._api.get("image", "/images", query, most=LIST)
        try:
            mapping(body)["images"]  # an absent list is not an empty one
            for row in items(body, "images"):
                named = optional_text(mapping(row), "name") or ""
                if named.endswith("-shelved"):
                    if row.get("status") in _GONE:
                        break
                    return id_of(row, "id")
        except MISREAD as error:
            raise CloudUnreachable("Glance's list of images cannot be read") from error
        raise NotFound(404, f"no image of shelved server {server_id}", None)

    def _read_volume(self, volume_id: str) -> Volume:
        body = self._api.get("block_storage", path("volumes", volume_id))
        try:
            return Volume.read(body["volume"])
        except MISREAD as error:
            raise CloudUnreachable(f"Cinder's answer on volume {volume_id} is not one") from error

    def _read_image(self, image_id: str) -> Image:
        body = self._api.get("image", path("images", image_id))
        try:
            return Image.read(body)
        except MISREAD as error:
            raise CloudUnreachable(f"Glance's answer on image {image_id} is not one") from error
