"""The commands of README, docs/install.md and docs/operations.md, as they stand there, in order."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.harness.kubernetes import ROOT, WATCHED, Kube
from tests.install.conftest import IMAGE, SYSTEM, Dist, Helm, names

PLUGIN = (ROOT / "docs" / "kubectl-plugin.md").read_text()
README = (ROOT / "README.md").read_text()
INSTALL = (ROOT / "docs" / "install.md").read_text()
UPGRADE = (ROOT / "docs" / "operations.md").read_text()


def section(page: str, title: str) -> str:
    (found,) = re.findall(
        rf"^#+ {re.escape(title)}\n(.*?)(?=^#|\Z)", page, re.MULTILINE | re.DOTALL
    )
    return str(found)


def commands(text: str, language: str = "sh") -> str:
    return "".join(re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL))


@pytest.fixture
def folder(dist: Dist, helm: Helm, tmp_path: Path) -> Path:
    """Where a user works: what `make dist` made, the checkout beside it, and helm."""
    for path in dist.folder.iterdir():
        shutil.copy(path, tmp_path)
    (tmp_path / "quiesce").symlink_to(ROOT)
    (tmp_path / "crds").symlink_to(ROOT / "crds")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "helm").symlink_to(helm.program)
    kustomization = commands(section(INSTALL, "kustomize"), "yaml")
    (tmp_path / "kustomization.yaml").write_text(kustomization)
    return tmp_path


def type_in(kube: Kube, folder: Path, text: str) -> None:
    """Raises AssertionError where one fails."""
    environment = os.environ | kube.environment
    environment["PATH"] = f"{folder / 'bin'}:{environment['PATH']}"
    done = subprocess.run(
        ["bash", "-ex", "-c", text], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def image(kube: Kube) -> str:
    """That of the Deployment in the cluster."""
    path = "jsonpath={.spec.template.spec.containers[*].image}"
    return kube.kubectl("get", "deployment", "quiesce", "-n", SYSTEM, "-o", path).stdout


def matching(text: str, word: str) -> str:
    """The one line of the upgrade that belongs to this way."""
    (line,) = (line for line in text.splitlines() if word in line)
    return line


@pytest.mark.parametrize(
    ("way", "word", "remove"),
    [
        ("kubectl", "-f install.yaml", "kubectl delete -f install.yaml"),
        ("kustomize", "-k .", "kubectl delete -k ."),
        ("Helm", "helm", f"helm uninstall quiesce --namespace {SYSTEM}"),
    ],
)
def test_it_is_installed_upgraded_and_removed(
    cluster: Kube, folder: Path, way: str, word: str, remove: str
) -> None:
    for name in (WATCHED, SYSTEM):
        cluster.kubectl("delete", "namespace", name, "--timeout=120s")
    first = commands(section(INSTALL, "2. Operator"))
    type_in(cluster, folder, first + commands(section(INSTALL, way)))
    assert names(cluster, "deployment", "-n", SYSTEM) == ["deployment.apps/quiesce"]
    assert image(cluster) == IMAGE
    type_in(cluster, folder, matching(commands(section(UPGRADE, "Upgrade")), word))
    assert image(cluster) == IMAGE
    removal = commands(section(INSTALL, "Uninstall"))
    assert remove in removal
    kept = [line for line in removal.splitlines() if line.startswith("kubectl delete cnd")]
    type_in(cluster, folder, "\n".join([*kept, remove]))
    assert names(cluster, "deployment", "-A") == []
    assert bool([name for name in names(cluster, "crd") if "quiesce" in name]) is (way == "Helm")


def test_the_readme_installs_the_image_that_it_builds(
    cluster: Kube, dist: Dist, tmp_path: Path
) -> None:
    """`make dist` is that of the fixture, with the same image; `make image` has its own tests."""
    block, *_ = re.findall(
        r"^```sh\n(.*?)^```", section(README, "Install"), re.MULTILINE | re.DOTALL
    )
    made = re.findall(r"^make (image|dist) IMAGE=(\S+)(?: DIST=(\S+))?", block, re.MULTILINE)
    assert made == [("image", IMAGE, ""), ("dist", IMAGE, "dist")]
    (tmp_path / "dist").symlink_to(dist.folder)
    (tmp_path / "clouds.yaml").write_text("clouds: {}")
    cluster.kubectl("delete", "namespace", WATCHED, "--timeout=120s")
    type_in(cluster, tmp_path, re.sub(r"^make .*", "", block, flags=re.MULTILINE))
    assert image(cluster) == IMAGE


def test_kubectl_finds_the_plugin_that_the_page_installs(kube: Kube, folder: Path) -> None:
    (first, *_) = re.findall(r"^```sh\n(.*?)^```", PLUGIN, re.MULTILINE | re.DOTALL)
    home = f"export HOME={folder} PATH={folder}/.local/bin:$PATH; unset PYTHONPATH\n"
    type_in(kube, folder, home + first)
    type_in(kube, folder, home + "kubectl plugin list | grep -q .local/bin/kubectl-quiesce")
