"""Nothing that the API server or the operator adds shows up as drift from the manifests."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.e2e.api_rules.manifests import EXAMPLES, FULL_STATUS, drain, write_status
from tests.harness.kubernetes import Kube

APPLY_MODES = pytest.mark.parametrize(
    "mode", [(), ("--server-side",)], ids=["client-side", "server-side"]
)


@APPLY_MODES
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_applies_without_drift(
    kube: Kube, namespace: str, example: Path, mode: tuple[str, ...]
) -> None:
    document = yaml.safe_load(example.read_text())
    assert document["metadata"].pop("namespace") == "openstack"
    _applied_without_drift(kube, namespace, document, mode)


@APPLY_MODES
def test_the_operators_writes_are_no_drift(
    kube: Kube, namespace: str, mode: tuple[str, ...]
) -> None:
    _applied_without_drift(kube, namespace, drain(), mode)
    finalizer = json.dumps({"metadata": {"finalizers": ["quiesce.dev/drain"]}})
    patch = ("patch", "cnd", "compute-07", "-n", namespace, "--type=merge", "-p")
    try:
        kube.kubectl(*patch, finalizer, "--field-manager=quiesce")
        write_status(kube, namespace, FULL_STATUS)
        _applied_without_drift(kube, namespace, drain(), mode)
    finally:
        kube.kubectl(*patch, json.dumps({"metadata": {"finalizers": None}}))


def _applied_without_drift(
    kube: Kube, namespace: str, document: dict[str, Any], mode: tuple[str, ...]
) -> None:
    text = json.dumps(document)
    kube.kubectl("apply", "-n", namespace, *mode, "-f", "-", stdin=text)
    diff = kube.kubectl("diff", "-n", namespace, *mode, "-f", "-", stdin=text, check=False)
    assert (diff.returncode, diff.stdout) == (0, ""), diff.stderr


def test_the_examples_are_the_documented_ones() -> None:
    assert [path.stem for path in EXAMPLES] == [
        "drain-for-reboot", "keyring-drain", "keyring-sudo", "keyring",
        "live-then-cold", "openstack-clouds-secret", "resource-quota", "retire-node",
    ]  # fmt: skip


TOOLS = pytest.mark.parametrize(
    "mode",
    [(), ("--server-side", "--field-manager=argocd-controller")],
    ids=["client-side", "server-side"],
)


@TOOLS
def test_what_a_person_adds_stays_when_git_is_applied_again(
    kube: Kube, namespace: str, mode: tuple[str, ...]
) -> None:
    """Fields and annotations that the manifest does not name belong to whoever has set them."""
    document = drain()
    _applied_without_drift(kube, namespace, document, mode)
    target = ("cnd", document["metadata"]["name"], "-n", namespace)
    kube.kubectl("annotate", *target, "quiesce.dev/requestedAt=now")
    decision = {"server": "6f8f3c0e-0c5e-4a5e-9d3f-3a0f5a3c9d11", "action": "Confirm"}
    spec = {"suspend": True, "confirmation": {"decisions": [decision]}}
    kube.kubectl("patch", *target, "--type=merge", "-p", json.dumps({"spec": spec}))
    _applied_without_drift(kube, namespace, document, mode)
    found = kube.get(f"cnd/{document['metadata']['name']}", namespace)
    assert found
    assert found["metadata"]["annotations"]["quiesce.dev/requestedAt"] == "now"
    assert found["spec"]["suspend"] is True
    assert found["spec"]["confirmation"]["decisions"] == [decision]


@TOOLS
def test_what_git_names_is_set_back(kube: Kube, namespace: str, mode: tuple[str, ...]) -> None:
    document = drain()
    document["spec"]["suspend"] = False
    _applied_without_drift(kube, namespace, document, mode)
    target = ("cnd", document["metadata"]["name"], "-n", namespace)
    kube.kubectl("patch", *target, "--type=merge", "-p", '{"spec": {"suspend": true}}')
    text = json.dumps(document)
    force = ("--force-conflicts",) if mode else ()  # as the tools do
    kube.kubectl("apply", "-n", namespace, *mode, *force, "-f", "-", stdin=text)
    found = kube.get(f"cnd/{document['metadata']['name']}", namespace)
    assert found and found["spec"]["suspend"] is False
