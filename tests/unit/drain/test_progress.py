"""A live migration over its time is stuck only where its counters stand still."""

from datetime import timedelta
from typing import Any

from tests.unit.drain.build import NOW, ago, at, drain, migration, observed, replace, server, spec

from quiesce.drain.model.history import History
from quiesce.drain.model.observation import Observation
from quiesce.drain.observe.moves import PROGRESS_WITHIN, read_progress
from quiesce.openstack.records import LiveProgress

LATE = spec("Live", migration={"timeout": "30s"})
RUNNING = migration(status_="running", type="live-migration", created=ago(31))
LOOK = observed([server(task="migrating")], [RUNNING])


class Copying:
    """Nova's counters of one live migration."""

    def __init__(self, processed: int, remaining: int = 100) -> None:
        self.now = LiveProgress(RUNNING.id, "running", processed, remaining)

    def live_progress(self, server_id: str) -> LiveProgress:
        return self.now


def copied(
    processed: int, history: History, seconds_later: float = 0, remaining: int = 100
) -> Observation:
    cloud = Copying(processed, remaining)
    look = replace(at(LOOK, seconds_later), history=history)
    return read_progress(cloud, drain(LATE), look)  # type: ignore[arg-type]


def is_progressing(*args: Any, **kwargs: Any) -> bool:
    return RUNNING.id in copied(*args, **kwargs).progressing


def test_the_first_look_after_its_time_cannot_tell_and_gives_it_the_time_to_show() -> None:
    """Nothing has been counted before: to abort it then would end one that is merely slow."""
    assert is_progressing(5, History())


def test_it_is_stuck_when_nothing_was_added_for_a_while() -> None:
    limit = PROGRESS_WITHIN.total_seconds()
    first = copied(5, History())
    assert RUNNING.id in first.progressing
    second = copied(6, first.history, limit - 1)
    assert RUNNING.id in second.progressing
    assert is_progressing(6, second.history, limit)
    assert not is_progressing(6, second.history, 2 * limit)


def test_one_with_nothing_left_to_copy_does_not_progress() -> None:
    assert not is_progressing(5, History(), remaining=0)


def test_one_in_time_is_not_asked_about() -> None:
    young = observed(
        [server(task="migrating")],
        [migration(status_="running", type="live-migration", created=NOW - timedelta(seconds=29))],
    )
    assert not read_progress(None, drain(LATE), young).progressing  # type: ignore[arg-type]
