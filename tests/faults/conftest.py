"""Every failure of every call, and a death at every moment, on the stand-in for OpenStack."""

from collections.abc import Iterator

import pytest
from tests.beds.sim.model import Cloud
from tests.beds.sim.records import Server
from tests.beds.sim.simulator import Simulator
from tests.harness.world import HOST


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator(Cloud()) as running:
        yield running


def populate(sim: Simulator) -> list[Server]:
    """Twelve servers on one host: seven running, three shut off, one paused, one shelved."""
    cloud = sim.cloud
    servers = [cloud.boot_active(f"s{i:02}", HOST) for i in range(12)]
    admin = cloud.as_user("admin")
    for server in servers[7:10]:
        cloud.guests.act(admin, server.id, "os-stop")
    cloud.guests.act(admin, servers[10].id, "pause")
    cloud.guests.act(admin, servers[11].id, "shelve")
    cloud.clock.advance(10)
    return servers
