"""A live migration over its time is stuck only where its counters stand still."""

from typing import Any

import pytest
from tests.unit.drain.build import (
    ago,
    at,
    begun,
    drain,
    migration,
    observed,
    replace,
    server,
    spec,
    status_of,
    tried,
)

from quiesce.api.errors import CloudUnreachable
from quiesce.drain.model.history import History
from quiesce.drain.model.observation import Observation
from quiesce.drain.observe.moves import (
    LONGEST_PROGRESS,
    PROGRESS_WITHIN,
    SHOWN_EVERY,
    read_progress,
)
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
    """Whether it makes progress, which is asked in each reconciliation of one that is late."""
    cloud = Copying(5)
    young = read_progress(cloud, drain(LATE), replace(LOOK, history=since(599)))  # type: ignore[arg-type]
    assert not young.progressing
    assert not young.history.least_left


# What the status shows of one


class Counting:
    """Nova's counters of live migrations: `left` bytes of 1000; None: Nova does not answer."""

    def __init__(self, left: int | None, done: int = 0, total: int = 1000) -> None:
        self.left, self.done, self.total, self.asked = left, done, total, 0

    def live_progress(self, server_id: str, migration_id: int) -> LiveProgress:
        self.asked += 1
        if self.left is None:
            raise CloudUnreachable("no answer")
        return LiveProgress(migration_id, "running", self.done, self.left, self.total)


MINUTE = SHOWN_EVERY.total_seconds()


def shown(cloud: Counting, history: History, later: float = 0) -> Observation:
    look = replace(at(LOOK, later), history=history)
    return read_progress(cloud, drain(spec("Live")), look)  # type: ignore[arg-type]


def row(sight: Observation) -> tuple[int | None, int | None]:
    record = begun(tries={"s1": tried("ACTIVE", method="live")})
    (found,) = status_of(sight, spec("Live"), record)["moving"]
    return found.get("percent"), found.get("bytesPerSecond")


def test_how_far_a_live_migration_is_and_how_fast_is_shown_once_a_minute() -> None:
    cloud = Counting(750, done=250)
    young = shown(cloud, since(MINUTE - 1))
    assert (cloud.asked, row(young)) == (0, (None, None))
    first = shown(cloud, since(MINUTE))
    assert (cloud.asked, row(first)) == (1, (25, None))
    cloud.left, cloud.done = 400, 250 + 60 * 7
    soon = shown(cloud, first.history, MINUTE - 1)
    assert (cloud.asked, row(soon)) == (1, (25, None))
    second = shown(cloud, soon.history, MINUTE)
    assert (cloud.asked, row(second)) == (2, (60, 7))


@pytest.mark.parametrize("cloud", [Counting(None), Counting(5, total=0)])
def test_where_nova_does_not_show_it_nothing_is_shown_and_little_asked(cloud: Counting) -> None:
    sight = shown(cloud, since(MINUTE))
    again = shown(cloud, sight.history, 10)
    assert (cloud.asked, row(again)) == (1, (None, None))


@pytest.mark.parametrize(("left", "percent"), [(5000, 0), (-1, 100), (0, 100)])
def test_counters_that_make_no_sense_stay_within_bounds(left: int, percent: int) -> None:
    assert row(shown(Counting(left), since(MINUTE)))[0] == percent


def test_what_has_ended_is_forgotten() -> None:
    sight = shown(Counting(750), since(MINUTE))
    ended = replace(sight, migrations=())
    assert not read_progress(Counting(None), drain(), ended).history.copied  # type: ignore[arg-type]
