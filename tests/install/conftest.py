"""What `make dist` makes, once per run; helm; and an API server."""

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.harness import kubernetes
from tests.harness.kubernetes import ROOT, WATCHED, Kube
from tests.install.helm import HELM, KUBERNETES
from tests.runner.tiers import INSTALLS

SYSTEM = "quiesce-system"
IMAGE = "registry.example.org/quiesce:0.2.0"
Json = dict[str, Any]
CLUSTER_WIDE = ("crd", "clusterrole", "clusterrolebinding")
IN_NAMESPACES = ("rolebinding,role", "deployment,networkpolicy,serviceaccount,pdb,secret")


def done(*command: str | Path, **options: Any) -> str:
    """What a command prints. Raises AssertionError with its message where it fails."""
    words = list(map(str, command))
    ended: subprocess.CompletedProcess[str] = subprocess.run(
        words, capture_output=True, text=True, **options
    )
    assert ended.returncode == 0, f"{command}: {ended.stderr}{ended.stdout}"
    return ended.stdout


@dataclass(frozen=True)
class Dist:
    """The folder that `make dist` fills."""

    folder: Path

    def one(self, pattern: str) -> Path:
        (found,) = self.folder.glob(pattern)
        return found

    @property
    def chart(self) -> Path:
        return self.one("*.tgz")

    @property
    def install_yaml(self) -> Path:
        return self.folder / "install.yaml"


@pytest.fixture(scope="session")
def kube_bed() -> Iterator[None]:
    """Not the one that other tests, and people, use: definitions are taken from this one."""
    if "QUIESCE_KUBE_RUN" not in os.environ:
        os.environ.update(INSTALLS)
    bed = str(ROOT / "tests" / "beds" / "kube" / "kube.py")
    running = subprocess.run([bed, "env"], capture_output=True, check=False).returncode == 0
    if not running:
        subprocess.run([bed, "up"], check=True, stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        if not running:
            subprocess.run([bed, "down"], check=False)


@pytest.fixture(scope="session")
def kube(kube_bed: None) -> Kube:
    return Kube(kubernetes.bed_environment())


@pytest.fixture(scope="session")
def dist(kube: Kube, tmp_path_factory: pytest.TempPathFactory) -> Dist:
    """Made as a user makes it, with the bed's kubectl."""
    folder = tmp_path_factory.mktemp("dist")
    make(kube, "dist", folder)
    return Dist(folder)


def make(kube: Kube, target: str, folder: Path, *words: str) -> str:
    settings = (f"DIST={folder}", f"IMAGE={IMAGE}", *words)
    return done("make", "-s", target, *settings, cwd=ROOT, env=os.environ | kube.environment)


@dataclass(frozen=True)
class Helm:
    """helm on one cluster. `home`: where it keeps its own files."""

    program: Path
    kube: Kube
    home: Path

    def __call__(self, *words: str | Path) -> str:
        home = {"HELM_CACHE_HOME": self.home, "HELM_CONFIG_HOME": self.home}
        own = {name: str(path) for name, path in home.items()}
        return done(self.program, *words, env=os.environ | self.kube.environment | own)

    def render(self, chart: Path, *words: str, namespace: str = "quiesce-system") -> list[Json]:
        scope = ("--namespace", namespace, "--kube-version", KUBERNETES)
        text = self("template", "quiesce", chart, *scope, *words)
        return [document for document in yaml.safe_load_all(text) if document]


@pytest.fixture(scope="session")
def helm(kube: Kube, tmp_path_factory: pytest.TempPathFactory) -> Helm:
    return Helm(HELM.path(), kube, tmp_path_factory.mktemp("helm"))


@pytest.fixture
def cluster(kube: Kube) -> Iterator[Kube]:
    """One without Quiesce, with the two namespaces."""
    wipe(kube)
    for name in (WATCHED, SYSTEM):
        kube.kubectl("create", "namespace", name, check=False)
    yield kube
    wipe(kube)


def wipe(kube: Kube) -> None:
    free = '{"metadata": {"finalizers": null}}'
    listed = kube.kubectl("get", "cnd", "-A", "-o", "json", check=False)
    for drain in json.loads(listed.stdout)["items"] if listed.returncode == 0 else ():
        name, inside = drain["metadata"]["name"], drain["metadata"]["namespace"]
        kube.kubectl("patch", "cnd", name, "-n", inside, "--type=merge", "-p", free)
    for kinds in CLUSTER_WIDE:
        found = [name for name in names(kube, kinds) if "quiesce" in name]
        if found:
            kube.kubectl("delete", *found)
    for kinds in IN_NAMESPACES:
        for where in (WATCHED, SYSTEM):
            kube.kubectl("delete", kinds, "--all", "-n", where, "--ignore-not-found")


def names(kube: Kube, kinds: str, *flags: str) -> list[str]:
    return kube.kubectl("get", kinds, *flags, "-o", "name").stdout.split()
