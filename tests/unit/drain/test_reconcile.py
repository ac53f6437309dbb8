"""One tick as a whole, where the order of its parts matters."""

from datetime import datetime
from typing import Any

import pytest
from tests.harness.inprocess import KEY, Boundary, MemoryEvents, MemorySecrets, MemoryStore
from tests.unit.drain.build import (
    FOUND,
    HOST,
    ME,
    NOW,
    condition,
    migration,
    other,
    server,
    service,
)

from quiesce.api.errors import BadCredentials, NotAllowed, Problem
from quiesce.drain.decide.goals import START_TRIES
from quiesce.drain.model.history import History
from quiesce.drain.model.observation import HostTrouble
from quiesce.drain.reconcile import FINALIZER, LOOK_FOR_A_PERSON, Drains, MoveLimiter
from quiesce.openstack.cloud import Cloud
from quiesce.openstack.errors import Refused
from quiesce.openstack.records import Migration, Server, Service
from quiesce.runtime.kinds import Context
from quiesce.settings import Settings


class Still:
    """A cloud that stands still, and a log of what it is asked to do. `fails`: verb -> what it raises."""

    user_id, identity = ME, "https://nova.example.org"

    def __init__(self, **fails: Exception) -> None:
        self.fails = fails
        self.calls: list[str] = []
        self.the_services: tuple[Service, ...] = (service("enabled"), other())
        self.the_servers: tuple[Server, ...] = (server("s1"), server("s2", "SHUTOFF"))
        self.the_migrations: tuple[Migration, ...] = (migration(FOUND, "confirmed", "old"),)

    def services(self, *, fresh: bool = False) -> tuple[Service, ...]:
        return self.the_services

    def servers_on(self, host: str) -> tuple[Server, ...]:
        return self.the_servers

    def migrations(self, host: str, above: int | None = None) -> tuple[Migration, ...]:
        return tuple(m for m in self.the_migrations if above is None or m.id > above)

    def __getattr__(self, name: str) -> Any:
        if name in ("aggregates", "groups", "hypervisors", "rooms", "servers_to_verify", "ports"):
            return lambda *_: ()

        def call(*_: Any) -> None:
            self.calls.append(name)
            if name in self.fails:
                raise self.fails[name]

        return call


class OneCloud:
    """Stands for the connections: one cloud, or the error of connecting to it."""

    def __init__(self, cloud: Any) -> None:
        self.cloud = cloud
        self.forgotten = 0

    def get(self, *_: Any) -> Cloud:
        if isinstance(self.cloud, Problem):
            raise self.cloud
        found: Cloud = self.cloud
        return found

    def forget(self, *_: Any) -> None:
        self.forgotten += 1


def now() -> datetime:
    return NOW


def operator(cloud: Any, limit: int = 0, **metadata: Any) -> tuple[Drains, MemoryStore]:
    store = MemoryStore(Boundary())
    store.put(KEY, {"host": HOST, "migration": {"method": "Cold"}}, NOW)
    store.objects[KEY]["metadata"] |= {"finalizers": [FINALIZER]} | metadata
    context = Context(Settings(), store, MemorySecrets("{}"), MemoryEvents(), {})  # type: ignore[arg-type]
    return Drains(context, OneCloud(cloud), MoveLimiter(limit), {}, now), store  # type: ignore[arg-type]


def test_the_finalizer_comes_first_and_alone() -> None:
    cloud = Still()
    drains, store = operator(cloud, finalizers=[])
    assert drains.reconcile(KEY) == 0
    assert store.objects[KEY]["metadata"]["finalizers"] == [FINALIZER]
    assert not cloud.calls
    assert "phase" not in store.objects[KEY]["status"]


def test_what_was_found_is_written_down_before_the_first_write_to_openstack(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cloud = Still()
    drains, store = operator(cloud)

    def refuse(*_: Any) -> None:
        raise RuntimeError("the API server is away")

    monkeypatch.setattr(store, "write_status", refuse)
    with pytest.raises(RuntimeError):
        drains.reconcile(KEY)
    assert not cloud.calls


def test_a_host_is_disabled_before_its_servers_are_listed() -> None:
    """However many there are: nothing more lands on it meanwhile."""

    class Full(Still):
        def servers_on(self, host: str) -> tuple[Server, ...]:
            assert self.calls == ["disable_service"]
            return super().servers_on(host)

    cloud = Full()
    drains, store = operator(cloud)
    drains.reconcile(KEY)
    assert cloud.calls == ["disable_service"]
    assert "progress" not in store.objects[KEY]["status"]
    drains.reconcile(KEY)
    assert store.objects[KEY]["status"]["progress"]["total"] == 2


def test_a_drain_whose_status_was_lost_begins_again() -> None:
    cloud = Still()
    drains, store = operator(cloud)
    drains.reconcile(KEY)
    cloud.the_services = (
        service(disabled_reason="quiesce: drain openstack/drain [uid-drai]"),
        other(),
    )
    store.objects[KEY]["status"] = {}
    drains.notes.clear()
    drains.reconcile(KEY)
    assert store.objects[KEY]["status"]["service"]["foundStatus"] == "enabled"
    assert "migrate" not in cloud.calls
    drains.reconcile(KEY)
    assert cloud.calls.count("migrate") == 2


def test_trouble_with_a_call_keeps_what_the_same_tick_has_written() -> None:
    """The rows of the moves that did begin hold how their servers were; what was found is what Restore puts back."""
    cloud = Still()
    drains, store = operator(cloud)
    drains.reconcile(KEY)
    assert cloud.calls == ["disable_service"]
    found = store.objects[KEY]["status"]["service"]["foundStatus"]
    cloud.the_services = (
        service(disabled_reason="quiesce: drain openstack/drain [uid-drai]"),
        other(),
    )
    cloud.fails = {"migrate": NotAllowed("403")}
    assert drains.reconcile(KEY) == LOOK_FOR_A_PERSON
    status = store.objects[KEY]["status"]
    assert status["phase"] == "Stalled"
    assert status["service"]["foundStatus"] == found
    assert {row["id"]: row["was"] for row in status["moving"]} == {"s1": "ACTIVE", "s2": "SHUTOFF"}


def test_what_the_brake_gives_one_drain_no_other_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """Moves are held as soon as they are decided on, not when they have begun."""
    cloud = Still()
    drains, store = operator(cloud, limit=1)
    drains.reconcile(KEY)
    cloud.the_services = (
        service(disabled_reason="quiesce: drain openstack/drain [uid-drai]"),
        other(),
    )
    left: list[int | None] = []
    write = store.write_status

    def look_then_write(resource: Any, status: Any) -> None:
        left.append(drains.brake.room("another drain"))
        write(resource, status)

    monkeypatch.setattr(store, "write_status", look_then_write)
    drains.reconcile(KEY)
    assert left == [0]
    assert cloud.calls.count("migrate") == 1


def test_a_refused_disable_is_told_and_left_alone_for_a_while() -> None:
    cloud = Still(disable_service=Refused(409, "the conductor is away", None))
    drains, store = operator(cloud)
    drains.reconcile(KEY)
    first = drains.reconcile(KEY)
    assert first is not None
    assert 1.0 < first < Settings().idle_interval  # as soon as it has rested
    assert cloud.calls == ["disable_service"]
    status = store.objects[KEY]["status"]
    assert "the conductor is away" in status["message"]
    assert condition(status, "Ready")["reason"] == "DisableRefused"  # type: ignore[index]
    cloud.fails = {}
    drains.notes["uid-drain-0000"] = History()  # a new process asks at once
    drains.reconcile(KEY)
    assert cloud.calls == ["disable_service"] * 2


def test_a_drain_without_credentials_has_begun_nothing_and_goes_at_once() -> None:
    drains, store = operator(BadCredentials("no such Secret"))
    drains.reconcile(KEY)
    assert store.objects[KEY]["status"]["phase"] == "Stalled"
    store.delete(KEY)
    assert drains.reconcile(KEY) is None
    assert KEY not in store.objects


def test_refused_credentials_are_read_anew() -> None:
    class Refusing(Still):
        def services(self, *, fresh: bool = False) -> tuple[Service, ...]:
            raise BadCredentials("401")

    drains, _ = operator(Refusing())
    drains.reconcile(KEY)
    assert isinstance(drains.clouds, OneCloud)
    assert drains.clouds.forgotten == 1


def test_abandon_lets_go_at_once_and_writes_nothing() -> None:
    cloud = Still()
    drains, store = operator(cloud)
    drains.reconcile(KEY)
    store.objects[KEY]["metadata"]["annotations"]["quiesce.dev/abandon"] = "true"
    store.delete(KEY)
    cloud.calls.clear()
    assert drains.reconcile(KEY) is None
    assert KEY not in store.objects
    assert not cloud.calls


def test_a_nova_compute_that_did_not_start_is_tried_again_as_soon_as_it_has_rested() -> None:
    cloud = Still()
    drains, store = operator(cloud)
    drains.reconcile(KEY)
    store.objects[KEY]["status"]["service"]["foundUnit"] = "running enabled"
    cloud.the_services, cloud.the_servers = (other(),), ()
    store.delete(KEY)
    drains.reconcile(KEY)  # by no way: the spec names none
    wait = drains.reconcile(KEY)
    assert wait is not None
    assert 1.0 < wait < Settings().idle_interval
    assert "names no way into the host" in store.objects[KEY]["status"]["message"]


def test_a_nova_compute_that_could_not_be_started_again_is_told_before_the_drain_goes() -> None:
    cloud = Still()
    drains, store = operator(cloud)
    drains.reconcile(KEY)
    store.objects[KEY]["status"]["service"]["foundUnit"] = "running enabled"
    drains.notes["uid-drain-0000"].host_trouble = HostTrouble(
        "Timeout", "no answer", False, START_TRIES, NOW, starting=True
    )
    cloud.the_services, cloud.the_servers = (other(),), ()
    store.delete(KEY)
    assert drains.reconcile(KEY) is None
    assert KEY not in store.objects
    events = drains.context.events.emitted  # type: ignore[attr-defined]
    assert [reason for reason, _ in events[-2:]] == ["NovaComputeNotRunning", "Restored"]
    assert (
        f"no answer. Start nova-compute on {HOST} by hand (it was found running enabled)"
        in events[-2][1]
    )
    assert events[-1][1] == "the host is given back, but for nova-compute"


def test_a_host_that_nova_does_not_know_is_named_with_near_misses() -> None:
    cloud = Still()
    cloud.the_services = (other("cmp11"), other("gpu-7"))
    drains, store = operator(cloud)
    drains.reconcile(KEY)
    status = store.objects[KEY]["status"]
    assert status["phase"] == "Stalled"
    assert "no nova-compute service on host 'cmp1'. Did you mean cmp11?" in status["message"]
    assert "foundMigration" not in status


def test_an_idle_drain_writes_nothing() -> None:
    cloud = Still()
    cloud.the_servers = (server("s1", "SUSPENDED"),)
    drains, store = operator(cloud)
    drains.reconcile(KEY)
    cloud.the_services = (
        service(disabled_reason="quiesce: drain openstack/drain [uid-drai]"),
        other(),
    )
    drains.reconcile(KEY)
    drains.reconcile(KEY)
    writes = store.writes
    for _ in range(5):
        drains.notes["uid-drain-0000"] = History()  # a new process has the same to say
        drains.reconcile(KEY)
    assert store.writes == writes


def test_a_plan_is_made_anew_as_soon_as_the_spec_is_another_one() -> None:
    """The status says of which generation it is: a plan for the method before would be taken for one for this method."""
    drains, store = operator(Still())
    store.put(KEY, {"host": HOST, "mode": "Plan", "migration": {"method": "Cold"}}, NOW)
    store.objects[KEY]["metadata"] |= {"finalizers": [FINALIZER]}
    drains.reconcile(KEY)
    assert store.objects[KEY]["status"]["plan"]["cold"] == 2
    store.edit(KEY, lambda spec: spec["migration"].update(method="Live"))
    drains.reconcile(KEY)
    status = store.objects[KEY]["status"]
    assert (status["observedGeneration"], status["plan"]["live"], status["plan"]["cold"]) == (
        2,
        1,
        1,
    )


# The brake of the whole operator


def test_the_brake_counts_the_moves_of_all_others() -> None:
    brake = MoveLimiter(5)
    brake.hold("a", 3)
    brake.hold("b", 1)
    assert (brake.room("a"), brake.room("b"), brake.room("c")) == (4, 2, 1)
    brake.hold("a", 0)
    assert brake.room("c") == 4
    brake.hold("b", 9)
    assert brake.room("c") == 0
    assert MoveLimiter(0).room("a") is None
