"""kill -9 at every moment of a drain: the same end, and each server is moved once.

Twelve servers in mixed states. A moment is before and after every request to OpenStack and every
write to the API server.
"""

import itertools

import pytest
from tests.beds.sim.model import Cloud
from tests.beds.sim.simulator import Simulator
from tests.faults.conftest import populate
from tests.harness.inprocess import Boundary
from tests.harness.world import HOST, MOVES, World, over_http

METHOD = "LiveThenCold"
SPEC = {"migration": {"maxParallel": 6}}


def drain(monkeypatch: pytest.MonkeyPatch, fatal: int) -> tuple[World, list[str]]:
    """A whole drain in which the operator dies at one moment, and the outcome for each server."""
    boundary = Boundary(fatal)
    with monkeypatch.context() as patch, Simulator(Cloud()) as sim:
        boundary.watch(patch)
        servers = populate(sim)
        world = over_http(sim, boundary)
        world.apply(METHOD, **SPEC)
        world.until(lambda: world.is_true("Drained"))
        sim.cloud.kill_compute(HOST)
        world.until(lambda: world.is_true("Ready"))
        return world, [outcome(world, server.id) for server in servers]


def outcome(world: World, server_id: str) -> str:
    server = world.model.state.servers[server_id]
    touched = world.actions(server_id, (*MOVES, "shelveOffload"))
    where = "HERE" if server.host == HOST else "away"
    return f"{server.vm_state}/{server.task_state} {where} {' '.join(touched)}"


RIGHT = [
    *["active/None away live-migration"] * 7,
    *["stopped/None away migrate confirmResize"] * 3,
    "paused/None away live-migration",
    "shelved_offloaded/None away shelveOffload",
]


@pytest.mark.promise("never-1", "always-2")
def test_a_death_at_any_moment_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to the first drain that ends before its moment comes.

    How many moments there are differs a little: calls for several servers are sent by threads.
    """
    wrong = []
    for fatal in itertools.count(1):
        world, outcomes = drain(monkeypatch, fatal)
        if outcomes != RIGHT or world.status["progress"]["summary"] != "12/12":
            wrong.append(
                (fatal, world.boundary.names[fatal - 1 :][:1], outcomes, world.status["progress"])
            )
        if not world.restarts:
            break
        assert world.restarts == 1
    assert not wrong
    assert fatal > 100
