"""Many drains that are applied one after the other, while the first ones move already: each host is
disabled as if there were no others, and no server is sent to one whose drain is applied.

One worker and 20 requests a second are too few for what the moves ask for, so there is a backlog.
"""

from typing import Any

import pytest

from quiesce.runtime.workqueue import WorkQueue
from tests.harness.fleet import REQUEST, Fleet

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
