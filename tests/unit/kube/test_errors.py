"""Every way in which a request fails has a type that says what to do, and a text for people."""

import socket

import pytest
from kubernetes.client import ApiClient, Configuration, CustomObjectsApi
from tests.unit.kube.fake_api import DRAINS, Answer, FakeApi, client_of

from quiesce.kube.errors import (
    KubeConflict,
    KubeError,
    KubeExpired,
    KubeForbidden,
    KubeKindUnknown,
    KubeNotFound,
    KubeRejected,
    KubeUnavailable,
    call,
)
from quiesce.kube.resource import Key
from quiesce.kube.store import Store


def get(api: FakeApi) -> None:
    Store(api.client(), DRAINS, None, "f").list()


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, KubeRejected),
        (401, KubeForbidden),
        (403, KubeForbidden),
        (409, KubeConflict),
        (410, KubeExpired),
        (422, KubeRejected),
        (429, KubeUnavailable),
        (500, KubeUnavailable),
        (503, KubeUnavailable),
        (504, KubeUnavailable),
    ],
)
def test_the_type_follows_from_the_status(api: FakeApi, status: int, kind: type[KubeError]) -> None:
    api.fail(status, 'cannot list resource "computenodedrains"', times=2)
    with pytest.raises(kind) as raised:
        get(api)
    assert type(raised.value) is kind
    assert str(status) in str(raised.value)
    assert 'cannot list resource "computenodedrains"' in str(raised.value), (
        "the API server's own words"
    )
    assert "\n" not in str(raised.value)


def test_an_object_that_is_not_there_and_a_kind_that_is_not_there_are_told_apart(
    api: FakeApi,
) -> None:
    custom = CustomObjectsApi(api.client())
    with pytest.raises(KubeNotFound, match="not found"):
        call(custom.get_namespaced_custom_object, "quiesce.dev", "v1alpha1", "ns", DRAINS, "nobody")
    api.plurals = []
    with pytest.raises(KubeKindUnknown, match="kubectl apply"):
        get(api)


def test_a_kind_that_is_not_there_does_not_make_its_objects_gone(api: FakeApi) -> None:
    api.faults.append(lambda _: Answer(404, "404 page not found"))
    with pytest.raises(KubeKindUnknown):
        Store(api.client(), DRAINS, None, "f").get(Key("ns", "d1"))


def test_a_status_that_an_older_crd_does_not_know_is_rejected_with_a_hint(api: FakeApi) -> None:
    api.fail(
        500,
        "failed to create typed patch object (ns/d1): .status.new: field not declared in schema",
    )
    with pytest.raises(KubeRejected, match="kubectl apply -k crds"):
        get(api)


@pytest.mark.parametrize("body", ["", '{"kind": "List", "metad', "<html>login first</html>"])
def test_an_answer_that_is_cut_short_or_not_json_proves_nothing(api: FakeApi, body: str) -> None:
    api.faults.append(lambda _: body.encode())
    with pytest.raises(KubeUnavailable):
        get(api)


def test_a_failure_without_a_status_object(api: FakeApi) -> None:
    api.faults.append(lambda _: Answer(502, "bad gateway"))
    with pytest.raises(KubeUnavailable, match="502"):
        get(api)


def test_a_refused_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(KubeUnavailable, match="refused"):
        Store(client(port), DRAINS, None, "f").get(Key("a", "b"))


def client(port: int) -> ApiClient:
    return client_of(f"http://127.0.0.1:{port}")


def test_a_server_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quiesce.kube.errors.TIMEOUT", (1.0, 0.05))
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        pytest.raises(KubeUnavailable, match="timed out"),
    ):
        Store(client(server.getsockname()[1]), DRAINS, None, "f").get(Key("a", "b"))


def test_an_api_server_that_is_away_is_named_by_its_address() -> None:
    away = Configuration(host="http://127.0.0.1:9", retries=False)
    with pytest.raises(KubeUnavailable) as raised:
        call(CustomObjectsApi(ApiClient(away)).list_cluster_custom_object, "a", "b", "c")
    assert "does not answer: 127.0.0.1:9: Failed to establish" in str(raised.value)
