"""Volumes and images by ID: each is read once, and a service that fails is left alone a while."""

import gc
from typing import Any
from weakref import ref

import pytest
from tests.unit.clock import Clock
from tests.unit.openstack.answers import Wire, answer

from quiesce.api.errors import CloudUnreachable, NotAllowed
from quiesce.openstack.budget import MOST_BYTES, MOST_VALUES, budget, take
from quiesce.openstack.errors import NotInCatalog
from quiesce.openstack.lookups import Found, Lookups
from quiesce.openstack.records import Volume
from quiesce.ops.weight import weight


def volume(id_: str, *, encrypted: bool = False, **more: Any) -> dict[str, Any]:
    return {"volume": {"id": id_, "encrypted": encrypted} | more}


def cinder(**volumes: Any) -> Wire:
    """id -> its answer."""
    return Wire(lambda service, method, path, *_: volumes[path.rpartition("/")[2]])


def kinds(found: Found[Any]) -> dict[str, type[Exception]]:
    """Of those that are unknown."""
    return {id_: failure.kind for id_, failure in found.unknown.items()}


def asked(wire: Wire) -> list[str]:
    return [path.rpartition("/")[2] for _, _, path, _, _ in wire.sent]


def test_each_volume_is_read_once_an_hour() -> None:
    clock, wire = Clock(), cinder(v1=volume("v1", encrypted=True), v2=volume("v2"))
    lookups = Lookups(wire, clock)
    for _ in range(3):
        found = lookups.volumes(["v1", "v2", "v1"])
    assert {v.id: v.encrypted for v in found.known.values()} == {"v1": True, "v2": False}
    assert sorted(path for _, _, path, _, _ in wire.sent) == ["/volumes/v1", "/volumes/v2"]
    clock.now += 3600
    lookups.volumes(["v1"])
    assert len(wire.sent) == 3


def test_a_volume_that_is_gone_is_left_out_and_not_asked_for_again() -> None:
    wire = cinder(v1=answer(404), v2=volume("v2"))
    lookups = Lookups(wire, Clock())
    for _ in range(2):
        assert lookups.volumes(["v1", "v2"]) == Found({"v2": Volume("v2", False)}, {})
    assert len(wire.sent) == 2


FAILURES = {
    "500": (answer(500), CloudUnreachable),
    "403": (answer(403), NotAllowed),
    "no service": (NotInCatalog("the catalog has no block storage service"), NotInCatalog),
    "no encryption": ({"volume": {"id": "v1"}}, CloudUnreachable),
    "no volume": ({"volume": None}, CloudUnreachable),
    "a list": ([], CloudUnreachable),
}
failures = pytest.mark.parametrize(("reply", "error"), FAILURES.values(), ids=FAILURES)


@failures
def test_a_service_that_does_not_answer_is_asked_once_a_minute(reply: Any, error: type) -> None:
    clock, wire = Clock(), Wire(lambda *_: reply)
    lookups = Lookups(wire, clock)
    for _ in range(3):
        found = lookups.volumes(["v1", "v2", "v3"])
        assert kinds(found) == dict.fromkeys(["v1", "v2", "v3"], error)
    assert len(wire.sent) == 1
    clock.now += 61
    assert kinds(lookups.volumes(["v1"])) == {"v1": error}
    assert len(wire.sent) == 2


@pytest.mark.promise("never-11")
@failures
def test_a_service_that_answers_no_more_is_found_silent_by_two_of_its_volumes(
    reply: Any, error: type
) -> None:
    """What was read before is known."""
    clock, volumes = Clock(), dict[str, Any](v0=volume("v0"))
    wire = Wire(lambda _s, _m, path, *_: volumes.get(path.rpartition("/")[2], reply))
    lookups = Lookups(wire, clock)
    lookups.volumes(["v0"])
    clock.now += 1
    new = ["v1", "v2", "v3"]
    for _ in range(3):
        found = lookups.volumes(["v0", *new])
        assert set(found.known) == {"v0"}
        assert kinds(found) == dict.fromkeys(new, error)
    assert asked(wire) == ["v0", "v1", "v2"]
    for _ in range(4):
        clock.now += 61
        for id_ in new:
            assert kinds(lookups.volumes([id_])) == {id_: error}
    assert len(wire.sent) == 3 + 4


@pytest.mark.promise("never-11")
@failures
@pytest.mark.parametrize("bad", ["a", "z"], ids=["first", "last"])
def test_a_volume_that_alone_cannot_be_read_is_unknown_alone(
    bad: str, reply: Any, error: type
) -> None:
    clock, wire = Clock(), cinder(v1=volume("v1"), v2=volume("v2"), v3=volume("v3"), **{bad: reply})
    lookups = Lookups(wire, clock)
    lookups.volumes(["v1"])
    clock.now += 1
    for _ in range(3):
        found = lookups.volumes([bad, "v1", "v2"])
        assert set(found.known) == {"v1", "v2"}
        assert kinds(found) == {bad: error}
    assert sorted(asked(wire)) == sorted(["v1", "v2", bad]), "not again at once"
    clock.now += 61
    assert kinds(lookups.volumes([bad])) == {bad: error}
    assert asked(wire).count(bad) == 2
    assert set(lookups.volumes(["v3"]).known) == {"v3"}


@pytest.mark.promise("never-11")
def test_many_that_cannot_be_read_hold_up_no_other() -> None:
    """They are asked for again a few at a time: each may take as long as a request does."""
    clock, bad = Clock(), ["w", "x", "y", "z"]
    wire = cinder(v1=volume("v1"), v2=volume("v2"), **dict.fromkeys(bad, answer(500)))
    lookups = Lookups(wire, clock)
    assert set(lookups.volumes([*bad, "v1"]).known) == {"v1"}
    for _ in range(5):
        clock.now += 61
        wire.sent.clear()
        assert set(lookups.volumes(bad).unknown) == set(bad)
        assert len(wire.sent) == 2
    assert set(lookups.volumes(["v2"]).known) == {"v2"}


@pytest.mark.promise("never-11")
def test_after_a_silence_each_volume_has_its_turn() -> None:
    """Whoever comes first: the volume of one host cannot be read, that of the other can."""
    clock, wire = Clock(), cinder(a=answer(500), b=answer(500), good=volume("good"))
    lookups, known = Lookups(wire, clock), list[bool]()
    for _ in range(4):
        wire.sent.clear()
        for each in ("a", "b", "good"):
            found = lookups.volumes([each])
        known.append(bool(found.known))
        assert known[-1] or len(wire.sent) == 1
        clock.now += 61
    assert known == [False, False, True, True]


def test_a_service_that_was_silent_before_is_found_so_again() -> None:
    clock, up = Clock(), False

    def reply(_service: str, _method: str, path: str, *_: Any) -> Any:
        return volume(path.rpartition("/")[2]) if up else answer(503)

    wire, ids = Wire(reply), ["v1", "v2", "v3"]
    lookups = Lookups(wire, clock)
    for _ in ids:
        assert set(lookups.volumes(ids).unknown) == set(ids)
        clock.now += 61
    assert len(set(asked(wire))) == 3
    up = True
    assert set(lookups.volumes(ids).known) == set(ids)
    clock.now, up = clock.now + 3601, False
    wire.sent.clear()
    for _ in range(3):
        assert set(lookups.volumes(ids).unknown) == set(ids)
    assert len(wire.sent) == 2


def test_a_failure_holds_nothing_of_the_reconciliation() -> None:
    class Observation:
        pass

    lookups = Lookups(Wire(lambda *_: answer(503)), Clock())

    def reconcile() -> ref[Observation]:
        here = Observation()
        assert "HTTP 503" in lookups.volumes(["v1"]).unknown["v1"].text
        return ref(here)

    observations = [reconcile() for _ in range(3)]
    gc.collect()
    assert [each() for each in observations] == [None] * 3


@pytest.mark.finding("M9")
def test_only_so_many_failures_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quiesce.openstack.lookups._MOST_UNKNOWN", 3)
    clock, bad = Clock(), [f"b{n}" for n in range(9)]
    wire = Wire(lambda *_: answer(500))
    lookups = Lookups(wire, clock)
    for _ in range(5):
        lookups.volumes(bad)
        assert set(lookups.volumes(bad).unknown) == set(bad)
        assert len(lookups._volumes._unknown) <= 3
        clock.now += 61
    assert len(wire.sent) == 5, "and the service is asked no more for that"
    lookups = Lookups(cinder(good=volume("good"), **dict.fromkeys(bad, answer(500))), clock)
    lookups.volumes(["good"])
    clock.now += 1
    assert set(lookups.volumes(["good", *bad]).known) == {"good"}
    assert len(lookups._volumes._unknown) <= 3


@pytest.mark.promise("never-11")
@pytest.mark.parametrize(
    ("seconds", "size", "values", "reply"),
    [
        (60, MOST_BYTES, 0, volume("v1")),
        (60, 0, MOST_VALUES, volume("v1")),
        (0, 0, 0, CloudUnreachable("GET /volumes/v1: timed out")),
    ],
    ids=["memory", "values", "time"],
)
def test_the_end_of_one_reconciliation_is_not_that_of_others(
    seconds: float, size: int, values: int, reply: Any
) -> None:
    """A request near its end is given less than the 30 seconds in which a service answers."""
    replies = [reply, volume("v1")]
    lookups = Lookups(Wire(lambda *_: replies.pop(0)), Clock())
    with budget(seconds):
        take(size, values)
        assert kinds(lookups.volumes(["v1"])) == {"v1": CloudUnreachable}
    with budget(60):
        assert set(lookups.volumes(["v1"]).known) == {"v1"}


def test_the_image_of_a_volume_counts_where_a_server_boots_from_it() -> None:
    asked = {"hw_tpm_version": "2.0"}
    boots = volume("v1", bootable="true", volume_image_metadata=asked)
    data = volume("v2", bootable="false", volume_image_metadata=asked)
    found = Lookups(cinder(v1=boots, v2=data), Clock()).volumes(["v1", "v2"]).known
    assert (found["v1"].image_properties, found["v2"].image_properties) == (asked, {})


@pytest.mark.promise("never-11")
def test_a_snapshot_that_cannot_be_looked_for_holds_up_no_other() -> None:
    clock = Clock()
    bad = {"images": [{"name": "web-shelved", "status": "active"}]}  # without an ID
    good = {"images": [{"id": "i1", "name": "web-shelved", "status": "active"}]}

    def reply(_service: str, _method: str, _path: str, query: Any, _body: Any) -> Any:
        return bad if query["instance_uuid"] == "bad" else good

    lookups = Lookups(Wire(reply), clock)
    lookups.snapshots(["s1"])
    for _ in range(30):
        clock.now += 6
        found = lookups.snapshots(["bad", "s1"])
        assert (found.known, kinds(found)) == ({"s1": "i1"}, {"bad": CloudUnreachable})


def test_an_image_has_its_own_properties() -> None:
    image = {"id": "i1", "hw_tpm_version": "2.0", "size": 7, "tags": []}
    found = Lookups(Wire(lambda *_: image), Clock()).images(["i1"]).known
    assert found["i1"].properties["hw_tpm_version"] == "2.0"


@pytest.mark.field_case("F5")
def test_what_an_image_asked_for_is_known_after_it_is_deleted() -> None:
    """A server made of it is as it was."""
    replies = [{"id": "i1", "hw_tpm_version": "2.0"}, answer(404)]
    clock = Clock()
    lookups = Lookups(Wire(lambda *_: replies.pop(0)), clock)
    for _ in replies[:]:
        assert lookups.images(["i1"]).known["i1"].properties["hw_tpm_version"] == "2.0"
        clock.now += 3601
    assert not replies


@pytest.mark.promise("always-3")
def test_the_image_of_a_shelved_server_is_looked_for_again_within_seconds() -> None:
    """Its owner may delete it at any time, and an offload deletes the disk on the host."""
    listed = [{"id": "i1", "name": "web-shelved", "status": "active"}]
    clock, wire = Clock(), Wire(lambda *_: {"images": listed})
    lookups = Lookups(wire, clock)
    assert lookups.snapshots(["s1"]) == Found({"s1": "i1"}, {})
    listed.clear()
    clock.now += 6
    assert lookups.snapshots(["s1"]) == Found({}, {})


@pytest.mark.finding("M9")
def test_only_so_many_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quiesce.openstack.lookups._MOST", 3)
    wire = Wire(lambda service, method, path, *_: volume(path.rpartition("/")[2]))
    lookups = Lookups(wire, Clock())
    assert set(lookups.volumes([f"v{n}" for n in range(5)]).known) == {f"v{n}" for n in range(5)}
    lookups.volumes(["v2", "v3", "v4"])
    assert len(wire.sent) == 5
    lookups.volumes(["v0"])
    assert len(wire.sent) == 6


WIDE = "\U0001f600"
"""One such character makes Python keep four bytes for each of the others."""


def large_images(at: str) -> Wire:
    def image(_service: str, _method: str, path: str, *_: Any) -> dict[str, Any]:
        id_ = path.rpartition("/")[2]
        return {"id": id_} | {
            f"trait:{at}{id_}{n}".ljust(300, "k"): f"{WIDE}{id_}{n}".ljust(300, "v")
            for n in range(400)
        }

    return Wire(image)


@pytest.mark.finding("M9")
def test_what_is_kept_is_bounded_by_what_it_takes_in_memory() -> None:
    wire = large_images("a")
    lookups = Lookups(wire, Clock())
    found = lookups.images([f"i{n}" for n in range(30)]).known
    assert len(found) == 30
    one = weight(found["i0"])
    assert one > 500_000
    assert weight(lookups._images._found) <= 8 * 2**20
    lookups.images(["i28", "i29"])
    assert len(wire.sent) == 30, "the last ones are kept"
    lookups.images(["i0"])
    assert len(wire.sent) == 31, "the first ones are read again"


@pytest.mark.finding("M9")
def test_all_clouds_together_keep_no_more_than_fits() -> None:
    many = [Lookups(large_images(f"{n}."), Clock()) for n in range(8)]
    for lookups in many:
        assert len(lookups.images([f"i{n}" for n in range(12)]).known) == 12
    sizes = [weight(lookups._images._found) for lookups in many]
    assert sum(sizes) <= 33 * 2**20
    assert sizes[0] < 1000 and sizes[-1] > 5 * 2**20, "that of the first one is dropped"
    assert len(many[0].images(["i1"]).known) == 1


def test_of_an_image_only_what_decides_something_is_kept() -> None:
    image = {"id": "i1", "hw_tpm_version": "2.0", "trait:COMPUTE_X": "required", "os_type": "x"}
    found = Lookups(Wire(lambda *_: image), Clock()).images(["i1"]).known
    assert found["i1"].properties == {"hw_tpm_version": "2.0", "trait:COMPUTE_X": "required"}
