"""The API server as a dictionary, and the moments at which an operator in this process may die."""

import hashlib
import json
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pytest

from quiesce.api.labels import CLOUD_CREDENTIALS
from quiesce.drain.rest import Rests
from quiesce.kube.outgoing import outgoing_status, outgoing_text
from quiesce.kube.resource import Key, Resource
from quiesce.kube.secrets import Secret
from quiesce.openstack.http import Api, Catalog
from quiesce.openstack.routes import find_route, route
from quiesce.runtime.kinds import Reconciler

Json = dict[str, Any]
KEY = Key("openstack", "drain")
FINALIZER = "quiesce.dev/drain"


class Killed(BaseException):
    """kill -9 of the operator: nothing of its memory is left."""


@dataclass
class Boundary:
    """Counts the moments at which a process may die.

    They are before and after every write to the API server and every request to OpenStack, numbered
    from 1. At moment `fatal` the process dies; 0: never. `meanwhile`: what other users do at a
    moment, by its number. `names` says what each moment was.
    """

    fatal: int = 0
    names: list[str] = field(default_factory=list)
    meanwhile: dict[int, Callable[[], None]] = field(default_factory=dict)
    dead: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def cross(self, name: str) -> None:
        """Raises Killed where the process is dead: its other threads stop at their next moment."""
        with self.lock:
            self.names.append(name)
            if act := self.meanwhile.pop(len(self.names), None):
                act()
            self.dead = self.dead or len(self.names) == self.fatal
            if self.dead:
                raise Killed(name)

    def watch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Over HTTP a request is two moments: before it leaves, and when its answer is there."""
        send = Api._send

        def crossing(api: Api, service: Catalog, method: str, path: str, **options: Any) -> Any:
            assert find_route(service, method, path), f"not in the table: {method} {path}"
            self.cross(f"before {method} {route(path)}")
            answer = send(api, service, method, path, **options)
            self.cross(f"after {method} {route(path)}")
            return answer

        monkeypatch.setattr(Api, "_send", crossing)


@dataclass
class MemoryStore:
    """What quiesce.kube.store.Store does, on a dictionary of resources.

    Status as an API server keeps it: JSON, replaced whole.
    """

    boundary: Boundary
    objects: dict[Key, Json] = field(default_factory=dict)
    writes: int = 0

    def put(self, key: Key, spec: Json, created: datetime) -> None:
        metadata = {
            "namespace": key.namespace,
            "name": key.name,
            "uid": f"uid-{key.name}-0000",
            "generation": 1,
            "creationTimestamp": created.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "finalizers": [],
            "annotations": {},
        }
        kind = {"apiVersion": "quiesce.dev/v1alpha1", "kind": "ComputeNodeDrain"}
        self.objects[key] = {
            **kind,
            "metadata": metadata,
            "spec": spec,
            "status": {"observedGeneration": -1},
        }

    def edit(self, key: Key, change: Callable[[Json], None]) -> None:
        change(self.objects[key]["spec"])
        self.objects[key]["metadata"]["generation"] += 1

    def delete(self, key: Key) -> None:
        if self.objects[key]["metadata"]["finalizers"]:
            self.objects[key]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        else:
            del self.objects[key]

    def get(self, key: Key) -> Resource | None:
        found = self.objects.get(key)
        return _as_stored(found) if found else None

    def list(self) -> list[Resource]:
        return [_as_stored(found) for found in self.objects.values()]

    def add_finalizer(self, resource: Resource) -> None:
        self._write(
            "finalizer",
            lambda: self.objects[resource.key]["metadata"]["finalizers"].append(FINALIZER),
        )

    def remove_finalizer(self, resource: Resource) -> None:
        def remove() -> None:
            metadata = self.objects[resource.key]["metadata"]
            metadata["finalizers"].remove(FINALIZER)
            if "deletionTimestamp" in metadata:
                del self.objects[resource.key]

        self._write("finalizer off", remove)

    def write_status(self, resource: Resource, status: Json) -> None:
        whole = outgoing_status(status)
        if whole == self.objects[resource.key]["status"]:
            return
        self.writes += 1
        self._write("status", lambda: self.objects[resource.key].update(status=whole))

    def _write(self, name: str, change: Callable[[], object]) -> None:
        self.boundary.cross(f"before {name}")
        change()
        self.boundary.cross(f"after {name}")


def watched(store: MemoryStore, rests: Rests, reconcile: Reconciler) -> Reconciler:
    """Ticks before which the watch has shown what became of the resource."""

    def tick(key: Key) -> float | None:
        resource = store.get(key)
        if resource is None:
            rests.forget(key)
        else:
            rests.see(resource)
        return reconcile(key)

    return tick


def _as_stored(found: Json) -> Resource:
    """A copy. Its version is another one after each change, also of tests that write into it."""
    whole = json.dumps(found, sort_keys=True)
    copied = json.loads(whole)
    copied["metadata"]["resourceVersion"] = hashlib.sha256(whole.encode()).hexdigest()[:16]
    return Resource(copied)


@dataclass
class MemorySecrets:
    """One Secret with this clouds.yaml under every name."""

    clouds_yaml: str
    version: int = 1

    def get(self, namespace: str, name: str) -> Secret | None:
        return Secret(
            namespace,
            name,
            f"uid/{self.version}",
            {"clouds.yaml": self.clouds_yaml.encode()},
            labels={CLOUD_CREDENTIALS: "true"},
        )

    def recent(self, namespace: str, name: str) -> Secret | None:
        return self.get(namespace, name)

    def forget(self, namespace: str, name: str) -> None:
        pass

    def hand_over(self, owner: Resource, names: Iterable[str]) -> None:
        pass


@dataclass
class MemoryEvents:
    """(reason, message) of every event, oldest first."""

    emitted: list[tuple[str, str]] = field(default_factory=list)
    typed: list[tuple[str, str]] = field(default_factory=list)
    """(type, reason) of the same."""

    def emit(self, resource: Resource, type_: str, reason: str, action: str, message: str) -> None:
        self.typed.append((type_, reason))
        self.emitted.append((reason, outgoing_text(message)))
