"""One cloud by its public and by its internal address is one."""

from typing import Any

import pytest

from quiesce.api.errors import BadCredentials
from quiesce.openstack.session import Clouds
from tests.security.hostile_cloud import HostileCloud


def endpoint(interface: str, url: str, region: str = "R") -> dict[str, Any]:
    return {"interface": interface, "region": region, "region_id": region, "id": "e", "url": url}


def found(there: HostileCloud, **entry: Any) -> str:
    return Clouds(30).get(there.secret(**entry), "openstack").identity


@pytest.mark.finding("H6")
def test_interfaces_of_a_region_are_one_cloud_and_regions_are_not() -> None:
    with HostileCloud() as there, HostileCloud() as other:
        endpoints = [
            endpoint("public", f"{there.base}/v2.1"),
            endpoint("internal", f"{other.base}/v2.1/p1"),
            endpoint("public", f"{there.base}/v2.1", "S"),
        ]
        there.catalog = other.catalog = [{"type": "compute", "endpoints": endpoints}]
        public = found(there, region_name="R")
        assert found(there, region_name="R", interface="internal") == public
        assert found(other, region_name="R") == public, "by another address of Keystone"
        assert (
            found(there, compute_endpoint_override=f"{other.base}/v2.1", region_name="R") == public
        )
        assert found(there) == public, "the region is that of the endpoint that is used"
        assert found(there, region_name="S") != public


@pytest.mark.finding("H6")
def test_a_cloud_that_claims_the_addresses_of_another_is_another() -> None:
    with HostileCloud() as victim, HostileCloud() as attacker:
        own = [endpoint("public", f"{victim.base}/v2.1")]
        victim.catalog = [{"type": "compute", "endpoints": own}]
        mine = endpoint("internal", f"{attacker.base}/v2.1")
        attacker.catalog = [{"type": "compute", "endpoints": [*own, mine]}]
        assert found(attacker, interface="internal") != found(victim)
        assert found(attacker, compute_endpoint_override=f"{attacker.base}/v2.1") != found(victim)


@pytest.mark.finding("H6")
@pytest.mark.parametrize("region", [{}, {"region_name": "R"}])
def test_an_address_of_nova_that_is_not_in_the_catalog_is_refused(region: dict[str, str]) -> None:
    """By it one Nova would be two clouds, and two drains could work on one host."""
    with HostileCloud() as there, HostileCloud() as other:
        endpoints = [
            endpoint("public", f"{there.base}/v2.1"),
            endpoint("public", f"{other.base}/v2.1", "S"),
        ]
        there.catalog = [{"type": "compute", "endpoints": endpoints}]
        listed = {"compute_endpoint_override": f"{there.base}/"}
        assert found(there, **listed, **region) == found(there, **region)
        elsewhere = {"compute_endpoint_override": f"{other.base}/nova/v2.1"}
        with pytest.raises(BadCredentials, match="compute_endpoint_override"):
            found(there, **elsewhere, **region)
        of_another_region = {"compute_endpoint_override": f"{other.base}/v2.1"}
        with pytest.raises(BadCredentials, match="in this region"):
            found(there, **of_another_region, region_name="R")
