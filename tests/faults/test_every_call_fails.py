"""Every call of a drain fails in every way: it still ends right, and no server is moved twice."""

from collections.abc import Iterator

import pytest
from tests.beds.sim.model import Cloud
from tests.beds.sim.simulator import Simulator
from tests.beds.sim.web import HttpFault
from tests.faults.conftest import populate
from tests.faults.test_death_at_every_moment import METHOD, RIGHT, SPEC, outcome
from tests.harness.faults import EVERYWHERE
from tests.harness.world import HOST, World, over_http

SLOW = 1.2  # seconds of an answer that comes too late for the client's TIMEOUT
TIMEOUT = 0.6

FAULTS = EVERYWHERE | {"an answer that comes too late": HttpFault("delay", seconds=SLOW)}


def calls() -> list[str]:
    """The routes of a whole drain, as the stand-in logs them."""
    with Simulator(Cloud()) as sim:
        populate(sim)
        lifetime(over_http(sim), sim)
        return sorted(sim.log.counts)


def lifetime(world: World, sim: Simulator) -> None:
    """Applied, drained, compute stopped, service deleted."""
    world.apply(METHOD, **SPEC)
    run(world, sim, "Drained")
    sim.cloud.kill_compute(HOST)
    run(world, sim, "Ready")


def run(world: World, sim: Simulator, condition: str) -> None:
    """To this condition; Drained is never reported while Nova has a server on the host."""

    def there() -> bool:
        if world.is_true("Drained"):
            assert not sim.cloud.servers_on(HOST)
        if not sim.listens and world.tick():
            sim.start()
        return world.is_true(condition)

    world.until(there)


@pytest.fixture(scope="module")
def routes() -> list[str]:
    return calls()


@pytest.fixture
def populated() -> Iterator[Simulator]:
    with Simulator(Cloud()) as sim:
        populate(sim)
        yield sim


@pytest.mark.promise("never-9", "always-6")
@pytest.mark.parametrize("fault", FAULTS)
def test_the_drain_ends_right_whichever_call_fails(routes: list[str], fault: str) -> None:
    assert len(routes) >= 12
    for route in routes:
        with Simulator(Cloud()) as sim:
            servers = populate(sim)
            world = over_http(sim, timeout=TIMEOUT)
            sim.fail(route, FAULTS[fault], times=2)
            lifetime(world, sim)
            assert [outcome(world, server.id) for server in servers] == RIGHT, route
            assert sim.cloud.service(HOST) is None, route


@pytest.mark.promise("never-9")
def test_the_drain_ends_right_whichever_call_is_refused_a_connection(routes: list[str]) -> None:
    for route in routes:
        with Simulator(Cloud()) as sim:
            servers = populate(sim)
            world = over_http(sim, timeout=TIMEOUT)
            sim.refuse(route, times=2)
            lifetime(world, sim)
            assert [outcome(world, server.id) for server in servers] == RIGHT, route
            assert sim.cloud.service(HOST) is None, route


def test_a_cloud_that_cannot_say_its_version_is_not_called_old(populated: Simulator) -> None:
    world = over_http(populated)
    world.apply(METHOD, **SPEC)
    populated.fail("compute GET /v2.1", HttpFault("status", status=503), times=10_000)
    world.until(lambda: "reason" in world.condition("Ready"))
    assert world.condition("Ready")["reason"] == "CloudUnreachable"


@pytest.mark.promise("always-1")
def test_an_outage_of_everything_is_shown_and_passes(populated: Simulator) -> None:
    world = over_http(populated, timeout=TIMEOUT)
    world.apply(METHOD, **SPEC)
    world.until(lambda: world.status.get("progress", {}).get("moved", 0) > 2)
    populated.stop()
    world.until(lambda: world.condition("Ready").get("reason") == "CloudUnreachable")
    assert world.condition("Reconciling")["status"] == "True"
    populated.start()
    run(world, populated, "Drained")


@pytest.mark.promise("never-4", "always-6")
def test_an_empty_list_is_never_an_empty_host(populated: Simulator) -> None:
    """For as long as Nova lists no server, placement's allocations speak against it."""
    world = over_http(populated)
    world.apply(METHOD, **SPEC)
    populated.fail("compute GET /v2.1/servers/detail", HttpFault("empty"), times=10_000)
    for _ in range(60):
        world.tick()
        assert not world.is_true("Drained")
    assert populated.cloud.service(HOST) is not None
    populated.heal()
    run(world, populated, "Drained")
