"""manifests/base and its overlays: accepted whole, restricted, and with no right too many."""

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.e2e.api_rules.manifests import EXAMPLES, FULL_STATUS, ROOT, drain, write_status
from tests.harness.kubernetes import Kube

INSTALLS = ("base", "overlays/single-namespace")
RESTRICTED = (
    "pod-security.kubernetes.io/enforce=restricted",
    "pod-security.kubernetes.io/warn=restricted",
)


@dataclass(frozen=True)
class Install:
    """One install, moved into a namespace of its own and with cluster-wide names of its own."""

    kube: Kube
    namespace: str
    documents: tuple[dict[str, Any], ...]

    def of_kind(self, *kinds: str) -> list[dict[str, Any]]:
        return [document for document in self.documents if document["kind"] in kinds]

    @property
    def account(self) -> str:
        (found,) = self.of_kind("ServiceAccount")
        return f"system:serviceaccount:{self.namespace}:{found['metadata']['name']}"

    def may(self, verb: str, resource: str, namespace: str) -> bool:
        answer = self.kube.kubectl(
            "auth", "can-i", verb, resource, f"--as={self.account}", "-n", namespace, check=False
        )
        assert answer.stdout.strip() in ("yes", "no"), answer.stderr
        return answer.stdout.strip() == "yes"


def rendered(kube: Kube, namespace: str, which: str, folder: Path) -> Install:
    """As a user would: an overlay that sets the namespace and a suffix."""
    overlay = {
        "namespace": namespace,
        "nameSuffix": f"-{namespace}",
        "resources": [os.path.relpath(ROOT / "manifests" / which, folder.resolve())],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    text = kube.kubectl("kustomize", str(folder)).stdout
    return Install(kube, namespace, tuple(yaml.safe_load_all(text)))


@pytest.fixture
def installed(
    kube: Kube, namespace: str, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Install]:
    """The account and its rights, for real; not the definitions, which are the test run's."""
    install = rendered(kube, namespace, request.param, tmp_path)
    rights = install.of_kind("ServiceAccount", "ClusterRole", "ClusterRoleBinding", "RoleBinding")
    text = yaml.safe_dump_all(rights)
    try:
        kube.kubectl("apply", "-f", "-", stdin=text)
        yield install
    finally:
        kube.kubectl("delete", "-f", "-", "--ignore-not-found", stdin=text)


@pytest.mark.parametrize("which", INSTALLS)
def test_an_install_is_accepted_by_the_api_server(
    kube: Kube, namespace: str, tmp_path: Path, which: str
) -> None:
    kube.kubectl("label", "namespace", namespace, *RESTRICTED)
    install = rendered(kube, namespace, which, tmp_path)
    answer = kube.kubectl(
        "apply", "--dry-run=server", "-f", "-", stdin=yaml.safe_dump_all(install.documents)
    )
    assert len(answer.stdout.splitlines()) == len(install.documents)
    assert "PodSecurity" not in answer.stderr
    assert install.of_kind("CustomResourceDefinition")


@pytest.mark.parametrize("which", INSTALLS)
def test_an_install_renders_as_it_stands(kube: Kube, which: str) -> None:
    text = kube.kubectl("kustomize", str(ROOT / "manifests" / which)).stdout
    documents = list(yaml.safe_load_all(text))
    (namespace,) = (d["metadata"]["name"] for d in documents if d["kind"] == "Namespace")
    (pod,) = (d["spec"]["template"]["spec"] for d in documents if d["kind"] == "Deployment")
    subjects = [subject for d in documents for subject in d.get("subjects", ())]
    assert namespace == "quiesce-system"
    assert subjects
    assert all(
        s["namespace"] == namespace and s["name"] == pod["serviceAccountName"] for s in subjects
    )


@pytest.mark.parametrize("installed", INSTALLS, indirect=True)
def test_the_pod_is_admitted_where_restricted_is_enforced(kube: Kube, installed: Install) -> None:
    kube.kubectl("label", "namespace", installed.namespace, *RESTRICTED)
    (deployment,) = installed.of_kind("Deployment")
    template = deployment["spec"]["template"]
    metadata = template["metadata"] | {"name": "operator", "namespace": installed.namespace}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
    create = ("create", "--dry-run=server", "-f", "-")
    kube.kubectl(*create, stdin=json.dumps(pod))
    pod["spec"]["securityContext"]["runAsNonRoot"] = False
    refused = kube.kubectl(*create, stdin=json.dumps(pod), check=False)
    assert 'violates PodSecurity "restricted' in refused.stderr


NEEDED = (
    ("get", "computenodedrains.quiesce.dev"),
    ("list", "computenodedrains.quiesce.dev"),
    ("watch", "computenodedrains.quiesce.dev"),
    ("patch", "computenodedrains.quiesce.dev"),
    ("patch", "computenodedrains.quiesce.dev/status"),
    ("create", "events.events.k8s.io"),
    ("patch", "events.events.k8s.io"),
    ("get", "migrationkeyrings.quiesce.dev"),
    ("list", "migrationkeyrings.quiesce.dev"),
    ("watch", "migrationkeyrings.quiesce.dev"),
    ("patch", "migrationkeyrings.quiesce.dev"),
    ("patch", "migrationkeyrings.quiesce.dev/status"),
    ("get", "secrets"),
    ("create", "secrets"),
    ("patch", "secrets"),
    ("get", "configmaps"),
)
TOO_MUCH = (
    ("create", "computenodedrains.quiesce.dev"),
    ("update", "computenodedrains.quiesce.dev"),
    ("delete", "computenodedrains.quiesce.dev"),
    ("list", "secrets"),
    ("watch", "secrets"),
    ("delete", "secrets"),
    ("list", "configmaps"),
    ("create", "pods"),
    ("patch", "deployments.apps"),
    ("list", "namespaces"),
    ("list", "nodes"),
    ("list", "customresourcedefinitions.apiextensions.k8s.io"),
    ("create", "clusterrolebindings.rbac.authorization.k8s.io"),
    ("impersonate", "users"),
)


@pytest.mark.parametrize(
    ("installed", "elsewhere"),
    [("base", True), ("overlays/single-namespace", False)],
    indirect=["installed"],
)
def test_the_operator_may_do_what_it_does_and_no_more(installed: Install, elsewhere: bool) -> None:
    _await_rights(installed)
    for verb, resource in NEEDED:
        assert installed.may(verb, resource, installed.namespace), f"{verb} {resource}"
        assert installed.may(verb, resource, "default") is elsewhere, f"{verb} {resource} elsewhere"
    for verb, resource in TOO_MUCH:
        assert not installed.may(verb, resource, installed.namespace), f"{verb} {resource}"


@pytest.mark.parametrize("installed", INSTALLS, indirect=True)
def test_the_operators_account_writes_status_and_finalizer(kube: Kube, installed: Install) -> None:
    _await_rights(installed)
    account, namespace = f"--as={installed.account}", installed.namespace
    kube.kubectl("create", "-n", namespace, "-f", "-", stdin=json.dumps(drain()))
    write_status(kube, namespace, FULL_STATUS, account)
    patch = ("patch", "cnd", "compute-07", "-n", namespace, "--type=merge", account, "-p")
    for finalizers in (["quiesce.dev/drain"], []):
        kube.kubectl(*patch, json.dumps({"metadata": {"finalizers": finalizers}}))


def _await_rights(install: Install) -> None:
    """The API server learns of new roles by a watch, a moment after they are written."""
    deadline = time.monotonic() + 30
    while not install.may("get", "secrets", install.namespace):
        assert time.monotonic() < deadline, "the role binding has no effect"


@pytest.mark.parametrize(
    ("role", "verb", "allowed"),
    [
        ("view", "get", True),
        ("view", "create", False),
        ("edit", "create", True),
        ("admin", "delete", True),
    ],
)
@pytest.mark.parametrize("installed", ["base"], indirect=True)
def test_people_get_their_rights_by_the_clusters_own_roles(
    kube: Kube, installed: Install, role: str, verb: str, allowed: bool
) -> None:
    kube.kubectl(
        "create",
        "rolebinding",
        "ann",
        f"--clusterrole={role}",
        "--user=ann",
        "-n",
        installed.namespace,
    )
    ask = ("auth", "can-i", verb, "cnd", "--as=ann", "-n", installed.namespace)
    see = ("auth", "can-i", "list", "cnd", "--as=ann", "-n", installed.namespace)
    deadline = time.monotonic() + 30
    while kube.kubectl(*see, check=False).stdout.strip() != "yes":
        assert time.monotonic() < deadline, f"the role {role} did not take up the viewer's rules"
    assert (kube.kubectl(*ask, check=False).stdout.strip() == "yes") is allowed


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_accepted_by_the_api_server(
    kube: Kube, namespace: str, example: Path
) -> None:
    document = yaml.safe_load(example.read_text())
    document["metadata"]["namespace"] = namespace
    kube.kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(document))
