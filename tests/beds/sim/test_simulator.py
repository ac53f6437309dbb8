"""The stand-in itself: its clock, its scripted faults, its HTTP faults, and how clients find it."""

import time
from collections.abc import Callable, Iterator
from itertools import pairwise

import openstack.exceptions
import pytest
import requests
from keystoneauth1 import exceptions
from openstack.config import OpenStackConfig
from openstack.connection import Connection
from tests.beds.sim.clock import Clock
from tests.beds.sim.errors import (
    ApiError,
    BadRequestError,
    ConflictError,
    NotFoundError,
    UnexpectedApiError,
)
from tests.beds.sim.model import Cloud
from tests.beds.sim.records import Event, Flavor, Migration, Server
from tests.beds.sim.simulator import Simulator
from tests.beds.sim.state import Config
from tests.beds.sim.web import HttpFault

SERVERS = "compute GET /v2.1/servers/detail"
ACTION = "compute POST /v2.1/servers/{id}/action"


@pytest.fixture
def cloud() -> Cloud:
    return Cloud()


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator() as simulator:
        yield simulator


def connect(sim: Simulator, **changes: object) -> Connection:
    entry = {**sim.cloud_entry("quiesce"), **changes}
    config = OpenStackConfig(load_yaml_config=False, load_envvars=False)
    return Connection(config=config.get_one(**entry))


def settle(cloud: Cloud, server: Server, vm_state: str) -> None:
    cloud.when(server, lambda: server.vm_state == vm_state and server.task_state is None)


# Clock


def test_events_run_at_their_times_in_order() -> None:
    clock, seen = Clock(100.0), list[tuple[str, float]]()

    def note(name: str) -> Callable[[], None]:
        return lambda: seen.append((name, clock.now()))

    clock.call_later(2, note("second"))
    clock.call_later(1, note("first"))
    clock.call_later(2, note("third"))
    clock.call_later(1, note("never")).cancel()
    clock.advance(1.5)
    assert seen == [("first", 101.0)]
    clock.advance(10)
    assert seen == [("first", 101.0), ("second", 102.0), ("third", 102.0)]
    assert clock.now() == 111.5


def test_a_clock_with_a_speed_follows_the_wall() -> None:
    clock = Clock(0.0, speed=1000.0)
    began = time.monotonic()
    while clock.now() < 20:
        clock.catch_up()
    assert time.monotonic() - began >= 0.02


def test_run_until_stops_at_the_event() -> None:
    clock, seen = Clock(0.0), list[int]()
    for second in range(1, 6):
        clock.call_later(second, lambda second=second: seen.append(second))  # type: ignore[misc]
    assert clock.run_until(lambda: 3 in seen, 60)
    assert (clock.now(), seen) == (3.0, [1, 2, 3])
    assert not clock.run_until(lambda: False, 10)
    assert clock.now() == 13.0


# Model


def history(seed: int) -> list[tuple[str, str, str | None, str | None]]:
    """Return what a few moves leave, step by step."""
    cloud = Cloud(seed=seed)
    servers = [cloud.boot(f"s{number}", host="cmp1") for number in range(6)]
    cloud.clock.advance(10)
    for number, server in enumerate(servers):
        move = cloud.cold if number % 2 else cloud.live
        move.migrate(cloud.as_user("quiesce"), server.id)
    seen = []
    for _ in range(50):
        cloud.clock.advance(0.1)
        seen += [(server.id, server.vm_state, server.task_state, server.host) for server in servers]
    return seen


def test_the_same_seed_gives_the_same_history() -> None:
    assert history(7) == history(7)
    assert history(7) != history(8)


def test_a_failed_prepare_goes_to_another_host(cloud: Cloud) -> None:
    server = cloud.boot_active("web", "cmp1")
    cloud.faults.set("prep_resize", "fail,once", server="web")
    cloud.cold.migrate(cloud.as_user("quiesce"), server.id)
    settle(cloud, server, "resized")
    (migration,) = cloud.migrations_of(server)
    assert (migration.status, migration.dest) == ("finished", server.host)


def test_a_failed_prepare_on_every_host(cloud: Cloud) -> None:
    server = cloud.boot_active("web", "cmp1")
    cloud.faults.set("prep_resize", "fail")
    cloud.cold.migrate(cloud.as_user("quiesce"), server.id)
    cloud.clock.advance(10)
    assert (server.vm_state, server.task_state, server.host) == ("active", None, "cmp1")
    assert [migration.status for migration in cloud.migrations_of(server)] == ["error"]
    assert set(cloud.placement.of(server.id)) == {cloud.compute("cmp1").provider}


@pytest.mark.parametrize(
    ("cause", "code"),
    [("denied", 255), ("host-key", 255), ("refused", 255), ("nologin", 1), ("mkdir", 1)],
)
def test_a_broken_ssh_path(cloud: Cloud, cause: str, code: int) -> None:
    server = cloud.boot_active("web", "cmp1")
    cloud.faults.set("migrate_disk_and_power_off", f"ssh:{cause}", host="cmp1")
    cloud.cold.migrate(cloud.as_user("quiesce"), server.id, "cmp3")
    cloud.clock.advance(10)
    assert (server.vm_state, server.task_state, server.host) == ("active", None, "cmp1")
    failed = failed_event(cloud, server)
    assert failed.name == "compute_resize_instance"
    command = f"ssh -o BatchMode=yes 192.0.2.4 mkdir -p /var/lib/nova/instances/{server.id}"
    assert f"\nCommand: {command}\nExit code: {code}\nStdout: '" in str(failed.details)
    assert len(str(failed.details)) == 255


def failed_event(cloud: Cloud, server: Server) -> Event:
    return next(e for e in cloud.state.actions[server.id][-1].events if e.result == "Error")


def test_a_copy_that_fails_says_nothing_and_a_later_error_becomes_the_fault(cloud: Cloud) -> None:
    server = cloud.boot_active("web", "cmp1")
    cloud.faults.set("migrate_disk_and_power_off", "scp")
    cloud.cold.migrate(cloud.as_user("quiesce"), server.id)
    cloud.when(server, lambda: server.vm_state == "error")
    assert failed_event(cloud, server).details == "ProcessExecutionError"
    assert server.fault is not None
    assert server.fault.message == "ProcessExecutionError"
    cloud.faults.set("get_console_output", "fail:ConsoleNotAvailable")
    with pytest.raises(NotFoundError):
        cloud.guests.console(cloud.as_user("demo"), server.id)
    assert server.fault.message == "Guest does not have a console available."
    assert (server.power_state, server.domain) == (1, 4)


def kill_in_copy(cloud: Cloud) -> Server:
    """Return a server whose nova-compute was killed and started while its disk was copied."""
    server = cloud.boot_active("web", "cmp1")
    cloud.faults.set("migrate_disk_and_power_off", "hang,once")
    cloud.cold.migrate(cloud.as_user("quiesce"), server.id)
    cloud.clock.advance(5)
    assert server.task_state == "resize_migrating"
    cloud.kill_compute("cmp1")
    cloud.start_compute("cmp1")
    cloud.when(server, lambda: server.task_state is None)
    return server


def test_a_copy_that_a_death_cut_off_leaves_a_guest_off_that_shows_active(cloud: Cloud) -> None:
    """For about 8 s; then Nova stops it, which is an action of nobody's."""
    server = kill_in_copy(cloud)
    assert (server.vm_state, server.power_state, server.domain) == ("active", 1, 4)
    cloud.clock.advance(7)
    assert (server.vm_state, server.power_state) == ("active", 1)
    cloud.clock.advance(4)
    assert (server.vm_state, server.power_state) == ("stopped", 4)
    stopped = cloud.state.actions[server.id][-1]
    assert (stopped.name, stopped.user) == ("stop", None)


def test_a_driver_that_starts_a_guest_again_after_a_death() -> None:
    cloud = Cloud(config=Config(restarts_after_crash=True))
    server = kill_in_copy(cloud)
    cloud.clock.advance(30)
    assert (server.vm_state, server.power_state, server.domain) == ("active", 1, 1)


def test_a_guest_that_dies_is_heard_of_late(cloud: Cloud) -> None:
    cloud.clock.advance(10)  # past the first periodic task
    server = cloud.boot_active("web", "cmp1")
    cloud.faults.set("finish_migration", "dies")
    cloud.cold.migrate(cloud.as_user("quiesce"), server.id)
    settle(cloud, server, "resized")
    cloud.clock.advance(14)
    assert (server.power_state, server.domain) == (1, 4)
    cloud.clock.advance(3)
    assert (server.vm_state, server.power_state) == ("resized", 4)
    cloud.cold.revert(cloud.as_user("quiesce"), server.id)
    settle(cloud, server, "active")
    assert (server.power_state, server.domain) == (4, 1)


def test_a_guest_that_dies_at_home_is_stopped(cloud: Cloud) -> None:
    cloud.clock.advance(10)  # past the first periodic task
    server = cloud.boot_active("web", "cmp1")
    cloud.guest_dies(server)
    cloud.clock.advance(14)
    assert (server.vm_state, server.power_state) == ("active", 1)
    cloud.clock.advance(3)
    assert (server.vm_state, server.power_state) == ("stopped", 4)


def sights(cloud: Cloud, server: Server, seconds: float) -> list[tuple[str, str | None, str]]:
    """Return what a server and its newest migration show, without repetitions."""
    seen: list[tuple[str, str | None, str]] = []
    for _ in range(int(seconds * 100)):
        cloud.clock.advance(0.01)
        sight = server.vm_state, server.task_state, cloud.migrations_of(server)[-1].status
        if sight not in seen:
            seen.append(sight)
    return seen


@pytest.mark.parametrize(("spec", "status"), [("sleep:5,fail", "failed"), ("hang", "cancelled")])
def test_a_live_copy_that_ends_early_leaves_an_error_and_a_running_guest(
    cloud: Cloud, spec: str, status: str
) -> None:
    server = cloud.boot_active("web", "cmp1")
    cloud.faults.set("live_migration", spec, host="cmp1")
    cloud.live.migrate(cloud.as_user("quiesce"), server.id)
    cloud.when(server, lambda: cloud.migrations_of(server)[-1:] != [])
    cloud.when(server, lambda: cloud.migrations_of(server)[0].status == "running")
    if status == "cancelled":
        cloud.live.abort(cloud.as_user("quiesce"), server.id, cloud.migrations_of(server)[0].id)
    assert sights(cloud, server, 10) == [
        ("active", "migrating", "running"),
        ("active", None, "running"),
        ("active", None, status),
        ("active", None, "error"),
        ("error", None, "error"),
    ]
    assert (server.host, server.power_state, server.fault) == ("cmp1", 1, None)
    assert set(cloud.placement.of(server.id)) == {cloud.compute("cmp1").provider}
    action = cloud.state.actions[server.id][-1]
    assert (action.message, {event.result for event in action.events}) == (None, {"Success"})


def test_an_abort_before_the_copy_leaves_no_error(cloud: Cloud) -> None:
    server = cloud.boot_active("web", "cmp1")
    cloud.faults.set("pre_live_migration", "sleep:5")
    cloud.live.migrate(cloud.as_user("quiesce"), server.id)
    cloud.clock.advance(3)
    (migration,) = cloud.migrations_of(server)
    assert migration.status == "preparing"
    cloud.live.abort(cloud.as_user("quiesce"), server.id, migration.id)
    cloud.clock.advance(20)
    assert (migration.status, server.vm_state, server.host) == ("cancelled", "active", "cmp1")


def test_a_live_copy_that_ends_early_in_2025_1(cloud: Cloud) -> None:
    server = cloud.boot_active("web", "cmp1")
    cloud.faults.set("live_migration", "fail,swallowed")
    cloud.live.migrate(cloud.as_user("quiesce"), server.id)
    cloud.clock.advance(10)
    assert (server.vm_state, cloud.migrations_of(server)[0].status) == ("active", "failed")


def test_a_copy_that_does_not_converge(cloud: Cloud) -> None:
    """The numbers are published every 5 s."""
    server = cloud.boot_active("web", "cmp1")
    cloud.faults.set("live_migration", "busy")
    cloud.live.migrate(cloud.as_user("quiesce"), server.id)
    cloud.when(server, lambda: cloud.migrations_of(server)[-1:] != [])
    (migration,) = cloud.migrations_of(server)
    done, remaining = list[int](), list[int]()
    for _ in range(120):
        cloud.clock.advance(1)
        done.append(migration.memory_processed or 0)
        remaining.append(migration.memory_remaining or 0)
    assert done == sorted(done)
    assert len(set(done)) in (24, 25)
    assert done[-1] > 20 * 64 * 2**20
    steps = [new - old for old, new in pairwise(remaining)]
    assert min(steps) < 0 < max(steps)
    assert (migration.status, server.task_state) == ("running", "migrating")
    cloud.live.force_complete(cloud.as_user("quiesce"), server.id, migration.id)
    cloud.when(server, lambda: migration.status == "completed")


@pytest.mark.parametrize("waiting", ["queued", "preparing", "accepted"])
def test_one_live_migration_at_a_time_runs_on_a_source(waiting: str) -> None:
    cloud = Cloud(config=Config(waiting_live_status=waiting))
    servers = [cloud.boot(f"s{number}", host="cmp1") for number in range(3)]
    cloud.clock.advance(10)
    cloud.faults.set("live_migration", "sleep:10")
    for server in servers:
        cloud.live.migrate(cloud.as_user("quiesce"), server.id)
    cloud.clock.advance(4)
    statuses = sorted(cloud.migrations_of(server)[0].status for server in servers)
    assert statuses == sorted(["running", waiting, waiting])
    cloud.clock.advance(60)
    assert {cloud.migrations_of(server)[0].status for server in servers} == {"completed"}


def move_live(cloud: Cloud, server: Server, seconds: float = 10) -> Migration:
    cloud.live.migrate(cloud.as_user("quiesce"), server.id)
    cloud.clock.advance(seconds)
    return cloud.migrations_of(server)[-1]


def test_a_guest_that_has_left_and_a_record_that_has_not(cloud: Cloud) -> None:
    """`completed`, and listed on the source with its task for ever; a reset makes Nova stop it."""
    server = cloud.boot_active("web", "cmp1")
    cloud.faults.set("post_live_migration_at_destination", "lost")
    migration = move_live(cloud, server, 3600)
    assert (migration.status, migration.dest) == ("completed", server.runs_on)
    assert (server.vm_state, server.task_state, server.host) == ("active", "migrating", "cmp1")
    assert set(cloud.placement.of(server.id)) == {cloud.compute(server.runs_on).provider}
    assert {port.host for port in cloud.state.ports_of[server.id]} == {server.runs_on}
    cloud.guests.reset_state(cloud.as_user("admin"), server.id, "active")
    cloud.clock.advance(700)
    assert (server.vm_state, server.host, server.power_state) == ("stopped", "cmp1", 4)


def test_an_old_nova_has_a_server_on_the_source_whose_guest_has_left() -> None:
    """As tests/contract/test_failures.py has it for 21.2.4 (`misplaced`)."""
    cloud = Cloud(config=Config(ends_on_source=True))
    server = cloud.boot_active("web", "cmp1")
    cloud.faults.set("post_live_migration", "fail")
    migration = move_live(cloud, server)
    assert (server.vm_state, server.host, migration.status) == ("error", "cmp1", "error")
    assert server.runs_on == migration.dest
    assert set(cloud.placement.of(server.id)) == {cloud.compute(server.runs_on).provider}
    cloud.clock.advance(700)
    assert (server.vm_state, server.power_state) == ("error", 4)


@pytest.mark.parametrize(("away", "arrives"), [(3, False), (30, True)])
def test_a_guest_arrives_although_nova_compute_died_unless_its_start_is_sooner(
    cloud: Cloud, away: float, arrives: bool
) -> None:
    """As tests/hypervisors/nightly/test_nova_compute_dies_in_a_live_migration.py has it."""
    server = cloud.boot_active("web", "cmp1")
    cloud.faults.set("live_migration", "sleep:20")
    migration = move_live(cloud, server, 5)
    assert migration.status == "running"
    cloud.kill_compute("cmp1")
    cloud.clock.advance(away)
    cloud.start_compute("cmp1")
    cloud.clock.advance(10)
    assert (server.vm_state, server.task_state, server.host) == ("active", None, "cmp1")
    assert migration.status == "error"
    assert server.runs_on == (migration.dest if arrives else "")
    cloud.clock.advance(700)  # Nova looks, and ignores what it does not find
    assert (server.vm_state, server.power_state) == ("active", 0 if arrives else 1)
    cloud.guests.act(cloud.as_user("admin"), server.id, "os-stop")
    cloud.clock.advance(30)
    assert (server.vm_state, server.power_state) == ("stopped", 0 if arrives else 4)


@pytest.mark.parametrize("operation", ["post_live_migration", "post_live_migration_at_destination"])
def test_an_error_after_a_live_migration_is_one_of_a_running_guest(
    cloud: Cloud, operation: str
) -> None:
    server = cloud.boot_active("web", "cmp1")
    cloud.faults.set(operation, "fail")
    migration = move_live(cloud, server)
    assert (server.vm_state, server.host, migration.status) == ("error", migration.dest, "error")
    cloud.clock.advance(700)
    assert (server.power_state, server.domain) == (1, 1)


def test_an_end_on_the_destination_that_older_releases_only_log(cloud: Cloud) -> None:
    server = cloud.boot_active("web", "cmp1")
    cloud.faults.set("post_live_migration_at_destination", "fail,swallowed")
    migration = move_live(cloud, server)
    assert (server.vm_state, server.host) == ("error", migration.dest)
    assert migration.status == "completed"
    assert not cloud.placement.of(migration.uuid)


@pytest.mark.parametrize("older", ["", ",swallowed"])
def test_a_failed_live_migration_may_cost_the_ports_their_bindings(
    cloud: Cloud, older: str
) -> None:
    server = cloud.boot_active("web", "cmp1")
    cloud.faults.set("live_migration", f"fail,unbound{older}")
    move_live(cloud, server)
    assert server.host == "cmp1"
    (port,) = cloud.state.ports_of[server.id]
    assert (port.host, port.vif_type, port.status) == ("", "unbound", "DOWN")


def test_a_cold_move_that_fails_on_its_destination_leaves_the_guest_off(cloud: Cloud) -> None:
    server = cloud.boot_active("web", "cmp1")
    cloud.faults.set("finish_migration", "fail:ImageNotFound")
    cloud.cold.migrate(cloud.as_user("quiesce"), server.id, "cmp2")
    cloud.clock.advance(10)
    assert (server.vm_state, server.host, server.domain) == ("error", "cmp2", 4)


def test_no_valid_host_in_other_words() -> None:
    cloud = Cloud(config=Config(migrate_max_retries=1))
    server = cloud.boot_active("web", "cmp1")
    cloud.faults.set("check_can_live_migrate_destination", "fail:MigrationPreCheckError")
    assert move_live(cloud, server).status == "error"
    assert (server.vm_state, server.task_state, server.fault) == ("active", None, None)
    assert failed_event(cloud, server).name == "conductor_live_migrate_instance"
    words = f"Exceeded max scheduling retries 2 for instance {server.id} during live migration"
    assert failed_event(cloud, server).details == f"Exceeded maximum number of retries. {words}"


def test_what_fails_on_the_destination_before_a_live_copy_leaves_no_error(cloud: Cloud) -> None:
    server = cloud.boot_active("web", "cmp1")
    cloud.faults.set("pre_live_migration", "fail")
    cloud.live.migrate(cloud.as_user("quiesce"), server.id)
    cloud.clock.advance(0.5)
    assert [sight[2] for sight in sights(cloud, server, 10)][-2:] == ["error", "failed"]
    assert (server.vm_state, server.task_state, server.host) == ("active", None, "cmp1")


def test_two_members_of_an_anti_affinity_group_do_not_end_together() -> None:
    cloud = Cloud(["cmp1", "cmp2", "cmp3"])
    group = cloud.add_group("apart", "anti-affinity")
    first = cloud.boot("a", host="cmp1", group=group)
    second = cloud.boot("b", host="cmp2", group=group)
    cloud.clock.advance(10)
    for server in (first, second):
        cloud.cold.migrate(cloud.as_user("quiesce"), server.id)
    cloud.clock.advance(20)
    assert first.host != second.host
    statuses = sorted(cloud.migrations_of(server)[0].status for server in (first, second))
    assert statuses in (["error", "finished"], ["finished", "finished"])


def test_two_requests_at_once(cloud: Cloud) -> None:
    server = cloud.boot_active("web", "cmp1")
    cloud.cold.migrate(cloud.as_user("quiesce"), server.id)
    with pytest.raises(UnexpectedApiError):
        cloud.cold.migrate(cloud.as_user("admin"), server.id)
    cloud.clock.advance(0.1)
    with pytest.raises(ConflictError, match="task_state resize_prep"):
        cloud.cold.migrate(cloud.as_user("admin"), server.id)


def test_nova_confirms_by_itself_after_the_window() -> None:
    cloud = Cloud(config=Config(resize_confirm_window=30))
    server = cloud.boot_active("web", "cmp1")
    cloud.cold.migrate(cloud.as_user("quiesce"), server.id)
    settle(cloud, server, "resized")
    cloud.clock.advance(40)
    assert (server.vm_state, cloud.migrations_of(server)[0].status) == ("active", "confirmed")
    confirmed = cloud.state.actions[server.id][-1]
    assert (confirmed.name, confirmed.user) == ("confirmResize", None)


def test_a_soft_deleted_server_stays_on_its_host() -> None:
    cloud = Cloud(config=Config(reclaim_instance_interval=100))
    server = cloud.boot_active("web", "cmp1")
    cloud.guests.delete(cloud.as_user("demo"), server.id)
    assert (server.vm_state, server.deleted, cloud.servers_on("cmp1")) == (
        "soft-delete",
        False,
        [server],
    )
    cloud.clock.advance(200)
    assert server.deleted
    assert cloud.servers_on("cmp1") == []


SEV, TPM = {"hw:mem_encryption": "yes"}, {"hw:tpm_version": "2.0"}
TPM_OF_THE_HOST = {**TPM, "hw:tpm_secret_security": "host"}
ACCELERATOR = {"accel:device_profile": "gpu"}


@pytest.mark.parametrize(
    ("specs", "before_xena", "cold", "live"),
    [
        (ACCELERATOR, False, 400, 400),
        (ACCELERATOR, True, 403, 403),
        (TPM, False, 0, 400),
        (TPM, True, 0, 409),
        (TPM_OF_THE_HOST, False, 0, 0),
        (SEV, False, 0, 400),
        (SEV, True, 0, 409),
    ],
)
def test_what_nova_never_moves(
    specs: dict[str, str], before_xena: bool, cold: int, live: int
) -> None:
    cloud = Cloud(config=Config(before_xena=before_xena))
    for migrate, status in ((cloud.live.migrate, live), (cloud.cold.migrate, cold)):
        server = cloud.boot_active("web", "cmp1")
        cloud.set_extra_specs(server, specs)
        if status:
            with pytest.raises(ApiError) as refused:
                migrate(cloud.as_user("quiesce"), server.id)
            assert refused.value.status == status
        else:
            migrate(cloud.as_user("quiesce"), server.id)
        assert (server.task_state is None) == bool(status)


@pytest.mark.parametrize(
    ("vnic_type", "before_xena", "status"),
    [("vdpa", True, 409), ("accelerator-direct", False, 400)],
)
def test_ports_that_nova_never_moves(vnic_type: str, before_xena: bool, status: int) -> None:
    cloud = Cloud(config=Config(before_xena=before_xena))
    server = cloud.boot_active("web", "cmp1")
    cloud.state.ports_of[server.id][0].vnic_type = vnic_type
    with pytest.raises(ApiError, match="not supported") as refused:
        cloud.cold.migrate(cloud.as_user("quiesce"), server.id)
    assert refused.value.status == status


def test_a_host_registered_too_often_refuses_cold_migrations(cloud: Cloud) -> None:
    server = cloud.boot_active("web", "cmp1")
    cloud.compute("cmp1").stale_service_row = True
    with pytest.raises(ConflictError, match="Service is unavailable at this time"):
        cloud.cold.migrate(cloud.as_user("quiesce"), server.id)
    cloud.live.migrate(cloud.as_user("quiesce"), server.id)


def test_a_deleted_service_whose_compute_runs_leaves_an_orphan_provider(cloud: Cloud) -> None:
    service = cloud.service("cmp1")
    assert service is not None
    provider = cloud.compute("cmp1").provider
    cloud.computes.delete(service.id)
    assert provider not in cloud.placement.providers
    cloud.clock.advance(70)
    assert provider in cloud.placement.providers
    assert cloud.service("cmp1") is None


def test_a_leaked_allocation_keeps_the_provider(cloud: Cloud) -> None:
    server = cloud.boot_active("web", "cmp1")
    cloud.faults.set("post_live_migration", "fail", server="web")
    cloud.live.migrate(cloud.as_user("quiesce"), server.id)
    cloud.when(server, lambda: server.vm_state == "error")
    service = cloud.service("cmp1")
    assert service is not None
    cloud.computes.delete(service.id)
    assert cloud.service("cmp1") is None
    assert cloud.compute("cmp1").provider in cloud.placement.providers


def evacuated(cloud: Cloud) -> Server:
    """Return a server whose host died, and which was evacuated to cmp2."""
    server = cloud.boot_active("web", "cmp1")
    admin = cloud.as_user("admin")
    with pytest.raises(BadRequestError, match="Compute service of cmp1 is still in use"):
        cloud.evacuations.evacuate(admin, server.id)
    cloud.kill_compute("cmp1")
    cloud.clock.advance(15)
    cloud.evacuations.evacuate(admin, server.id, "cmp2")
    settle(cloud, server, "stopped")
    cloud.clock.advance(1)
    return server


def test_an_evacuated_server_holds_both_hosts_until_the_dead_one_returns(cloud: Cloud) -> None:
    server = evacuated(cloud)
    dead, there = cloud.compute("cmp1").provider, cloud.compute("cmp2").provider
    assert (server.host, server.power_state) == ("cmp2", 4)
    assert cloud.migrations_of(server)[0].status == "done"
    assert set(cloud.placement.of(server.id)) == {dead, there}
    cloud.start_compute("cmp1")
    cloud.clock.advance(10)
    assert cloud.migrations_of(server)[0].status == "completed"
    assert set(cloud.placement.of(server.id)) == {there}


def test_a_dead_host_whose_servers_were_evacuated_is_deleted_with_their_allocations(
    cloud: Cloud,
) -> None:
    server = evacuated(cloud)
    service = cloud.service("cmp1")
    assert service is not None
    cloud.computes.delete(service.id)
    assert cloud.compute("cmp1").provider not in cloud.placement.providers
    assert set(cloud.placement.of(server.id)) == {cloud.compute("cmp2").provider}


def test_forced_down_says_nothing_about_the_process(cloud: Cloud) -> None:
    server = cloud.boot_active("web", "cmp1")
    service = cloud.service("cmp1")
    assert service is not None
    cloud.computes.update(service.id, status=None, reason=None, forced_down=True)
    assert not cloud.state.is_up(service)
    assert cloud.compute("cmp1").process.running
    cloud.guests.act(cloud.as_user("demo"), server.id, "os-stop")
    settle(cloud, server, "stopped")


def test_a_group_with_two_members_a_host() -> None:
    cloud = Cloud(["cmp1", "cmp2"])
    group = cloud.add_group("apart", "anti-affinity", max_server_per_host=2)
    servers = [cloud.boot(name, host="cmp1", group=group) for name in "ab"]
    cloud.clock.advance(10)
    third = cloud.boot("c", host="cmp1", group=group)
    cloud.clock.advance(10)
    assert {server.vm_state for server in servers} == {"active"}
    assert third.vm_state == "error"
    for server in servers:
        cloud.cold.migrate(cloud.as_user("quiesce"), server.id)
        settle(cloud, server, "resized")
    assert {server.host for server in servers} == {"cmp2"}


def test_dedicated_cores_are_taken_from_hosts_that_have_some(cloud: Cloud) -> None:
    dedicated = Flavor("dedicated", 4, 64, 1, "d", (("hw:cpu_policy", "dedicated"),))
    cloud.add_flavor(dedicated)
    cloud.computes.dedicate("cmp1", 4)
    server = cloud.boot_active("web", "cmp1", flavor="dedicated")
    (held,) = cloud.placement.of(server.id).values()
    assert held.resources == {"PCPU": 4, "MEMORY_MB": 64, "DISK_GB": 1}
    cloud.cold.migrate(cloud.as_user("quiesce"), server.id)
    cloud.clock.advance(10)
    assert (server.host, server.vm_state) == ("cmp1", "active")
    assert cloud.migrations_of(server)[0].status == "error"
    cloud.computes.dedicate("cmp2", 4)
    cloud.cold.migrate(cloud.as_user("quiesce"), server.id)
    settle(cloud, server, "resized")
    assert server.host == "cmp2"


def test_a_hang_lasts_until_its_compute_dies(cloud: Cloud) -> None:
    server = cloud.boot_active("web", "cmp1")
    cloud.faults.set("migrate_disk_and_power_off", "hang", server="web")
    cloud.cold.migrate(cloud.as_user("quiesce"), server.id)
    cloud.clock.advance(3600)
    assert (server.vm_state, server.task_state) == ("active", "resize_migrating")
    cloud.kill_compute("cmp1")
    cloud.start_compute("cmp1")
    cloud.clock.advance(10)
    assert (server.vm_state, server.task_state, server.host) == ("active", None, "cmp1")
    assert server.domain == 4
    assert cloud.migrations_of(server)[0].status == "migrating"


def test_a_compute_that_is_killed_shows_down_after_a_while(cloud: Cloud) -> None:
    service = cloud.service("cmp1")
    assert service is not None
    cloud.kill_compute("cmp1")
    assert cloud.state.is_up(service)
    cloud.clock.advance(11)
    assert not cloud.state.is_up(service)
    cloud.start_compute("cmp1")
    cloud.clock.advance(5)
    assert cloud.state.is_up(service)


# HTTP


def servers(connection: Connection) -> requests.Response:
    path = "/servers/detail?all_tenants=1"
    answer: requests.Response = connection.compute.get(path, microversion="2.96", raise_exc=False)
    return answer


def test_a_wrong_password(sim: Simulator) -> None:
    entry = sim.cloud_entry("quiesce")
    entry["auth"]["password"] = "wrong"
    with pytest.raises(exceptions.Unauthorized):
        connect(sim, auth=entry["auth"]).session.get_token()


def test_an_application_credential(sim: Simulator) -> None:
    credential = sim.identity.add_application_credential("quiesce")
    auth = {
        "auth_url": sim.auth_url,
        "application_credential_id": credential.id,
        "application_credential_secret": credential.secret,
    }
    connection = connect(sim, auth=auth, auth_type="v3applicationcredential")
    assert connection.current_user_id == credential.user.id
    assert servers(connection).status_code == 200


def test_a_revoked_token_is_renewed(sim: Simulator) -> None:
    connection = connect(sim)
    assert servers(connection).status_code == 200
    sim.identity.revoke_tokens()
    assert servers(connection).status_code == 200
    assert sim.log.counts["identity POST /v3/auth/tokens"] == 2


def test_a_catalog_without_placement(sim: Simulator) -> None:
    sim.identity.services.remove("placement")
    with pytest.raises(openstack.exceptions.ServiceDisabledException):
        connect(sim).placement.get("/resource_providers")


def test_a_down_cell_shows_its_servers_in_part_or_not_at_all(sim: Simulator) -> None:
    """In part where all are asked for, or one; in a list with a filter not at all, without
    a word.
    """
    server = sim.cloud.boot_active("web", "cmp1")
    connection = connect(sim)
    assert len(servers(connection).json()["servers"]) == 1
    sim.cloud.state.down_cells.add("cell1")
    (row,) = servers(connection).json()["servers"]
    assert set(row) == {"id", "status", "tenant_id", "created", "links"}
    assert (row["id"], row["status"]) == (server.id, "UNKNOWN")
    one = connection.compute.get(f"/servers/{server.id}", microversion="2.96").json()["server"]
    assert (one["status"], one["OS-EXT-STS:power_state"]) == ("UNKNOWN", 0)
    assert set(one) - set(row) == {
        "image",
        "flavor",
        "OS-EXT-AZ:availability_zone",
        "OS-EXT-STS:power_state",
        "user_id",
        "server_groups",
    }
    filtered = "/servers/detail?all_tenants=1&host=cmp1"
    answer = connection.compute.get(filtered, microversion="2.96")
    assert (answer.status_code, answer.json()) == (200, {"servers": []})
    sim.cloud.state.config = Config(list_records_by_skipping_down_cells=False)
    for path in (filtered, f"/servers/{server.id}/os-instance-actions"):
        answer = connection.compute.get(path, microversion="2.96", raise_exc=False)
        assert answer.status_code == 500
    rows = connection.compute.get("/os-services?binary=nova-compute", microversion="2.96").json()
    unknown = {"binary": "nova-compute", "host": "cmp1", "status": "UNKNOWN"}
    assert rows["services"][0] == unknown


def test_a_long_line_is_refused(sim: Simulator) -> None:
    """As web servers do beyond 8 KiB; below it, as many filters as one likes."""
    connection = connect(sim)
    fits, long = (f"/ports?{'&'.join(['device_id=' + 36 * 'a'] * n)}" for n in (170, 180))
    assert connection.network.get(fits, raise_exc=False).status_code == 200
    assert connection.network.get(long, raise_exc=False).status_code == 414


def test_a_port_that_is_administratively_down(sim: Simulator) -> None:
    server = sim.cloud.boot_active("web", "cmp1")
    (port,) = sim.cloud.state.ports_of[server.id]
    connection = connect(sim)
    down = {"port": {"admin_state_up": False}}
    assert connection.network.put(f"/ports/{port.id}", json=down).status_code == 200
    sim.cloud.live.migrate(sim.cloud.as_user("quiesce"), server.id, "cmp2")
    sim.cloud.clock.advance(10)
    (row,) = connection.network.get(f"/ports?device_id={server.id}").json()["ports"]
    shown = row["admin_state_up"], row["status"], row["binding:host_id"]
    assert shown == (False, "DOWN", "cmp2")


def test_a_nova_compute_with_several_hypervisors(sim: Simulator) -> None:
    sim.cloud.computes.add_node("cmp1", "node-a")
    rows = connect(sim).compute.get("/os-hypervisors/detail", microversion="2.96").json()
    nodes = [
        r["hypervisor_hostname"] for r in rows["hypervisors"] if r["service"]["host"] == "cmp1"
    ]
    assert nodes == ["cmp1", "node-a"]
    answer = connect(sim).placement.get("/resource_providers?name=node-a", microversion="1.39")
    assert len(answer.json()["resource_providers"]) == 1


def test_a_soft_deleted_server_is_listed_when_asked_for(sim: Simulator) -> None:
    server = sim.cloud.boot_active("web", "cmp1")
    sim.cloud.soft_delete(server)
    connection = connect(sim)
    assert servers(connection).json()["servers"] == []
    path = "/servers/detail?all_tenants=1&host=cmp1&soft_deleted=true"
    (row,) = connection.compute.get(path, microversion="2.96").json()["servers"]
    assert (row["status"], row["OS-EXT-SRV-ATTR:host"]) == ("SOFT_DELETED", "cmp1")


@pytest.mark.parametrize(
    ("fault", "effect"),
    [
        (HttpFault("reset"), False),
        (HttpFault("reset", after=True), True),
        (HttpFault("status", status=503), False),
        (HttpFault("status", status=500, after=True), True),
        (HttpFault("empty"), True),
        (HttpFault("delay", seconds=0.01), True),
    ],
)
def test_a_fault_of_a_post(sim: Simulator, fault: HttpFault, effect: bool) -> None:
    """Each fault hits once, before or after the request took effect."""
    server = sim.cloud.boot_active("web", "cmp1")
    connection = connect(sim)
    assert servers(connection).status_code == 200
    sim.fail(ACTION, fault)
    path = f"/servers/{server.id}/action"
    try:
        answer = connection.compute.post(
            path, json={"migrate": None}, microversion="2.96", raise_exc=False
        )
        expected = fault.status if fault.kind == "status" else 202
        assert (fault.kind, answer.status_code) != ("reset", 202)
        assert answer.status_code == expected
    except exceptions.ConnectFailure:
        assert fault.kind == "reset"
    assert (server.task_state == "resize_prep") == effect
    assert sim.log.entries[-1].fault == fault
    assert servers(connection).status_code == 200


def test_retry_after(sim: Simulator) -> None:
    connection = connect(sim)
    sim.fail(SERVERS, HttpFault("status", status=429, headers=(("Retry-After", "7"),)))
    answer = servers(connection)
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "7")
    assert set(answer.json()) == {"overLimit"}


def test_faults_of_a_list(sim: Simulator) -> None:
    """An empty list, a body cut short, and then the truth; skipping what is not to be hit."""
    sim.cloud.boot_active("web", "cmp1")
    connection = connect(sim)
    sim.fail(SERVERS, HttpFault("empty"), times=1, skip=1)
    assert [len(servers(connection).json()["servers"]) for _ in range(3)] == [1, 0, 1]
    sim.fail(SERVERS, HttpFault("truncated"))
    with pytest.raises(requests.exceptions.JSONDecodeError):
        servers(connection).json()
    sim.fail(SERVERS, HttpFault("cut"))
    with pytest.raises(exceptions.UnknownConnectionError):
        servers(connection)
    sim.heal()
    assert len(servers(connection).json()["servers"]) == 1


def test_stopped_and_started_again(sim: Simulator) -> None:
    connection = connect(sim)
    assert servers(connection).status_code == 200
    sim.stop()
    with pytest.raises(exceptions.ConnectFailure):
        servers(connection)
    sim.start()
    assert servers(connection).status_code == 200


def test_the_log_tells_who_asked_what(sim: Simulator) -> None:
    server = sim.cloud.boot_active("web", "cmp1")
    connection = connect(sim)
    connection.compute.post(
        f"/servers/{server.id}/action", json={"lock": None}, microversion="2.96"
    )
    entry = sim.log.entries[-1]
    assert (entry.name, entry.user, entry.body, entry.status) == (
        ACTION,
        "quiesce",
        {"lock": None},
        202,
    )
    assert sim.log.counts[ACTION] == 1
