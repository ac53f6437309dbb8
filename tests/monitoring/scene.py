"""The operator as a process, on a pretended API server and the stand-in for OpenStack.

Nothing has to be built for it, so that metrics, rules, dashboard and log lines are checked with
what the real process shows, in seconds.
"""

import base64
import re
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from tests.beds.sim.model import Cloud
from tests.beds.sim.simulator import Simulator
from tests.harness.kubernetes import ALONE, Operator
from tests.harness.openstack import until
from tests.unit.kube.fake_api import FakeApi, serving

from quiesce.api.labels import CLOUD_CREDENTIALS

NAMESPACE = "openstack"
HOSTS = ("cmp1", "cmp2", "cmp3", "cmp4")
SPEED = 4.0
"""Seconds in the cloud for one of ours."""

Json = dict[str, Any]


@dataclass
class Scene:
    """`operator` runs with the flags of the Deployment, but sooner, and with debug off."""

    api: FakeApi
    sim: Simulator
    operator: Operator
    port: int

    @property
    def cloud(self) -> Cloud:
        return self.sim.cloud

    def apply(self, name: str, host: str, method: str = "Cold", **spec: Any) -> None:
        """A drain."""
        whole = {"host": host, **spec, "migration": {"method": method, **spec.get("migration", {})}}
        self.put("ComputeNodeDrain", name, whole)

    def put(self, kind: str, name: str, spec: Json) -> None:
        metadata = {
            "namespace": NAMESPACE,
            "name": name,
            "uid": f"{name}-0000-0000",
            "generation": 1,
            "creationTimestamp": "2026-01-31T12:00:00Z",
        }
        whole = {
            "apiVersion": "quiesce.dev/v1alpha1",
            "kind": kind,
            "metadata": metadata,
            "spec": spec,
        }
        self.api.put(whole, event="ADDED")

    def status(self, name: str) -> Json:
        path = f"/apis/quiesce.dev/v1alpha1/namespaces/{NAMESPACE}/computenodedrains/{name}"
        return dict(self.api.objects[path].get("status") or {})

    def wait_phase(self, name: str, *phases: str, timeout: float = 120.0) -> None:
        until(
            f"{name} in {' or '.join(phases)}",
            lambda: self.status(name).get("phase") in phases,
            timeout,
        )

    def scrape(self) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=10) as answer:
            return str(answer.read().decode())

    def boot(self, host: str, *names: str) -> list[str]:
        """Running servers; their IDs."""
        ids = [self.cloud.boot(name, host=host).id for name in names]
        until("the servers", lambda: all(self._active(server_id) for server_id in ids))
        return ids

    def _active(self, server_id: str) -> bool:
        with self.cloud.hold():
            self.cloud.clock.catch_up()
            return bool(self.cloud.state.servers[server_id].vm_state == "active")


@contextmanager
def scene(
    folder: Path, port: int, *flags: str, speed: float = SPEED, hosts: Sequence[str] = HOSTS
) -> Iterator[Scene]:
    """`port`: where the operator listens. It is stopped with SIGTERM at the end."""
    with serving() as api, Simulator(Cloud([*hosts], start=time.time(), speed=speed)) as sim:
        api.plurals.append("migrationkeyrings")
        entry = sim.cloud_entry("quiesce")
        credentials(api, NAMESPACE, yaml.safe_dump({"clouds": {"openstack": entry}}))
        kubeconfig = folder / "kubeconfig"
        kubeconfig.write_text(yaml.safe_dump(_kubeconfig(api.url)))
        pace = ("--poll-interval", "0.5", "--idle-interval", "2", "--settle", "2")
        listen = ("--listen", f"127.0.0.1:{port}")
        operator = Operator(
            kubeconfig,
            folder / "operator.log",
            ("--namespace", NAMESPACE),
            (*pace, *listen, *ALONE, *flags),
        )
        found = Scene(api, sim, operator, port)
        operator.start()
        try:
            until("the operator", lambda: _listens(found), timeout=60)
            yield found
        finally:
            try:
                operator.stop()
            except subprocess.TimeoutExpired:
                operator.kill()


def credentials(api: FakeApi, namespace: str, clouds_yaml: str) -> None:
    name = "openstack-clouds"
    api.objects[f"/api/v1/namespaces/{namespace}/secrets/{name}"] = {
        "metadata": {
            "namespace": namespace,
            "name": name,
            "uid": f"uid-{name}",
            "resourceVersion": "1",
            "labels": {CLOUD_CREDENTIALS: "true"},
        },
        "type": "Opaque",
        "data": {"clouds.yaml": base64.b64encode(clouds_yaml.encode()).decode()},
    }


def _listens(found: Scene) -> bool:
    try:
        return "quiesce_build_info" in found.scrape()
    except OSError:
        return False


def _kubeconfig(url: str) -> Json:
    return {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
    }


SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? \S+$", re.MULTILINE)
LABEL = re.compile(r'(\w+)="')


def exposed(text: str) -> dict[str, set[str]]:
    """Name of each series of a scrape -> the labels that it has."""
    found: dict[str, set[str]] = {}
    for name, labels in SAMPLE.findall(text):
        found.setdefault(name, set()).update(LABEL.findall(labels))
    return found
