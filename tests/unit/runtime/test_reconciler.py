"""What the skeleton promises every kind, shown with a tiny kind that supplies only what differs."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.harness.inprocess import Boundary, MemoryEvents, MemorySecrets, MemoryStore
from tests.unit.runtime.test_election import MemoryLeases, Shelf

from quiesce.api.annotations import DRAIN_FINALIZER, SHARD_MARK
from quiesce.api.errors import BadCredentials, CloudUnreachable, InvalidSpec, Problem
from quiesce.api.events import Event, normal, warning
from quiesce.api.selector import Selector
from quiesce.kube.errors import KubeForbidden, KubeUnavailable
from quiesce.kube.resource import Key, Resource
from quiesce.ops.leadership import NotLeading
from quiesce.runtime.clouds import cloud_of
from quiesce.runtime.controller import Controller
from quiesce.runtime.kinds import Context, Released
from quiesce.runtime.publish import publish
from quiesce.runtime.reconciler import AFTER_TERMINAL_SECONDS, AFTER_TRANSIENT, ResourceReconciler
from quiesce.runtime.shard import Shard
from quiesce.settings import Settings

KEY = Key("openstack", "third")


@dataclass
class Lamps:
    """The third kind: a tick turns the lamp on; in deletion a tick turns it off."""

    context: Context
    then: Callable[[Resource], float | Released] = lambda _: 7.0
    ticks: int = 0
    forgotten: list[str] = field(default_factory=list)
    resting: bool = True
    rests_for: float | None = None
    finalizer: str = DRAIN_FINALIZER  # the one that MemoryStore keeps

    def rests(self, key: Key) -> float | None:
        return self.rests_for

    def at_rest(self, uid: str) -> bool:
        return self.resting

    def nothing_to_undo(self, resource: Resource) -> bool:
        return "lamp" not in resource.status

    def left_behind(self, resource: Resource) -> str:
        return "the lamp stays on" if "lamp" in resource.status else ""

    def release_events(self, resource: Resource, *, abandoned: bool) -> Sequence[Event]:
        return (warning("Abandoned", "TurnOff", "the lamp stays on"),) if abandoned else ()

    def secrets_of(self, resource: Resource) -> tuple[str, ...]:
        return ()

    def tick(self, resource: Resource) -> float | Released:
        self.ticks += 1
        publish(
            self.context,
            resource,
            {"lamp": "on"},
            [normal("TurnedOn", "TurnOn", "light")][: self.ticks],
        )
        return self.then(resource)

    def report_problem(self, resource: Resource, problem: Problem) -> None:
        publish(
            self.context, resource, {**resource.status, "trouble": f"{problem.reason}: {problem}"}
        )

    def forget(self, key: Key, uid: str) -> None:
        self.forgotten.append(uid)


class Clouds:
    """Stands for the connections: which are open, and which were dropped."""

    def __init__(self) -> None:
        self.dropped: list[str] = []

    def get(self, secret: Any, cloud_name: str, _using: Any) -> str:
        return f"{secret.namespace}/{secret.name}/{cloud_name}"

    def forget(self, secret: Any, cloud_name: str) -> None:
        self.dropped.append(cloud_name)


class World:
    def __init__(self) -> None:
        self.store, self.events, self.clouds = MemoryStore(Boundary()), MemoryEvents(), Clouds()
        self.secrets = MemorySecrets("{}")
        context = Context(Settings(), self.store, self.secrets, self.events, {}, self.clouds)  # type: ignore[arg-type]
        self.lamps = Lamps(context)
        self.reconciler = ResourceReconciler(context, self.lamps)
        self.put(finalizers=[DRAIN_FINALIZER])

    def put(self, **metadata: Any) -> None:
        self.store.put(KEY, {"cloudCredentialsRef": {"cloudName": "blue"}}, datetime.now(UTC))
        self.store.objects[KEY]["metadata"] |= metadata

    def tick(self) -> float | None:
        return self.reconciler.reconcile(KEY)

    @property
    def status(self) -> dict[str, Any]:
        return dict(self.store.objects[KEY]["status"])


@pytest.fixture
def world() -> World:
    return World()


def fail(error: Exception) -> Callable[[Resource], float | Released]:
    def then(_: Resource) -> float | Released:
        raise error

    return then


def test_the_finalizer_is_stored_first_and_alone(world: World) -> None:
    world.put(finalizers=[])
    assert world.tick() == 0.0
    assert world.store.objects[KEY]["metadata"]["finalizers"] == [DRAIN_FINALIZER]
    assert world.lamps.ticks == 0
    assert world.tick() == 7.0


def test_a_resource_that_is_gone_is_forgotten_once(world: World) -> None:
    world.tick()
    del world.store.objects[KEY]
    assert world.tick() is None
    assert world.tick() is None
    assert world.lamps.forgotten == ["uid-third-0000"]


def test_another_object_of_the_same_name_inherits_nothing(world: World) -> None:
    world.tick()
    world.put(uid="another", finalizers=[DRAIN_FINALIZER])
    world.tick()
    assert world.lamps.forgotten == ["uid-third-0000"]


def test_what_was_never_begun_is_released_without_a_tick(world: World) -> None:
    world.store.delete(KEY)
    assert world.tick() is None
    assert KEY not in world.store.objects
    assert world.lamps.ticks == 0


def test_what_was_begun_is_undone_before_it_is_released(world: World) -> None:
    world.tick()
    world.store.delete(KEY)
    assert world.tick() == 7.0
    world.lamps.then = lambda _: Released((normal("TurnedOff", "TurnOff", "dark"),))
    assert world.tick() is None
    assert KEY not in world.store.objects
    assert world.events.emitted[-1] == ("TurnedOff", "dark")
    assert world.lamps.forgotten == ["uid-third-0000"]


def test_an_abandoned_resource_is_released_with_nothing_undone(world: World) -> None:
    world.tick()
    world.store.objects[KEY]["metadata"]["annotations"]["quiesce.dev/abandon"] = "true"
    assert world.tick() == 7.0, "only when it is deleted"
    world.store.delete(KEY)
    assert world.tick() is None
    assert KEY not in world.store.objects
    assert world.events.emitted[-1][0] == "Abandoned"
    assert world.lamps.ticks == 2


def test_a_resource_in_deletion_without_our_finalizer_is_left_alone(world: World) -> None:
    world.put(finalizers=["somebody/else"], deletionTimestamp="2026-01-01T00:00:00Z")
    assert world.tick() is None
    assert (world.lamps.ticks, world.store.writes) == (0, 0)


def test_a_problem_is_added_to_what_the_same_tick_wrote(world: World) -> None:
    world.lamps.then = fail(InvalidSpec("no such lamp"))
    assert world.tick() == AFTER_TERMINAL_SECONDS
    assert world.status == {"lamp": "on", "trouble": "InvalidSpec: no such lamp"}


def test_a_problem_that_may_pass_is_retried_ever_more_slowly_until_a_tick_succeeds(
    world: World,
) -> None:
    world.lamps.then = fail(CloudUnreachable("refused"))
    uid = "uid-third-0000"
    waits = [world.tick() for _ in range(3)]
    assert waits == [AFTER_TRANSIENT.delay(n, uid) for n in (1, 2, 3)]
    world.lamps.then = lambda _: 1.0
    assert world.tick() == 1.0
    world.lamps.then = fail(CloudUnreachable("busy", retry_after=90.0))
    assert world.tick() == 90.0


def test_calls_that_fail_one_after_the_other_are_not_taken_for_one_that_goes_on_failing(
    world: World,
) -> None:
    def failing(call: str) -> float | None:
        problem = CloudUnreachable("refused")
        problem.call = call
        world.lamps.then = fail(problem)
        return world.tick()

    uid = "uid-third-0000"
    once, twice = (AFTER_TRANSIENT.delay(n, uid) for n in (1, 2))
    assert [failing(f"GET /{number}") for number in range(8)] == [once] * 8
    assert failing("GET /3") == twice, "no tick ended well in between"


def test_refused_credentials_drop_the_connection(world: World) -> None:
    found: object = cloud_of(world.lamps.context, Resource(world.store.objects[KEY]))
    assert found == "openstack/openstack-clouds/blue"
    world.lamps.then = fail(BadCredentials("refused"))
    world.tick()
    assert world.clouds.dropped == ["blue"]


def test_an_unexpected_error_reaches_the_status_once_and_the_log_under_the_same_reference(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    numbers = iter(range(9))
    nothing: dict[int, float] = {}
    world.lamps.then = lambda _: nothing[next(numbers)]
    controller = Controller("third", world.store, world.reconciler.reconcile)  # type: ignore[arg-type]
    waits = [controller._tick(KEY) for _ in range(2)]
    assert waits[1] is not None and waits[0] is not None and waits[1] > waits[0]
    reason, _, text = world.status["trouble"].partition(": ")
    assert reason == "InternalError"
    assert "KeyError" in text and len(reference := text.rpartition(" ")[2]) == 8
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert [reference in record.getMessage() for record in errors] == [True, True]
    assert errors[0].exc_info
    before = world.store.writes
    world.lamps.tick = fail(KeyError("another text, in the same place"))  # type: ignore[assignment,method-assign]
    controller._tick(KEY)
    writes = world.store.writes
    controller._tick(KEY)
    assert world.store.writes == writes >= before, "an unchanged error writes nothing"


def test_an_error_of_the_api_server_is_left_to_the_controller(world: World) -> None:
    world.lamps.then = fail(KubeUnavailable("down"))
    with pytest.raises(KubeUnavailable):
        world.tick()
    assert "trouble" not in world.status


@pytest.mark.finding("H5")
def test_what_is_left_is_told_once_where_the_rights_went_first(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As where a namespace is deleted: its bindings mostly go before its resources."""
    world.tick()
    world.tick()  # from here on its status says that the lamp is on

    def refuse(_: Key) -> None:
        raise KubeForbidden("lamps: forbidden")

    monkeypatch.setattr(world.store, "get", refuse)
    for _ in range(2):
        with pytest.raises(KubeForbidden):
            world.tick()
    told = [
        each.getMessage() for each in caplog.records if "the lamp stays on" in each.getMessage()
    ]
    assert len(told) == 1
    assert str(KEY) in told[0]


def test_the_first_error_is_raised_where_it_cannot_be_reported(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise KubeUnavailable("down")

    world.lamps.then = fail(ZeroDivisionError("a bug"))
    monkeypatch.setattr(world.lamps, "report_problem", refuse)
    with pytest.raises(ZeroDivisionError):
        world.tick()


A, B = f"{SHARD_MARK}a", f"{SHARD_MARK}b"


@pytest.fixture
def sharded(monkeypatch: pytest.MonkeyPatch) -> tuple[World, list[str]]:
    """A shard for `shard=a`, and what it does with marks."""
    world, done = World(), list[str]()
    shard = Shard(Selector.parse("shard=a"), A, MemoryLeases(Shelf()))
    world.reconciler._context = replace(world.reconciler._context, shard=shard)
    for name in ("add_finalizer", "hand_over", "replace_marks"):
        monkeypatch.setattr(
            MemoryStore, name, lambda *_, name=name: done.append(name), raising=False
        )
    return world, done


def test_a_shard_sets_its_mark_before_anything_else(sharded: tuple[World, list[str]]) -> None:
    world, done = sharded
    world.put(labels={"shard": "a"}, finalizers=[DRAIN_FINALIZER])
    assert world.tick() == 0.0
    assert (done, world.lamps.ticks) == (["add_finalizer"], 0)


def test_one_that_another_selects_is_handed_over_when_nothing_of_it_goes_on(
    sharded: tuple[World, list[str]],
) -> None:
    world, done = sharded
    world.put(labels={"shard": "a"}, finalizers=[DRAIN_FINALIZER, A])
    assert world.tick() == 7.0
    world.put(labels={"shard": "b"}, finalizers=[DRAIN_FINALIZER, A])
    world.lamps.resting = False
    assert (world.tick() or 0.0) > 0.0
    assert (done, world.lamps.ticks, world.lamps.forgotten) == ([], 1, [])
    world.lamps.resting = True
    assert world.tick() is None
    assert (done, world.lamps.ticks, len(world.lamps.forgotten)) == (["hand_over"], 1, 1)


def test_one_with_the_mark_of_another_waits(sharded: tuple[World, list[str]]) -> None:
    world, done = sharded
    world.put(labels={"shard": "a"}, finalizers=[DRAIN_FINALIZER, B])
    assert (world.tick() or 0.0) > 0.0
    shelf = world.reconciler._context.shard.leases
    assert isinstance(shelf, MemoryLeases)
    shelf.create("b", "", 1, "")
    assert world.tick() == 0.0
    assert (done, world.lamps.ticks) == (["replace_marks"], 0)


def test_a_tick_that_may_not_write_is_no_defect(world: World) -> None:
    world.lamps.then = fail(NotLeading("nothing was sent"))
    with pytest.raises(NotLeading):
        world.tick()
    assert "conditions" not in world.status
