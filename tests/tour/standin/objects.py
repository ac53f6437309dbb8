"""The objects: created, changed, deleted and watched as an API server does it."""

import copy
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

from tests.tour.standin.kinds import BUILT_IN, CRD, NAMESPACE, SECRET, Kind, add_defaults, kinds_of

Json = dict[str, Any]
Change = Callable[[Json], Json]
KEPT = ("name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "generation")


class ApiError(Exception):
    """What is answered instead, as a `Status`."""

    def __init__(self, code: int, reason: str, message: str, name: str = "") -> None:
        """`name`: of the object, where the answer is about one."""
        super().__init__(message)
        self.status = {
            "kind": "Status",
            "apiVersion": "v1",
            "status": "Failure",
            "reason": reason,
            "message": message,
            "details": {"name": name} if name else {},
            "code": code,
        }
        self.code = code


class Ref(NamedTuple):
    kind: Kind
    namespace: str
    name: str

    def missing(self) -> ApiError:
        where = f"{self.kind.plural}.{self.kind.group}".rstrip(".")
        return ApiError(404, "NotFound", f'{where} "{self.name}" not found', self.name)


class Event(NamedTuple):
    version: int
    type: str
    ref: Ref
    thing: Json


@dataclass
class Objects:
    """Safe to use from many threads. What is returned must not be changed."""

    kinds: list[Kind] = field(default_factory=lambda: list(BUILT_IN))
    version: int = 1
    closed: bool = False
    _things: dict[Ref, Json] = field(default_factory=dict)
    _history: list[Event] = field(default_factory=list)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def get(self, ref: Ref) -> Json:
        with self._changed:
            if ref not in self._things:
                raise ref.missing()
            return self._things[ref]

    def __contains__(self, ref: Ref) -> bool:
        with self._changed:
            return ref in self._things

    def list(self, kind: Kind, namespace: str, chosen: Callable[[Json], bool]) -> list[Json]:
        """`namespace`: empty for all of them."""
        with self._changed:
            return [
                thing
                for ref, thing in sorted(self._things.items(), key=lambda item: item[0][1:])
                if ref.kind == kind and namespace in ("", ref.namespace) and chosen(thing)
            ]

    def watch(self, kind: Kind, namespace: str, since: int, seconds: float) -> Iterator[Event]:
        """What happens after version `since`, for so long at most."""
        deadline = datetime.now(UTC).timestamp() + seconds
        while not self.closed and (rest := deadline - datetime.now(UTC).timestamp()) > 0:
            with self._changed:
                news = [event for event in self._history if event.version > since]
                if not news:
                    self._changed.wait(min(rest, 60.0))
                    continue
            since = news[-1].version
            yield from (
                event
                for event in news
                if event.ref.kind == kind and namespace in ("", event.ref.namespace)
            )

    def close(self) -> None:
        """Ends all watches."""
        with self._changed:
            self.closed = True
            self._changed.notify_all()

    def create(self, kind: Kind, namespace: str, body: Json) -> Json:
        thing = copy.deepcopy(body) | {"apiVersion": kind.api_version, "kind": kind.kind}
        metadata = thing.setdefault("metadata", {})
        if "generateName" in metadata:
            metadata.setdefault("name", metadata["generateName"] + uuid.uuid4().hex[:5])
        ref = Ref(kind, namespace, metadata["name"])
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        metadata |= {"uid": str(uuid.uuid4()), "creationTimestamp": now, "generation": 1}
        if kind.namespaced:
            metadata["namespace"] = namespace
        if kind.status:
            thing.pop("status", None)
        _admit(kind, thing)
        with self._changed:
            if ref in self._things:
                message = f'{kind.plural} "{ref.name}" already exists'
                raise ApiError(409, "AlreadyExists", message)
            if kind.namespaced and Ref(NAMESPACE, "", namespace) not in self._things:
                raise Ref(NAMESPACE, "", namespace).missing()
            if kind == CRD:
                self.kinds.extend(kinds_of(thing))
            return self._record("ADDED", ref, thing)

    def change(self, ref: Ref, subresource: str, change: Change) -> Json:
        """`change` gets a copy and returns the object as it is to be."""
        with self._changed:
            before = self.get(ref)
            after = change(copy.deepcopy(before))
            wanted = after["metadata"].pop("resourceVersion", None)
            if wanted not in (None, before["metadata"]["resourceVersion"]):
                raise ApiError(409, "Conflict", f'"{ref.name}": the object has been modified')
            if subresource == "status":
                after = copy.deepcopy(before) | {"status": after.get("status", {})}
            elif ref.kind.status:
                after["status"] = before["status"]
            kept = {name: value for name, value in before["metadata"].items() if name in KEPT}
            after["metadata"] = {
                name: value for name, value in after["metadata"].items() if name not in KEPT
            } | copy.deepcopy(kept)
            _admit(ref.kind, after)
            if after.get("spec") != before.get("spec"):
                after["metadata"]["generation"] += 1
            after["metadata"]["resourceVersion"] = before["metadata"]["resourceVersion"]
            return before if after == before else self._settle(ref, after)

    def delete(self, ref: Ref) -> Json:
        """At once, or marked as deleted while it has finalizers."""
        with self._changed:
            thing = copy.deepcopy(self.get(ref))
            metadata = thing["metadata"]
            if metadata.get("finalizers") and "deletionTimestamp" in metadata:
                return thing
            metadata["deletionTimestamp"] = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            metadata["generation"] += 1
            return self._settle(ref, thing)

    def _settle(self, ref: Ref, thing: Json) -> Json:
        metadata = thing["metadata"]
        if "deletionTimestamp" not in metadata or metadata.get("finalizers"):
            return self._record("MODIFIED", ref, thing)
        del self._things[ref]
        return self._record("DELETED", ref, thing)

    def _record(self, type_: str, ref: Ref, thing: Json) -> Json:
        self.version += 1
        thing["metadata"]["resourceVersion"] = str(self.version)
        if type_ != "DELETED":
            self._things[ref] = thing
        self._history.append(Event(self.version, type_, ref, thing))
        self._changed.notify_all()
        return thing


def _admit(kind: Kind, thing: Json) -> None:
    """What an API server adds by itself."""
    add_defaults(kind.schema, thing)
    if kind == CRD:
        true = {"type": "Established", "status": "True", "reason": "InitialNamesAccepted"}
        thing["status"] = {"conditions": [true]}
    if kind == NAMESPACE:
        thing["status"] = {"phase": "Active"}
    if kind == SECRET and "stringData" in thing:
        raise ApiError(422, "Invalid", "the stand-in takes data, not stringData")
