"""The drain's reconciler against the stand-in for OpenStack, in one process and in virtual time.

The API server is a dictionary here: what is tested is every order of calls, failures and
deaths, thousands of them, and each takes a fraction of a second. The real API server and
the real Nova are for the stories.
"""

import copy
import json
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml

from quiesce.api.annotations import DRAIN_FINALIZER as FINALIZER
from quiesce.drain.limiter import MoveLimiter
from quiesce.drain.reconcile import Drains
from quiesce.kube.resource import Key, Resource
from quiesce.kube.secrets import Secret
from quiesce.openstack.http import Api, Catalog, route
from quiesce.openstack.session import Clouds
from quiesce.runtime.kinds import Context
from quiesce.runtime.reconciler import ResourceReconciler
from quiesce.settings import Settings
from tests.beds.sim.simulator import Simulator

Json = dict[str, Any]
KEY = Key("openstack", "drain")


class Killed(BaseException):
    """kill -9 of the operator: nothing that it had in mind is left."""


@dataclass
class Boundary:
    """Counts the moments at which a process may die: before and after every write to the API server and every request.

    At moment `fatal` (from 1 on) the process dies; 0: never. `names` says what each moment was.
    """

    fatal: int = 0
    names: list[str] = field(default_factory=list)
    dead: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def cross(self, name: str) -> None:
        """A dead process goes nowhere any more: its other threads stop at their next moment too."""
        with self.lock:
            self.names.append(name)
            self.dead = self.dead or len(self.names) == self.fatal
            if self.dead:
                raise Killed(name)

    def watch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Every request to OpenStack is two moments: before it leaves, and when its answer is there."""
        send = Api._send

        def crossing(api: Api, service: Catalog, method: str, path: str, **options: Any) -> Any:
            self.cross(f"before {method} {route(path)}")
            answer = send(api, service, method, path, **options)
            self.cross(f"after {method} {route(path)}")
            return answer

        monkeypatch.setattr(Api, "_send", crossing)


@dataclass
class MemoryStore:
    """What quiesce.kube.store.Store does, on one dictionary. Status as an API server keeps it: JSON, replaced whole."""

    boundary: Boundary
    objects: dict[Key, Json] = field(default_factory=dict)
    writes: int = 0

    def put(self, key: Key, spec: Json, created: datetime) -> None:
        metadata = {
            "namespace": key.namespace,
            "name": key.name,
            "uid": f"uid-{key.name}-0000",
            "generation": 1,
            "resourceVersion": "1",
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
        return Resource(copy.deepcopy(found)) if found else None

    def list(self) -> list[Resource]:
        return [Resource(copy.deepcopy(found)) for found in self.objects.values()]

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
        whole = json.loads(json.dumps(status))
        if whole == self.objects[resource.key]["status"]:
            return
        self.writes += 1
        self._write("status", lambda: self.objects[resource.key].update(status=whole))

    def _write(self, name: str, change: Callable[[], object]) -> None:
        self.boundary.cross(f"before {name}")
        change()
        self.boundary.cross(f"after {name}")


@dataclass
class MemorySecrets:
    clouds_yaml: str
    version: int = 1

    def get(self, namespace: str, name: str) -> Secret | None:
        return Secret(
            namespace, name, f"uid/{self.version}", {"clouds.yaml": self.clouds_yaml.encode()}
        )


@dataclass
class MemoryEvents:
    emitted: list[tuple[str, str]] = field(default_factory=list)

    def emit(self, resource: Resource, type_: str, reason: str, action: str, message: str) -> None:
        self.emitted.append((reason, message))


def make_drains(
    settings: Settings,
    store: Any,
    secrets: Any,
    events: Any,
    clouds: Any,
    now: Callable[[], datetime],
) -> ResourceReconciler:
    """The operator's part that reconciles drains, as a new process has it."""
    context = Context(settings, store, secrets, events, {}, clouds)
    return ResourceReconciler(context, Drains(context, MoveLimiter(settings.max_moves), now))


@dataclass
class World:
    """One cloud, one drain, and an operator that can be killed and started again."""

    sim: Simulator
    boundary: Boundary = field(default_factory=Boundary)
    settings: Settings = field(
        default_factory=lambda: Settings(namespaces=("openstack",), listen=None)
    )
    timeout: float = 5.0
    store: MemoryStore = field(init=False)
    secrets: MemorySecrets = field(init=False)
    events: MemoryEvents = field(default_factory=MemoryEvents)
    drains: ResourceReconciler = field(init=False)
    restarts: int = 0

    def __post_init__(self) -> None:
        self.store = MemoryStore(self.boundary)
        self.secrets = MemorySecrets(
            yaml.safe_dump({"clouds": {"openstack": self.sim.cloud_entry("quiesce")}})
        )
        self.start()

    def start(self) -> None:
        """A new process: an empty memory."""
        self.boundary.dead = False
        clouds = Clouds(self.timeout, self.sim.cloud.clock.now)
        self.drains = make_drains(
            self.settings, self.store, self.secrets, self.events, clouds, self.now
        )

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.sim.cloud.clock.now(), UTC)

    def apply(self, host: str, method: str = "Cold", **spec: Any) -> None:
        whole = {"host": host, **spec, "migration": {"method": method, **spec.get("migration", {})}}
        self.store.put(KEY, whole, self.now())

    def tick(self) -> float:
        """One look, then the time passes that it asked for; five seconds from a death to the next start. -> seconds waited."""
        try:
            wait = self.drains.reconcile(KEY)
        except Killed:
            self.restarts += 1
            self.start()
            wait = 5.0
        waited = max(0.2, wait or 0.0)
        self.sim.cloud.clock.advance(waited)
        return waited

    def run(self, until: Callable[[], bool], within: float = 1800.0) -> None:
        """Tick until it holds. AssertionError with the status where virtual time runs out."""
        spent = 0.0
        while not until():
            assert spent < within, (
                f"not within {within} virtual seconds:\n{yaml.safe_dump(self.status)}"
            )
            spent += self.tick()

    @property
    def status(self) -> Json:
        found = self.store.objects.get(KEY)
        return dict(found["status"]) if found else {}

    def condition(self, kind: str) -> Json:
        return next((c for c in self.status.get("conditions") or () if c["type"] == kind), {})

    def actions(
        self,
        server_id: str,
        of: Iterable[str] = ("migrate", "live-migration", "confirmResize", "revertResize"),
    ) -> list[str]:
        """Nova's action log of a server, oldest first."""
        return [
            action.name
            for action in self.sim.cloud.state.actions.get(server_id, [])
            if action.name in of
        ]
