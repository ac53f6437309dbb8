"""A MigrationKeyring without an API server or a Nova; the hosts, which are measured, are real."""

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from quiesce.api.annotations import KEYRING_FINALIZER
from quiesce.keyring.act import VisitOrder, visit
from quiesce.keyring.model import VisitResult
from quiesce.keyring.reconcile import Keyrings
from quiesce.kube.events import Events
from quiesce.kube.resource import Key, Resource
from quiesce.kube.store import Store
from quiesce.openstack.records import Hypervisor, Service
from quiesce.openstack.session import Clouds
from quiesce.runtime.kinds import Context
from quiesce.runtime.reconciler import ResourceReconciler
from quiesce.settings import Settings
from tests.beds.hosts.hosts import Bed
from tests.harness.shelf import CLOUD_CREDENTIALS, HOST_LOGIN, Shelf

Json = dict[str, Any]
KEY = Key("bench", "cold")


class OneObject(Store):
    """One resource in memory; `writes` counts its status writes."""

    def __init__(self, raw: Json) -> None:
        self.raw, self.writes = raw, 0

    def get(self, key: Key) -> Resource | None:
        return Resource(json.loads(json.dumps(self.raw)))

    def write_status(self, resource: Resource, status: Mapping[str, Any]) -> None:
        wanted = json.loads(json.dumps(status))
        if wanted != self.raw.get("status"):
            self.raw["status"] = wanted
            self.writes += 1


class Unheard(Events):
    def __init__(self) -> None:
        pass

    def emit(self, *_: Any, **__: Any) -> None:
        pass


class FixedCloud:
    def __init__(self, hosts: tuple[Hypervisor, ...]) -> None:
        self._hosts = hosts

    def computes(self) -> tuple[tuple[Service, ...], tuple[Hypervisor, ...]]:
        return (), self._hosts

    def get(self, *_: Any) -> "FixedCloud":
        return self


@dataclass
class Run:
    """A keyring of the hosts of a bed, driven tick by tick as a worker would."""

    bed: Bed
    probe: str = "None"
    visits: list[str] = field(default_factory=list)
    ticks: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        hosts = tuple(
            Hypervisor(host.name, host.name, host.address) for host in self.bed.hosts.values()
        )
        access = {
            "port": next(iter(self.bed.hosts.values())).port,
            "privateKeySecretRef": {"name": "login"},
        }
        addresses = {host.name: host.address for host in self.bed.hosts.values()}
        self.spec: Json = {
            "probe": self.probe,
            "checkEvery": "1h",
            "hosts": {"addresses": addresses},
            "hostAccess": {**access, "knownHostsRef": {"name": "hosts"}},
        }
        meta = {
            "namespace": KEY.namespace,
            "name": KEY.name,
            "uid": "u",
            "generation": 1,
            "finalizers": [KEYRING_FINALIZER],
        }
        self.store = OneObject(
            {
                "apiVersion": "quiesce.dev/v1alpha1",
                "kind": "MigrationKeyring",
                "metadata": meta,
                "spec": self.spec,
            }
        )
        login = {"ssh-privatekey": self.bed.login_key.encode()}
        secrets = Shelf(config_maps={"hosts": {"known_hosts": self.bed.known_hosts}})
        secrets.put("login", login, HOST_LOGIN)
        secrets.put("openstack-clouds", {}, CLOUD_CREDENTIALS)
        clouds = cast("Clouds", FixedCloud(hosts))
        context = Context(Settings(), self.store, secrets, Unheard(), {}, clouds)
        self.keyrings = Keyrings(context, visit=self.counted)
        self.reconciler = ResourceReconciler(context, self.keyrings)
        self._lock = threading.Lock()

    def counted(self, order: VisitOrder, timeout: float) -> VisitResult:
        with self._lock:
            self.visits.append(order.target.name)
        return visit(order, timeout)

    @property
    def status(self) -> Json:
        return dict(self.store.raw.get("status") or {})

    def look_again(self) -> None:
        """As `requestedAt` asks for: every host is due now."""
        annotations = self.store.raw["metadata"].setdefault("annotations", {})
        annotations["quiesce.dev/requestedAt"] = str(time.monotonic())

    def until(self, done: Callable[[Json], bool], limit: float = 1500.0) -> float:
        """Ticks until `done(status)` and no visit is in flight; the seconds it took."""
        began = time.monotonic()
        while time.monotonic() - began < limit:
            tick = time.monotonic()
            wait = self.reconciler.reconcile(KEY)
            self.ticks.append(time.monotonic() - tick)
            if done(self.status) and not self.keyrings.fleets["u"].in_flight:
                return time.monotonic() - began
            time.sleep(min(wait or 0.0, 0.2))
        raise TimeoutError(f"not after {limit:.0f} s: {self.status.get('message')}")

    def until_visited(self, names: set[str], limit: float = 600.0) -> float:
        """Ticks until the visits of these hosts have ended; the seconds it took."""
        began = time.monotonic()
        while time.monotonic() - began < limit:
            self.reconciler.reconcile(KEY)
            if names <= set(self.visits) and not names & self.keyrings.fleets["u"].in_flight:
                return time.monotonic() - began
        raise TimeoutError(f"not after {limit:.0f} s: {sorted(names - set(self.visits))[:5]}")
