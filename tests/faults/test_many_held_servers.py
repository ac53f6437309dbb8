"""More servers wait for a decision than one request line can name (8190 bytes, then HTTP 414)."""

import pytest
from tests.beds.sim.simulator import Simulator
from tests.harness.world import HOST, over_http

MANY = 180  # the IDs of 174 servers fill a line


@pytest.mark.field_case("F16")
def test_the_ports_of_all_of_them_are_checked(sim: Simulator) -> None:
    for provider in sim.cloud.placement.providers.values():
        provider.inventories["VCPU"] = 2 * MANY
    servers = [sim.cloud.boot(f"s{n:03}", host=HOST) for n in range(MANY)]
    sim.cloud.clock.advance(30)
    world = over_http(sim)
    world.apply(confirmation={"policy": "Manual"}, migration={"maxParallel": 200})
    world.until(lambda: world.status.get("progress", {}).get("blocked") == MANY)
    assert world.problems() == {"AwaitingDecision"}
    assert world.status["phase"] == "Stalled"
    assert all(server.vm_state == "resized" for server in servers)
