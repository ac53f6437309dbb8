from datetime import UTC, datetime

from tests.unit.kube.fake_api import drain

from quiesce.kube.resource import Key, Resource


def test_a_full_object() -> None:
    raw = drain(
        finalizers=["quiesce.dev/drain"],
        annotations={"a": "b"},
        deletionTimestamp="2026-01-31T13:00:00Z",
    )
    resource = Resource({**raw, "status": {"phase": "Draining"}})
    assert resource.key == Key("ns", "d1")
    assert str(resource.key) == "ns/d1"
    assert (resource.kind, resource.uid, resource.generation) == (
        "ComputeNodeDrain",
        "uid-ns-d1",
        1,
    )
    assert resource.created == datetime(2026, 1, 31, 12, tzinfo=UTC)
    assert resource.deleting
    assert resource.finalizers == ("quiesce.dev/drain",)
    assert resource.annotations == {"a": "b"}
    assert resource.spec == {"host": "d1.example.org"}
    assert resource.status == {"phase": "Draining"}


def test_a_bare_object() -> None:
    resource = Resource(drain())
    assert not resource.deleting
    assert (resource.finalizers, resource.annotations, resource.status) == ((), {}, {})
