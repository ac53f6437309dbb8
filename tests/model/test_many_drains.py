"""Many drains that are applied one after the other, while the first ones move already: each host is
disabled as if there were no others, and no server is sent to one whose drain is applied.

One worker and 20 requests a second are too few for what the moves ask for, so there is a backlog.
"""

from typing import Any

import pytest

from quiesce.openstack.changes import Changes
from quiesce.runtime.workqueue import WorkQueue
from tests.harness.fleet import REQUEST, Fleet
from tests.model.test_scenarios import drain, ended, servers

DRAINS, EVERY = 16, 0.7
DISABLED_WITHIN = 25 * REQUEST
"""A tick in progress and the finalizer, before the tick that disables."""


def applied_one_after_the_other() -> Fleet:
    fleet = Fleet(DRAINS, servers=6, seconds=4, spread=EVERY, workers=1)
    fleet.run(DRAINS * EVERY + 5)
    return fleet


def assert_nothing_is_late(fleet: Fleet) -> None:
    assert fleet.waits()[-1] <= DISABLED_WITHIN, "a new drain waits for those that move"


def assert_nothing_is_astray(fleet: Fleet) -> None:
    assert fleet.moved_astray == 0, "a server is sent to a host that is to be drained"


def test_a_new_drain_does_not_wait_for_those_that_move() -> None:
    fleet = applied_one_after_the_other()
    assert_nothing_is_late(fleet)
    assert_nothing_is_astray(fleet)
    assert len(fleet.model.state.migrations) > DRAINS, "they do move meanwhile"


def test_it_is_noticed_if_new_drains_wait_for_their_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    add = WorkQueue.add

    def as_all_others(self: Any, key: Any, delay: float = 0.0, *, news: bool = False) -> None:
        add(self, key, delay)

    monkeypatch.setattr(WorkQueue, "add", as_all_others)
    fleet = applied_one_after_the_other()
    with pytest.raises(AssertionError, match="waits"):
        assert_nothing_is_late(fleet)


# A drain that only waits goes by the changes of the whole cloud


@pytest.mark.parametrize("method", ["Cold", "Live"])
def test_a_wrong_answer_that_nothing_has_changed_only_makes_a_drain_wait(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever Nova leaves out: each server is moved once, and the host proven empty."""
    monkeypatch.setattr(Changes, "none_since", lambda *_: True)
    world = drain("active", "stopped", "active", method=method, migration={"maxParallel": 2})
    began = world.model.clock.now()
    world.until(lambda: ended(world))
    calls = ["migrate", "confirmResize"] if method == "Cold" else ["live-migration"]
    for server in servers(world):
        assert world.actions(server.id) in (calls, ["migrate", "confirmResize"])
    assert world.model.clock.now() - began < 120


def test_it_is_asked_once_for_all_hosts() -> None:
    fleet = Fleet(6, servers=2, seconds=30)
    fleet.run(12)
    fleet.made.clear()
    fleet.run(8)
    made = fleet.made
    assert made["GET /os-migrations changes-since"] <= 10, "once a second"
    assert made["GET /os-migrations host"] <= 6 * 2, "each poll read them: four a host"
    fleet.run(60)
    assert fleet.moved == 12


# What a drain asks of nova-compute


def test_a_hypervisor_is_asked_once_before_each_confirm() -> None:
    """In the last read before it, whatever else has to be read in that tick."""
    moved = 24
    fleet = Fleet(1, servers=moved, seconds=[3 + number % 5 for number in range(moved)])
    while fleet.moved < moved:
        fleet.run(1)
    assert fleet.made["GET /servers/{id}/diagnostics"] == moved
