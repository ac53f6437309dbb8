"""What a controller promises whatever its reconciler does."""

import logging
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from tests.unit.clock import Clock
from tests.unit.kube.fake_api import drain

from quiesce.api.backoff import Backoff
from quiesce.kube.errors import KubeConflict, KubeRejected, KubeUnavailable
from quiesce.kube.resource import Key, Resource
from quiesce.runtime import controller as module
from quiesce.runtime.controller import BACKOFF, Controller


class Store:
    """The part of quiesce.kube.store.Store that a controller uses."""

    def __init__(self, *names: str) -> None:
        self.resources = [Resource(drain(name)) for name in names]
        self.error: Exception | None = None
        self.lists = 0

    def list(self) -> list[Resource]:
        self.lists += 1
        if self.error:
            raise self.error
        return self.resources


class Seen:
    """A reconciler that notes what it was asked for, and then does what it was told."""

    def __init__(self, then: Callable[[Key], float | None] = lambda _: None) -> None:
        self.keys: list[str] = []
        self.then = then
        self.changed = threading.Condition()

    def __call__(self, key: Key) -> float | None:
        with self.changed:
            self.keys.append(key.name)
            self.changed.notify_all()
        return self.then(key)

    def wait_for(self, enough: Callable[[list[str]], bool]) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: enough(self.keys), timeout=60), self.keys


Make = Callable[..., Controller]


@pytest.fixture
def make() -> Iterator[Make]:
    made: list[Controller] = []

    def build(
        store: Store, reconcile: Callable[[Key], float | None], **options: object
    ) -> Controller:
        made.append(Controller("drain", store, reconcile, **options))  # type: ignore[arg-type]
        return made[-1]

    yield build
    for each in made:
        each.stop()
        assert each.join(60) == []


def test_what_is_listed_at_the_start_is_looked_at_once(make: Make) -> None:
    seen = Seen()
    controller = make(Store("a", "b", "c"), seen)
    assert controller.relist() == 3
    assert seen.keys == [], "nothing is worked on before start()"
    controller.start(workers=2)
    seen.wait_for(lambda keys: sorted(keys) == ["a", "b", "c"])


def test_an_event_is_looked_at_and_the_echo_of_a_listed_object_is_not(make: Make) -> None:
    seen = Seen()
    controller = make(Store("a"), seen)
    controller.relist()
    controller.start(workers=1)
    seen.wait_for(lambda keys: keys == ["a"])
    controller.on_event(Resource(drain("a")), False)  # kopf lists too, when it starts
    controller.on_event(Resource(drain("b")), False)
    seen.wait_for(lambda keys: "b" in keys)
    controller.on_event(Resource(drain("a", generation=2)), False)
    seen.wait_for(lambda keys: keys == ["a", "b", "a"])
    controller.on_event(Resource(drain("a", generation=2)), True)
    seen.wait_for(lambda keys: keys == ["a", "b", "a", "a"])


def test_who_wants_to_know_is_told_of_what_is_new_before_a_tick_begins(make: Make) -> None:
    told: list[str] = []
    controller = make(Store("a"), Seen(), on_news=[lambda resource: told.append(resource.key.name)])
    controller.relist()
    controller.on_event(Resource(drain("a")), False)
    controller.on_event(Resource(drain("b")), False)
    controller.on_event(Resource(drain("a", generation=2)), False)
    controller.on_event(Resource(drain("a", generation=2)), True)
    assert told == ["a", "b", "a"]


def test_who_watches_is_shown_each_of_them_as_often_as_it_is_seen(make: Make) -> None:
    """Also what calls for no tick, such as a status that somebody has edited."""
    seen: list[tuple[str, bool]] = []
    note = [lambda resource, gone: seen.append((resource.key.name, gone))]
    controller = make(Store("a"), Seen(), on_seen=note)
    controller.relist()
    controller.on_event(Resource(drain("a")), False)
    controller.on_event(Resource(drain("a")), True)
    assert seen == [("a", False), ("a", False), ("a", True)]


def test_a_relist_finds_what_the_watch_missed_and_leaves_the_rest_at_its_pace(make: Make) -> None:
    seen = Seen(lambda _: 3600)
    store = Store("a", "b")
    controller = make(store, seen)
    controller.relist()
    controller.start(workers=1)
    seen.wait_for(lambda keys: len(keys) >= 2)
    store.resources = [
        Resource(drain("a")),
        Resource(drain("b", generation=2)),
        Resource(drain("c")),
    ]
    controller.relist()
    seen.wait_for(lambda keys: sorted(keys[2:]) == ["b", "c"])


def test_a_relist_brings_back_a_key_that_was_forgotten(make: Make) -> None:
    seen = Seen(lambda _: None)
    controller = make(Store("a"), seen)
    controller.relist()
    controller.start(workers=1)
    seen.wait_for(lambda keys: keys == ["a"])
    while len(seen.keys) < 2:
        controller.relist()


def test_the_relist_goes_on_after_failures(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RELIST_SECONDS", 0.001)
    store, seen = Store(), Seen()
    store.error = KubeUnavailable("down")
    controller = make(store, seen)
    controller.start(workers=1)
    while store.lists < 2:
        time.sleep(0.001)
    store.error = RuntimeError("a bug")
    lists = store.lists
    while store.lists < lists + 2:
        time.sleep(0.001)
    store.resources, store.error = [Resource(drain("a"))], None
    seen.wait_for(lambda keys: "a" in keys)


def test_waiting_is_a_return_value(make: Make) -> None:
    seen = Seen(lambda _: 0.001)
    controller = make(Store("a"), seen)
    controller.relist()
    controller.start(workers=1)
    seen.wait_for(lambda keys: len(keys) > 3)


def test_one_sick_resource_holds_up_no_other(make: Make) -> None:
    stuck = threading.Event()

    def then(key: Key) -> float | None:
        if key.name == "a":
            stuck.wait(60)
        if key.name == "b":
            raise RuntimeError("a bug")
        return 0.001

    seen = Seen(then)
    controller = make(Store("a", "b", "c"), seen)
    controller.relist()
    controller.start(workers=2)
    seen.wait_for(lambda keys: keys.count("c") > 3)
    stuck.set()


@pytest.mark.parametrize(
    ("error", "level", "traceback"),
    [
        (KubeConflict("HTTP 409: modified"), logging.WARNING, False),
        (KubeUnavailable("refused"), logging.WARNING, False),
        (KubeRejected("HTTP 422: invalid"), logging.ERROR, False),
        (ZeroDivisionError("by zero"), logging.ERROR, True),
    ],
)
def test_a_failing_tick_is_tried_again_and_told_once(
    make: Make,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    level: int,
    traceback: bool,
) -> None:
    monkeypatch.setattr(module, "BACKOFF", Backoff(0.001, 60.0))

    def then(_: Key) -> float | None:
        if len(seen.keys) < 4:
            raise error
        return 3600

    seen = Seen(then)
    controller = make(Store("a"), seen)
    controller.relist()
    controller.start(workers=1)
    seen.wait_for(lambda keys: len(keys) >= 4)
    assert [record.levelno for record in caplog.records] == [level] * 3
    assert [bool(record.exc_info) for record in caplog.records] == [traceback, False, False]
    assert all(str(error) in record.getMessage() for record in caplog.records)


def test_a_success_ends_the_back_off(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    class Asked:
        def delay(self, failures: int, key: str) -> float:
            asked.append(failures)
            return 0.001

    monkeypatch.setattr(module, "BACKOFF", Asked())

    def then(_: Key) -> float | None:
        if len(seen.keys) != 3:
            raise KubeUnavailable("down")
        return 0.001

    seen = Seen(then)
    controller = make(Store("a"), seen)
    controller.relist()
    controller.start(workers=1)
    seen.wait_for(lambda keys: len(keys) >= 6)
    assert asked[:4] == [1, 2, 1, 2]


def test_an_event_ends_the_wait_of_a_back_off(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BACKOFF", Backoff(3600.0, 3600.0))

    def then(_: Key) -> float | None:
        if len(seen.keys) == 1:
            raise KubeUnavailable("down")
        return None

    seen = Seen(then)
    controller = make(Store("a"), seen)
    controller.relist()
    controller.start(workers=1)
    seen.wait_for(lambda keys: len(keys) >= 1)
    controller.on_event(Resource(drain("a", generation=2)), False)
    seen.wait_for(lambda keys: len(keys) >= 2)


@pytest.mark.parametrize(
    ("failures", "longest"), [(1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (8, 60), (5000, 60)]
)
def test_back_off_doubles_up_to_a_minute_with_jitter(failures: int, longest: float) -> None:
    delays = {BACKOFF.delay(failures, f"ns/{number}") for number in range(50)}
    assert all(0.8 * longest <= delay <= 1.2 * longest for delay in delays)
    assert len(delays) > 1


def test_stopping_lets_a_tick_in_work_end_and_begins_no_other(make: Make) -> None:
    going, ended = threading.Event(), []

    def then(key: Key) -> float | None:
        going.wait(60)
        ended.append(key.name)
        return 0

    seen = Seen(then)
    controller = make(Store("a", "b"), seen)
    controller.relist()
    controller.start(workers=1)
    seen.wait_for(lambda keys: len(keys) >= 1)
    controller.stop()
    assert controller.join(0) == [Key("ns", "a")]
    going.set()
    assert controller.join(60) == []
    assert ended == seen.keys == ["a"]


def test_health_of_what_is_well(make: Make) -> None:
    clock = Clock()
    controller = make(Store("a"), Seen(), clock=clock)
    controller.relist()
    controller.start(workers=2)
    clock.now += 179
    assert controller.failing() == []


def test_health_tells_of_a_tick_that_does_not_end(make: Make) -> None:
    clock, going = Clock(), threading.Event()
    seen = Seen(lambda _: going.wait(60) and None)
    controller = make(Store("a"), seen, clock=clock)
    controller.relist()
    controller.start(workers=1)
    seen.wait_for(lambda keys: len(keys) >= 1)
    clock.now += 601
    controller.relist()
    (wrong,) = controller.failing()
    assert "drain-0" in wrong and "ns/a" in wrong
    going.set()


def test_health_tells_of_missing_relists(make: Make) -> None:
    clock, store = Clock(), Store()
    controller = make(store, Seen(), clock=clock)
    controller.relist()
    store.error = KubeUnavailable("down")
    clock.now += 181
    with pytest.raises(KubeUnavailable):
        controller.relist()
    assert controller.failing() == ["drain: not listed for 181s"]
    store.error = None
    controller.relist()
    assert controller.failing() == []


class EndsThread(BaseException):
    """Neither an Exception nor SystemExit."""


@pytest.mark.finding("C1")
@pytest.mark.promise("never-11")
@pytest.mark.parametrize("error", [SystemExit(0), SystemExit("bye"), GeneratorExit(), EndsThread()])
def test_no_tick_ends_a_worker(make: Make, error: BaseException) -> None:
    def then(key: Key) -> float | None:
        if key.name == "bad":
            raise error
        return 0.001

    seen = Seen(then)
    controller = make(Store("bad", "good"), seen)
    controller.relist()
    controller.start(workers=1)
    seen.wait_for(lambda keys: "bad" in keys and keys.count("good") > 3)
    assert controller.failing() == []


@pytest.mark.finding("C1")
def test_a_log_that_cannot_be_written_ends_no_worker(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise SystemExit

    def then(key: Key) -> float | None:
        if key.name == "bad":
            raise RuntimeError("a bug")
        return 0.001

    monkeypatch.setattr(module.log, "error", broken)
    seen = Seen(then)
    controller = make(Store("bad", "good"), seen)
    controller.relist()
    controller.start(workers=1)
    seen.wait_for(lambda keys: "bad" in keys and keys.count("good") > 3)
    assert controller.failing() == []
