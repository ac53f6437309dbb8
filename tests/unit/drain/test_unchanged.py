"""A drain that only waits goes on with the records that it has read, as long as none has changed.
What it does follows from records of the same tick.
"""

from datetime import datetime
from typing import Any

import pytest
from tests.unit.drain.build import (
    FOUND,
    NOW,
    arrived_elsewhere,
    begun,
    decided,
    drain,
    migration,
    observed,
    server,
    was,
)

from quiesce.drain.decide import suffices
from quiesce.drain.model.actions import Action, ConfirmMove, RevertMove, StartMove
from quiesce.drain.model.history import History
from quiesce.drain.model.observation import Observation
from quiesce.drain.observe.moves import read_migrations
from quiesce.openstack.records import Migration

MOVING = migration(status_="migrating")
HELD_BACK = server("s2")


class Records:
    """A cloud with these records of the host. `changed`: what its changes tell. `reads`: how often
    the records were read.
    """

    def __init__(self, *records: Migration, changed: bool = False) -> None:
        self.records, self.changed, self.reads = records, changed, 0

    def clock(self) -> float:
        return 7.0

    def migrations(self, host: str, above: int | None = None) -> tuple[Migration, ...]:
        self.reads += 1
        return self.records

    def no_migration_changed(self, host: str, asked: float) -> bool:
        return not self.changed


def polled(*known: Migration, whole: bool = False, **history: Any) -> Observation:
    """A poll of a drain that has read these records a moment ago."""
    fields: dict[str, Any] = {"full_list": NOW, "records": known, "asked": 5.0} | history
    return observed([server("s1", task="resize_migrating"), HELD_BACK], whole=whole, **fields)


def read(cloud: Records, what: Observation, **fields: Any) -> Observation:
    return read_migrations(cloud, drain(record=begun(), **fields), what)  # type: ignore[arg-type]


def test_what_has_not_changed_is_not_read_again() -> None:
    cloud = Records(MOVING)
    seen = read(cloud, polled(MOVING))
    assert (seen.migrations, seen.unchanged, cloud.reads) == ((MOVING,), True, 0)


def test_what_has_changed_is_read() -> None:
    cloud = Records(migration(), changed=True)
    seen = read(cloud, polled(MOVING))
    assert (seen.migrations, seen.unchanged, cloud.reads) == ((migration(),), False, 1)
    assert (seen.history.records, seen.history.asked) == ((migration(),), 7.0)


@pytest.mark.parametrize(
    ("what", "edited"),
    [
        (polled(MOVING, whole=True), False),
        (polled(MOVING, asked=None), False),
        (polled(migration()), False),
        (polled(MOVING, full_list=None), False),
        (polled(MOVING), True),
    ],
    ids=["servers are read too", "own calls since", "finished", "no full list", "edited"],
)
def test_when_records_are_read_whatever_has_changed(what: Observation, edited: bool) -> None:
    cloud = Records(MOVING)
    seen = read(cloud, what, edited=edited)
    assert (seen.unchanged, cloud.reads) == (False, 1)


def test_after_a_call_of_its_own_a_drain_reads_them() -> None:
    """Nova's new record of it is not among the changes before it is first updated."""
    history = History(asked=5.0)
    assert history.expect((), more=True).asked == 5.0
    assert history.expect((ConfirmMove("s1", FOUND + 1),), more=False).asked is None


ONE, TWO = ConfirmMove("s1", FOUND + 1), ConfirmMove("s2", FOUND + 2)


@pytest.mark.parametrize(
    ("actions", "rows", "more", "listed"),
    [
        ((ONE, TWO), 49, False, NOW),
        ((ONE, TWO), 49, True, None),
        ((ONE, TWO), 50, True, NOW),
        ((ONE,), 24, True, None),
        ((ONE,), 25, True, NOW),
        ((StartMove("s1", "cold", None),), 1, True, NOW),
        ((RevertMove("s1", FOUND + 1, ""),), 1, False, None),
    ],
)
def test_where_confirms_free_slots_for_many_the_servers_are_listed_next(
    actions: tuple[Action, ...], rows: int, more: bool, listed: datetime | None
) -> None:
    """A poll before would be in vain."""
    known = History(listed=NOW, servers=(HELD_BACK,) * rows)
    assert known.expect(actions, more=more).listed == listed


def test_nothing_is_done_for_records_that_were_not_read_in_this_tick() -> None:
    """The server may wait for its owner by now, in a resize of its own."""
    seen: dict[str, Any] = {
        "migrations": [migration()],
        "elsewhere": [arrived_elsewhere()],
        "running": {"s1": True},
    }
    now = observed([], **seen, whole=False)
    earlier = observed([], **seen, whole=False, unchanged=True)
    for what in (now, earlier):
        assert decided(what, record=was(s1="ACTIVE")).actions == (ConfirmMove("s1", FOUND + 1),)
    confirm = decided(now, record=was(s1="ACTIVE"))
    it = drain(record=was(s1="ACTIVE"))
    assert suffices(it, now, confirm)
    assert not suffices(it, earlier, confirm)
