"""The queue's promises: never twice at once, never lost, earliest time wins."""

import random
import threading
import time
from collections import Counter

import pytest
from tests.unit.clock import Clock

from quiesce.runtime.workqueue import WorkQueue


@pytest.fixture
def queue(clock: Clock) -> WorkQueue[str]:
    return WorkQueue(clock)


def test_keys_come_in_the_order_in_which_they_are_due(queue: WorkQueue[str], clock: Clock) -> None:
    queue.add("late", delay=2)
    queue.add("first")
    queue.add("second")
    clock.now += 3
    assert [queue.get(0), queue.get(0), queue.get(0), queue.get(0)] == [
        "first",
        "second",
        "late",
        None,
    ]


def test_a_key_is_not_handed_out_before_it_is_due(queue: WorkQueue[str], clock: Clock) -> None:
    queue.add("a", delay=5)
    assert queue.get(0) is None
    clock.now += 5
    assert queue.get(0) == "a"


def test_a_key_added_twice_is_handed_out_once(queue: WorkQueue[str]) -> None:
    queue.add("a")
    queue.add("a")
    assert [queue.get(0), queue.get(0)] == ["a", None]


def test_news_come_before_what_is_due_longer(queue: WorkQueue[str], clock: Clock) -> None:
    queue.add("polled")
    queue.add("also polled")
    clock.now += 100
    queue.add("new", news=True)
    queue.add("polled", news=True)  # a person has changed it
    assert [queue.get(0) for _ in range(4)] == ["new", "polled", "also polled", None]


def test_news_stay_news_until_a_tick_asks_for_a_later_one(queue: WorkQueue[str]) -> None:
    """The finalizer is stored, then at once comes the tick that disables the host."""
    queue.add("new", news=True)
    queue.get(0)
    queue.add("polled")
    queue.done("new", 0.0)
    assert queue.get(0) == "new"
    queue.done("new", 0.01)
    assert queue.get(0) == "polled"


def test_what_is_news_while_it_is_in_work_is_news_afterwards(queue: WorkQueue[str]) -> None:
    queue.add("a")
    queue.get(0)
    queue.add("polled")
    queue.add("a", news=True)
    queue.done("a", 60)
    assert queue.get(0) == "a"


def test_news_of_one_namespace_leave_workers_to_the_others() -> None:
    """However many resources a person applies, and whatever they wait for."""
    queue: WorkQueue[str] = WorkQueue(namespace_of=lambda key: key[0])
    queue.share_among(4)
    queue.add("b1")
    for number in range(9):
        queue.add(f"a{number}", news=True)
    taken = [queue.get(0) for _ in range(4)]
    assert taken[:2] == ["a0", "b1"] or "b1" in taken
    assert sum(key is not None and key[0] == "a" for key in taken) <= 2


@pytest.mark.parametrize(("delays", "due"), [((60, 1), 1), ((1, 60), 1), ((60, 0), 0), ((3, 3), 3)])
def test_the_earliest_of_several_times_wins(
    queue: WorkQueue[str], clock: Clock, delays: tuple[float, ...], due: float
) -> None:
    for delay in delays:
        queue.add("a", delay)
    clock.now += due - 0.001
    assert queue.get(0) is None
    clock.now += 0.001
    assert queue.get(0) == "a"
    queue.done("a", None)
    clock.now += 1000
    assert queue.get(0) is None, "the time that lost must be forgotten"


def test_a_key_in_work_is_handed_to_nobody_else_and_comes_back_afterwards(
    queue: WorkQueue[str],
) -> None:
    queue.add("a")
    assert queue.get(0) == "a"
    queue.add("a")
    assert queue.get(0) is None
    queue.done("a", None)
    assert queue.get(0) == "a"


@pytest.mark.parametrize(
    ("asked", "delay", "due"),
    [
        (None, None, None),  # nobody wants it: forgotten
        (None, 5, 5),
        (7, None, 7),
        (0, 60, 0),  # an event during the tick is not put off by what the tick says
        (60, 5, 5),
    ],
)
def test_when_a_key_comes_back(
    queue: WorkQueue[str], clock: Clock, asked: float | None, delay: float | None, due: float | None
) -> None:
    queue.add("a")
    queue.get(0)
    if asked is not None:
        queue.add("a", asked)
    queue.done("a", delay)
    if due is None:
        clock.now += 1e6
        assert queue.get(0) is None
        assert "a" not in queue
    else:
        clock.now += due
        assert queue.get(0) == "a"


def test_knows_what_it_will_hand_out_by_itself(queue: WorkQueue[str]) -> None:
    assert "a" not in queue
    queue.add("a", delay=60)
    assert "a" in queue
    queue.add("a")
    queue.get(0)
    assert "a" in queue


def test_backlog_counts_what_is_due_but_not_in_work(queue: WorkQueue[str], clock: Clock) -> None:
    queue.add("a")
    queue.add("b")
    queue.add("later", delay=9)
    assert queue.due() == 2
    queue.get(0)
    assert queue.due() == 1
    clock.now += 9
    assert queue.due() == 2


def test_a_closed_queue_hands_out_nothing_and_takes_nothing(queue: WorkQueue[str]) -> None:
    queue.add("a")
    queue.add("b")
    assert queue.get(0) == "a"
    queue.close()
    queue.add("c")
    queue.done("a", 0)
    assert queue.get(0) is None
    assert "a" not in queue
    assert "c" not in queue


def in_thread(call: object) -> tuple[threading.Thread, list[object]]:
    answers: list[object] = []
    thread = threading.Thread(target=lambda: answers.append(call()), daemon=True)  # type: ignore[operator]
    thread.start()
    return thread, answers


def test_closing_wakes_those_who_wait() -> None:
    queue: WorkQueue[str] = WorkQueue()
    waiting = [in_thread(lambda: queue.get(600)) for _ in range(3)]
    queue.close()
    for thread, answers in waiting:
        thread.join(60)
        assert answers == [None]


def test_an_added_key_wakes_one_who_waits_for_a_later_one() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("tomorrow", delay=86_400)
    thread, answers = in_thread(lambda: queue.get(600))
    queue.add("now")
    thread.join(60)
    assert answers == ["now"]


def test_a_key_that_falls_due_is_handed_out_without_any_further_call() -> None:
    queue: WorkQueue[str] = WorkQueue()
    threads = [in_thread(lambda: queue.get(600)) for _ in range(2)]
    queue.add("a", delay=0.02)
    queue.add("b", delay=0.01)
    for thread, _ in threads:
        thread.join(60)
    assert sorted(str(answers[0]) for _, answers in threads) == ["a", "b"]


def test_many_threads_never_hold_one_key_at_once_and_no_wish_is_lost() -> None:
    queue: WorkQueue[int] = WorkQueue()
    lock, held, looks = threading.Lock(), set[int](), Counter[int]()
    seen_since_wish: dict[int, bool] = {}
    broken: list[str] = []

    def work() -> None:
        while (key := queue.get(5)) is not None:
            with lock:
                if key in held:
                    broken.append(f"{key} was with two at once")
                held.add(key)
                looks[key] += 1
                seen_since_wish[key] = True
            time.sleep(random.random() / 5000)
            with lock:
                held.discard(key)
            queue.done(key, random.choice([None, None, 0.001]))

    workers = [in_thread(work)[0] for _ in range(8)]
    give_up = time.monotonic() + 60
    while looks.total() < 500 and time.monotonic() < give_up:
        key = random.randrange(10)
        with lock:
            seen_since_wish[key] = False
            queue.add(key, random.choice([0, 0, 0.002]))
        time.sleep(0)
    while not all(seen_since_wish.values()) and time.monotonic() < give_up:
        time.sleep(0.001)
    queue.close()
    for worker in workers:
        worker.join(60)
    assert not broken
    assert all(seen_since_wish.values()), "a wish made while the key was in work was lost"
    assert looks.total() >= 500
