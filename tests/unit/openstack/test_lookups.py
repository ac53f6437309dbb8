"""Volumes and images by ID: each is read once, and a service that fails is left alone a while."""

from typing import Any

import pytest
from tests.unit.clock import Clock
from tests.unit.openstack.answers import Wire, answer

from quiesce.api.errors import CloudUnreachable, NotAllowed
from quiesce.openstack.errors import NotInCatalog
from quiesce.openstack.lookups import Lookups


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
