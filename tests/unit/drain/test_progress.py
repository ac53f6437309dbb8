"""A live migration over its time is stuck only where its counters stand still."""

from typing import Any

import pytest
from tests.unit.drain.build import ago, at, drain, migration, observed, replace, server, spec

from quiesce.drain.model.history import History
from quiesce.drain.model.observation import Observation
from quiesce.drain.observe.moves import LONGEST_PROGRESS, PROGRESS_WITHIN, read_progress
from quiesce.openstack.records import LiveProgress

LATE = spec("Live", migration={"timeout": "10m"})
RUNNING = migration(status_="running", type="live-migration", created=ago(601))
LOOK = observed([server(task="migrating")], [RUNNING])


class Copying:
    """Nova's counters of one live migration."""

    def __init__(self, processed: int, remaining: int = 100) -> None:
        self.now = LiveProgress(RUNNING.id, "running", processed, remaining)

    def live_progress(self, server_id: str, migration_id: int) -> LiveProgress:
        assert migration_id == RUNNING.id
        return self.now


def since(seconds_ago: float) -> History:
    """Seen running since then: it may have waited for its turn before."""
    return History(first_seen={(RUNNING.id, "running"): ago(seconds_ago)})


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
    assert is_progressing(5, since(601))


def test_it_is_stuck_when_no_less_is_left_for_a_while() -> None:
    limit = PROGRESS_WITHIN.total_seconds()
    first = copied(5, since(601))
    assert RUNNING.id in first.progressing
    second = copied(6, first.history, limit - 1, remaining=99)
    assert RUNNING.id in second.progressing
    assert is_progressing(6, second.history, limit, remaining=99)
    assert not is_progressing(6, second.history, 2 * limit, remaining=99)


@pytest.mark.field_case("D2")
def test_what_was_processed_is_no_progress() -> None:
    """It grows as long as the guest writes to its memory; only what is left comes to an end."""
    limit = PROGRESS_WITHIN.total_seconds()
    first = copied(5, since(601))
    assert not is_progressing(5_000_000, first.history, limit)


@pytest.mark.field_case("D2")
def test_slow_progress_has_an_end() -> None:
    """Less is left at every look, and it has taken many times its time all the same."""
    assert is_progressing(5, since(600 * LONGEST_PROGRESS - 1))
    assert not is_progressing(5, since(600 * LONGEST_PROGRESS))


def test_one_with_nothing_left_to_copy_does_not_progress() -> None:
    assert not is_progressing(5, since(601), remaining=0)


def test_one_in_time_is_not_asked_about() -> None:
    young = observed(
        [server(task="migrating")], [RUNNING], first_seen={(RUNNING.id, "running"): ago(599)}
    )
    assert not read_progress(None, drain(LATE), young).progressing  # type: ignore[arg-type]
