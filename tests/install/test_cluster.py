"""install.yaml and the chart on an API server: CRDs are upgraded, and are never lost."""

import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.harness.kubernetes import WATCHED, Kube
from tests.harness.openstack import until
from tests.install.conftest import SYSTEM, Dist, Helm, names
from tests.install.previous import export

DRAINS = "computenodedrains.quiesce.dev"
CRDS = (DRAINS, "migrationkeyrings.quiesce.dev")
NAME = "compute-07"
DRAIN: dict[str, Any] = {
    "apiVersion": "quiesce.dev/v1alpha1",
    "kind": "ComputeNodeDrain",
    "metadata": {"name": NAME, "finalizers": ["quiesce.dev/drain"]},
    "spec": {"host": "compute-07.example.org", "migration": {"method": "Cold"}},
}


@pytest.fixture(scope="module")
def previous(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(tmp_path_factory.mktemp("previous"))


def crds(folder: Path) -> dict[str, Any]:
    """Their schemas as a folder has them."""
    documents = [yaml.safe_load(path.read_text()) for path in folder.glob("quiesce.dev_*.yaml")]
    return {document["metadata"]["name"]: schema(document) for document in documents}


def schema(crd: Any) -> Any:
    return crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]


def served(kube: Kube) -> dict[str, Any]:
    found = json.loads(kube.kubectl("get", "crd", *CRDS, "-o", "json").stdout)["items"]
    return {crd["metadata"]["name"]: schema(crd) for crd in found}


def put_drain(kube: Kube) -> str:
    """A drain with its finalizer; its uid."""
    kube.kubectl("wait", "--for=condition=Established", "crd", *CRDS, "--timeout=30s")

    def created() -> bool:  # discovery comes a moment after
        text = json.dumps(DRAIN)
        made = kube.kubectl("create", "-n", WATCHED, "-f", "-", stdin=text, check=False)
        return made.returncode == 0

    until("the drain", created, timeout=30)
    return drain_uid(kube)


def drain_uid(kube: Kube) -> str:
    where = ("-n", WATCHED, "-o", "jsonpath={.metadata.uid}")
    return kube.kubectl("get", "cnd", NAME, *where).stdout


def test_install_yaml_upgrades_what_an_earlier_one_installed(
    cluster: Kube, dist: Dist, previous: Path
) -> None:
    cluster.kubectl("apply", "-k", str(previous / "manifests" / "base"))
    uid = put_drain(cluster)
    assert served(cluster) == crds(previous / "crds")

    dry = cluster.kubectl("apply", "--dry-run=server", "-f", str(dist.install_yaml))
    documents = list(yaml.safe_load_all(dist.install_yaml.read_text()))
    assert len(dry.stdout.splitlines()) == len(documents)
    assert served(cluster) == crds(previous / "crds")
    cluster.kubectl("apply", "-f", str(dist.install_yaml))
    assert served(cluster) == crds(Path(__file__).parents[2] / "crds")
    assert drain_uid(cluster) == uid
    again = cluster.kubectl("apply", "-f", str(dist.install_yaml)).stdout.splitlines()
    # kubectl always sends the selector of a budget again: its patch strategy is "replace".
    changed = {line for line in again if not line.endswith("unchanged")}
    assert changed <= {"poddisruptionbudget.policy/quiesce configured"}

    cluster.kubectl("apply", "-k", str(previous / "manifests" / "base"))
    assert served(cluster) == crds(previous / "crds")
    assert drain_uid(cluster) == uid


def test_install_yaml_is_accepted_as_server_side_apply_too(cluster: Kube, dist: Dist) -> None:
    apply = ("apply", "--server-side", "-f", str(dist.install_yaml))
    cluster.kubectl(*apply, "--dry-run=server")
    cluster.kubectl(*apply)
    assert served(cluster) == crds(Path(__file__).parents[2] / "crds")


@pytest.fixture
def earlier_chart(dist: Dist, previous: Path, tmp_path: Path) -> Path:
    """The chart with the definitions of the previous version."""
    with tarfile.open(dist.chart) as archive:
        archive.extractall(tmp_path, filter="data")
    chart = tmp_path / "quiesce"
    shutil.rmtree(chart / "files" / "crds")
    shutil.copytree(previous / "crds", chart / "files" / "crds")
    return chart


def test_the_chart_upgrades_goes_back_and_leaves_all_drains(
    cluster: Kube, helm: Helm, dist: Dist, previous: Path, earlier_chart: Path
) -> None:
    here, where = crds(Path(__file__).parents[2] / "crds"), ("--namespace", SYSTEM)
    helm("install", "quiesce", earlier_chart, *where)
    assert served(cluster) == crds(previous / "crds")
    uid = put_drain(cluster)

    helm("upgrade", "quiesce", dist.chart, *where)
    assert served(cluster) == here
    helm("rollback", "quiesce", "1", *where)
    assert served(cluster) == crds(previous / "crds")
    helm("upgrade", "quiesce", dist.chart, *where, "--set", "allNamespaces=true")
    bound = "clusterrolebinding.rbac.authorization.k8s.io/quiesce-drains"
    assert bound in names(cluster, "clusterrolebinding")
    assert names(cluster, "rolebinding", "-n", WATCHED) == []
    assert drain_uid(cluster) == uid

    helm("uninstall", "quiesce", *where)
    assert served(cluster) == here
    assert drain_uid(cluster) == uid
    assert names(cluster, "deployment", "-n", SYSTEM) == []
    assert [name for name in names(cluster, "clusterrole") if "/quiesce-" in name] == []
    helm("install", "quiesce", dist.chart, *where)
    assert drain_uid(cluster) == uid


def test_the_chart_takes_over_from_install_yaml(cluster: Kube, helm: Helm, dist: Dist) -> None:
    where = ("--namespace", SYSTEM)
    cluster.kubectl("apply", "-f", str(dist.install_yaml))
    uid = put_drain(cluster)
    with pytest.raises(AssertionError, match="cannot be imported into the current release"):
        helm("install", "quiesce", dist.chart, *where)
    helm("install", "quiesce", dist.chart, *where, "--take-ownership")
    assert drain_uid(cluster) == uid


def test_a_second_release_shares_what_is_of_the_cluster(
    cluster: Kube, helm: Helm, dist: Dist
) -> None:
    for name in ("second-system", "second"):
        cluster.kubectl("create", "namespace", name)
    try:
        helm("install", "quiesce", dist.chart, "--namespace", SYSTEM)
        own = ("crds.install=false", "clusterRoles.create=false", "namespaces={second}")
        words = [word for value in own for word in ("--set", value)]
        helm("install", "quiesce", dist.chart, "--namespace", "second-system", *words)
        assert len(names(cluster, "rolebinding", "-n", "second")) == 2
        helm("uninstall", "quiesce", "--namespace", "second-system")
        assert served(cluster)
        assert "clusterrole.rbac.authorization.k8s.io/quiesce-drains" in names(
            cluster, "clusterrole"
        )
    finally:
        for name in ("second-system", "second"):
            cluster.kubectl("delete", "namespace", name, "--wait=false")
