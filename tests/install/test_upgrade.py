"""An operator is replaced by the next version, and by the earlier one again, while drains are at
work: the previous CRDs and operator, this one, and back.
"""

import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import yaml
from tests.beds.sim.model import Cloud
from tests.beds.sim.simulator import Simulator
from tests.harness.kubernetes import (
    ACCOUNT,
    BASE,
    OUTPUT,
    SOONER,
    WATCHED,
    Drain,
    Json,
    Kube,
    Operator,
)
from tests.harness.openstack import until
from tests.install.previous import export

SERVERS = 12
HOST, KEPT = "cmp1", "cmp2"


@dataclass
class Release:
    """One version: its manifests, and its operator as a process."""

    kube: Kube
    base: Path
    operator: Operator

    def roll_out(self) -> None:
        self.kube.kubectl("apply", "-k", str(self.base))
        self.operator.start()

    def end(self) -> None:
        assert self.operator.stop() == 0
        assert "Traceback" not in self.operator.text()


@pytest.fixture
def cloud() -> Iterator[Simulator]:
    with Simulator(Cloud([HOST, KEPT, "cmp3", "cmp4"], start=time.time(), speed=1.0)) as sim:
        for number in range(SERVERS):
            sim.cloud.boot(f"server-{number:02}", host=HOST)
        sim.cloud.boot("kept", host=KEPT)
        until("the servers run", lambda: all_active(sim))
        yield sim


def all_active(cloud: Simulator) -> bool:
    with cloud.cloud.clock.lock:
        cloud.cloud.clock.catch_up()
        return all(server.vm_state == "active" for server in cloud.cloud.state.servers.values())


@pytest.fixture
def releases(kube: Kube, tmp_path: Path) -> Iterator[tuple[Release, Release]]:
    """The previous one, and this one."""
    exported = export(tmp_path / "previous")
    kube.kubectl("create", "namespace", WATCHED, check=False)
    kube.kubectl("create", "namespace", ACCOUNT[0], check=False)
    kube.kubectl("apply", "-k", str(exported / "manifests" / "base"))
    account = kube.account_kubeconfig(tmp_path / "kubeconfig")
    now = Operator(account, tmp_path / "operator.log")
    path = {"PYTHONPATH": str(exported / "operator")}
    known = OUTPUT + SOONER  # no flag for the Lease, which came later
    before = replace(now, log=tmp_path / "previous.log", flags=known, environment=path)
    yield (
        Release(kube, exported / "manifests" / "base", before),
        Release(kube, BASE, now),
    )
    for operator in (before, now):
        operator.kill()
        print(operator.log.read_text()[-6000:] if operator.process else "not started")


@pytest.fixture
def namespace(kube: Kube, releases: object, cloud: Simulator) -> Iterator[str]:
    name = kube.make_namespace(f"t-{secrets.token_hex(3)}")
    clouds = {"clouds": {"openstack": cloud.cloud_entry("quiesce")}}
    kube.credentials(name, yaml.safe_dump(clouds))
    yield name
    free = '{"metadata": {"finalizers": null}}'
    for drain in kube.kubectl("get", "cnd", "-n", name, "-o", "name").stdout.split():
        kube.kubectl("patch", drain, "-n", name, "--type=merge", "-p", free, check=False)
    kube.kubectl("delete", "namespace", name, "--wait=false")


def moved(drain: Drain, count: int) -> None:
    """Some have moved, and others are in flight."""

    def reached(status: Json) -> bool:
        progress = status.get("progress", {})
        return bool(progress.get("moved", 0) >= count and progress.get("moving", 0) > 0)

    drain.until(f"{count} moved, others in flight", reached, timeout=180)


def service_status(cloud: Simulator, host: str) -> str:
    with cloud.cloud.clock.lock:
        service = cloud.cloud.service(host)
        assert service
        return "disabled" if service.disabled else "enabled"


def test_drains_go_on_over_an_upgrade_and_back(
    kube: Kube, releases: tuple[Release, Release], namespace: str, cloud: Simulator
) -> None:
    before, now = releases
    for release in releases:
        release.operator.scope = ("--namespace", namespace)
    keep = {"afterDrain": "KeepDisabled"}
    before.roll_out()
    kept = Drain.apply(kube, namespace, KEPT, service=keep)
    kept.wait("Drained")
    drain = Drain.apply(kube, namespace, HOST, service=keep, migration={"maxParallel": 2})
    moved(drain, 2)
    before.end()

    now.roll_out()
    moved(drain, 5)
    assert kept.condition("Drained")["status"] == "True"
    now.end()

    before.roll_out()
    moved(drain, 8)
    before.end()

    now.roll_out()
    drain.wait("Drained")
    for each in (drain, kept):
        each.delete()
    now.end()
    assert [service_status(cloud, host) for host in (HOST, KEPT)] == ["enabled", "enabled"]
    state = cloud.cloud.state
    for server in state.servers.values():
        done = [action.name for action in state.actions[server.id] if action.name != "create"]
        assert done == ["migrate", "confirmResize"], server.name
        assert server.host != HOST
