"""Two drains for one host of one cloud: the older one works."""

from collections.abc import Callable
from typing import Any

import pytest

from quiesce.api.errors import HostTaken
from quiesce.drain.decide.claims import refuse_second
from quiesce.kube.resource import Resource


def drain(
    name: str, created: str = "2026-03-01T12:00:00Z", host: str = "cmp1", **metadata: Any
) -> Resource:
    named = {"namespace": "ns", "name": name, "uid": name, "creationTimestamp": created}
    return Resource({"metadata": {**named, **metadata}, "spec": {"host": host}})


def same(_: Resource) -> bool:
    return True


def another(_: Resource) -> bool:
    return False


OLDER, MINE, YOUNGER = (
    drain("a", "2026-03-01T11:00:00Z"),
    drain("m"),
    drain("z", "2026-03-01T13:00:00Z"),
)


def test_the_older_one_is_named() -> None:
    with pytest.raises(
        HostTaken, match="host cmp1 is already being drained by ComputeNodeDrain ns/a"
    ):
        refuse_second(MINE, [MINE, YOUNGER, OLDER, drain("b", "2026-03-01T11:30:00Z")], same)


@pytest.mark.parametrize(
    ("others", "cloud"),
    [
        ([MINE], same),
        ([MINE, YOUNGER], same),
        ([MINE, OLDER], another),
        ([MINE, drain("o", "2026-03-01T11:00:00Z", "cmp2")], same),
        ([MINE, drain("z")], same),  # the same second: the smaller uid is the older
    ],
)
def test_no_rival(others: list[Resource], cloud: Callable[[Resource], bool]) -> None:
    refuse_second(MINE, others, cloud)


def test_of_two_of_the_same_second_exactly_one_works() -> None:
    pair = [drain("p"), drain("q")]
    refuse_second(pair[0], pair, same)
    with pytest.raises(HostTaken):
        refuse_second(pair[1], pair, same)


def test_an_older_one_that_is_being_deleted_still_gives_its_host_back() -> None:
    leaving = drain("a", "2026-03-01T11:00:00Z", deletionTimestamp="2026-03-01T12:30:00Z")
    with pytest.raises(HostTaken):
        refuse_second(MINE, [leaving], same)
