"""Lists that reconciliations share: recent ones, and no more than fits."""

import threading
from collections.abc import Callable

import pytest

from quiesce.openstack import shared
from quiesce.openstack.budget import budget
from quiesce.openstack.shared import Shared

LARGE = shared.MOST_KEPT // 2


def a_list(size: int, reads: list[str], name: str) -> Callable[[], str]:
    def read() -> str:
        reads.append(name)
        return name * size

    return read


@pytest.mark.finding("M9")
def test_a_list_counts_as_what_it_takes_in_memory() -> None:
    """One character makes Python keep four bytes for each of the others: 10 MiB take 40."""
    reads: list[str] = []

    def read() -> list[str]:
        reads.append("a")
        return ["\U0001f600" * 10 * 2**20]

    a, b = Shared(read, 60.0, lambda: 0.0), Shared(a_list(10, reads, "b"), 60.0, lambda: 0.0)
    for _ in range(2):
        assert b.get() and a.get()
    assert reads == ["b", "a", "a"], "it is too large to be kept, and nothing else goes for it"


@pytest.mark.finding("M9")
def test_of_many_large_lists_the_one_that_was_read_first_is_dropped() -> None:
    reads: list[str] = []
    lists = {
        name: Shared(a_list(size, reads, name), 60.0, lambda: 0.0)
        for name, size in (("a", LARGE), ("b", LARGE), ("c", 10))
    }
    for name in ("a", "b", "c", "b", "c"):
        with budget(60):
            assert lists[name].get()[0] == name
    assert reads == ["a", "b", "c"]
    with budget(60):
        assert lists["a"].get()[0] == "a"
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


def test_who_needs_a_younger_list_than_others_says_so() -> None:
    now, reads = [0.0], list[str]()
    found = Shared(a_list(10, reads, "a"), 10.0, lambda: now[0])
    found.get()
    now[0] = 1.0
    found.get(1.0)
    assert len(reads) == 1
    now[0] = 1.1
    found.get(1.0)
    assert len(reads) == 2
    now[0] = 30.0
    found.get(30.0)
    assert len(reads) == 2
    found.get(0.0)
    found.get(0.0)
    assert len(reads) == 4, "what began at the very moment may be older"


class Ticks:
    """A clock that goes on by one each time it is looked at."""

    def __init__(self) -> None:
        self.now = 0.0
        self.changed = threading.Condition()

    def __call__(self) -> float:
        with self.changed:
            self.now += 1
            self.changed.notify_all()
            return self.now

    def wait_for(self, now: float) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: self.now >= now, timeout=60)


def test_who_is_content_with_a_recent_list_does_not_wait_for_a_read_of_the_present() -> None:
    """Of drains that are new at once, each reads the present."""
    begun, ends = threading.Event(), threading.Event()
    reads: list[int] = []

    def read() -> int:
        reads.append(0)
        if len(reads) > 1:
            begun.set()
            assert ends.wait(30)
        return len(reads)

    found = Shared(read, 10.0, lambda: 0.0)
    assert found.get() == 1
    other = threading.Thread(target=lambda: found.get(0.0))
    other.start()
    assert begun.wait(30)
    try:
        assert found.get() == 1
    finally:
        ends.set()
        other.join()
    assert found.get() == 2


def test_threads_that_wait_for_the_present_share_one_read() -> None:
    """Of hundreds of drains that are applied at once each wants the services as they are now."""
    clock, ends, answers = Ticks(), threading.Semaphore(0), list[int]()
    reads: list[int] = []

    def read() -> int:
        reads.append(len(reads) + 1)
        assert ends.acquire(timeout=60)
        return reads[-1]

    shared = Shared(read, 10.0, clock)
    threads = [
        threading.Thread(target=lambda: answers.append(shared.get(0.0)), daemon=True)
        for _ in range(8)
    ]
    threads[0].start()
    clock.wait_for(2)  # it has asked, and begun to read
    for thread in threads[1:]:
        thread.start()
    clock.wait_for(9)  # all others have asked
    ends.release(2)
    for thread in threads:
        thread.join(60)
    assert sorted(answers) == [1, *[2] * 7], "none got what was sent before it asked"
