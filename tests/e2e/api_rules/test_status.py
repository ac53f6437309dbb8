"""The status as the operator writes it: whole, by server-side apply, apart from the spec."""

import json

import pytest
from tests.e2e.api_rules.manifests import FULL_STATUS, drain, fields, read, schema, write_status
from tests.harness.kubernetes import Kube

from quiesce.kube.client import connect
from quiesce.kube.store import Store


def test_a_status_that_uses_every_field_is_kept_whole(kube: Kube, namespace: str) -> None:
    kube.kubectl("create", "-n", namespace, "-f", "-", stdin=json.dumps(drain()))
    before = read(kube, namespace)
    write_status(kube, namespace, FULL_STATUS)
    after = read(kube, namespace)
    assert after["status"] == FULL_STATUS
    assert after["spec"] == before["spec"]
    assert after["metadata"]["generation"] == before["metadata"]["generation"]
    assert {path for path, _ in fields(schema(kube, "status"))} == _paths(FULL_STATUS)


def _paths(value: object, path: str = "") -> set[str]:
    """The same notation as `fields`."""
    if isinstance(value, dict):
        return {
            found
            for key, child in value.items()
            for here in [f"{path}.{key}" if path else key]
            for found in {here} | _paths(child, here)
        }
    if isinstance(value, list):
        return {found for child in value for found in {f"{path}[]"} | _paths(child, f"{path}[]")}
    return set()


def test_what_is_no_longer_said_disappears(kube: Kube, namespace: str) -> None:
    kube.kubectl("create", "-n", namespace, "-f", "-", stdin=json.dumps(drain()))
    write_status(kube, namespace, FULL_STATUS)
    ready = FULL_STATUS["conditions"][0] | {"status": "True", "reason": "Drained"}
    short = {"observedGeneration": 1, "phase": "Drained", "conditions": [ready]}
    write_status(kube, namespace, short)
    assert read(kube, namespace)["status"] == short


def test_the_same_status_again_is_no_write(kube: Kube, namespace: str) -> None:
    kube.kubectl("create", "-n", namespace, "-f", "-", stdin=json.dumps(drain()))
    write_status(kube, namespace, FULL_STATUS)
    before = read(kube, namespace)["metadata"]["resourceVersion"]
    write_status(kube, namespace, FULL_STATUS)
    assert read(kube, namespace)["metadata"]["resourceVersion"] == before


def test_a_status_field_that_is_not_declared_is_refused(kube: Kube, namespace: str) -> None:
    kube.kubectl("create", "-n", namespace, "-f", "-", stdin=json.dumps(drain()))
    answer = write_status(kube, namespace, {"observedGeneration": 1, "servers": 40}, check=False)
    assert answer.returncode != 0
    assert "status.servers: field not declared in schema" in answer.stderr


@pytest.mark.finding("S5")
def test_a_manifest_cannot_bring_a_status_along(kube: Kube, namespace: str) -> None:
    forged = drain() | {"status": {"observedGeneration": 1, "phase": "Drained"}}
    kube.kubectl("create", "-n", namespace, "-f", "-", stdin=json.dumps(forged))
    assert read(kube, namespace)["status"] == {"observedGeneration": -1}


@pytest.mark.finding("M1", "M2", "L2")
def test_whatever_a_cloud_or_host_says_the_status_is_stored(
    kube: Kube, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The text of an error may hold anything; a status that is refused would block the drain."""
    monkeypatch.setenv("KUBECONFIG", kube.environment["KUBECONFIG"])
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    kube.kubectl("create", "-n", namespace, "-f", "-", stdin=json.dumps(drain()))
    store = Store(connect(None, 1).client, "computenodedrains", (namespace,), "quiesce.dev/drain")
    (resource,) = store.list()
    everything = "".join(
        map(chr, (*range(0x3000), *range(0xD7F0, 0xE010), *range(0xFE00, 0x10000)))
    )
    for number, said in enumerate(("\U0001f600 \ud83d \x1b[31m", everything)):
        message = f"{number}: {said}"
        reason = {"foundStatus": "enabled", "foundReason": said[:255]}
        store.write_status(
            resource, {"observedGeneration": 1, "message": message, "service": reason}
        )
        found = read(kube, namespace)["status"]
        assert found["message"].startswith(f"{number}: ")
        assert found["service"]["foundStatus"] == "enabled"
