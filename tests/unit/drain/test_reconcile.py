"""One tick as a whole, where the order of its parts matters."""

from contextlib import nullcontext
from copy import deepcopy
from dataclasses import dataclass
from datetime import timedelta
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
    tried,
)

from quiesce.api.annotations import DRAIN_FINALIZER
from quiesce.api.drain.record import Record
from quiesce.api.drain.spec import DrainSpec
from quiesce.api.errors import BadCredentials, CloudUnreachable, NotAllowed, Problem
from quiesce.api.text import timestamp
from quiesce.drain import host_access
from quiesce.drain.claimed import cloud_digest
from quiesce.drain.decide.service import START_TRIES
from quiesce.drain.limiter import MoveLimiter
from quiesce.drain.model.decision import Arrivals
from quiesce.drain.model.history import History, HostFailure
from quiesce.drain.reconcile import Drains
from quiesce.kube.resource import Key, Resource
from quiesce.openstack.cloud import Cloud
from quiesce.openstack.errors import Refused
from quiesce.openstack.records import Migration, Server, Service
from quiesce.ops.clock import Clock
from quiesce.runtime.kinds import Context
from quiesce.runtime.reconciler import AFTER_TERMINAL_SECONDS, ResourceReconciler
from quiesce.settings import Settings

OTHER = Key("openstack", "other")


class Still:
    """A cloud that stands still, and a log of what it is asked to do. `fails`: verb -> what it
    raises.
    """

    user_id, identity = ME, "https://nova.example.org"

    def __init__(self, **fails: Exception) -> None:
        self.fails = fails
        self.calls: list[str] = []
        self.the_services: tuple[Service, ...] = (service("enabled"), other())
        self.the_servers: tuple[Server, ...] = (server("s1"), server("s2", "SHUTOFF"))
        self.the_migrations: tuple[Migration, ...] = (migration(FOUND, "confirmed", "old"),)

    def services(self, *, age: float | None = None) -> tuple[Service, ...]:
        return self.the_services

    def service(self, host: str) -> Service | None:
        return next((each for each in self.the_services if each.host == host), None)

    def shows_it_disabled(self) -> None:
        """The host, by the drain of these tests."""
        ours = service(disabled_reason="quiesce: drain openstack/drain [uid-drai]")
        self.the_services = (ours, other())

    def clock(self) -> float:
        return 0.0

    def no_migration_changed(self, host: str, asked: float) -> bool:
        return False

    def servers_on(self, host: str) -> tuple[Server, ...]:
        return self.the_servers

    def migrations(self, host: str, above: int | None = None) -> tuple[Migration, ...]:
        return tuple(m for m in self.the_migrations if above is None or m.id > above)

    def __getattr__(self, name: str) -> Any:
        if name == "to_verify":
            return lambda *_: {}
        if name == "known_services":
            return lambda *_: None
        if name in ("aggregates", "groups", "hypervisors", "rooms"):
            return lambda *_, **__: ()
        if name.startswith("ports"):
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


@dataclass
class Operator:
    """The actuator and the skeleton around it, as one process has them."""

    drains: Drains
    reconciler: ResourceReconciler
    clouds: OneCloud
    passed: float = 0.0
    """Seconds since its start."""
    set_by: float = 0.0
    """Seconds by which the clock of its machine was set since."""

    def __post_init__(self) -> None:
        self.drains.clock = Clock(
            lambda: NOW + timedelta(seconds=self.passed + self.set_by), lambda: self.passed
        )

    def reconcile(self) -> float | None:
        return self.reconciler.reconcile(KEY)


def operator(cloud: Any, limit: int = 0, **metadata: Any) -> tuple[Operator, MemoryStore]:
    store = MemoryStore(Boundary())
    store.put(KEY, {"host": HOST, "migration": {"method": "Cold"}}, NOW)
    store.objects[KEY]["metadata"] |= {"finalizers": [DRAIN_FINALIZER]} | metadata
    clouds = OneCloud(cloud)
    context = Context(Settings(), store, MemorySecrets("{}"), MemoryEvents(), {}, clouds)  # type: ignore[arg-type]
    drains = Drains(context, MoveLimiter(limit))
    return Operator(drains, ResourceReconciler(context, drains), clouds), store


def test_the_finalizer_comes_first_and_alone() -> None:
    cloud = Still()
    process, store = operator(cloud, finalizers=[])
    assert process.reconcile() == 0
    assert store.objects[KEY]["metadata"]["finalizers"] == [DRAIN_FINALIZER]
    assert not cloud.calls
    assert "phase" not in store.objects[KEY]["status"]


def test_what_was_found_is_written_down_before_the_first_write_to_openstack(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cloud = Still()
    process, store = operator(cloud)

    def refuse(*_: Any) -> None:
        raise RuntimeError("the API server is away")

    monkeypatch.setattr(store, "write_status", refuse)
    with pytest.raises(RuntimeError):
        process.reconcile()
    assert not cloud.calls


def test_a_host_is_disabled_before_its_servers_are_listed() -> None:
    """However many there are: nothing more lands on it meanwhile."""

    class Full(Still):
        def servers_on(self, host: str) -> tuple[Server, ...]:
            assert self.calls == ["disable_service"]
            return super().servers_on(host)

    cloud = Full()
    process, store = operator(cloud)
    process.reconcile()
    assert cloud.calls == ["disable_service"]
    assert "progress" not in store.objects[KEY]["status"]
    process.reconcile()
    assert store.objects[KEY]["status"]["progress"]["total"] == 2


def test_no_move_begins_while_another_drain_is_not_disabled_yet() -> None:
    """Its host may be the one that Nova chooses."""
    cloud = Still()
    process, store = operator(cloud)
    process.reconcile()
    cloud.shows_it_disabled()
    store.put(OTHER, {"host": "other"}, NOW)
    new = store.get(OTHER)
    assert new is not None
    process.drains.newcomers.notice(new)
    assert process.reconcile() == pytest.approx(Settings().poll_interval, abs=1)
    assert "migrate" not in cloud.calls
    assert process.reconciler.reconcile(OTHER) == 0, "its finalizer alone changes nothing"
    process.reconcile()
    assert "migrate" not in cloud.calls
    process.reconciler.reconcile(OTHER)
    process.reconcile()
    assert cloud.calls.count("migrate") == 2


@pytest.mark.promise("never-1")
def test_a_move_that_failed_between_two_reads_is_not_taken_for_one_that_never_began() -> None:
    """Nova is slow to write the record, and quick to find no host: the server is idle again."""

    first = migration(FOUND + 1, "error", created=NOW - timedelta(hours=1))

    class Slow(Still):
        def servers_on(self, host: str) -> tuple[Server, ...]:
            if "migrate" in self.calls:
                self.the_migrations = (migration(FOUND + 2, "error"), first)
            return super().servers_on(host)

    cloud = Slow()
    cloud.the_servers = (server("s1"),)
    process, _ = operator(cloud)
    process.reconcile()
    cloud.shows_it_disabled()
    cloud.the_migrations = (first,)
    for seconds in (0, 60, 62):  # the first one is seen, has rested, is followed by another
        process.passed = seconds
        process.reconcile()
    assert cloud.calls.count("migrate") == 1


@pytest.mark.parametrize("jump", [7200.0, -7200.0])
def test_a_clock_that_is_set_changes_times_in_the_status_and_no_duration(jump: float) -> None:
    """A cold move, of which only the status says when it began."""
    cloud = Still()
    cloud.the_servers = (server("s1"),)
    process, store = operator(cloud)
    process.reconcile()
    cloud.shows_it_disabled()
    process.passed = 1
    process.reconcile()
    cloud.the_servers = (server("s1", "RESIZE", "resize_migrating"),)
    cloud.the_migrations = (migration(status_="migrating"),)
    process.set_by = jump
    for seconds, problems in ((2, []), (3000, []), (3602, ["Stuck"])):
        process.passed = seconds
        process.reconcile()
        status = store.objects[KEY]["status"]
        assert [each["reason"] for each in status["problems"]] == problems
    shown = NOW + timedelta(seconds=3602 + jump)
    assert status["problems"][0]["since"] == timestamp(shown)
    assert condition(status, "Stalled")["lastTransitionTime"] == timestamp(shown)  # type: ignore[index]


@pytest.mark.parametrize("jump", [7200.0, -7200.0])
def test_what_begins_after_the_clock_was_set_has_the_time_of_day(jump: float) -> None:
    cloud = Still()
    cloud.the_servers = (server("s1"),)
    process, store = operator(cloud)
    process.set_by = jump
    process.reconcile()
    cloud.shows_it_disabled()
    process.reconcile()
    status = store.objects[KEY]["status"]
    shown = timestamp(NOW + timedelta(seconds=jump))
    assert (status["startTime"], status["moving"][0]["since"]) == (shown, shown)


@pytest.mark.parametrize("jump", [7200.0, -7200.0])
def test_a_problem_that_nothing_was_read_for_has_the_time_of_day(jump: float) -> None:
    process, store = operator(CloudUnreachable("no answer"))
    process.set_by = jump
    process.reconcile()
    ready = condition(store.objects[KEY]["status"], "Ready")
    assert ready["lastTransitionTime"] == timestamp(NOW + timedelta(seconds=jump))  # type: ignore[index]


def test_a_drain_that_cannot_begin_holds_no_other_up() -> None:
    process, store = operator(CloudUnreachable("no answer"))
    resource = store.get(KEY)
    assert resource is not None
    process.drains.newcomers.notice(resource)
    process.reconcile()
    assert not process.drains.newcomers._waiting


def test_a_drain_whose_status_was_lost_begins_again() -> None:
    cloud = Still()
    process, store = operator(cloud)
    process.reconcile()
    cloud.shows_it_disabled()
    store.objects[KEY]["status"] = {}
    process.drains.histories.clear()
    process.reconcile()
    assert store.objects[KEY]["status"]["service"]["foundStatus"] == "enabled"
    assert "migrate" not in cloud.calls
    process.reconcile()
    assert cloud.calls.count("migrate") == 2


def test_trouble_with_a_call_keeps_what_the_same_tick_has_written() -> None:
    """The rows of the moves that did begin hold how their servers were; what was found is what
    Restore puts back.
    """
    cloud = Still()
    process, store = operator(cloud)
    process.reconcile()
    assert cloud.calls == ["disable_service"]
    found = store.objects[KEY]["status"]["service"]["foundStatus"]
    cloud.shows_it_disabled()
    cloud.fails = {"migrate": NotAllowed("403")}
    assert process.reconcile() == AFTER_TERMINAL_SECONDS
    status = store.objects[KEY]["status"]
    assert status["phase"] == "Stalled"
    assert status["service"]["foundStatus"] == found
    assert {row["id"]: row["was"] for row in status["moving"]} == {"s1": "ACTIVE", "s2": "SHUTOFF"}


def test_what_the_brake_gives_one_drain_no_other_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """Moves are held as soon as they are decided on, not when they have begun."""
    cloud = Still()
    process, store = operator(cloud, limit=1)
    process.reconcile()
    cloud.shows_it_disabled()
    left: list[int | None] = []
    write = store.write_status

    def look_then_write(resource: Any, status: Any) -> None:
        left.append(process.drains.limiter.slots("another drain", KEY.namespace))
        write(resource, status)

    monkeypatch.setattr(store, "write_status", look_then_write)
    process.reconcile()
    assert left == [0]
    assert cloud.calls.count("migrate") == 1


def test_a_refused_disable_is_told_and_left_alone_for_a_while() -> None:
    cloud = Still(disable_service=Refused(409, "the conductor is away", None))
    process, store = operator(cloud)
    process.reconcile()
    first = process.reconcile()
    assert first is not None
    assert 1.0 < first < Settings().idle_interval  # as soon as it has rested
    assert cloud.calls == ["disable_service"]
    status = store.objects[KEY]["status"]
    assert "the conductor is away" in status["message"]
    assert condition(status, "Ready")["reason"] == "DisableRefused"  # type: ignore[index]
    cloud.fails = {}
    process.drains.histories["uid-drain-0000"] = History()  # a new process asks at once
    process.reconcile()
    assert cloud.calls == ["disable_service"] * 2


def test_a_drain_without_credentials_has_begun_nothing_and_goes_at_once() -> None:
    process, store = operator(BadCredentials("no such Secret"))
    process.reconcile()
    assert store.objects[KEY]["status"]["phase"] == "Stalled"
    store.delete(KEY)
    assert process.reconcile() is None
    assert KEY not in store.objects


def test_refused_credentials_are_read_anew() -> None:
    class Refusing(Still):
        def services(self, *, age: float | None = None) -> tuple[Service, ...]:
            raise BadCredentials("401")

    process, _ = operator(Refusing())
    process.reconcile()
    assert process.clouds.forgotten == 1


def test_abandon_is_released_at_once_and_writes_nothing() -> None:
    cloud = Still()
    process, store = operator(cloud)
    process.reconcile()
    store.objects[KEY]["metadata"]["annotations"]["quiesce.dev/abandon"] = "true"
    store.delete(KEY)
    cloud.calls.clear()
    assert process.reconcile() is None
    assert KEY not in store.objects
    assert not cloud.calls


def test_a_nova_compute_that_did_not_start_is_tried_again_as_soon_as_it_has_rested() -> None:
    cloud = Still()
    process, store = operator(cloud)
    process.reconcile()
    store.objects[KEY]["status"]["service"]["foundUnit"] = "running enabled"
    cloud.the_services, cloud.the_servers = (other(),), ()
    store.delete(KEY)
    process.reconcile()  # by no way: the spec names none
    wait = process.reconcile()
    assert wait is not None
    assert 1.0 < wait < Settings().idle_interval
    assert "names no access to the host" in store.objects[KEY]["status"]["message"]


def test_a_nova_compute_that_could_not_be_started_again_is_told_before_the_drain_goes() -> None:
    cloud = Still()
    process, store = operator(cloud)
    process.reconcile()
    store.objects[KEY]["status"]["service"]["foundUnit"] = "running enabled"
    failure = HostFailure("Timeout", "no answer", False, START_TRIES, NOW, starting=True)
    process.drains.histories["uid-drain-0000"] = History(host_failure=failure)
    cloud.the_services, cloud.the_servers = (other(),), ()
    store.delete(KEY)
    assert process.reconcile() is None
    assert KEY not in store.objects
    events = process.drains.context.events.emitted  # type: ignore[attr-defined]
    assert [reason for reason, _ in events[-2:]] == ["NovaComputeNotRunning", "Restored"]
    assert "no answer. Start it by hand (it was found running enabled)" in events[-2][1]
    assert events[-1][1] == "host restored, except for nova-compute"


def test_a_host_that_nova_does_not_know_is_named_with_near_misses() -> None:
    cloud = Still()
    cloud.the_services = (other("cmp11"), other("gpu-7"))
    process, store = operator(cloud)
    process.reconcile()
    status = store.objects[KEY]["status"]
    assert status["phase"] == "Stalled"
    assert "no nova-compute service on host 'cmp1'. Did you mean cmp11?" in status["message"]
    assert "delete this drain and create another" in status["message"]
    assert "foundMigration" not in status


def test_hosts_that_come_and_go_do_not_change_what_is_said_of_an_unknown_one() -> None:
    cloud = Still()
    cloud.the_services = (other("cmp2"), other("cmp3"), other("cmp11"))
    process, store = operator(cloud)
    process.reconcile()
    before = deepcopy(store.objects[KEY])
    for known in (("cmp2", "cmp11"), ("cmp11", "gpu-7", "rack-7")):
        cloud.the_services = tuple(map(other, known))
        process.reconcile()
        assert store.objects[KEY] == before


def test_an_unknown_host_that_is_like_no_other_is_said_to_be_so() -> None:
    cloud = Still()
    cloud.the_services = (other("gpu-7"),)
    process, store = operator(cloud)
    process.reconcile()
    message = store.objects[KEY]["status"]["message"]
    assert "No host has a name like it: openstack compute service list" in message


def test_an_idle_drain_writes_nothing() -> None:
    cloud = Still()
    cloud.the_servers = (server("s1", "SUSPENDED"),)
    process, store = operator(cloud)
    process.reconcile()
    cloud.shows_it_disabled()
    process.reconcile()
    process.reconcile()
    writes = store.writes
    for _ in range(5):
        process.drains.histories["uid-drain-0000"] = History()  # a new process has the same to say
        process.reconcile()
    assert store.writes == writes


def test_a_plan_is_made_anew_as_soon_as_the_spec_is_another_one() -> None:
    """The status says of which generation it is: a plan for the method before would be taken for
    one for this method.
    """
    process, store = operator(Still())
    store.put(KEY, {"host": HOST, "mode": "Plan", "migration": {"method": "Cold"}}, NOW)
    store.objects[KEY]["metadata"] |= {"finalizers": [DRAIN_FINALIZER]}
    process.reconcile()
    assert store.objects[KEY]["status"]["plan"]["cold"] == 2
    store.edit(KEY, lambda spec: spec["migration"].update(method="Live"))
    process.reconcile()
    status = store.objects[KEY]["status"]
    assert (status["observedGeneration"], status["plan"]["live"], status["plan"]["cold"]) == (
        2,
        1,
        1,
    )


# The limit for the whole operator


@pytest.mark.finding("M10")
@pytest.mark.promise("never-11")
def test_a_cloud_that_lists_more_moves_than_a_drain_begins() -> None:
    """They count as many as `maxParallel`."""
    cloud = Still()
    process, store = operator(cloud, limit=5)
    store.edit(KEY, lambda spec: spec["migration"].update(maxParallel=2))
    process.reconcile()
    cloud.shows_it_disabled()
    found = store.objects[KEY]["status"]["foundMigration"]
    cloud.the_migrations = tuple(
        migration(found + number, "running", f"s{number}") for number in range(9, 0, -1)
    )
    tries = [tried().to_json(m.server_id) for m in cloud.the_migrations]
    store.objects[KEY]["status"]["tries"] = tries
    process.reconcile()
    assert process.drains.limiter.slots("another drain", KEY.namespace) == 3


@pytest.mark.promise("never-11")
def test_slots_are_kept_for_a_drain_as_far_as_its_moves_that_stand_still_let_it_take_them() -> None:
    """They count for `maxParallel`, and not for the limit."""
    cloud = Still()
    process, store = operator(cloud, limit=9)
    store.edit(KEY, lambda spec: spec["migration"].update(maxParallel=3))
    process.reconcile()
    cloud.shows_it_disabled()
    status, long_ago = store.objects[KEY]["status"], NOW - timedelta(days=1)
    found, since = status["foundMigration"], f"{long_ago:%Y-%m-%dT%H:%M:%SZ}"
    tried = {"was": "ACTIVE", "method": "cold", "attempt": 1, "since": since}
    status["tries"] = [{"id": f"x{number}", **tried} for number in (1, 2)]
    cloud.the_migrations = tuple(
        migration(found + number, "migrating", f"x{number}", created=long_ago) for number in (2, 1)
    )
    limiter = process.drains.limiter
    limiter.hold("busy", KEY.namespace, 9)
    process.reconcile()
    limiter.hold("busy", KEY.namespace, 0)
    assert limiter.slots("another drain", KEY.namespace) == 9 - 1
    process.reconcile()
    assert cloud.calls.count("migrate") == 1
    assert limiter.slots("another drain", KEY.namespace) == 9 - 1


def test_what_a_process_before_this_one_had_in_flight_counts_until_its_drain_is_read() -> None:
    process, _ = operator(Still(), limit=5)
    status = {
        "progress": {"moving": 3},
        "cloud": "c",
        "moving": [
            {"id": "a", "state": "Migrating", "destination": "cmp2"},
            {"id": "b", "state": "Starting"},
            {"id": "c", "state": "Confirming", "destination": "cmp2"},
        ],
    }
    metadata = {"namespace": KEY.namespace, "name": "other", "uid": "u2", "resourceVersion": "7"}
    other = Resource({"metadata": metadata, "spec": {}, "status": status})
    drains, limiter = process.drains, process.drains.limiter
    limiter.most_arrivals = 4
    drains.see(other, gone=False)
    assert limiter.slots("mine", KEY.namespace) == 2
    assert limiter.beside("mine", "c") == Arrivals({"cmp2": 1}, 1)
    limiter.hold("u2", KEY.namespace, 0)
    drains.see(other, gone=False)
    assert limiter.slots("mine", KEY.namespace) == 5, "what its own tick found counts"
    drains.see(other, gone=True)
    drains.see(other, gone=False)
    drains.see(other, gone=True)
    assert limiter.slots("mine", KEY.namespace) == 5, "gone before it was read"


@pytest.mark.promise("never-11")
@pytest.mark.parametrize(("suspended", "left"), [(False, 10), (True, 20)])
def test_a_suspended_drain_keeps_no_moves_from_other_namespaces(suspended: bool, left: int) -> None:
    cloud = Still()
    process, store = operator(cloud, limit=20)
    process.reconcile()
    cloud.shows_it_disabled()
    brake = process.drains.limiter
    brake.hold("busy", KEY.namespace, 20)
    store.edit(KEY, lambda spec: spec.update(suspend=suspended))
    process.reconcile()
    brake.hold("busy", KEY.namespace, 0)
    assert brake.slots("another", "elsewhere") == left


def test_an_older_drain_that_is_being_deleted_keeps_its_host_until_it_is_restored() -> None:
    process, store = operator(Still())
    older, mine = Key("openstack", "older"), store.objects[KEY]
    store.put(older, {"host": HOST, "migration": {"method": "Cold"}}, NOW - timedelta(hours=1))
    store.objects[older]["metadata"]["deletionTimestamp"] = "2026-03-01T12:30:00Z"
    store.objects[older]["status"] = {"service": {"foundStatus": "enabled"}}
    process.reconcile()
    assert condition(mine["status"], "Ready")["reason"] == "HostTaken"  # type: ignore[index]


def test_a_drain_that_is_gone_since_the_last_list_keeps_its_host_from_nobody() -> None:
    process, store = operator(Still())
    older, mine = Key("openstack", "older"), store.objects[KEY]
    store.put(older, {"host": HOST, "migration": {"method": "Cold"}}, NOW - timedelta(hours=1))
    store.objects[older]["status"] = {"service": {"foundStatus": "enabled"}}
    process.drains.stored.get()
    del store.objects[older]
    process.reconcile()
    assert condition(mine["status"], "Ready")["reason"] != "HostTaken"  # type: ignore[index]


@pytest.mark.finding("H6")
def test_a_drain_without_credentials_that_work_takes_no_host_and_is_not_connected_for() -> None:
    process, store = operator(Still())
    squat, asked = Key("tenant-a", "squat"), []
    spec = {
        "host": HOST,
        "migration": {"method": "Cold"},
        "cloudCredentialsRef": {"secretName": "theirs"},
    }
    store.put(squat, spec, NOW - timedelta(hours=1))
    connect = process.clouds.get

    def note(secret: Any, *more: Any) -> Any:
        asked.append((secret.namespace, secret.name))
        return connect(secret, *more)

    process.clouds.get = note  # type: ignore[method-assign]
    process.reconcile()
    assert condition(store.objects[KEY]["status"], "Ready")["reason"] != "HostTaken"  # type: ignore[index]
    assert set(asked) == {("openstack", "openstack-clouds")}


@pytest.mark.finding("H6")
def test_each_drain_records_its_cloud_itself_even_where_it_waits() -> None:
    process, store = operator(Still())
    older = Key("openstack", "older")
    store.put(older, {"host": HOST, "migration": {"method": "Cold"}}, NOW - timedelta(hours=1))
    store.objects[older]["metadata"]["finalizers"] = [DRAIN_FINALIZER]
    store.objects[older]["status"] = {"cloud": cloud_digest(Still.identity)}
    process.reconcile()
    waiting = store.objects[KEY]["status"]
    assert condition(waiting, "Ready")["reason"] == "HostTaken"  # type: ignore[index]
    assert waiting["cloud"] == cloud_digest(Still.identity)
    assert "nova" not in waiting["cloud"]


@pytest.mark.finding("H6")
def test_credentials_that_nova_refuses_prove_no_cloud() -> None:
    """A catalog can name any Nova; only an answer to an administrator proves it."""

    class Refusing(Still):
        def services(self, *, age: float | None = None) -> tuple[Service, ...]:
            raise NotAllowed("403")

    process, store = operator(Refusing())
    process.reconcile()
    assert "cloud" not in store.objects[KEY]["status"]


@pytest.mark.finding("H5")
def test_a_drain_whose_credentials_are_deleted_first_says_how_its_host_is_left() -> None:
    process, store = operator(Still())
    process.reconcile()
    store.delete(KEY)
    process.clouds.cloud = BadCredentials("Secret openstack/openstack-clouds does not exist")
    process.reconcile()
    status = store.objects[KEY]["status"]
    assert f"compute service set --enable {HOST} nova-compute" in status["message"]
    emitted = process.drains.context.events.typed  # type: ignore[attr-defined]
    assert ("Warning", "Restoring") in emitted
    store.objects[KEY]["metadata"]["annotations"]["quiesce.dev/abandon"] = "true"
    process.reconcile()
    reason, message = process.drains.context.events.emitted[-1]  # type: ignore[attr-defined]
    assert reason == "Abandoned"
    assert f"Host {HOST} is not restored" in message


@pytest.mark.finding("H5")
def test_a_host_that_was_logged_in_to_is_not_trusted_on_first_use_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trusted: list[bool] = []

    def session(_secrets: Any, _owner: Any, access: Any, *_: Any, met: bool) -> Any:
        trusted.append(access.trust_on_first_use and not met)
        return nullcontext()

    monkeypatch.setattr(host_access, "host_session", session)
    access = {"privateKeySecretRef": {"name": "login"}, "trustOnFirstUse": True}
    spec = DrainSpec.read({"host": HOST, "migration": {"method": "Cold"}, "hostAccess": access})
    process, store = operator(Still())
    resource = store.get(KEY)
    assert resource is not None
    for found in (None, "running,enabled"):
        record = Record(found_status="enabled", found_unit=found)
        compute = host_access.compute_of(
            process.drains.context,
            resource,
            spec,
            record,
            None,
            Still(),  # type: ignore[arg-type]
        )
        assert compute is not None
        with compute.open():
            pass
    assert trusted == [True, False]
