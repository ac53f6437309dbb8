"""The fault-injecting proxy itself: nothing passes beside it, and what it has to break breaks."""

import socket
from collections.abc import Iterator

import pytest
from tests.beds.sim.model import Cloud
from tests.beds.sim.simulator import Simulator
from tests.beds.sim.web import HttpFault
from tests.faults.conftest import populate
from tests.faults.test_death_at_every_moment import METHOD, RIGHT, SPEC, outcome
from tests.faults.test_every_call_fails import lifetime, run
from tests.harness.openstack import until
from tests.harness.proxy import Proxy, Refusal, stays_alive
from tests.harness.world import HOST, World, over_http

MIGRATE = "compute POST /servers/{id}/action migrate"


@pytest.fixture
def populated() -> Iterator[Simulator]:
    with Simulator(Cloud()) as sim:
        populate(sim)
        yield sim


@pytest.fixture
def proxy(populated: Simulator) -> Iterator[Proxy]:
    with Proxy(populated.auth_url) as running:
        yield running


@pytest.fixture
def world(populated: Simulator, proxy: Proxy) -> World:
    world = over_http(populated)
    world.secrets.clouds_yaml = proxy.clouds_yaml(populated.cloud_entry("quiesce"))
    return world


def right(world: World) -> bool:
    servers = sorted(world.model.state.servers.values(), key=lambda server: server.name)
    return [outcome(world, server.id) for server in servers] == RIGHT


def finish(world: World, sim: Simulator) -> None:
    run(world, sim, "Drained")
    world.model.kill_compute(HOST)
    run(world, sim, "Ready")
    assert right(world)


def test_every_request_of_a_drain_passes_it(
    populated: Simulator, world: World, proxy: Proxy
) -> None:
    lifetime(world, populated)
    assert right(world)
    assert proxy.log.counts.total() == populated.log.counts.total() > 50
    assert proxy.log.counts[MIGRATE] == 3
    assert {name.split()[0] for name in proxy.log.counts} == {
        "identity",
        "compute",
        "placement",
        "network",
    }


@pytest.mark.parametrize(
    "fault",
    [
        HttpFault("reset"),
        HttpFault("reset", after=True),
        HttpFault("status", status=429, headers=(("Retry-After", "7"),)),
        HttpFault("status", status=500, after=True),
        HttpFault("truncated"),
        HttpFault("empty"),
    ],
    ids=lambda fault: f"{fault.kind} {fault.after}",
)
def test_what_it_breaks_is_mended_by_the_drain(
    populated: Simulator, world: World, proxy: Proxy, fault: HttpFault
) -> None:
    for name in ("compute GET /os-services", MIGRATE):
        proxy.fail(name, fault, times=2)
    lifetime(world, populated)
    assert proxy.struck("compute GET /os-services") == proxy.struck(MIGRATE) == 2
    assert right(world)


def test_a_death_before_a_request_leaves_it_unsent(
    populated: Simulator, world: World, proxy: Proxy
) -> None:
    proxy.watch = lambda moment: moment == f"before {MIGRATE}"
    world.apply(METHOD, **SPEC)
    world.until(lambda: proxy.log.counts[MIGRATE] > 0)
    assert "migration" not in {record.kind for record in world.model.state.migrations}
    proxy.watch = stays_alive
    finish(world, populated)


def test_a_death_after_a_request_leaves_its_effect(
    populated: Simulator, world: World, proxy: Proxy
) -> None:
    proxy.watch = lambda moment: moment == f"after {MIGRATE}"
    world.apply(METHOD, **SPEC)
    world.until(lambda: proxy.log.counts[MIGRATE] == 3)
    proxy.watch = stays_alive
    finish(world, populated)


def test_a_request_of_which_only_a_part_arrives_is_not_sent_on(
    populated: Simulator, proxy: Proxy
) -> None:
    with socket.create_connection(("127.0.0.1", proxy.port)) as sender:
        sender.sendall(
            b'POST /identity/identity/v3/auth/tokens HTTP/1.1\r\nContent-Length: 50\r\n\r\n{"auth":'
        )
        sender.shutdown(socket.SHUT_WR)
        assert sender.recv(1) == b""
    assert proxy.log.counts == populated.log.counts == {}


def test_where_connections_are_refused_the_drain_waits(
    populated: Simulator, world: World, proxy: Proxy
) -> None:
    proxy.fail("compute GET /servers/detail", Refusal(0.5))
    world.apply(METHOD, **SPEC)
    world.until(lambda: "Connection refused" in world.condition("Reconciling").get("message", ""))
    until("the proxy to listen again", lambda: proxy.server)
    finish(world, populated)
