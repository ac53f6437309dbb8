"""`--max-arrivals`, where Nova would send all servers to the same host, as to an empty new one; and
`--max-moves`: both hold across restarts.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from quiesce.kube.resource import Key
from tests.harness.fleet import Fleet
from tests.harness.timeline import ENDED, TO_CONFIRM, Timeline

TURN = 300.0
LOOK = "GET /servers/detail host"


def emptied(drains: int, **options: Any) -> tuple[Fleet, Timeline]:
    servers = 8
    fleet = Fleet(drains, servers, 20, spread=0.1, **options)
    fleet.model.computes.add("new", vcpus=1000, ram=10**7, disk=10**7)
    timeline = Timeline(fleet.model, drains * servers).begin()
    while fleet.moved < drains * servers:
        fleet.run(10)
    return fleet, timeline


@pytest.mark.parametrize("method", ["Cold", "Live"])
@pytest.mark.parametrize("drains", [1, 6])
@pytest.mark.parametrize("most", [1, 3])
def test_no_destination_has_more_at_once(drains: int, most: int, method: str) -> None:
    assert emptied(drains, method=method)[1].most_at_once > most
    fleet, timeline = emptied(drains, method=method, max_arrivals=most)
    assert timeline.most_at_once <= most
    bound = fleet.servers * 20 / most
    assert timeline.samples[-1].seconds <= 2 * bound + 60, "and they do move"


def test_drains_that_wait_for_others_to_arrive_rest_and_say_so() -> None:
    fleet = Fleet(10, servers=4, seconds=600, max_arrivals=2)
    fleet.model.computes.add("new", vcpus=1000, ram=10**7, disk=10**7)
    fleet.run(120)
    fleet.made.clear()
    fleet.run(300)
    assert fleet.made[LOOK] <= 60, "those of drains that move, and no more"
    told = [each["status"]["message"] for each in fleet.store.objects.values()]
    assert sum("--max-arrivals" in message for message in told) >= 8, told


@pytest.mark.parametrize("method", ["Cold", "Live"])
def test_limits_hold_when_the_operator_is_restarted(method: str) -> None:
    """What is in flight for others is known before any drain is read."""
    fleet = Fleet(8, servers=6, seconds=20, method=method, max_moves=6, max_arrivals=2)
    fleet.model.computes.add("new", vcpus=1000, ram=10**7, disk=10**7)
    for _ in range(12):
        fleet.run(7)
        fleet.restart()
        for _ in range(10):
            fleet.run(0.5)
            moves = [m for m in fleet.model.state.migrations if m.status not in ENDED]
            assert len(moves) <= 6
            arriving = Counter(m.dest for m in moves if m.status not in TO_CONFIRM and m.dest)
            assert max(arriving.values(), default=0) <= 2
    assert fleet.moved > 8


def suspend(fleet: Fleet, host: str) -> None:
    fleet.store.edit(Key("openstack", host), lambda spec: spec.update(suspend=True))
    fleet.queue.add(Key("openstack", host), news=True)


def nova_compute_dies(fleet: Fleet, host: str) -> None:
    fleet.model.computes.kill(host)


@pytest.mark.promise("never-11")
@pytest.mark.parametrize(
    ("method", "comes_to_a_stop"),
    [("Cold", suspend), ("Cold", nova_compute_dies), ("Live", nova_compute_dies)],
)
@pytest.mark.parametrize("restarts", [False, True])
def test_moves_that_only_a_person_ends_take_no_slot_from_others(
    restarts: bool, method: str, comes_to_a_stop: Callable[[Fleet, str], None]
) -> None:
    fleet = Fleet(3, servers=3, seconds=30, spread=8.0, method=method, parallel=2, max_moves=2)
    fleet.run(12)
    moves = fleet.model.state.migrations
    assert {m.source for m in moves} == {"src0"}, "it has both slots"
    comes_to_a_stop(fleet, "src0")
    fleet.run(90)
    if restarts:
        fleet.restart()
    fleet.run(900)
    left = Counter(m.source for m in moves if m.status in ENDED)
    assert left["src0"] == 0
    assert min(left["src1"], left["src2"]) >= 3


# In turns


@pytest.mark.promise("never-11")
@pytest.mark.parametrize("method", ["Cold", "Live"])
@pytest.mark.parametrize("most", [1, 2])
def test_drains_whose_servers_all_go_to_the_same_host_take_turns(most: int, method: str) -> None:
    """Each would have it for itself for longer than a turn."""
    drains, servers = 3, 20 * most
    fleet = Fleet(drains, servers, 30, spread=10.0, method=method, max_arrivals=most)
    fleet.model.computes.add("new", vcpus=1000, ram=10**7, disk=10**7)
    fleet.run(3 * TURN)
    moves = Counter(m.source for m in fleet.model.state.migrations)
    assert min(moves[host] for host in fleet.hosts) >= 4, moves
    while fleet.moved < fleet.servers:
        fleet.run(10)
    took = fleet.model.clock.now() - fleet.began
    assert took <= 1.25 * fleet.servers * 30 / most, "there is always one that goes on"


@pytest.mark.promise("never-11")
def test_a_namespace_does_not_wait_for_all_that_another_sends_to_the_same_host() -> None:
    fleet = Fleet(
        7, servers=40, seconds=60, method="Live", spread=10.0, max_arrivals=8, apart=("src6",)
    )
    fleet.model.computes.add("new", vcpus=1000, ram=10**7, disk=10**7)
    fleet.run(180)
    moves = Counter(m.source for m in fleet.model.state.migrations)
    assert moves["src6"] > 0, moves
