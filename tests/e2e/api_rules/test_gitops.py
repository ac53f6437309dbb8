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
