"""What Cinder and Glance know of the servers, and what a drain does where they say nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from tests.unit.drain.build import server

from quiesce.api.errors import CloudUnreachable, NotAllowed
from quiesce.drain.observe.volumes import read_volumes
from quiesce.openstack.cloud import Cloud
from quiesce.openstack.errors import NotInCatalog
from quiesce.openstack.lookups import Failure, Found
from quiesce.openstack.records import Image, Server, Volume

NONE = Failure(NotInCatalog, "the cloud's catalog has no block storage service")
REFUSED = Failure(NotAllowed, "403")
AWAY = Failure(CloudUnreachable, "GET /volumes/v1: HTTP 503")


@dataclass
class Known:
    """A cloud that knows these volumes and images, or of all, or of one, why it does not."""

    volumes_: Mapping[str, Volume | Failure] | Failure = field(default_factory=dict)
    images_: Mapping[str, Image | Failure] | Failure = field(default_factory=dict)
    shows_image_properties: bool = True
    snapshots_: Mapping[str, str | Failure] | Failure = field(default_factory=dict)

    def snapshots(self, ids: Any) -> Any:
        return self._answer(self.snapshots_, ids)

    def volumes(self, ids: Any) -> Any:
        return self._answer(self.volumes_, ids)

    def images(self, ids: Any) -> Any:
        return self._answer(self.images_, ids)

    def _answer(self, all_: Any, ids: Any) -> Found[Any]:
        every = {i: all_ if isinstance(all_, Failure) else all_.get(i) for i in ids}
        unknown = {i: each for i, each in every.items() if isinstance(each, Failure)}
        return Found({i: x for i, x in every.items() if x and i not in unknown}, unknown)


def read(cloud: Known, *servers: Server) -> tuple[tuple[Server, ...], list[str]]:
    found, unread = read_volumes(cast(Cloud, cloud), servers)
    return found, [reason for reason, _, _ in unread]


@pytest.mark.field_case("F6")
def test_which_volumes_are_encrypted() -> None:
    cloud = Known({"v1": Volume("v1", False), "v2": Volume("v2", True)})
    found, unread = read(cloud, server("s1", volumes=("v1", "v2", "gone")), server("s2"))
    assert [one.encrypted for one in found] == [("v2",), ()]
    assert unread == []


@pytest.mark.field_case("F6")
@pytest.mark.parametrize(("error", "encrypted"), [(NONE, ()), (REFUSED, ()), (AWAY, None)])
def test_what_is_not_known_is_said(error: Failure, encrypted: Any) -> None:
    found, unread = read(Known(error), server("s1", volumes=("v1",)), server("s2"))
    assert [one.encrypted for one in found] == [encrypted, ()]
    assert unread == ["VolumesNotRead"]


@pytest.mark.field_case("F6")
def test_without_volumes_nothing_is_asked_and_nothing_unknown() -> None:
    assert read(Known(NONE, NONE), server("s1"))[1] == []


@pytest.mark.field_case("F5")
def test_an_image_of_an_older_nova_is_asked_of_glance() -> None:
    one = server("s1", image_id="i1", image_properties={"os_type": "windows"})
    known = {"i1": Image("i1", {"hw_tpm_version": "2.0", "os_type": "linux"})}
    (found,), _ = read(Known(images_=known, shows_image_properties=False), one)
    assert found.image_properties == {"hw_tpm_version": "2.0", "os_type": "windows"}
    (found,), _ = read(Known(images_=known), one)
    assert "hw_tpm_version" not in found.image_properties


@pytest.mark.field_case("F5")
@pytest.mark.parametrize(
    ("answer", "waits"), [(NONE, False), (REFUSED, False), (AWAY, True), ({}, False)]
)
def test_what_an_image_asked_for_and_glance_does_not_tell_is_said(answer: Any, waits: bool) -> None:
    """Before 2.98 Nova shows no properties of an image: of one that was deleted they are lost."""
    one = server("s1", image_id="i1")
    cloud = Known(images_=answer, shows_image_properties=False)
    (found, other), unread = read(cloud, one, server("s2"))
    assert (found.image_read, other.image_read) == (not waits, True)
    assert unread == ["ImagesNotRead"]
    assert read(Known(images_=answer), one) == ((one,), [])


@pytest.mark.field_case("F5")
def test_the_image_of_a_boot_volume_is_not_known_while_cinder_does_not_answer() -> None:
    boots = server("s1", volumes=("v1",), volume_backed=True)
    found, _ = read(Known(AWAY), boots, server("s2", volumes=("v1",), image_id="i1"))
    assert [one.image_read for one in found] == [False, True]


@pytest.mark.field_case("F5")
def test_an_image_of_a_boot_volume_counts() -> None:
    boot = Volume("v1", False, {"hw_tpm_version": "2.0"})
    (found,), _ = read(Known({"v1": boot}), server("s1", volumes=("v1",), volume_backed=True))
    assert found.image_properties["hw_tpm_version"] == "2.0"
    (other,), _ = read(Known({"v1": boot}), server("s1", volumes=("v1",)))
    assert not other.image_properties


@pytest.mark.parametrize(
    ("answer", "snapshot"),
    [
        ({"s1": "i1"}, True),
        ({}, False),
        (AWAY, None),
        (REFUSED, None),
        (NONE, True),
    ],
)
def test_the_image_of_a_shelved_server_is_looked_for(answer: Any, snapshot: bool | None) -> None:
    shelved = server("s1", "SHELVED")
    found, unread = read(Known(snapshots_=answer), shelved, server("s2"))
    assert [one.snapshot for one in found] == [snapshot, True]
    assert unread == (["ImagesNotRead"] if isinstance(answer, Failure) else [])
    on_volume = server("s1", "SHELVED", volume_backed=True)
    assert read(Known(snapshots_={}), on_volume)[0] == (on_volume,)


@pytest.mark.promise("never-11")
def test_only_servers_wait_whose_own_volume_image_or_snapshot_is_unknown() -> None:
    """The others are as they are known to be."""
    servers = (
        server("v", volumes=("v1", "bad"), volume_backed=True),
        server("w", volumes=("v1",), volume_backed=True),
        server("i", image_id="bad"),
        server("j", image_id="i1"),
        server("k", "SHELVED"),
        server("l", "SHELVED"),
    )
    tpm = {"hw_tpm_version": "2.0"}
    cloud = Known(
        {"v1": Volume("v1", True, tpm), "bad": AWAY},
        {"i1": Image("i1", tpm), "bad": AWAY},
        shows_image_properties=False,
        snapshots_={"l": "i2", "k": AWAY},
    )
    (v, w, i, j, k, l_), unread = read(cloud, *servers)
    assert (v.encrypted, v.image_read) == (None, False)
    assert (w.encrypted, w.image_read, w.image_properties) == (("v1",), True, tpm)
    assert (i.image_read, j.image_read, j.image_properties) == (False, True, tpm)
    assert (k.snapshot, l_.snapshot) == (None, True)
    assert unread == ["VolumesNotRead", "ImagesNotRead", "ImagesNotRead"]


def test_who_waits_is_said_apart_from_who_does_not() -> None:
    cloud = Known({"v1": AWAY, "v2": REFUSED, "v3": AWAY})
    servers = [server("s0", volumes=("v2", "v3"))]
    servers += [server(f"s{n}", volumes=(f"v{n}",)) for n in (1, 2, 3)]
    found, unread = read_volumes(cast(Cloud, cloud), tuple(servers))
    assert [one.encrypted for one in found] == [None, None, (), None]
    (_, waiting, why), (_, others, because) = unread
    assert (waiting, others) == (3, 1)
    assert AWAY.text in why and why.endswith("They wait")
    assert because.endswith(REFUSED.text)
