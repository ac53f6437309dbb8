"""Where services are, which cloud it is, and what may be part of a request."""

import pytest

from quiesce.api.errors import CloudUnreachable
from quiesce.openstack.addresses import address_fault, is_id, origin, path
from quiesce.openstack.catalog import Catalog, base_url, identity

P = "b9f10eca66ac4c279c139d01e65f96b4"


@pytest.mark.parametrize(
    ("service", "listed", "used"),
    [
        # as Nova, Placement, Neutron, Cinder and Glance are registered by their guides, by
        # DevStack, and in older clouds
        ("compute", "http://c:8774/v2.1", "http://c:8774/v2.1"),
        ("compute", "http://c:8774/v2.1/", "http://c:8774/v2.1"),
        ("compute", f"http://c:8774/v2.1/{P}", "http://c:8774/v2.1"),
        ("compute", f"http://c:8774/v2/{P}", "http://c:8774/v2.1"),
        ("compute", "http://c/compute/v2.1", "http://c/compute/v2.1"),
        ("compute", "http://c:8774", "http://c:8774/v2.1"),
        ("placement", "http://c:8778", "http://c:8778"),
        ("placement", "http://c/placement/", "http://c/placement"),
        ("network", "http://c:9696", "http://c:9696/v2.0"),
        ("network", "http://c:9696/", "http://c:9696/v2.0"),
        ("network", "http://c:9696/v2.0", "http://c:9696/v2.0"),
        ("network", "http://c/networking", "http://c/networking/v2.0"),
        ("block_storage", f"http://c:8776/v3/{P}", f"http://c:8776/v3/{P}"),
        ("block_storage", "http://c:8776/v3", "http://c:8776/v3"),
        ("block_storage", "http://c/volume/v3", "http://c/volume/v3"),
        ("image", "http://c:9292", "http://c:9292/v2"),
        ("image", "http://c/image/v2/", "http://c/image/v2"),
        ("image", "http://[2001:db8::1]:9292", "http://[2001:db8::1]:9292/v2"),
    ],
)
def test_where_a_service_is(service: Catalog, listed: str, used: str) -> None:
    assert base_url(service, listed, P) == used


def test_an_address_that_is_not_plain_is_told_without_it() -> None:
    with pytest.raises(
        CloudUnreachable, match="the compute service in the catalog has a user"
    ) as e:
        base_url("compute", "http://u:hunter2@c:8774/v2.1", P)
    assert "hunter2" not in str(e.value)


PUBLIC, INTERNAL, ADMIN = "https://api.example.org/compute/v2.1", "http://10.0.0.5:8774/v2.1", ""


@pytest.mark.finding("H6")
@pytest.mark.parametrize(
    "same",
    [
        ([PUBLIC, INTERNAL], "R", None),
        ([INTERNAL, PUBLIC, PUBLIC], "R", None),
        ([PUBLIC + "/", "HTTP://10.0.0.5:8774/v2.1".lower()], "R", P),
        ([f"{PUBLIC}/{P}", f"http://10.0.0.5:8774/v2/{P}"], "R", P),
        (["https://API.example.org:443/compute/v2.1", INTERNAL], "R", None),
    ],
)
def test_addresses_of_one_cloud(same: tuple[list[str], str, str | None]) -> None:
    assert identity(*same) == identity([PUBLIC, INTERNAL], "R", None)


@pytest.mark.finding("H6")
@pytest.mark.parametrize(
    "other",
    [
        ([PUBLIC, INTERNAL], "S", None),
        ([PUBLIC], "R", None),
        ([PUBLIC, INTERNAL, "http://attacker.example/v2.1"], "R", None),
        ([PUBLIC, "http://10.0.0.5:8775/v2.1"], "R", None),
        (["http://api.example.org/compute/v2.1", INTERNAL], "R", None),
        (["https://api.example.org/other/v2.1", INTERNAL], "R", None),
    ],
)
def test_another_cloud_is_another(other: tuple[list[str], str, str | None]) -> None:
    """One that claims another's addresses has to be reached at one of them."""
    assert identity(*other) != identity([PUBLIC, INTERNAL], "R", None)


@pytest.mark.parametrize(
    "url", ["https://k", "http://k:5000/v3", "https://[::1]:5000/", "http://a_b/x"]
)
def test_plain_addresses(url: str) -> None:
    assert address_fault(url) is None


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("https://k/v3", ("https", "k", 443)),
        ("http://K.example.org./", ("http", "k.example.org", 80)),
        ("http://[::1]:1/", ("http", "::1", 1)),
    ],
)
def test_origins(url: str, found: tuple[str, str, int]) -> None:
    assert origin(url) == found


@pytest.mark.parametrize(
    "text", ["12", "6f0c2a3e-1111-2222-3333-444455556666", "req-1", "cmp_1", "a" * 64]
)
def test_ids(text: str) -> None:
    assert is_id(text)
    assert path("servers", text) == f"/servers/{text}"


@pytest.mark.finding("M11")
@pytest.mark.parametrize(
    "url",
    [
        "http://[1.2.3.4]/v3",
        "http://[..]/v3",
        "http://[:::::]/v3",
        "http://[fe80::1%25eth0]/v3",
        "http://[fe80::1%eth0]/v3",
        "http://[::1/v3",
        "http://h:\u0661\u0662/v3",
        "http://h:0/v3",
        "http://h:65536/v3",
        "http://h\uff0ev3/",
        "http://user@h/v3",
        "http://h/v3#f",
    ],
)
def test_what_only_looks_like_an_address_is_none(url: str) -> None:
    """What has no fault can be taken apart: that raises nothing later."""
    assert address_fault(url)


def test_an_ipv6_address_is_one() -> None:
    assert address_fault("http://[2001:db8::1]:5000/v3") is None
    assert origin("http://[::ffff:192.0.2.1]:5000/v3") == ("http", "::ffff:192.0.2.1", 5000)
