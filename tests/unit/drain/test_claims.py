"""Two drains for one host of one cloud: the older one works."""

from collections.abc import Callable
from datetime import datetime

import pytest

from quiesce.api.errors import HostTaken
from quiesce.drain.decide.claims import Claim, refuse_second


def claim(name: str, created: str = "2026-03-01T12:00:00Z", host: str = "cmp1") -> Claim:
    return Claim(datetime.fromisoformat(created), name, f"ns/{name}", host)


def same(_: Claim) -> bool:
    return True


def another(_: Claim) -> bool:
    return False


OLDER, MINE, YOUNGER = (
    claim("a", "2026-03-01T11:00:00Z"),
    claim("m"),
    claim("z", "2026-03-01T13:00:00Z"),
)


def test_the_older_one_is_named() -> None:
    with pytest.raises(
        HostTaken, match="host cmp1 is already being drained by ComputeNodeDrain ns/a"
    ):
        refuse_second(MINE, [MINE, YOUNGER, OLDER, claim("b", "2026-03-01T11:30:00Z")], same)


@pytest.mark.parametrize(
    ("others", "cloud"),
    [
        ([MINE], same),
        ([MINE, YOUNGER], same),
        ([MINE, OLDER], another),
        ([MINE, claim("o", "2026-03-01T11:00:00Z", "cmp2")], same),
        ([MINE, claim("z")], same),  # the same second: the smaller uid is the older
    ],
)
def test_no_rival(others: list[Claim], cloud: Callable[[Claim], bool]) -> None:
    refuse_second(MINE, others, cloud)


def test_of_two_of_the_same_second_exactly_one_works() -> None:
    pair = [claim("p"), claim("q")]
    refuse_second(pair[0], pair, same)
    with pytest.raises(HostTaken):
        refuse_second(pair[1], pair, same)
