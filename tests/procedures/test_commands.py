"""Commands that pages show outside of procedures: each is accepted, and ends well.

On a real API server, with a drained host of the stand-in and the real operator. Names that the
documentation takes from the reader's world are those of the test: namespace, cloud, folder.
"""

import os
import re
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from tests.beds.sim.model import Cloud
from tests.beds.sim.simulator import Simulator
from tests.docs.commands import ROOT, Shown, run_by_kubectl, runs_on
from tests.harness.kubernetes import WATCHED, Drain, Json, Kube, Operator
from tests.harness.openstack import until
from tests.procedures.test_procedures import kubeconfig_elsewhere
from tests.runner.tiers import CACHE

HOST, NAME = "compute-07.example.org", "compute-07"
SECONDS = 300.0
MONITORING = " ".join(
    f"kubectl get crd {plural}.monitoring.coreos.com || "
    f"kubectl create -f {plural}.monitoring.coreos.com.yaml;"
    f"kubectl wait --for=condition=Established crd/{plural}.monitoring.coreos.com;"
    for plural in ("podmonitors", "prometheusrules")
)
"""Of the Prometheus operator, which is not here: definitions that take anything."""
BEFORE = {  # what is there in the world of a reader, and has to be made or taken away here
    r"kubectl .*create secret generic openstack-clouds.*": (
        "kubectl -n openstack delete secret openstack-clouds"
    ),
    r"kubectl create namespace openstack": (
        "kubectl delete namespace openstack --ignore-not-found"
    ),
    r"kubectl .*label secret own-key .*": "kubectl -n openstack create secret generic own-key",
    r"kubectl -n argocd patch .*": (
        "kubectl create namespace argocd; kubectl -n argocd create configmap argocd-cm"
    ),
    r"kubectl .*\bmkr/compute\b.*": (
        "kubectl get -n openstack mkr compute || kubectl apply -f keyring.yaml"
    ),
    r"kubectl label secret NAME .*": "kubectl -n openstack create secret generic NAME",
    r"kubectl label node NODE .*": "kubectl create -f node.yaml",
    r"kubectl apply -k manifests/monitoring": MONITORING,
    r"kubectl delete clusterrolebinding [^-]*-drains quiesce-keyrings; .*": (
        "kubectl create clusterrole quiesce-editor --verb=get --resource=pods;"
        "for role in drains keyrings; do kubectl create clusterrolebinding quiesce-$role"
        " --clusterrole=quiesce-editor --group=nobody; done"
    ),
    r"for role in .*": "kubectl -n cloud-b delete rolebinding quiesce-drains quiesce-keyrings",
}


@dataclass
class World:
    """`folder`: where the reader works."""

    kube: Kube
    namespace: str
    folder: Path
    environment: Mapping[str, str]

    def run(self, command: str) -> None:
        in_checkout = re.search(r"-k (crds|manifests)|make |manifests/", command)
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", command],
            cwd=ROOT if in_checkout else self.folder,
            env=self.environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=SECONDS,
        )
        assert done.returncode == 0, f"$ {command}\n{done.stdout}"

    def here(self, command: str) -> str:
        """As the reader of this namespace and folder writes it."""
        for pattern, ours in (
            (r"^kubectl (?=.*(\bcnd\b|\bmkr\b|secret NAME))(?!.* (-n|-A)\b)", "kubectl -n NS "),
            (r"\bNS\b", self.namespace),
            (r"\bNODE\b", self.namespace),
            (r"\bdelete -k\b", "delete --dry-run=server -k"),  # all others use them
            (r"\| kubectl apply -f -", "| kubectl apply --dry-run=server -f -"),
            (r"(-n|--namespace) (openstack|cloud-b)\b", rf"\1 {self.namespace}"),
            (r"\bnamespace openstack\b", f"namespace {self.namespace}-new"),
            (r" -A\b", f" -n {self.namespace}"),  # the drains of other tests are not this reader's
            (r" -k \.", " -k . --dry-run=server"),  # the cluster has it, from manifests/base
            (r"\bNAME\b", NAME),
            (r"\| less", "| cat"),
        ):
            command = re.sub(pattern, ours, command)
        return command

    def ensure_drained(self) -> None:
        drain = Drain(self.kube, self.namespace, NAME)
        if drain.get() is None:
            drain.write(HOST, "Cold", service={"afterDrain": "KeepDisabled"})
        drain.wait("Drained", timeout=100)


@pytest.fixture(scope="module")
def world(kube: Kube, account: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder, namespace = tmp_path_factory.mktemp("reader"), f"t-{secrets.token_hex(3)}"
    kube.make_namespace(namespace)
    operator = Operator(account, folder / "operator.log", ("--namespace", namespace)).start()
    cloud = Cloud([HOST, "compute-08.example.org"], start=time.time(), speed=1.0)
    with Simulator(cloud) as simulator:
        clouds = {name: simulator.cloud_entry("quiesce") for name in ("openstack", "prod")}
        write_files(folder, namespace, clouds)
        kube.credentials(namespace, (folder / "clouds.yaml").read_text())
        own = {
            "KUBECONFIG": str(kubeconfig_elsewhere(kube, folder)),
            "HOME": str(folder),
            "PYTHONPATH": str(ROOT / "operator"),
            "PATH": f"{folder}/bin:{kube.environment['PATH']}",
            "XDG_CACHE_HOME": str(CACHE.parent),  # what `make venv` has made
            "QUIESCE_LISTEN": "none",
        }
        yield World(kube, namespace, folder, os.environ | kube.environment | own)
        kube.kubectl("delete", "cnd", "--all", "-n", namespace, "--timeout=60s", check=False)
        operator.kill()
        print(operator.text()[-20000:])
    kube.kubectl("delete", "namespace", namespace, f"{namespace}-new", "--wait=false", check=False)


def write_files(folder: Path, namespace: str, clouds: Mapping[str, object]) -> None:
    """What pages have their readers write, and the checkout beside it."""
    (folder / "clouds.yaml").write_text(yaml.safe_dump({"clouds": clouds}))
    drain = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)[-1]
    assert f"name: {NAME}" in drain
    (folder / f"{NAME}.yaml").write_text(
        drain.replace(f"namespace: {WATCHED}", f"namespace: {namespace}")
    )
    install = (ROOT / "docs" / "install.md").read_text()
    (kustomization,) = re.findall(r"```yaml\n(apiVersion: kustom.*?)```", install, re.DOTALL)
    (folder / "kustomization.yaml").write_text(kustomization)
    keyring = yaml.safe_load((ROOT / "manifests" / "examples" / "keyring.yaml").read_text())
    keyring["metadata"]["namespace"] = namespace
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": namespace}}
    for name, document in {"keyring": keyring, "node": node, **dict(definitions())}.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(document))
    (folder / "quiesce").symlink_to(ROOT)
    (folder / "quiesce-env").symlink_to(folder)  # as if it were installed there
    program = folder / "bin" / "quiesce"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m quiesce "$@"\n')
    program.chmod(0o755)


def definitions() -> Iterator[tuple[str, Json]]:
    """By the names of their files."""
    for kind in ("PodMonitor", "PrometheusRule"):
        names = {"plural": f"{kind.lower()}s", "kind": kind}
        schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        version = {"name": "v1", "served": True, "storage": True}
        yield (
            f"{names['plural']}.monitoring.coreos.com",
            {
                "apiVersion": "apiextensions.k8s.io/v1",
                "kind": "CustomResourceDefinition",
                "metadata": {"name": f"{names['plural']}.monitoring.coreos.com"},
                "spec": {
                    "group": "monitoring.coreos.com",
                    "scope": "Namespaced",
                    "names": names,
                    "versions": [version | {"schema": {"openAPIV3Schema": schema}}],
                },
            },
        )


@pytest.mark.parametrize("each", run_by_kubectl(), ids=str)
def test_a_command_of_the_documentation_works(world: World, each: Shown) -> None:
    if "apply  -f" not in each.command:  # it creates the drain
        world.ensure_drained()
    for pattern, before in BEFORE.items():
        if re.fullmatch(pattern, each.command, re.DOTALL):
            world.run(world.here(before))
    world.run(world.here(each.command))


@pytest.mark.parametrize("each", runs_on(), ids=str)
def test_an_operator_runs_until_it_is_stopped(world: World, each: Shown) -> None:
    """In the foreground, until Ctrl-C."""
    namespace = world.kube.make_namespace(f"t-{secrets.token_hex(3)}")
    log = world.folder / f"{namespace}.log"
    command = re.sub(r"(NAMESPACE=|--namespace )openstack", rf"\1{namespace}", each.command)
    try:
        with log.open("w") as out:
            process = subprocess.Popen(
                ["bash", "-c", command],
                cwd=ROOT if "make " in command else world.folder,
                env=world.environment,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        until("it works", lambda: f"leads: holds Lease {namespace}/" in log.read_text(), SECONDS)
        os.killpg(process.pid, signal.SIGINT)
        process.wait(SECONDS)
        assert "Traceback" not in log.read_text()
    finally:
        print(log.read_text())
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        world.kube.kubectl("delete", "namespace", namespace, "--wait=false", check=False)
