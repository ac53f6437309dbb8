"""What we read from and write to our own objects, as requests on the wire."""

from typing import Any

import pytest
from tests.unit.kube.fake_api import DRAINS, FakeApi, drain

from quiesce.kube.errors import KubeConflict, KubeUnavailable
from quiesce.kube.resource import Key, Resource
from quiesce.kube.store import Store

FINALIZER = "quiesce.dev/drain"
OTHERS = "example.org/other"


def store(api: FakeApi, *namespaces: str) -> Store:
    return Store(api.client(), DRAINS, namespaces or None, FINALIZER)


def read(api: FakeApi, **metadata: Any) -> Resource:
    api.put(drain(**metadata))
    found = store(api).get(Key("ns", "d1"))
    assert found is not None
    api.requests.clear()
    return found


def test_get(api: FakeApi) -> None:
    assert read(api).key == Key("ns", "d1")


def test_get_of_what_is_not_there(api: FakeApi) -> None:
    assert store(api).get(Key("ns", "d1")) is None


def test_list_reads_every_page_of_all_namespaces(api: FakeApi) -> None:
    api.page = 2
    for number in range(5):
        api.put(drain(f"d{number}", namespace=f"ns{number % 2}"))
    assert sorted(each.key.name for each in store(api).list()) == ["d0", "d1", "d2", "d3", "d4"]


def test_list_of_some_namespaces_asks_for_nothing_else(api: FakeApi) -> None:
    for namespace in ("a", "b", "c"):
        api.put(drain(namespace=namespace))
    assert [each.key for each in store(api, "c", "a").list()] == [Key("c", "d1"), Key("a", "d1")]
    assert all("/namespaces/" in request.path for request in api.requests)


def test_a_list_whose_pages_expired_is_read_anew_and_holds_nothing_twice(api: FakeApi) -> None:
    api.page = 2
    for number in range(3):
        api.put(drain(f"d{number}"))
    api.fail(
        410,
        "the provided continue parameter is too old",
        when=lambda request: "continue" in request.query,
    )
    assert [each.key.name for each in store(api).list()] == ["d0", "d1", "d2"]


def test_a_list_that_breaks_off_is_no_list(api: FakeApi) -> None:
    api.page = 2
    for number in range(3):
        api.put(drain(f"d{number}"))
    api.fail(503, when=lambda request: "continue" in request.query)
    with pytest.raises(KubeUnavailable):
        store(api).list()


def test_adding_the_finalizer_is_a_request_of_its_own_that_keeps_those_of_others(
    api: FakeApi,
) -> None:
    resource = read(api, finalizers=[OTHERS], annotations={"a": "b"})
    store(api).add_finalizer(resource)
    (write,) = api.writes
    assert (write.method, write.path, write.content_type) == (
        "PATCH",
        f"/apis/quiesce.dev/v1alpha1/namespaces/ns/{DRAINS}/d1",
        "application/merge-patch+json",
    )
    assert write.body == {
        "metadata": {
            "finalizers": [OTHERS, FINALIZER],
            "resourceVersion": resource.resource_version,
        }
    }


def test_removing_the_finalizer_keeps_those_of_others(api: FakeApi) -> None:
    store(api).remove_finalizer(read(api, finalizers=[FINALIZER, OTHERS]))
    assert api.writes[0].body["metadata"]["finalizers"] == [OTHERS]


def test_a_finalizer_that_is_as_it_should_be_is_not_written(api: FakeApi) -> None:
    store(api).add_finalizer(read(api, finalizers=[FINALIZER]))
    store(api).remove_finalizer(read(api, finalizers=[OTHERS]))
    assert api.writes == []


@pytest.mark.parametrize("finalizers", [[], [FINALIZER]])
def test_a_finalizer_is_never_written_over_a_newer_version(
    api: FakeApi, finalizers: list[str]
) -> None:
    resource = read(api, finalizers=finalizers)
    api.put(drain(finalizers=[*finalizers, OTHERS]))
    with pytest.raises(KubeConflict):
        (store(api).remove_finalizer if finalizers else store(api).add_finalizer)(resource)


def test_removing_the_finalizer_of_what_is_gone_is_success(api: FakeApi) -> None:
    resource = read(api, finalizers=[FINALIZER])
    api.objects.clear()
    store(api).remove_finalizer(resource)


MARK, OTHER_MARK = "quiesce.dev/shard.a", "quiesce.dev/shard.b"


@pytest.mark.parametrize(
    ("do", "before", "after"),
    [
        ("add_finalizer", [OTHERS], [OTHERS, FINALIZER, MARK]),
        ("add_finalizer", [FINALIZER], [FINALIZER, MARK]),
        ("hand_over", [FINALIZER, MARK, OTHERS], [FINALIZER, OTHERS]),
        ("remove_finalizer", [FINALIZER, OTHERS, MARK], [OTHERS]),
    ],
)
def test_the_mark_of_a_shard(api: FakeApi, do: str, before: list[str], after: list[str]) -> None:
    sharded = Store(api.client(), DRAINS, None, FINALIZER, MARK)
    resource = read(api, finalizers=before)
    getattr(sharded, do)(resource)
    assert api.writes[0].body["metadata"] == {
        "finalizers": after,
        "resourceVersion": resource.resource_version,
    }


@pytest.mark.parametrize("mark", [MARK, None])
def test_the_mark_of_a_shard_that_is_gone_is_replaced(api: FakeApi, mark: str | None) -> None:
    sharded = Store(api.client(), DRAINS, None, FINALIZER, mark)
    sharded.replace_marks(read(api, finalizers=[FINALIZER, OTHER_MARK]), [OTHER_MARK])
    own = [] if mark is None else [mark]
    assert api.writes[0].body["metadata"]["finalizers"] == [FINALIZER, *own]
    going = {"deletionTimestamp": "2026-01-31T13:00:00Z"}
    sharded.replace_marks(read(api, finalizers=[FINALIZER, OTHER_MARK], **going), [OTHER_MARK])
    assert api.writes[0].body["metadata"]["finalizers"] == [FINALIZER], "no new one in deletion"


STATUS = {
    "phase": "Draining",
    "progress": {"moved": 1, "total": 2},
    "problems": [{"id": "s1", "since": None}],
}


def test_the_status_is_applied_whole_under_our_name(api: FakeApi) -> None:
    resource = read(api)
    store(api).write_status(resource, STATUS)
    (write,) = api.writes
    assert write.path.endswith("/d1/status")
    assert write.content_type == "application/apply-patch+yaml"
    assert write.query == {"fieldManager": "quiesce", "force": "true"}
    assert write.body == {
        "apiVersion": "quiesce.dev/v1alpha1",
        "kind": "ComputeNodeDrain",
        "metadata": {"namespace": "ns", "name": "d1"},
        "status": STATUS,
    }


@pytest.mark.parametrize(
    ("before", "after", "written"),
    [
        ({}, {}, False),
        (STATUS, STATUS, False),
        (STATUS, dict(reversed(STATUS.items())), False),
        ({"a": [1, 2]}, {"a": (1, 2)}, False),  # what JSON makes equal is equal
        ({"a": 1}, {"a": 2}, True),
        ({"a": 1, "b": 2}, {"a": 1}, True),
        ({"a": {"b": [{"c": 1}]}}, {"a": {"b": [{"c": 2}]}}, True),
        ({"a": [1, 2]}, {"a": [2, 1]}, True),
        ({"a": 1}, {}, True),
    ],
)
def test_the_status_is_written_only_when_it_changes(
    api: FakeApi, before: dict[str, Any], after: dict[str, Any], written: bool
) -> None:
    api.put({**drain(), "status": before})
    resource = store(api).get(Key("ns", "d1"))
    assert resource is not None
    store(api).write_status(resource, after)
    assert len(api.writes) == written


def test_the_status_of_what_is_gone_is_nobodys_concern(api: FakeApi) -> None:
    resource = read(api)
    api.objects.clear()
    store(api).write_status(resource, STATUS)


def test_no_write_is_ever_sent_twice(api: FakeApi) -> None:
    resource = read(api)
    api.faults.append(lambda _: b"")
    with pytest.raises(KubeUnavailable):
        store(api).write_status(resource, STATUS)
    assert len(api.writes) == 1


def test_who_asks(api: FakeApi) -> None:
    store(api).list()
    assert api.requests[0].agent.startswith("quiesce/")


@pytest.mark.finding("M9")
def test_a_list_is_read_in_small_pages_and_keeps_no_foreign_annotation(api: FakeApi) -> None:
    large = {"example.org/note": "x" * 1000, "quiesce.dev/requestedAt": "now"}
    api.put(drain(annotations=large, managedFields=[{"manager": "kubectl"}]))
    (found,) = store(api).list()
    assert dict(found.annotations) == {"quiesce.dev/requestedAt": "now"}
    assert "managedFields" not in found.raw["metadata"]
    assert api.requests[-1].query["limit"] == "50"


@pytest.mark.finding("M1")
def test_no_credentials_of_an_address_reach_a_status(api: FakeApi) -> None:
    text = "Unable to connect to http://proxyuser:Hunter2pass@127.0.0.1:1/v3: refused"
    rows = [{"message": text, "remedies": [text]}]
    store(api).write_status(read(api), {"message": text, "problems": rows})
    assert "Hunter2pass" not in str(api.writes[0].body)
    assert "127.0.0.1:1/v3: refused" in str(api.writes[0].body)


@pytest.mark.finding("M2", "L2")
def test_a_status_is_one_that_the_api_server_takes(api: FakeApi) -> None:
    """Sent is YAML with JSON's escapes: one of a surrogate is refused with HTTP 400."""
    text = "host says \U0001f600 \ud83d \x1b[31mred\x1b[0m\x07 \u202eevil"
    store(api).write_status(read(api), {"message": text, "service": {"foundReason": text}})
    sent = api.writes[0].body["status"]
    assert sent["message"] == "host says \ufffd \ufffd red\ufffd \ufffdevil"
    assert not any("\ud800" <= each <= "\udfff" or each > "\uffff" for each in str(sent))


@pytest.mark.promise("never-6")
def test_the_reason_of_another_user_is_stored_as_it_is(api: FakeApi) -> None:
    """It is put back when the host is restored."""
    reason = "password: ask  Anna\tor Bo"
    store(api).write_status(read(api), {"service": {"foundReason": reason}})
    assert api.writes[0].body["status"]["service"]["foundReason"] == reason


def test_a_status_that_passed_the_gate_is_not_written_again(api: FakeApi) -> None:
    status = {"message": "https://u:p@h/ " * 200 + "\x1b[1m"}
    store(api).write_status(read(api), status)
    found = store(api).get(Key("ns", "d1"))
    assert found is not None
    store(api).write_status(found, status)
    store(api).write_status(found, found.status)
    assert len(api.writes) == 1
