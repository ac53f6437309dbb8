"""The clock by which things are decided, beside a machine's clock that is set."""

import logging
from datetime import UTC, datetime, timedelta

import pytest

from quiesce.ops.clock import Clock

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
HOUR = 3600.0


class Machine:
    """`up`: seconds since its start. `set_by`: seconds by which its clock was set."""

    def __init__(self) -> None:
        self.up, self.set_by = 0.0, 0.0
        self.clock = Clock(self.wall, lambda: self.up)

    def wall(self) -> datetime:
        return NOW + timedelta(seconds=self.up + self.set_by)


@pytest.mark.promise("never-9", "always-6")
@pytest.mark.parametrize("by", [0.0, 60.0, HOUR, -HOUR, 56 * 8766 * HOUR])
def test_durations_are_true_and_times_of_day_right(by: float) -> None:
    machine = Machine()
    began = machine.clock.now()
    machine.up, machine.set_by = 10.0, by
    assert machine.clock.now() - began == timedelta(seconds=10)
    assert machine.clock.set_by() == timedelta(seconds=by)
    assert machine.clock.wall() == machine.wall()


def test_it_begins_with_the_time_of_day() -> None:
    before = datetime.now(UTC)
    clock = Clock()
    assert before <= clock.now() <= datetime.now(UTC) + timedelta(seconds=1)
    assert clock.set_by() == timedelta(0)


def test_a_clock_that_is_set_is_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    machine = Machine()
    caplog.set_level(logging.WARNING)
    told = []
    for by in (0.0, 1.5, -1.5, HOUR, HOUR, HOUR + 1.0, -HOUR, 0.0):
        machine.set_by = by
        machine.clock.wall()
        told.append([each.getMessage().partition(":")[0] for each in caplog.records])
        caplog.clear()
    assert told == [
        [], [], [],
        ["the clock of this machine was set forward by 3600 s"],
        [], [],
        ["the clock of this machine was set back by 7200 s"],
        ["the clock of this machine was set forward by 3600 s"],
    ]  # fmt: skip


def test_what_is_hardly_seen_does_not_change_a_status() -> None:
    machine = Machine()
    for by in (0.0, 0.001, -0.4, 1.9):
        machine.set_by = by
        assert machine.clock.set_by() == timedelta(0)
