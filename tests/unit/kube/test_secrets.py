import base64
from typing import Any

import pytest
from tests.unit.kube.fake_api import Answer, FakeApi, Request, drain

from quiesce.kube.errors import KubeForbidden, KubeRejected
from quiesce.kube.resource import Resource
from quiesce.kube.secrets import Secrets

PASSWORD = b"hunter2\xff"


def secret(uid: str = "u1", version: str = "5") -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"namespace": "ns", "name": "clouds", "uid": uid, "resourceVersion": version},
        "data": {"clouds.yaml": base64.b64encode(PASSWORD).decode()},
    }


@pytest.fixture
def secrets(api: FakeApi) -> Secrets:
    return Secrets(api.client())


PATH = "/api/v1/namespaces/ns/secrets/clouds"


def test_its_bytes_never_its_representation(api: FakeApi, secrets: Secrets) -> None:
    api.objects[PATH] = secret()
    found = secrets.get("ns", "clouds")
    assert found is not None
    assert (found.namespace, found.name, found.data) == ("ns", "clouds", {"clouds.yaml": PASSWORD})
    assert "hunter2" not in repr(found) + str(found)


def test_the_version_moves_when_it_is_changed_or_made_anew(api: FakeApi, secrets: Secrets) -> None:
    versions = set()
    for uid, version in (("u1", "5"), ("u1", "6"), ("u2", "5")):
        api.objects[PATH] = secret(uid, version)
        found = secrets.get("ns", "clouds")
        assert found is not None
        versions.add(found.version)
    assert len(versions) == 3


def test_a_secret_without_data(api: FakeApi, secrets: Secrets) -> None:
    api.objects[PATH] = {**secret(), "data": None}
    found = secrets.get("ns", "clouds")
    assert found is not None and found.data == {}


def test_missing_and_forbidden_are_told_apart(api: FakeApi, secrets: Secrets) -> None:
    assert secrets.get("ns", "clouds") is None
    api.fail(403, 'cannot get resource "secrets"')
    with pytest.raises(KubeForbidden, match="secrets"):
        secrets.get("ns", "clouds")


def test_apply(api: FakeApi, secrets: Secrets) -> None:
    def accept(request: Request) -> Answer | None:
        if request.method != "PATCH":
            return None
        return Answer(
            200,
            {
                **request.body,
                "metadata": {**request.body["metadata"], "uid": "u", "resourceVersion": "1"},
            },
        )

    api.faults.append(accept)
    owner = Resource(drain())
    applied = secrets.apply(
        "ns", "keys", {"ssh-privatekey": PASSWORD}, "kubernetes.io/ssh-auth", owner
    )
    assert applied.data == {"ssh-privatekey": PASSWORD}
    (write,) = api.writes
    assert write.content_type == "application/apply-patch+yaml"
    assert write.body["type"] == "kubernetes.io/ssh-auth"
    assert write.body["metadata"]["ownerReferences"] == [
        {
            "apiVersion": "quiesce.dev/v1alpha1",
            "kind": "ComputeNodeDrain",
            "name": "d1",
            "uid": owner.uid,
        }
    ]


def test_a_refused_apply_does_not_tell_the_content(api: FakeApi, secrets: Secrets) -> None:
    api.fail(422, "type: field is immutable")
    with pytest.raises(KubeRejected) as raised:
        secrets.apply("ns", "keys", {"k": PASSWORD}, "Opaque", None)
    assert base64.b64encode(PASSWORD).decode() not in str(raised.value)


def test_config_map(api: FakeApi, secrets: Secrets) -> None:
    assert secrets.config_map("ns", "hosts") is None
    path = "/api/v1/namespaces/ns/configmaps/hosts"
    api.objects[path] = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {},
        "data": {"a": "b"},
    }
    assert secrets.config_map("ns", "hosts") == {"a": "b"}
    api.objects[path] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}}
    assert secrets.config_map("ns", "hosts") == {}
