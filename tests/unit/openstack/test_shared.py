"""Lists that reconciliations share: recent ones, and no more than fits."""

from collections.abc import Callable

import pytest

from quiesce.openstack import shared
from quiesce.openstack.budget import budget, take
from quiesce.openstack.shared import Shared

LARGE = shared._MOST_KEPT // 2


def a_list(size: int, reads: list[str], name: str) -> Callable[[], str]:
    def read() -> str:
        reads.append(name)
        take(size, 1)
        return name

    return read


@pytest.mark.finding("M9")
def test_of_many_large_lists_the_one_that_was_read_first_is_dropped() -> None:
    reads: list[str] = []
    lists = {
        name: Shared(a_list(size, reads, name), 60.0, lambda: 0.0)
        for name, size in (("a", LARGE), ("b", LARGE), ("c", 10))
    }
    for name in ("a", "b", "c", "b", "c"):
        with budget(60):
            assert lists[name].get() == name
    assert reads == ["a", "b", "c"]
    with budget(60):
        assert lists["a"].get() == "a"
    assert reads == ["a", "b", "c", "a"], "it was read again, and was right"


def test_a_list_is_shared_while_it_is_recent_and_not_forgotten() -> None:
    now, reads = [0.0], list[str]()
    found = Shared(a_list(10, reads, "a"), 10.0, lambda: now[0])
    found.get()
    now[0] = 10.0
    found.get()
    assert len(reads) == 1
    now[0] = 10.1
    found.get()
    found.forget()
    found.get()
    assert len(reads) == 3
