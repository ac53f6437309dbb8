"""manifests/base and its overlays: accepted whole, restricted, and with no right too many."""

import json
import os
import re
from pathlib import Path

import pytest
import yaml
from tests.e2e.api_rules.installs import ALL, INSTALLS, ONE, ROOT, Install, rendered
from tests.e2e.api_rules.manifests import EXAMPLES, FULL_STATUS, drain, write_status
from tests.harness.kubernetes import WATCHED, Json, Kube

from quiesce.api.selector import Selector

RESTRICTED = (
    "pod-security.kubernetes.io/enforce=restricted",
    "pod-security.kubernetes.io/warn=restricted",
)


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
    assert install.of_kind("NetworkPolicy")


@pytest.mark.parametrize("which", INSTALLS)
def test_an_install_renders_as_it_stands(kube: Kube, which: str) -> None:
    text = kube.kubectl("kustomize", str(ROOT / "manifests" / which)).stdout
    documents = list(yaml.safe_load_all(text))
    (namespace,) = (d["metadata"]["name"] for d in documents if d["kind"] == "Namespace")
    (pod,) = (d["spec"]["template"]["spec"] for d in documents if d["kind"] == "Deployment")
    subjects = [subject for d in documents for subject in d.get("subjects", ())]
    bindings = [d for d in documents if d["kind"].endswith("RoleBinding")]
    where = {binding["metadata"].get("namespace") for binding in bindings}
    variables = {each["name"]: each["value"] for each in pod["containers"][0]["env"]}
    assert namespace == "quiesce-system"
    assert where == {namespace, WATCHED if which == ONE else None}
    assert variables == (
        {"QUIESCE_NAMESPACE": WATCHED} if which == ONE else {"QUIESCE_ALL_NAMESPACES": "true"}
    )
    assert subjects
    assert all(
        s["namespace"] == namespace and s["name"] == pod["serviceAccountName"] for s in subjects
    )


def test_each_resource_is_that_of_one_shard_and_each_budget_counts_its_own_pods(
    kube: Kube, namespace: str, tmp_path: Path
) -> None:
    install = rendered(kube, namespace, "overlays/shards", tmp_path)
    text = yaml.safe_dump_all(install.documents)
    answer = kube.kubectl("apply", "--dry-run=server", "-f", "-", stdin=text)
    assert len(answer.stdout.splitlines()) == len(install.documents)

    templates = [each["spec"]["template"] for each in install.of_kind("Deployment")]
    variables = [
        {each["name"]: each["value"] for each in template["spec"]["containers"][0]["env"]}
        for template in templates
    ]
    selectors = [Selector.parse(each["QUIESCE_WATCH_LABEL_SELECTOR"]) for each in variables]
    for labels in ({}, {"shard": "b"}, {"shard": "c"}):
        assert [each.matches(labels) for each in selectors].count(True) == 1, labels
    for budget in install.of_kind("PodDisruptionBudget"):
        counted = [matches(budget["spec"]["selector"], each) for each in templates]
        assert counted.count(True) == 1
    (policy,) = install.of_kind("NetworkPolicy")
    assert all(matches(policy["spec"]["podSelector"], each) for each in templates)
    (account,) = {each["spec"]["serviceAccountName"] for each in templates}
    assert install.account.endswith(f":{account}")


def matches(selector: Json, template: Json) -> bool:
    labels = template["metadata"]["labels"]
    absent = [each["key"] for each in selector.get("matchExpressions", ())]
    return selector["matchLabels"].items() <= labels.items() and not labels.keys() & set(absent)


def test_the_patches_of_the_documentation_do_what_it_says(kube: Kube, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "install.md").read_text()
    blocks = re.findall(r"^```yaml\npatches:\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    base = os.path.relpath(ROOT / "manifests" / ONE, tmp_path.resolve())
    text = yaml.safe_dump({"resources": [base]}) + "patches:\n" + "".join(blocks)
    (tmp_path / "kustomization.yaml").write_text(text)
    documents = list(yaml.safe_load_all(kube.kubectl("kustomize", str(tmp_path)).stdout))
    bindings = [d["metadata"]["namespace"] for d in documents if d["kind"] == "RoleBinding"]
    (pod,) = (d["spec"]["template"]["spec"] for d in documents if d["kind"] == "Deployment")
    (policy,) = (d["spec"] for d in documents if d["kind"] == "NetworkPolicy")
    assert sorted(bindings) == ["cloud-a", "cloud-a", "quiesce-system"]
    assert pod["containers"][0]["env"] == [{"name": "QUIESCE_NAMESPACE", "value": "cloud-a"}]
    ports = [[rule["port"] for rule in each["ports"]] for each in policy["egress"]]
    assert ports == [[53, 53], [443, 6443], [13000], [22]]
    assert [bool(each.get("to")) for each in policy["egress"]] == [False, False, True, True]


@pytest.mark.finding("S9")
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
    [(ONE, False), (ALL, True)],
    indirect=["installed"],
)
@pytest.mark.finding("H7", "S9")
def test_the_operator_may_do_what_it_does_and_no_more(installed: Install, elsewhere: bool) -> None:
    here, there = installed.namespace, "default"
    assert installed.allowed(NEEDED + TOO_MUCH, here) == list(NEEDED)
    assert installed.allowed(NEEDED + TOO_MUCH, there) == list(NEEDED if elsewhere else ())


@pytest.mark.parametrize("installed", INSTALLS, indirect=True)
def test_the_operators_account_writes_status_and_finalizer(kube: Kube, installed: Install) -> None:
    account, namespace = f"--as={installed.account}", installed.namespace
    kube.kubectl("create", "-n", namespace, "-f", "-", stdin=json.dumps(drain()))
    write_status(kube, namespace, FULL_STATUS, account)
    patch = ("patch", "cnd", "compute-07", "-n", namespace, "--type=merge", account, "-p")
    for finalizers in (["quiesce.dev/drain"], []):
        kube.kubectl(*patch, json.dumps({"metadata": {"finalizers": finalizers}}))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_accepted_by_the_api_server(
    kube: Kube, namespace: str, example: Path
) -> None:
    document = yaml.safe_load(example.read_text())
    document["metadata"]["namespace"] = namespace
    kube.kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(document))
