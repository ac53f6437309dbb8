"""Threads that want the same at the same time share one call, and what becomes of it."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest

from quiesce.openstack.single_flight import SingleFlight

OTHERS = 7


@pytest.fixture
def waiting(monkeypatch: pytest.MonkeyPatch) -> threading.Semaphore:
    """Is released by each thread that is about to wait for another one's call."""
    semaphore, result = threading.Semaphore(0), Future.result

    def told(self: Future[Any], timeout: float | None = None) -> Any:
        semaphore.release()
        return result(self, timeout)

    monkeypatch.setattr(Future, "result", told)
    return semaphore


def outcomes(flight: SingleFlight[int], call: Callable[[], int]) -> list[object]:
    """Of eight threads that ask for the same."""
    found: list[object] = []

    def ask() -> None:
        try:
            found.append(flight.run("a", call, 60))
        except ValueError as error:
            found.append(str(error))

    threads = [threading.Thread(target=ask, daemon=True) for _ in range(OTHERS + 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return found


@pytest.mark.parametrize("fails", [False, True])
def test_threads_share_one_call(waiting: threading.Semaphore, fails: bool) -> None:
    flight, calls = SingleFlight[int](), list[int]()

    def call() -> int:
        calls.append(0)
        for _ in range(OTHERS):
            assert waiting.acquire(timeout=60)
        if fails:
            raise ValueError("refused")
        return 5

    assert outcomes(flight, call) == ["refused" if fails else 5] * (OTHERS + 1)
    assert len(calls) == 1
    assert flight.run("a", lambda: 6, 60) == 6, "what has ended is over"


def test_other_keys_are_not_waited_for() -> None:
    flight = SingleFlight[int]()
    assert flight.run("a", lambda: flight.run("b", lambda: 1, 60), 60) == 1


def test_a_call_of_another_thread_is_not_waited_for_without_end() -> None:
    flight, begun, ends = SingleFlight[int](), threading.Event(), threading.Event()

    def call() -> int:
        begun.set()
        assert ends.wait(60)
        return 1

    thread = threading.Thread(target=lambda: flight.run("a", call, 60), daemon=True)
    thread.start()
    assert begun.wait(60)
    with pytest.raises(TimeoutError):
        flight.run("a", lambda: 2, 0.01)
    ends.set()
    thread.join(60)
