"""The chart makes the same objects as kustomize, whatever is added to manifests/base."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.harness.kubernetes import ROOT, Kube
from tests.install.conftest import IMAGE, Dist, Helm, Json, make

ALL = "overlays/all-namespaces"
OF_HELM = ("app.kubernetes.io/managed-by", "helm.sh/chart")
KEEP = "helm.sh/resource-policy"
SAME = ("--set", "namespace.create=true", "--set", "image.repository=quiesce")
"""Helm needs the namespace before it installs anything, so by default the chart has none."""

Objects = dict[tuple[str, str, str], Json]


def objects(documents: list[Json]) -> Objects:
    """By kind, namespace and name."""
    found = {key(document): document for document in documents}
    assert len(found) == len(documents)
    return found


def key(document: Json) -> tuple[str, str, str]:
    metadata = document["metadata"]
    return document["kind"], metadata.get("namespace", ""), metadata["name"]


def kustomized(kube: Kube, folder: str) -> Objects:
    text = kube.kubectl("kustomize", str(ROOT / "manifests" / folder)).stdout
    return objects(list(yaml.safe_load_all(text)))


def without_helms(document: Json) -> Json:
    """Without the labels that Helm's conventions ask for, and what has CRDs kept."""
    metadata = dict(document["metadata"])
    metadata["labels"] = {k: v for k, v in metadata["labels"].items() if k not in OF_HELM}
    notes = {k: v for k, v in metadata.pop("annotations", {}).items() if k != KEEP}
    return document | {"metadata": metadata | ({"annotations": notes} if notes else {})}


def one(found: Objects, kind: str) -> Any:
    (name,) = (each for each in found if each[0] == kind)
    return found[name]


def container(found: Objects) -> Any:
    return one(found, "Deployment")["spec"]["template"]["spec"]["containers"][0]


@pytest.fixture
def checkout() -> Path:
    return ROOT / "chart"


@pytest.mark.parametrize(
    ("folder", "values"), [("base", ()), (ALL, ("--set", "allNamespaces=true"))]
)
def test_it_renders_what_kustomize_does(
    kube: Kube, helm: Helm, checkout: Path, folder: str, values: tuple[str, ...]
) -> None:
    made = objects([without_helms(each) for each in helm.render(checkout, *SAME, *values)])
    wanted = kustomized(kube, folder)
    assert sorted(made) == sorted(wanted)
    for name, document in wanted.items():
        assert made[name] == document


def test_by_default_only_the_namespace_is_left_to_helm(helm: Helm, checkout: Path) -> None:
    whole = {key(each) for each in helm.render(checkout, *SAME)}
    assert whole - {key(each) for each in helm.render(checkout)} == {
        ("Namespace", "", "quiesce-system")
    }


def test_the_package_renders_as_the_checkout_with_its_image(
    kube: Kube, helm: Helm, dist: Dist, checkout: Path
) -> None:
    repository, _, tag = IMAGE.rpartition(":")
    image = ("--set", f"image.repository={repository}", "--set", f"image.tag={tag}")
    assert helm.render(dist.chart) == helm.render(checkout, *image)
    applied = objects(list(yaml.safe_load_all(dist.install_yaml.read_text())))
    base = kustomized(kube, "base")
    assert container(applied)["image"] == IMAGE
    container(base)["image"] = IMAGE
    assert applied == base


def test_what_watches_it_is_moved_into_the_namespace_of_the_release(
    kube: Kube, tmp_path: Path
) -> None:
    """As docs/monitoring.md says for the chart."""
    page = (ROOT / "docs" / "monitoring.md").read_text().partition("### With the Helm chart")[2]
    (tmp_path / "quiesce").symlink_to(ROOT)
    text = page.partition("```yaml\n")[2].partition("```")[0]
    (tmp_path / "kustomization.yaml").write_text(text)
    for folder, where in ((ROOT / "manifests/monitoring", "quiesce-system"), (tmp_path, "cloud")):
        made = list(yaml.safe_load_all(kube.kubectl("kustomize", str(folder)).stdout))
        assert {each["kind"] for each in made} == {"ConfigMap", "PodMonitor", "PrometheusRule"}
        assert all(each["metadata"]["namespace"].startswith(where) for each in made)


def test_every_crd_is_kept_and_can_be_left_out(helm: Helm, checkout: Path) -> None:
    made = [d for d in helm.render(checkout) if d["kind"] == "CustomResourceDefinition"]
    assert len(made) == len(list((ROOT / "crds").glob("quiesce.dev_*.yaml")))
    assert all(document["metadata"]["annotations"][KEEP] == "keep" for document in made)
    bare = helm.render(checkout, "--set", "crds.install=false,clusterRoles.create=false")
    assert not {"CustomResourceDefinition", "ClusterRole"} & {document["kind"] for document in bare}


@pytest.mark.parametrize("own", ["drains", "openstack"])  # the latter is named in the base
def test_rights_are_bound_in_each_namespace_that_is_named(
    helm: Helm, checkout: Path, own: str
) -> None:
    made = objects(helm.render(checkout, "--set", "namespaces={cloud-a,cloud-b}", namespace=own))
    bindings = {name for name in made if name[0] == "RoleBinding" and name[1] != own}
    assert bindings == {
        ("RoleBinding", namespace, role)
        for namespace in ("cloud-a", "cloud-b")
        for role in ("quiesce-drains", "quiesce-keyrings")
    }
    assert {s["namespace"] for name in bindings for s in made[name]["subjects"]} == {own}
    assert {"name": "QUIESCE_NAMESPACE", "value": "cloud-a,cloud-b"} in container(made)["env"]
    assert "quiesce-system" not in yaml.safe_dump(list(made.values()))
    assert not {role for _, where, role in made if where == own} & {role for *_, role in bindings}


VALUES = """
image: {repository: registry.example.org/q, digest: "sha256:%s", pullPolicy: Always}
imagePullSecrets: [{name: pull}]
args: [--max-moves=20]
env: [{name: QUIESCE_LOG_LEVEL, value: debug}]
replicas: 0
resources: {limits: {memory: 1Gi}}
nodeSelector: {role: control}
tolerations: [{operator: Exists}]
priorityClassName: system-cluster-critical
hostAliases: [{ip: 192.0.2.1, hostnames: [nova.example.org]}]
podLabels: {team: cloud}
podAnnotations: {note: here}
networkPolicy:
  egress: [{ports: [{protocol: TCP, port: 13000}]}]
""" % ("0" * 64)


def test_one_replica_can_be_evicted(helm: Helm, checkout: Path) -> None:
    made = objects(helm.render(checkout, "--set", "replicas=1"))
    assert one(made, "Deployment")["spec"]["replicas"] == 1
    budget = one(made, "PodDisruptionBudget")["spec"]
    assert (budget["maxUnavailable"], budget.get("minAvailable")) == (1, None)


def test_values_reach_the_deployment_and_the_policy(
    helm: Helm, checkout: Path, tmp_path: Path
) -> None:
    (tmp_path / "values.yaml").write_text(VALUES)
    plain = objects(helm.render(checkout))
    made = objects(helm.render(checkout, "--values", str(tmp_path / "values.yaml")))
    deployment, operator = one(made, "Deployment")["spec"], container(made)
    pod = deployment["template"]["spec"]
    assert deployment["replicas"] == 0
    assert operator["image"] == f"registry.example.org/q@sha256:{'0' * 64}"
    assert operator["imagePullPolicy"] == "Always"
    assert operator["args"] == [*container(plain)["args"], "--max-moves=20"]
    assert operator["env"][-1] == {"name": "QUIESCE_LOG_LEVEL", "value": "debug"}
    assert operator["resources"] == {"limits": {"memory": "1Gi"}}
    assert pod["imagePullSecrets"] == [{"name": "pull"}]
    assert pod["nodeSelector"] == {"role": "control"}
    assert pod["tolerations"] == [{"operator": "Exists"}]
    assert pod["priorityClassName"] == "system-cluster-critical"
    assert pod["hostAliases"] == [{"ip": "192.0.2.1", "hostnames": ["nova.example.org"]}]
    template = deployment["template"]["metadata"]
    assert template["labels"].items() >= {**deployment["selector"]["matchLabels"]}.items()
    assert template["labels"]["team"] == "cloud"
    assert template["annotations"]["note"] == "here"
    policy = one(made, "NetworkPolicy")["spec"]
    assert policy["egress"] == [{"ports": [{"protocol": "TCP", "port": 13000}]}]
    assert policy["ingress"] == one(plain, "NetworkPolicy")["spec"]["ingress"]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("replica=2", "replica"),
        ("namespaces=openstack", "namespaces"),
        ("namespaces={}", "namespaces"),
        ("allNamespaces=yes", "allNamespaces"),
        ("image.digest=sha256:1", "digest"),
        ("crds.keep=false", "keep"),
        ("hostAliases[0].ip=192.0.2.1", "hostnames"),
    ],
)
def test_values_that_mean_nothing_are_refused(
    helm: Helm, checkout: Path, value: str, said: str
) -> None:
    with pytest.raises(AssertionError, match=f"(?s)specifications of the schema.*{said}"):
        helm.render(checkout, "--set", value)


def test_helm_finds_nothing_wrong(helm: Helm, dist: Dist) -> None:
    helm("lint", "--strict", "--kube-version", "1.37", dist.chart)


def test_two_makes_give_the_same_bytes(kube: Kube, dist: Dist, tmp_path: Path) -> None:
    make(kube, "dist", tmp_path)
    assert (tmp_path / "SHA256SUMS").read_text() == (dist.folder / "SHA256SUMS").read_text()
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=tmp_path, check=True)
