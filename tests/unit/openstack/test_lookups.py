"""Volumes and images by ID: each is read once, and a service that fails is left alone a while."""

from typing import Any

import pytest
from tests.unit.clock import Clock
from tests.unit.openstack.answers import Wire, answer

from quiesce.api.errors import CloudUnreachable, NotAllowed
from quiesce.openstack.budget import MOST_BYTES, MOST_VALUES, budget, take
from quiesce.openstack.errors import NotInCatalog
from quiesce.openstack.lookups import Lookups
from quiesce.ops.weight import weight


def volume(id_: str, *, encrypted: bool = False, **more: Any) -> dict[str, Any]:
    return {"volume": {"id": id_, "encrypted": encrypted} | more}


def cinder(**volumes: Any) -> Wire:
    """id -> its answer."""
    return Wire(lambda service, method, path, *_: volumes[path.rpartition("/")[2]])


def test_each_volume_is_read_once_an_hour() -> None:
    clock, wire = Clock(), cinder(v1=volume("v1", encrypted=True), v2=volume("v2"))
    lookups = Lookups(wire, clock)
    for _ in range(3):
        found = lookups.volumes(["v1", "v2", "v1"])
    assert {v.id: v.encrypted for v in found.values()} == {"v1": True, "v2": False}
    assert sorted(path for _, _, path, _, _ in wire.sent) == ["/volumes/v1", "/volumes/v2"]
    clock.now += 3600
    lookups.volumes(["v1"])
    assert len(wire.sent) == 3


def test_a_volume_that_is_gone_is_left_out_and_not_asked_for_again() -> None:
    wire = cinder(v1=answer(404), v2=volume("v2"))
    lookups = Lookups(wire, Clock())
    for _ in range(2):
        assert set(lookups.volumes(["v1", "v2"])) == {"v2"}
    assert len(wire.sent) == 2


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (answer(500), CloudUnreachable),
        (answer(403), NotAllowed),
        (NotInCatalog("the cloud's catalog has no block storage service"), NotInCatalog),
        ({"volume": {"id": "v1"}}, CloudUnreachable),
        ({"volume": None}, CloudUnreachable),
        ([], CloudUnreachable),
    ],
)
def test_a_service_that_does_not_answer_is_asked_once_a_minute(reply: Any, error: type) -> None:
    clock, wire = Clock(), Wire(lambda *_: reply)
    lookups = Lookups(wire, clock)
    for _ in range(3):
        with pytest.raises(error):
            lookups.volumes(["v1", "v2", "v3"])
    assert len(wire.sent) == 1
    clock.now += 61
    with pytest.raises(error):
        lookups.volumes(["v1"])
    assert len(wire.sent) == 2


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
        with pytest.raises(CloudUnreachable):
            lookups.volumes(["v1"])
    with budget(60):
        assert set(lookups.volumes(["v1"])) == {"v1"}


def test_the_image_of_a_volume_counts_where_a_server_boots_from_it() -> None:
    asked = {"hw_tpm_version": "2.0"}
    boots = volume("v1", bootable="true", volume_image_metadata=asked)
    data = volume("v2", bootable="false", volume_image_metadata=asked)
    found = Lookups(cinder(v1=boots, v2=data), Clock()).volumes(["v1", "v2"])
    assert (found["v1"].image_properties, found["v2"].image_properties) == (asked, {})


def test_an_image_has_its_own_properties() -> None:
    image = {"id": "i1", "hw_tpm_version": "2.0", "size": 7, "tags": []}
    found = Lookups(Wire(lambda *_: image), Clock()).images(["i1"])
    assert found["i1"].properties["hw_tpm_version"] == "2.0"


@pytest.mark.field_case("F5")
def test_what_an_image_asked_for_is_known_after_it_is_deleted() -> None:
    """A server made of it is as it was."""
    replies = [{"id": "i1", "hw_tpm_version": "2.0"}, answer(404)]
    clock = Clock()
    lookups = Lookups(Wire(lambda *_: replies.pop(0)), clock)
    for _ in replies[:]:
        assert lookups.images(["i1"])["i1"].properties["hw_tpm_version"] == "2.0"
        clock.now += 3601
    assert not replies


@pytest.mark.promise("always-3")
def test_the_image_of_a_shelved_server_is_looked_for_again_within_seconds() -> None:
    """Its owner may delete it at any time, and an offload deletes the disk on the host."""
    listed = [{"id": "i1", "name": "web-shelved", "status": "active"}]
    clock, wire = Clock(), Wire(lambda *_: {"images": listed})
    lookups = Lookups(wire, clock)
    assert lookups.snapshots(["s1"]) == {"s1"}
    listed.clear()
    clock.now += 6
    assert lookups.snapshots(["s1"]) == frozenset()


@pytest.mark.finding("M9")
def test_only_so_many_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quiesce.openstack.lookups._MOST", 3)
    wire = Wire(lambda service, method, path, *_: volume(path.rpartition("/")[2]))
    lookups = Lookups(wire, Clock())
    assert set(lookups.volumes([f"v{n}" for n in range(5)])) == {f"v{n}" for n in range(5)}
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
    found = lookups.images([f"i{n}" for n in range(30)])
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
        assert len(lookups.images([f"i{n}" for n in range(12)])) == 12
    sizes = [weight(lookups._images._found) for lookups in many]
    assert sum(sizes) <= 33 * 2**20
    assert sizes[0] < 1000 and sizes[-1] > 5 * 2**20, "that of the first one is dropped"
    assert len(many[0].images(["i1"])) == 1


def test_of_an_image_only_what_decides_something_is_kept() -> None:
    image = {"id": "i1", "hw_tpm_version": "2.0", "trait:COMPUTE_X": "required", "os_type": "x"}
    found = Lookups(Wire(lambda *_: image), Clock()).images(["i1"])
    assert found["i1"].properties == {"hw_tpm_version": "2.0", "trait:COMPUTE_X": "required"}
