"""No resource fills the log, and what is left out is told."""

import io
import logging
from typing import Any

import pytest

from quiesce.ops import logging as ours
from quiesce.ops.log_limit import LineLimit


class Time:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Time:
    return Time()


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def log(clock: Time, stream: io.StringIO) -> logging.Logger:
    """Ten lines of a resource at once, one a second in the long run."""
    handler = ours._Limited(stream)
    handler._limit = LineLimit(10, 1.0, clock)
    handler.setFormatter(ours.TextLines())
    logger = logging.Logger("quiesce.test", logging.DEBUG)
    logger.addHandler(handler)
    return logger


def lines(stream: io.StringIO, part: str) -> list[str]:
    return [line for line in stream.getvalue().splitlines() if part in line]


def many(log: logging.Logger, number: int, **fields: Any) -> None:
    with ours.fields(**fields):
        for _ in range(number):
            log.info("it flaps")


@pytest.mark.promise("never-11")
@pytest.mark.finding("L5")
def test_one_that_flaps_is_cut_and_takes_nothing_from_another(
    log: logging.Logger, stream: io.StringIO, clock: Time
) -> None:
    many(log, 1000, drain="hostile/a")
    many(log, 5, drain="good/b")
    many(log, 5, keyring="good/b")
    log.info("of nobody")
    assert len(lines(stream, "drain=hostile/a")) == 10
    assert len(lines(stream, "good/b")) == 10
    assert len(lines(stream, "of nobody")) == 1


def test_what_was_left_out_is_told_with_the_next_line(
    log: logging.Logger, stream: io.StringIO, clock: Time
) -> None:
    many(log, 35, drain="a/b")
    clock.now += 3
    many(log, 1, drain="a/b")
    (told,) = lines(stream, "left out")
    assert "25 lines of this drain are left out" in told
    assert "drain=a/b" in told and "omitted=25" in told


def test_or_after_a_minute_whatever_is_logged_then(
    log: logging.Logger, stream: io.StringIO, clock: Time
) -> None:
    many(log, 35, drain="a/b")
    many(log, 1, drain="c/d")
    assert not lines(stream, "left out")
    clock.now += 60
    many(log, 1, drain="c/d", server="s1")
    (told,) = lines(stream, "left out")
    assert "drain=a/b" in told and "c/d" not in told and "s1" not in told
    many(log, 1, drain="c/d")
    assert len(lines(stream, "left out")) == 1


def test_debug_lines_are_for_one_who_wants_all(log: logging.Logger, stream: io.StringIO) -> None:
    with ours.fields(drain="a/b"):
        for _ in range(100):
            log.debug("GET")
        log.info("one")
    assert len(lines(stream, "GET")) == 100
    assert len(lines(stream, "one")) == 1


def test_a_traceback_counts_for_many(log: logging.Logger, stream: io.StringIO) -> None:
    with ours.fields(drain="a/b"):
        for _ in range(10):
            try:
                int("x")
            except ValueError:
                log.exception("a bug")
    assert len(lines(stream, "a bug")) == 1
