import base64
from typing import Any

import pytest
from tests.unit.kube.fake_api import Answer, FakeApi, Request, drain

from quiesce.api.errors import ForeignSecret
from quiesce.kube.errors import KubeConflict, KubeForbidden, KubeRejected
from quiesce.kube.resource import Resource
from quiesce.kube.secrets import RECENT, Secrets

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


@pytest.mark.finding("S4")
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


def test_one_that_many_resources_name_is_read_once_for_all_of_them(api: FakeApi) -> None:
    time = [100.0]
    secrets = Secrets(api.client(), lambda: time[0])
    assert secrets.recent("ns", "clouds") is None
    api.objects[PATH] = secret()
    found = [secrets.recent("ns", "clouds") for _ in range(3)]
    assert None not in found and len(api.requests) == 2, "one that is missing is looked for again"
    api.objects[PATH] = secret(version="6")
    assert secrets.recent("ns", "clouds") == found[0]
    time[0] += RECENT + 0.1
    changed = secrets.recent("ns", "clouds")
    assert changed is not None and changed != found[0]
    del api.objects[PATH]
    secrets.forget("ns", "clouds")
    assert secrets.recent("ns", "clouds") is None


def test_after_news_of_a_resource_its_secret_is_not_what_was_asked_for_before(
    api: FakeApi, secrets: Secrets
) -> None:
    """A person changes the Secret, then deletes the drain."""
    api.objects[PATH] = secret()
    get = secrets.get

    def overtaken(namespace: str, name: str) -> Any:
        found = get(namespace, name)
        api.objects[PATH] = secret(version="6")
        secrets.forget(namespace, name)
        return found

    secrets.get = overtaken  # type: ignore[method-assign]
    secrets.recent("ns", "clouds")
    secrets.get = get  # type: ignore[method-assign]
    found = secrets.recent("ns", "clouds")
    assert found is not None and found.version.endswith("/6")


def test_missing_and_forbidden_are_told_apart(api: FakeApi, secrets: Secrets) -> None:
    assert secrets.get("ns", "clouds") is None
    api.fail(403, 'cannot get resource "secrets"')
    with pytest.raises(KubeForbidden, match="secrets"):
        secrets.get("ns", "clouds")


def test_a_name_leads_nowhere_else(api: FakeApi, secrets: Secrets) -> None:
    assert secrets.get("ns", "../../other/secrets/clouds?x=") is None
    assert (
        api.requests[-1].path
        == "/api/v1/namespaces/ns/secrets/..%2F..%2Fother%2Fsecrets%2Fclouds%3Fx%3D"
    )


def stored(api: FakeApi) -> dict[str, Any]:
    """The Secret as a person sees it; the fake API server takes what is created."""
    found: dict[str, Any] = api.objects[PATH]
    return found


@pytest.fixture
def taking(api: FakeApi) -> FakeApi:
    """An API server that keeps what is created, and merges patches, of the one Secret."""

    def take(request: Request) -> Answer | None:
        if request.method == "GET" or "/secrets" not in request.path:
            return None
        before = api.objects.get(PATH, {"metadata": {"namespace": "ns", "uid": "u"}, "data": {}})
        metadata = {**before["metadata"], **request.body["metadata"]}
        metadata["resourceVersion"] = f"{int(before['metadata'].get('resourceVersion', 0)) + 1}"
        data = {**before["data"], **request.body.get("data", {})}
        kept = {key: value for key, value in data.items() if value is not None}
        api.objects[PATH] = {**before, **request.body, "metadata": metadata, "data": kept}
        return Answer(200, api.objects[PATH])

    api.faults.append(take)
    return api


OWNER = Resource(drain())
OWN = {"app.kubernetes.io/managed-by": "quiesce", "quiesce.dev/owner-uid": OWNER.uid}


def test_what_is_made_has_our_labels_and_no_owner_that_would_take_it_along(
    taking: FakeApi, secrets: Secrets
) -> None:
    made = secrets.save(OWNER, "clouds", {"ssh-privatekey": PASSWORD}, "kubernetes.io/ssh-auth")
    assert made.data == {"ssh-privatekey": PASSWORD}
    assert made.made_for(OWNER.uid)
    (write,) = taking.writes
    assert (write.method, write.body["type"]) == ("POST", "kubernetes.io/ssh-auth")
    assert write.body["metadata"] == {"name": "clouds", "labels": OWN}


def test_our_own_gets_exactly_the_new_content_if_nobody_has_changed_it(
    taking: FakeApi, secrets: Secrets
) -> None:
    secrets.save(OWNER, "clouds", {"a": b"1", "b": b"2"}, "Opaque")
    assert secrets.save(OWNER, "clouds", {"b": b"3"}, "Opaque").data == {"b": b"3"}
    write = taking.writes[-1]
    assert (write.method, write.content_type) == ("PATCH", "application/merge-patch+json")
    assert write.body["metadata"]["resourceVersion"] == "1"


@pytest.mark.finding("M3")
@pytest.mark.parametrize(
    "labels",
    [
        {},
        {"app.kubernetes.io/managed-by": "quiesce"},
        {"quiesce.dev/owner-uid": OWNER.uid},
        {**OWN, "quiesce.dev/owner-uid": "another"},
    ],
)
def test_a_secret_of_somebody_else_is_left_alone(
    taking: FakeApi, secrets: Secrets, labels: dict[str, str]
) -> None:
    taking.objects[PATH] = secret()
    taking.objects[PATH]["metadata"]["labels"] = labels
    with pytest.raises(ForeignSecret, match="Secret ns/clouds was not made for this Compute"):
        secrets.save(OWNER, "clouds", {"known_hosts": b"x"}, "Opaque")
    secrets.hand_over(OWNER, ["clouds"])
    assert taking.writes == []


@pytest.mark.finding("M3")
def test_the_remedy_makes_a_secret_from_a_backup_our_own(taking: FakeApi, secrets: Secrets) -> None:
    taking.objects[PATH] = secret()
    with pytest.raises(ForeignSecret) as raised:
        secrets.own(OWNER, "clouds")
    command = str(raised.value).rpartition("kubectl label secret -n ns clouds ")[2]
    labels = dict(word.split("=") for word in command.split() if not word.startswith("--"))
    stored(taking)["metadata"]["labels"] = labels
    assert secrets.own(OWNER, "clouds") is not None


@pytest.mark.finding("H5")
def test_it_is_given_to_the_garbage_collector_when_its_owner_goes(
    taking: FakeApi, secrets: Secrets
) -> None:
    secrets.save(OWNER, "clouds", {"a": b"1"}, "Opaque")
    secrets.hand_over(OWNER, ["clouds", "never-made"])
    assert stored(taking)["metadata"]["ownerReferences"] == [
        {
            "apiVersion": "quiesce.dev/v1alpha1",
            "kind": "ComputeNodeDrain",
            "name": "d1",
            "uid": OWNER.uid,
        }
    ]
    with pytest.raises(KubeConflict, match="not deleted yet"):
        secrets.own(Resource(drain(uid="the-next-one")), "clouds")


@pytest.mark.finding("H5")
def test_one_of_an_earlier_version_loses_the_owner_that_would_take_it_along(
    taking: FakeApi, secrets: Secrets
) -> None:
    taking.objects[PATH] = secret()
    reference = {"apiVersion": "v", "kind": "k", "name": "d1", "uid": OWNER.uid}
    taking.objects[PATH]["metadata"]["ownerReferences"] = [reference]
    found = secrets.own(OWNER, "clouds")
    assert found is not None
    secrets.keep(OWNER, found)
    assert stored(taking)["metadata"]["ownerReferences"] == []
    assert stored(taking)["metadata"]["labels"] == OWN


def test_without_the_right_to_change_secrets_a_resource_still_goes(
    taking: FakeApi, secrets: Secrets
) -> None:
    secrets.save(OWNER, "clouds", {"a": b"1"}, "Opaque")
    taking.faults.clear()
    taking.fail(403, "no", when=lambda request: request.method == "PATCH")
    secrets.hand_over(OWNER, ["clouds"])


def test_apply(taking: FakeApi, secrets: Secrets) -> None:
    secrets.apply("ns", "clouds", {"k": PASSWORD}, "Opaque", {"quiesce.dev/x": "true"})
    (write,) = taking.writes
    assert write.content_type == "application/apply-patch+yaml"
    assert write.body["metadata"] == {"name": "clouds", "labels": {"quiesce.dev/x": "true"}}


def test_a_refused_apply_does_not_tell_the_content(api: FakeApi, secrets: Secrets) -> None:
    api.fail(422, "type: field is immutable")
    with pytest.raises(KubeRejected) as raised:
        secrets.apply("ns", "keys", {"k": PASSWORD}, "Opaque", {})
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
