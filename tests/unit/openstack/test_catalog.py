"""The services of a cloud's catalog, on the stand-in over HTTP."""

from collections.abc import Iterator

import pytest
import yaml
from tests.beds.sim.model import Cloud as Model
from tests.beds.sim.simulator import Simulator

from quiesce.kube.secrets import Secret
from quiesce.openstack.cloud import Cloud
from quiesce.openstack.errors import NotInCatalog
from quiesce.openstack.lookups import Failure
from quiesce.openstack.session import Clouds


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator(Model(("cmp1", "cmp2"), speed=20.0)) as sim:
        yield sim


def cloud(sim: Simulator) -> Cloud:
    entry = yaml.safe_dump({"clouds": {"openstack": sim.cloud_entry("quiesce")}})
    return Clouds(10).get(Secret("ns", "s", "1", {"clouds.yaml": entry.encode()}), "openstack")


@pytest.mark.field_case("F6")
def test_volumes_of_another_project_are_read_from_cinder(sim: Simulator) -> None:
    server = sim.cloud.boot_active("db", "cmp1")
    plain = sim.cloud.attach_volume(server, boots=True, hw_tpm_version="2.0")
    secret = sim.cloud.attach_volume(server, encrypted=True)
    there = cloud(sim)
    (found,) = there.servers_on("cmp1")
    assert set(found.volumes) == {plain.id, secret.id}
    volumes = there.volumes([*found.volumes, "gone"]).known
    assert {id_: volume.encrypted for id_, volume in volumes.items()} == {
        plain.id: False,
        secret.id: True,
    }
    assert volumes[plain.id].image_properties == {"hw_tpm_version": "2.0"}


@pytest.mark.field_case("F6")
def test_what_is_not_in_the_catalog_is_told_so_and_breaks_nothing(sim: Simulator) -> None:
    for service in ("placement", "network", "block-storage"):
        sim.identity.services.remove(service)
    there = cloud(sim)
    for _ in range(2):
        with pytest.raises(NotInCatalog, match="no placement service"):
            there.allocations("cmp1")
        with pytest.raises(NotInCatalog, match="no network service"):
            there.ports(["s1"])
        text = "the cloud's catalog has no {} service"
        no_cinder = Failure(NotInCatalog, text.format("block storage"))
        assert there.volumes(["v1"]).unknown == {"v1": no_cinder}
        no_glance = Failure(NotInCatalog, text.format("image"))
        assert there.images(["i1"]).unknown == {"i1": no_glance}
    assert not there.broken
    assert there.servers_on("cmp1") == ()


@pytest.mark.field_case("F13")
def test_a_server_in_a_cell_that_is_down_is_partial(sim: Simulator) -> None:
    server = sim.cloud.boot_active("web", "cmp1")
    there = cloud(sim)
    sim.cloud.state.down_cells.add("cell1")
    found = there.server(server.id)
    assert found is not None
    assert (found.partial, found.host, found.name) == (True, None, server.id)
    assert there.servers_on("cmp1") == ()
