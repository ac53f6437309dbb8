"""A live migration over its time is stuck only where its counters stand still."""

from datetime import timedelta

from tests.unit.drain.build import NOW, ago, at, migration, seen, server, spec

from quiesce.drain.model.history import History
from quiesce.drain.observe.reads import PROGRESS_WITHIN, progressing
from quiesce.openstack.records import LiveProgress

LATE = spec("Live", migration={"timeout": "30s"})
RUNNING = migration(status_="running", type="live-migration", created=ago(31))
LOOK = seen([server(task="migrating")], [RUNNING])


class Copying:
    """Nova's counters of one live migration."""

    def __init__(self, processed: int, remaining: int = 100) -> None:
        self.now = LiveProgress(RUNNING.id, "running", processed, remaining)

    def live_progress(self, server_id: str) -> LiveProgress:
        return self.now


def is_progressing(
    processed: int, notes: History, seconds_later: float = 0, remaining: int = 100
) -> bool:
    cloud = Copying(processed, remaining)
    return RUNNING.id in progressing(cloud, LATE, notes, at(LOOK, seconds_later))  # type: ignore[arg-type]


def test_the_first_look_after_its_time_cannot_tell_and_gives_it_the_time_to_show() -> None:
    """Nothing has been counted before: to abort it then would end one that is merely slow."""
    assert is_progressing(5, History())


def test_it_is_stuck_when_nothing_was_added_for_a_while() -> None:
    notes, limit = History(), PROGRESS_WITHIN.total_seconds()
    assert is_progressing(5, notes)
    assert is_progressing(6, notes, limit - 1)
    assert is_progressing(6, notes, limit)
    assert not is_progressing(6, notes, 2 * limit)


def test_one_with_nothing_left_to_copy_does_not_progress() -> None:
    assert not is_progressing(5, History(), remaining=0)


def test_one_in_time_is_not_asked_about() -> None:
    young = seen(
        [server(task="migrating")],
        [migration(status_="running", type="live-migration", created=NOW - timedelta(seconds=29))],
    )
    assert not progressing(None, LATE, History(), young)  # type: ignore[arg-type]
