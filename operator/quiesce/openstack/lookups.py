"""Volumes and images by ID, each read once an hour: what is asked of them hardly ever changes. That
a shelved server has its image does: it is read again within seconds.
"""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
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
# Seconds for which what was not answered is not asked again: a reconciliation does not wait for it.
_REST = 60.0
_MOST_UNKNOWN = 1000  # objects of a kind that could not be read, or wait for that
_MOST_IN_VAIN = 2  # requests without an answer, one after another
_LONGEST = 1000  # characters of why something could not be read
_NEVER = float("-inf")


@dataclass(frozen=True, slots=True)
class Failure:
    """Why something could not be read. `kind`: CloudUnreachable, NotAllowed, NotInCatalog.

    What is kept is not the error: that would hold all that the reconciliation had at hand.
    """

    kind: type[Exception]
    text: str


@dataclass(frozen=True, slots=True)
class Found(Generic[T]):
    """By ID: those that exist, and those of which that could not be read. Others do not exist."""

    known: Mapping[str, T]
    unknown: Mapping[str, Failure]


@dataclass(frozen=True, slots=True)
class _Unknown:
    """`asked`: when; _NEVER: it waits for its turn. `alone`: the service has answered since it
    failed before, so that it says nothing about the service.
    """

    failure: Failure
    asked: float = _NEVER
    alone: bool = False


class _ById(Generic[T]):
    """Objects of one service, read one by one.

    One that cannot be read is not asked for again for a while. So is nothing of a service that has
    answered nothing since two of them failed, or that has failed and never answered. Then one is
    asked for at a time, each in its turn: if one that cannot be read always came first,
    all others would wait forever.
    """

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
        self._unknown: dict[str, _Unknown] = {}
        self._answered = _NEVER

    def get(self, ids: Iterable[str]) -> Found[T]:
        wanted, now = set(ids), self._clock()
        with self._lock:
            fresh = {i: self._found[i][1] for i in wanted if self._is_fresh(i, now)}
            todo, unknown = self._divide(wanted - fresh.keys(), now)
        outcomes = {**fresh, **unknown, **self._read_all(todo, now)}
        if todo:
            with self._lock:
                size = self._shrink(todo)
            kept_in_all.add(self, size)
        mine = {i: outcomes[i] for i in wanted}
        return Found(
            {i: x for i, x in mine.items() if x is not None and not isinstance(x, Failure)},
            {i: x for i, x in mine.items() if isinstance(x, Failure)},
        )

    def _is_fresh(self, object_id: str, now: float) -> bool:
        return object_id in self._found and now - self._found[object_id][0] < self._age

    def _divide(self, missing: set[str], now: float) -> tuple[list[str], dict[str, Failure]]:
        """Those to ask for, in this order, and why the others are unknown."""
        silent = self._silence()
        if silent and now - silent.asked < _REST:
            for each in sorted(missing)[: _MOST_UNKNOWN - len(self._unknown)]:
                self._unknown.setdefault(each, _Unknown(silent.failure))
            return [], dict.fromkeys(missing, silent.failure)
        failed = {i: self._unknown[i] for i in missing if i in self._unknown}
        rest = {i: each.failure for i, each in failed.items() if now - each.asked < _REST}
        todo = sorted(missing - rest.keys(), key=self._turn)
        if silent and todo:
            todo = list(dict.fromkeys([min({*todo, *self._unknown}, key=self._turn), *todo]))
        return todo, rest

    def _turn(self, object_id: str) -> tuple[float, str]:
        """First what was never asked for, then what was asked for longest ago."""
        found = self._unknown.get(object_id)
        return (found.asked if found else _NEVER), object_id

    def _silence(self) -> _Unknown | None:
        """The last failure of a service that does not answer; None: it does, as far as is known."""
        failed = [u for u in self._unknown.values() if not u.alone and u.asked > self._answered]
        enough = 1 if self._answered == _NEVER else 2
        return max(failed, key=lambda each: each.asked) if len(failed) >= enough else None

    def _read_all(self, ids: list[str], now: float) -> dict[str, T | Failure | None]:
        """One after another until one is answered, and then the others side by side: where the
        service is not there, nothing else is asked of it.
        """
        found: dict[str, T | Failure | None] = {}
        for number, object_id in enumerate(ids, 1):
            found[object_id] = outcome = self._one(object_id)
            rest = ids[number:]
            if not isinstance(outcome, Failure):
                others = side_by_side(partial(self._one, each) for each in rest)
                found.update(zip(rest, others, strict=True))
                self._note(found, now)
                break
            if self._note({object_id: outcome}, now) or number == _MOST_IN_VAIN:
                return found | dict.fromkeys(rest, outcome)
        return found

    def _one(self, object_id: str) -> T | Failure | None:
        """None: there is no such object."""
        try:
            return self._read(object_id)
        except NotFound:
            with self._lock:
                _, last = self._found.get(object_id, (_NEVER, None))
            return last if self._keeps_missing else None
        except (CloudUnreachable, NotAllowed, NotInCatalog) as error:
            return Failure(type(error), str(error)[:_LONGEST])

    def _note(self, outcomes: Mapping[str, T | Failure | None], read: float) -> bool:
        """-> whether the service counts as silent. What fails at the end of this reconciliation's
        own budget is not told to others.
        """
        ended = used_up()
        with self._lock:
            now = self._clock()
            if not all(isinstance(each, Failure) for each in outcomes.values()):
                self._answered = now
            for object_id, outcome in outcomes.items():
                if not isinstance(outcome, Failure):
                    self._unknown.pop(object_id, None)
                    self._found.pop(object_id, None)
                    if outcome is not None or self._keeps_missing:
                        self._found[object_id] = (read, outcome)
                elif not ended:
                    last = self._unknown.pop(object_id, _Unknown(outcome))
                    alone = last.alone or _NEVER < last.asked <= self._answered
                    self._unknown[object_id] = _Unknown(outcome, now, alone)
            for first in list(self._unknown)[: max(0, len(self._unknown) - _MOST_UNKNOWN)]:
                del self._unknown[first]
            return self._silence() is not None

    def drop(self) -> None:
        """Frees its memory."""
        with self._lock:
            self._found, self._sizes, self._unknown = {}, {}, {}

    def _shrink(self, read: Iterable[str]) -> int:
        """Drops the oldest ones until the others fit. -> bytes of these"""
        for oldest in list(self._found)[: max(0, len(self._found) - _MOST)]:
            del self._found[oldest]
        self._sizes |= {i: weight((i, self._found.get(i))) for i in read}
        self._sizes = {i: size for i, size in self._sizes.items() if i in self._found}
        total = sum(self._sizes.values())
        for oldest in list(self._found):
            if total <= _HEAVIEST:
                break
            total -= self._sizes.pop(oldest, 0)
            del self._found[oldest]
        return total + weight({i: each.failure.text for i, each in self._unknown.items()})


class Lookups:
    """What Cinder and Glance tell about volumes and images. Reads raise BadCredentials."""

    def __init__(self, api: Api, clock: Callable[[], float] = time.monotonic) -> None:
        self._api = api
        self._volumes = _ById(self._read_volume, clock)
        self._images = _ById(self._read_image, clock)
        self._snapshots = _ById(self._read_snapshot, clock, age=_SNAPSHOT_AGE, keeps_missing=False)

    def volumes(self, ids: Iterable[str]) -> Found[Volume]:
        return self._volumes.get(ids)

    def images(self, ids: Iterable[str]) -> Found[Image]:
        return self._images.get(ids)

    def snapshots(self, server_ids: Iterable[str]) -> Found[str]:
        """Of these shelved servers the IDs of the images that Nova made of them, as read seconds
        ago at most.
        """
        return self._snapshots.get(server_ids)

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
