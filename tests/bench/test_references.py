"""A drain beside the ways to empty a host without Quiesce, in virtual time: 40 servers, moved cold,
whose copies share the line of their host.
"""

import random
from dataclasses import dataclass

import pytest

from tests.bench.figures import FIGURES
from tests.bench.references import DRIVERS
from tests.harness.fleet import Fleet
from tests.harness.timeline import Timeline

SERVERS = 40
CHANCE = random.Random(7)
ALONE = [CHANCE.randint(4, 20) for _ in range(SERVERS)]  # seconds of a copy
BOUND = sum(ALONE)  # no order of copies over one line is faster


@dataclass(frozen=True)
class Result:
    """`time`: as a multiple of the bound. `off`: seconds that a guest was off, in the mean. `most`:
    moves to one destination at once. `requests`: a server.
    """

    time: float
    off: float
    most: int
    requests: float


def drained(name: str) -> tuple[Result, Timeline]:
    fleet = Fleet(1, SERVERS, ALONE, shared=True)
    timeline = Timeline(fleet.model, SERVERS).begin()
    DRIVERS[name](fleet)
    while timeline.samples[-1].left < SERVERS:
        fleet.model.clock.advance(1)
    result = Result(
        timeline.samples[-1].seconds / BOUND,
        timeline.mean_off,
        timeline.most_at_once,
        fleet.made.total() / SERVERS,
    )
    return result, timeline


@pytest.fixture(scope="module")
def results() -> dict[str, Result]:
    return {name: drained(name)[0] for name in DRIVERS}


@pytest.mark.parametrize("name", list(DRIVERS))
def test_what_each_way_takes(results: dict[str, Result], name: str) -> None:
    for what, value in vars(results[name]).items():
        FIGURES.note(f"40 servers over one line, {name}: {what}", value)


def test_a_drain_is_as_fast_as_the_line_and_gentler_than_all_at_once(
    results: dict[str, Result],
) -> None:
    mine, by_hand, poller = (results[name] for name in ("Quiesce", "by hand", "one by one"))
    FIGURES.note("a drain's time over the bound, copies share a line", mine.time, 1.05)
    FIGURES.note("its time over that by hand", mine.time / by_hand.time, 1.02)
    FIGURES.note("its time over that of one by one", mine.time / poller.time, 0.8)
    FIGURES.note("time that its guests are off, over that by hand", mine.off / by_hand.off, 0.25)
    FIGURES.note("most moves to one host, over that by hand", mine.most / by_hand.most, 0.75)
