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
