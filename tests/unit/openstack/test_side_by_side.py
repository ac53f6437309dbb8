"""Calls side by side are as those one after the other, but for the time."""

import threading
from contextvars import ContextVar

import pytest

from quiesce.openstack.side_by_side import side_by_side, together

WORD: ContextVar[str] = ContextVar("word", default="none")


def test_results_are_in_order_and_the_context_is_the_callers() -> None:
    WORD.set("mine")
    begun = threading.Barrier(3, timeout=10)  # none ends before all have begun

    def call(number: int) -> tuple[int, str]:
        begun.wait()
        return number, WORD.get()

    calls = [lambda n=n: call(n) for n in range(3)]
    assert side_by_side(calls) == [(0, "mine"), (1, "mine"), (2, "mine")]
    assert side_by_side([]) == []
    assert together(lambda: 1, lambda: "a") == (1, "a")


def test_no_more_than_so_many_at_once() -> None:
    lock, now, most = threading.Lock(), 0, 0

    def call() -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        with lock:
            now -= 1

    side_by_side([call] * 50, at_once=2)
    assert 1 <= most <= 2


def test_the_first_one_that_fails_is_what_is_wrong_and_all_have_ended() -> None:
    ended = list[int]()

    def fail(number: int) -> None:
        ended.append(number)
        raise ValueError(number)

    with pytest.raises(ValueError, match="1"):
        together(lambda: None, lambda: fail(1), lambda: fail(2))
    assert sorted(ended) == [1, 2]
