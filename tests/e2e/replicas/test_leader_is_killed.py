"""Two replicas under a drain of 40 servers: the leader is killed ten times, and paused once.

Never are two of them at work, by the records of the API server and of Nova; no server is moved
twice; and the other one takes over in seconds.
"""

import os
import random
import signal
import time
from pathlib import Path

import pytest
from tests.beds.sim.simulator import Simulator
from tests.beds.sim.web import HttpFault, Request
from tests.e2e.replicas.conftest import HOST, SERVERS
from tests.harness.kubernetes import ACCOUNT, Drain, Kube
from tests.harness.openstack import until
from tests.harness.replicas import Pair, Replica, first_after, of_kubernetes, of_nova, terms

from quiesce.exits import Exit

KILL, TERM = signal.SIGKILL, signal.SIGTERM
AT_ONCE = 1 if "QUIESCE_NIGHTLY" in os.environ else 2
"""Moves: at night the drain lasts until after the last kill."""
WAYS = (KILL, KILL, KILL, KILL, *(TERM,) * 6)
SECONDS = {KILL: 20.0, TERM: 3.0}
MOVE = "compute POST /v2.1/servers/{id}/action"


def some_calls(sim: Simulator, number: int) -> None:
    """Until Nova has answered so many more calls that change something, or the host is empty."""
    begun = len(of_nova(sim.log))

    def reached() -> bool:
        left = [each for each in list(sim.cloud.state.servers.values()) if each.host == HOST]
        return len(of_nova(sim.log)) >= begun + number or not left

    until(f"{number} calls", reached, pause=0.02)


def pause_within_a_move(sim: Simulator, leader: Replica) -> None:
    """SIGSTOP while Nova has its request for a move, and has not answered."""
    stopped = False

    def hook(request: Request) -> HttpFault | None:
        nonlocal stopped
        name = f"{request.service} {request.method} {request.route}"
        if not stopped and name == MOVE and "migrate" in request.body:
            stopped = True
            leader.send(signal.SIGSTOP)
        return None

    sim.application.hook = hook
    until("the leader is paused", lambda: stopped, pause=0.01)
    sim.heal()


@pytest.mark.promise("never-1", "always-2", "always-10")
@pytest.mark.timeout(900)
def test_one_at_a_time_and_no_server_twice(
    kube: Kube, sim: Simulator, pair: Pair, namespace: str, audit: Path, seed: int
) -> None:
    chance, began = random.Random(seed), time.time()
    ways = list(WAYS)
    chance.shuffle(ways)
    drain = Drain.apply(
        kube,
        namespace,
        HOST,
        service={"afterDrain": "KeepDisabled"},
        migration={"maxParallel": AT_ONCE},
    )
    pair.leader()
    some_calls(sim, 2)

    leader, other = pair.leader()
    pause_within_a_move(sim, leader)
    paused, left = leader.identity, time.time()
    pair.await_holder(other)
    some_calls(sim, 3)
    leader.send(signal.SIGCONT)
    assert leader.ended() == Exit.LEASE_LOST
    assert "lost Lease" in leader.log
    leader.start_again()

    gaps: list[tuple[signal.Signals, float, str]] = []
    for way in ways:
        leader, other = pair.leader()
        some_calls(sim, chance.randint(0, 3))
        gaps.append((way, time.time(), leader.identity))
        leader.send(way)
        pair.await_holder(other)
        leader.ended()
        leader.start_again()

    drain.wait("Drained", timeout=300)
    leader, _ = pair.leader()
    leader.operator.stop()
    written = [*of_nova(sim.log), *of_kubernetes(audit, began, namespace, ACCOUNT[0])]
    order = terms(written)
    assert len(order) == len(set(order)), order
    taken = [(way.name, first_after(written, at, gone), SECONDS[way]) for way, at, gone in gaps]
    print(f"paused: taken over after {first_after(written, left, paused):.1f} s")
    print("; ".join(f"{way} {seconds:.1f} s" for way, seconds, _ in taken))
    print(f"{len(order)} terms, {len(written)} writes, {time.time() - began:.0f} s")
    assert [each for each in taken if each[1] > each[2]] == []
    state = sim.cloud.state
    for server in state.servers.values():
        done = [each.name for each in state.actions[server.id] if each.name != "create"]
        assert (server.host != HOST, server.vm_state, done) == (
            True,
            "active",
            ["migrate", "confirmResize"],
        ), server.name
    assert len(state.servers) == SERVERS
