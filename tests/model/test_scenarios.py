"""Directed histories for each promise, short and always the same.

The mutants in test_mutants.py and test_more_mutants.py are run against them.
"""

import io
import itertools
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from quiesce.openstack.records import ROWS_FOR_ONE
from quiesce.ops import leadership
from quiesce.ops.leadership import OPEN, Fence, NotLeading
from quiesce.ops.logging import TextLines
from quiesce.runtime.election import DEADLINE
from tests.beds.sim.model import Cloud as Model
from tests.beds.sim.records import Server
from tests.beds.sim.simulator import Simulator
from tests.beds.sim.state import Config, Timing
from tests.beds.sim.states import RUNNING, SHUTDOWN
from tests.harness.inprocess import KEY
from tests.harness.world import HOST, over_http
from tests.harness.world import World as OverHttp
from tests.model.nova import Fault
from tests.model.watch import Broken
from tests.model.world import HOSTS, World

Scenario = Callable[[], None]
SCENARIOS: dict[str, Scenario] = {}
PROMISES: dict[str, tuple[str, ...]] = {}
DAY = 86400.0


def scenario(*promises: str) -> Callable[[Scenario], Scenario]:
    """`promises`: ids in docs/safety.md of what it shows to hold; none: it is about the spec."""

    def register(make: Scenario) -> Scenario:
        SCENARIOS[make.__name__], PROMISES[make.__name__] = make, promises
        return make

    return register


def drain(*states: str, method: str = "Cold", world: World | None = None, **spec: Any) -> World:
    """A host with a server in each of the states, and a drain for it that has not begun."""
    world = world or World()
    for n, state in enumerate(states):
        world.boot(f"s{n}", state=state)
    world.apply(method, **spec)
    return world


def servers(world: World) -> list[Server]:
    return list(world.model.state.servers.values())


def ended(world: World) -> bool:
    return world.is_true("Drained")


# What a drain is for


@scenario("never-7")
def empties_a_host_with_one_migrate_and_one_confirm_each() -> None:
    world = drain(*["active"] * 5, "stopped")
    world.until(lambda: ended(world))
    for server in servers(world):
        assert world.actions(server.id) == ["migrate", "confirmResize"], server.name
        assert server.vm_state == ("stopped" if server.name == "s5" else "active")
    world.model.kill_compute(HOST)
    world.until(lambda: world.status["phase"] == "Deleted")
    assert world.model.service(HOST) is None
    assert world.is_true("Ready")


@scenario("never-8")
def live_moves_restart_nobody() -> None:
    world = drain(
        "active", "paused", "stopped", method="Live", service={"afterDrain": "KeepDisabled"}
    )
    world.until(lambda: ended(world))
    assert [world.actions(s.id) for s in servers(world)] == [
        ["live-migration"], ["live-migration"], ["migrate", "confirmResize"],
    ]  # fmt: skip


@scenario("always-6")
def proves_the_host_empty_as_soon_as_the_last_server_has_left() -> None:
    for method, seconds in [
        ("Cold", 1),
        ("Cold", 4),
        ("Live", 0),
        ("Live", 1),
        ("Live", 2),
        ("Live", 3),
        ("Live", 5),
    ]:
        world = drain("active", method=method)
        world.model.faults.set(
            "live_migration" if method == "Live" else "finish_migration", f"sleep:{seconds}"
        )
        world.until(lambda world=world: world.status.get("progress", {}).get("moved") == 1)  # type: ignore[misc]
        moved = world.ticked_at
        world.until(lambda world=world: ended(world))  # type: ignore[misc]
        assert world.ticked_at - moved < 20, (
            method,
            seconds,
        )  # ten seconds lie between the two reads of the proof


@scenario("always-7")
def keeps_the_host_empty() -> None:
    world = drain("active")
    world.until(lambda: ended(world))
    world.disable("")
    late = world.boot("late")
    world.until(lambda: late.host != HOST and late.task_state is None and late.vm_state == "active")
    world.until(lambda: ended(world))


# Never 1: only what was read on the host in this very tick


@scenario("never-1", "always-1")
def never_moves_a_server_a_second_time() -> None:
    world = drain("active", migration={"maxParallel": 1})
    world.until(lambda: ended(world))
    for _ in range(5):
        world.start()
        world.run(5)
    assert world.actions(servers(world)[0].id) == ["migrate", "confirmResize"]


@scenario("never-1")
def starts_no_move_from_an_older_list() -> None:
    """Also where the host has so many that the next one is read by itself."""
    for method, many in itertools.product(("Cold", "Live"), (0, ROWS_FOR_ONE)):
        world, migration = World(), {"method": method, "maxParallel": 1}
        for number in range(many):
            world.do("lock", world.boot(f"locked-{number}"))
        world = drain(
            "active", "active", world=world, migration=migration, servers={"locked": "Block"}
        )
        world.model.faults.set("live_migration", "sleep:5,once")
        world.until(lambda world=world: bool(world.status.get("moving")))  # type: ignore[misc]
        moving = world.status["moving"][0]["id"]
        free = [server for server in servers(world) if not server.locked_by]
        first, second = sorted(free, key=lambda s, id_=moving: s.id != id_)  # type: ignore[misc]
        world.until(lambda first=first: first.task_state is not None)  # type: ignore[misc]
        world.do("lock", second)
        world.until(lambda first=first: first.vm_state == "active" and first.host != HOST)  # type: ignore[misc]
        world.run(10)
        assert world.actions(second.id) == []
        assert world.problems() == {"Locked"}


@scenario("never-1", "always-2")
def dies_at_every_moment_and_moves_each_server_once() -> None:
    for moment in range(1, 60, 2):
        world = drain("active", "stopped")
        world.run(3)
        world.die_in(moment)
        world.until(lambda world=world: ended(world))  # type: ignore[misc]
        for server in servers(world):
            assert world.actions(server.id) == ["migrate", "confirmResize"], (
                moment,
                server.name,
            )


# Never 2: not ours


@scenario("never-2")
def leaves_a_tenants_resize_alone() -> None:
    world = drain("active", "active")
    tenants = servers(world)[0]
    world.do("resize", tenants)
    world.model.clock.advance(10)
    assert tenants.vm_state == "resized"
    world.run(60)
    assert tenants.vm_state == "resized"
    assert world.status["phase"] == "Stalled"
    assert world.problems() == {"ForeignResize"}
    world.do("confirm", tenants)
    world.until(lambda: ended(world))


@scenario("never-2")
def leaves_what_was_there_before_the_drain_alone() -> None:
    world = World()
    left = world.boot("left")
    world.model.cold.migrate(world.model.as_user("quiesce"), left.id)
    world.model.clock.advance(10)
    world.apply("Cold")
    world.run(60)
    assert left.vm_state == "resized"


def in_flight(user: str = "quiesce", act: str = "migrate", how: str = "sleep:20") -> World:
    """A drain of a host whose one server is being moved away by this user. `how`: its copy goes."""
    world = World()
    server = world.boot("s0")
    world.model.faults.set("finish_migration", how)
    if act == "resize":
        world.do("resize", server, user)
    else:
        world.model.cold.migrate(world.model.as_user(user), server.id)
    world.model.clock.advance(3)
    world.apply("Cold", service={"whileRunning": "Delete"})
    world.until(lambda: world.condition("ServiceDisabled").get("status") == "True")
    (move,) = world.model.migrations_of(server)
    assert move in world.model.state.in_progress(HOST)
    assert move.id <= world.status["foundMigration"]
    return world


@scenario("never-2")
def leaves_what_was_in_flight_before_the_drain_alone() -> None:
    world = in_flight()
    world.run(60)
    (server,) = servers(world)
    assert server.vm_state == "resized"
    assert world.problems() == {"ForeignResize"}


@scenario("never-2")
def takes_no_move_from_before_for_its_own_where_the_first_list_lacks_it() -> None:
    """The list that `foundMigration` is from."""
    world = World()
    left = world.boot("left")
    world.model.cold.migrate(world.model.as_user("quiesce"), left.id)
    world.model.clock.advance(10)
    world.apply("Cold")
    world.hidden.append("/os-migrations")
    world.run(60)
    assert not world.hidden
    assert left.vm_state == "resized"
    assert world.problems() == {"ForeignResize"}


# Never 3: checks


def moved_and_broken(how: str, **confirmation: Any) -> tuple[World, Server]:
    """A server that has arrived elsewhere, and whose guest or port broke on the way."""
    world = drain("active", confirmation=confirmation)
    (server,) = servers(world)
    world.model.faults.set("finish_migration", "sleep:20,once")
    world.until(lambda: server.task_state == "resize_finish")
    assert world.model.clock.run_until(lambda: server.vm_state == "resized", 30)
    if how in ("crash", "seems off"):
        world.model.state.save(server, power_state=SHUTDOWN)
        server.domain = SHUTDOWN if how == "crash" else RUNNING
    elif how in ("die", "host dies"):
        server.domain = SHUTDOWN
        if how == "host dies":
            world.model.kill_compute(str(server.host))
    else:
        for port in world.model.state.ports_of[server.id]:
            port.vif_type = "binding_failed"
    return world, server


@scenario("always-5")
def names_a_server_that_never_arrives() -> None:
    """nova-compute dies between the two writes by which a move arrives."""
    world = drain("active")
    (server,) = servers(world)
    world.model.faults.set("finish_migration", "sleep:20,once")
    world.until(lambda: server.task_state == "resize_finish")
    [move] = world.model.migrations_of(server)
    assert world.model.clock.run_until(lambda: move.status == "finished", 30)
    assert server.task_state == "resize_finish"
    world.model.kill_compute(str(server.host))
    world.model.start_compute(str(server.host))
    world.rest()
    assert world.problems() == {"Stuck"}
    world.do("reset to active", server, "admin")
    world.rest()
    assert world.problems() == {"StuckMigration"}


@scenario("never-3", "never-13")
def confirms_no_guest_that_is_off() -> None:
    world, server = moved_and_broken("crash")
    world.run(60)
    assert server.vm_state == "resized"
    assert world.problems() == {"CheckFailed"}


@scenario("never-3", "never-13", "always-1")
def confirms_no_guest_that_is_off_after_a_restart() -> None:
    world, server = moved_and_broken("crash")
    for _ in range(30):
        world.start()
        world.model.clock.advance(20)
        world.tick()
    assert server.vm_state == "resized"


@scenario("never-3", "never-13")
def confirms_no_guest_whose_death_nova_has_not_noticed() -> None:
    world, server = moved_and_broken("die")
    world.run(60)
    assert server.vm_state == "resized"
    assert world.problems() == {"CheckFailed"}


@scenario("never-3", "never-13")
def confirms_no_guest_that_has_died_where_nobody_knows_how_it_was() -> None:
    world, server = moved_and_broken("die")
    for row in world.status["tries"]:
        del row["was"]
    world.run(60)
    assert server.vm_state == "resized"
    assert world.problems() == {"CheckFailed"}


@scenario("never-13", "always-1")
def remembers_how_a_guest_was_where_one_answer_lacks_its_move() -> None:
    for restarts in (False, True):
        world = drain("active", confirmation={"checks": {"soak": "60s"}})
        (server,) = servers(world)
        world.until(lambda server=server: server.vm_state == "resized")  # type: ignore[misc]
        world.run(2)
        if restarts:
            world.start()
        world.hidden.append("/os-migrations")
        world.until(lambda world=world: not world.hidden)  # type: ignore[misc]
        (row,) = world.status["tries"]
        assert row["was"] == "ACTIVE"
        server.domain = SHUTDOWN
        world.run(60)
        assert server.vm_state == "resized"
        assert world.problems() == {"CheckFailed"}


@scenario("never-3", "never-13")
def confirms_no_guest_that_is_off_where_no_hypervisor_can_be_asked() -> None:
    world, server = moved_and_broken("crash")
    world.broken[f"/servers/{server.id}/diagnostics"] = "501"
    world.run(90)
    assert server.vm_state == "resized"
    assert world.problems() == {"CheckFailed"}


@scenario("never-3", "never-13")
def confirms_no_guest_that_is_off_where_no_hypervisor_answers() -> None:
    world, server = moved_and_broken("crash")
    world.model.kill_compute(str(server.host))
    world.run(90)
    assert server.vm_state == "resized"
    assert world.problems() == {"DestinationDown"}


@scenario("never-3", "never-13")
def confirms_no_guest_whose_host_dies_after_it_has_arrived() -> None:
    """Nova goes on to show it as running: only nova-compute there would tell that it is not."""
    world, server = moved_and_broken("host dies")
    world.run(200)
    assert (server.vm_state, server.power_state) == ("resized", RUNNING)
    assert world.problems() == {"DestinationDown"}
    assert "Start nova-compute on" in str(world.status["problems"])
    world.model.start_compute(str(server.host))
    world.until(lambda: world.problems() == {"CheckFailed"})


@scenario("never-3", "never-13")
def waits_for_nova_to_see_that_a_guest_runs() -> None:
    """Rolled back it would lose what it wrote; confirmed before, Nova would stop it."""
    world, server = moved_and_broken("seems off", onFailedCheck="Revert")
    world.until(lambda: world.problems() == {"CheckFailed"})
    assert server.vm_state == "resized"
    world.until(lambda: server.vm_state != "resized")
    world.run(60)
    assert (server.vm_state, server.domain) == ("active", RUNNING)
    assert world.actions(server.id) == ["migrate", "confirmResize"]


@scenario("never-3", "always-4")
def confirms_no_guest_that_is_still_arriving() -> None:
    world = drain("active")
    world.model.faults.set("finish_migration", "sleep:20")
    world.until(lambda: ended(world))
    assert world.actions(servers(world)[0].id) == ["migrate", "confirmResize"]


@scenario("always-5")
def names_a_record_that_outlives_its_server() -> None:
    """Nova's conductor makes it after the server has been deleted, and nobody works on it."""
    world = drain("active", method="Live")
    (server,) = servers(world)
    world.model.faults.set("live_migration", "hang")
    world.until(lambda: any(m.status == "running" for m in world.model.migrations_of(server)))
    (record,) = world.model.migrations_of(server)
    world.do("delete", server)
    world.until(lambda: server.deleted)
    record.status, record.deleted = "running", False
    world.until(lambda: world.problems() == {"StuckMigration"})
    record.status = "error"  # as the remedy says
    world.until(lambda: world.condition("Ready")["reason"] == "AllocationsLeft")
    world.model.state.placement.release(record.uuid)
    world.until(lambda: ended(world))


@scenario("never-3")
def confirms_no_guest_that_its_owner_is_deleting() -> None:
    world = drain("active", confirmation={"checks": {"soak": "10s"}})
    (server,) = servers(world)
    world.until(lambda: server.vm_state == "resized")
    world.model.faults.set("destroy", "sleep:120")
    world.do("delete", server)
    assert server.task_state == "deleting"
    world.run(40)
    assert world.actions(server.id) == ["migrate"]


@scenario("never-3")
def confirms_no_guest_that_is_cut_off() -> None:
    world, server = moved_and_broken("unplug")
    world.run(60)
    assert server.vm_state == "resized"


@scenario("always-1")
def confirms_a_guest_whose_ports_are_as_they_were() -> None:
    """One is administratively down, one was DOWN before; after a restart in between, too."""
    world = drain("active", "active", "active", confirmation={"onFailedCheck": "Revert"})
    disabled, idle, sound = servers(world)
    (port,) = world.model.state.ports_of[disabled.id]
    port.admin_state_up, port.status = False, "DOWN"
    take_down(world, idle)
    world.until(lambda: any("idlePorts" in row for row in world.status.get("tries") or ()))
    world.start()
    world.until(lambda: ended(world))
    for server in (disabled, idle, sound):
        assert world.actions(server.id) == ["migrate", "confirmResize"]


@scenario("never-3")
def reverts_a_guest_whose_port_went_down_in_the_move() -> None:
    world = drain("active", confirmation={"onFailedCheck": "Revert"}, migration={"attempts": 2})
    (server,) = servers(world)
    world.until(lambda: bool(world.status.get("moving")))
    take_down(world, server)
    world.until(lambda: "revertResize" in world.actions(server.id))
    world.until(lambda: world.status["phase"] == "Stalled")
    assert world.problems() == {"CheckFailed"}


def take_down(world: World, server: Server) -> None:
    """Its ports are DOWN, as if nothing had wired them."""
    for port in world.model.state.ports_of[server.id]:
        port.status = "DOWN"


@scenario("never-3")
def reverts_where_the_spec_says_so() -> None:
    world, server = moved_and_broken("crash", onFailedCheck="Revert")
    world.until(lambda: "revertResize" in world.actions(server.id))
    world.until(lambda: ended(world))
    assert world.actions(server.id) == ["migrate", "revertResize", "migrate", "confirmResize"]


@scenario("never-3")
def reverts_nothing_while_the_source_is_down() -> None:
    world, server = moved_and_broken("crash", onFailedCheck="Revert")
    world.model.kill_compute(HOST)
    world.model.clock.advance(20)
    world.run(60)
    assert server.vm_state == "resized"
    assert "revertResize" not in world.actions(server.id)


@scenario("never-3")
def waits_for_a_decision_where_the_policy_is_manual() -> None:
    world = drain("active", confirmation={"policy": "Manual"})
    (server,) = servers(world)
    world.run(60)
    assert server.vm_state == "resized"
    world.edit(
        lambda spec: spec["confirmation"].update(
            decisions=[{"server": server.id, "action": "Confirm"}]
        )
    )
    world.until(lambda: ended(world))


def decides(world: World, server: Server, action: str) -> None:
    decision = {"server": server.id, "action": action}
    world.edit(lambda spec: spec.setdefault("confirmation", {}).update(decisions=[decision]))


def asks_for_new_tries(world: World, request: str = "again") -> None:
    world.store.objects[KEY]["metadata"]["annotations"]["quiesce.dev/requestedAt"] = request


@scenario("always-3")
def restarts_no_guest_again_that_a_person_had_rolled_back() -> None:
    """New tries for others are none for it."""
    world = drain("active", "suspended", confirmation={"policy": "Manual"})
    server, _ = servers(world)
    world.until(lambda: server.vm_state == "resized" and server.task_state is None)
    decides(world, server, "Revert")
    world.until(lambda: world.problems() == {"Reverted", "Suspended"})
    asks_for_new_tries(world)
    world.run(60)
    assert world.actions(server.id) == ["migrate", "revertResize"]
    assert world.problems() == {"Reverted", "Suspended"}
    decides(world, server, "Confirm")
    world.until(
        lambda: (server.host != HOST, server.vm_state, server.task_state) == (True, "active", None)
    )
    assert world.actions(server.id)[2:] == ["migrate", "confirmResize"]


# Never 4, and the proof


@scenario("never-4")
def deletes_no_service_while_nova_compute_is_up() -> None:
    world = drain("active")
    world.run(100)
    assert ended(world)
    assert world.model.service(HOST) is not None
    assert "Stop nova-compute" in world.status["message"]


@scenario("never-4")
def keeps_the_service_where_the_spec_says_so() -> None:
    world = drain("active", service={"afterDrain": "KeepDisabled"})
    world.until(lambda: ended(world))
    world.model.kill_compute(HOST)
    world.run(60)
    assert world.model.service(HOST) is not None


@scenario("never-4", "always-6")
def takes_no_list_of_a_cell_that_is_down_for_an_empty_host() -> None:
    world = drain("rescued", world=World(absent=("placement",)), service={"whileRunning": "Delete"})
    world.run(10)
    world.model.state.down_cells.add("cell1")
    world.run(60)
    assert not ended(world)
    world.model.state.down_cells.clear()
    world.run(5)
    assert world.status["phase"] == "Stalled"


@scenario("never-4", "always-6")
def takes_no_soft_deleted_server_for_gone() -> None:
    world = drain(
        "soft-deleted", world=World(absent=("placement",)), service={"whileRunning": "Delete"}
    )
    world.run(60)
    assert not ended(world)


@scenario("never-4", "always-6")
def takes_no_allocation_left_in_placement_for_nothing() -> None:
    world = drain("active", service={"whileRunning": "Delete"})
    (server,) = servers(world)
    provider = world.model.compute(HOST).provider
    world.model.placement.claim("leaked", provider, {"VCPU": 1}, server.owner)
    world.run(100)
    assert not ended(world)
    world.model.placement.release("leaked")
    world.until(lambda: world.status["phase"] in ("Deleted", "Stalled"))


def force_down(world: World, forced: bool = True) -> None:
    service = world.model.service(HOST)
    assert service is not None
    world.model.computes.update(service.id, status=None, reason=None, forced_down=forced)


@scenario("never-4")
def takes_no_service_that_is_forced_down_for_a_nova_compute_that_has_stopped() -> None:
    world = drain("active")
    world.until(lambda: ended(world))
    force_down(world)
    world.run(60)
    assert world.condition("ServiceDeleted")["reason"] == "ForcedDown"
    world.start()
    world.run(5)
    world.model.kill_compute(HOST)
    world.until(lambda: world.status["phase"] == "Deleted")


@scenario("never-4", "always-6")
def retires_a_dead_host_whose_servers_were_evacuated() -> None:
    world = World()
    evacuated = [world.boot(f"s{n}") for n in range(3)]
    world.model.kill_compute(HOST)
    force_down(world)
    world.model.clock.advance(70)
    for server in evacuated:
        world.model.evacuations.evacuate(world.model.as_user("admin"), server.id)
    world.model.clock.advance(30)
    world.model.guests.reset_state(world.model.as_user("admin"), evacuated[0].id, "error")
    world.apply("Cold")
    world.run(40)
    assert not ended(world)
    assert "evacuated from this host and not healthy: s0 (ERROR on" in world.status["message"]
    world.do("reset to active", evacuated[0])
    world.until(lambda: world.status["phase"] == "Deleted")
    for server in evacuated:
        assert set(world.model.placement.of(server.id)) == {
            world.model.compute(server.host or "").provider
        }


@scenario("never-4", "always-6")
def takes_no_move_to_the_host_for_nothing() -> None:
    world = World(absent=("placement",))
    world.boot("s0")
    coming = world.boot("coming", host="cmp2")
    world.model.faults.set("migrate_disk_and_power_off", "sleep:300", host="cmp2")
    world.do("migrate here", coming)
    world.model.clock.advance(3)
    world.apply("Cold", service={"whileRunning": "Delete"})
    world.run(60)
    assert not ended(world)


@scenario("always-5", "always-6")
def takes_a_guest_that_failed_elsewhere_for_a_reason_to_keep_the_host() -> None:
    world = drain("active", service={"whileRunning": "Delete"})
    (server,) = servers(world)
    world.model.faults.set("finish_migration", "fail,once")
    world.run(60)
    assert server.vm_state == "error"
    for m in world.model.migrations_of(server):
        world.model.placement.release(m.uuid)
    world.run(60)
    assert not ended(world)
    assert world.status["problems"][0]["reason"] == "DestinationFailed"
    world.model.guests.act(world.model.as_user("admin"), server.id, "reboot")
    world.until(lambda: ended(world))


@scenario("always-6")
def keeps_the_host_for_a_move_in_flight_at_its_beginning_that_fails() -> None:
    for user, act in [("demo", "resize"), ("admin", "migrate"), ("quiesce", "migrate")]:
        world = in_flight(user, act, "sleep:20,fail")
        (server,) = servers(world)
        world.run(60)
        assert server.vm_state == "error" and server.host != HOST
        assert not ended(world), (user, act)
        (problem,) = world.status["problems"]
        assert problem["reason"] == "DestinationFailed"
        assert any(f"Keep {HOST} and its disks" in text for text in problem["remedies"])
        world.model.faults.clear()
        world.model.guests.act(world.model.as_user("admin"), server.id, "reboot")
        world.until(lambda world=world: ended(world))  # type: ignore[misc]


@scenario("always-2", "always-6")
def remembers_what_was_in_flight_when_it_is_started_again() -> None:
    world = in_flight("demo", "resize", "sleep:60,fail")
    (server,) = servers(world)
    for _ in range(4):
        world.start()
        world.run(20)
    assert server.vm_state == "error"
    assert world.problems() == {"DestinationFailed"}
    assert not ended(world)
    world.model.guests.act(world.model.as_user("admin"), server.id, "reboot")
    world.until(lambda: ended(world))
    world.start()
    world.until(lambda: world.status["phase"] == "Deleted")


@scenario("always-5", "always-6")
def sees_a_guest_in_error_whose_live_migration_completed() -> None:
    """Nova before 30.2.1 only logs what failed on the destination."""
    world = drain("active", "active", method="Live", service={"whileRunning": "Delete"})
    failed, _ = servers(world)
    world.model.faults.set("post_live_migration_at_destination", "fail,swallowed", server="s0")
    world.run(60)
    assert [m.status for m in world.model.migrations_of(failed)] == ["completed"]
    assert failed.vm_state == "error"
    assert not ended(world)
    (problem,) = world.status["problems"]
    assert (problem["name"], problem["reason"]) == ("s0", "DestinationFailed")
    world.model.guests.reset_state(world.model.as_user("admin"), failed.id, "active")
    world.until(lambda: ended(world))


@scenario("always-6")
def reads_the_empty_host_twice() -> None:
    world = drain("active")
    (server,) = servers(world)
    world.until(lambda: server.vm_state == "active" and server.host != HOST)
    world.until(lambda: world.condition("Drained").get("reason") == "Proving")
    first = world.ticked_at
    world.until(lambda: ended(world))
    assert world.ticked_at - first >= 10


@scenario("always-6")
def reads_the_empty_host_twice_whatever_the_machines_clock_says() -> None:
    """A person changes the drain between the two reads, so that it is read again at once."""
    for jump in (60.0, DAY, -DAY):
        world = drain("active")
        while world.condition("Drained").get("reason") != "Proving":
            world.model.clock.advance(1)
            world.reconcile_once()
        first, world.set_by = world.ticked_at, jump
        world.model.clock.advance(1)
        world.until(lambda world=world: ended(world), ticks=20)  # type: ignore[misc]
        assert 10 <= world.ticked_at - first < 20, jump


@scenario("never-4", "never-9", "always-6")
def proves_nothing_from_a_list_that_could_not_be_read() -> None:
    faults: tuple[Fault, ...] = ("truncated", "500 before", "503", "reset")
    for fault in faults:
        world = drain(
            "suspended", world=World(absent=("placement",)), service={"whileRunning": "Delete"}
        )
        world.run(5)
        world.broken = {"/servers/detail": fault}
        world.run(30)
        assert not ended(world)
        assert world.condition("Ready")["reason"] == "CloudUnreachable"


# Never 5: limits


@scenario("never-5")
def moves_no_more_at_once_than_allowed() -> None:
    world = drain(*["active"] * 6, migration={"maxParallel": 2})
    world.model.faults.set("migrate_disk_and_power_off", "sleep:15")
    world.until(lambda: ended(world))


@scenario("never-5", "always-1")
def moves_no_more_at_once_than_allowed_after_a_restart() -> None:
    world = drain(*["active"] * 6, migration={"maxParallel": 2})
    world.model.faults.set("migrate_disk_and_power_off", "sleep:15")
    for _ in range(40):
        world.start()
        world.tick()
    world.until(lambda: ended(world))


@scenario("never-5", "always-4")
def moves_no_more_at_once_than_allowed_while_nova_is_slow_to_begin() -> None:
    slow = World(Model(HOSTS, seed=1, timing=Timing(conduct=12)))
    world = drain(*["active"] * 4, world=slow, migration={"maxParallel": 1})
    world.until(lambda: ended(world))


@scenario("never-5")
def counts_a_move_that_one_answer_of_nova_lacks() -> None:
    """In flight before it has a migration, with one, and finished; in polls and whole lists, also
    where the process has just been started.
    """
    for path, restarts in itertools.product(("/os-migrations", "/servers/detail"), (False, True)):
        slow = World(Model(HOSTS, seed=1, timing=Timing(conduct=4)))
        soak = {"checks": {"soak": "60s"}}
        world = drain(*["active"] * 2, world=slow, migration={"maxParallel": 1}, confirmation=soak)
        world.until(lambda world=world: any(s.task_state for s in servers(world)))  # type: ignore[misc]
        for _ in range(12):
            world.hidden[:] = [path]
            if restarts:
                world.start()
            world.run(2)
        world.hidden.clear()
        world.until(lambda world=world: ended(world))  # type: ignore[misc]
        assert all(world.actions(s.id) == ["migrate", "confirmResize"] for s in servers(world))


@scenario("never-11")
def goes_on_without_a_record_that_a_person_has_removed() -> None:
    """Its server waits in VERIFY_RESIZE, and Nova has nothing that confirms it."""
    soak = {"checks": {"soak": "10m"}}
    world = drain("active", "active", migration={"maxParallel": 1}, confirmation=soak)
    world.until(lambda: any(s.vm_state == "resized" for s in servers(world)))
    moved, other = sorted(servers(world), key=lambda server: server.vm_state != "resized")
    world.run(3)
    (record,) = world.model.migrations_of(moved)
    record.deleted = True
    world.run(3)
    assert world.condition("Ready")["reason"] == "CloudUnreachable"
    assert moved.name in world.status["message"]
    began = world.model.clock.now()
    world.until(lambda: bool(world.actions(other.id)))
    assert 240 < world.model.clock.now() - began < 400


@scenario("never-5")
def begins_no_move_beside_one_whose_server_is_being_deleted() -> None:
    """Its disk may still be copied."""
    world = drain("active", "active", migration={"maxParallel": 1})
    for step in ("migrate_disk_and_power_off", "destroy"):
        world.model.faults.set(step, "sleep:60")
    world.until(lambda: any(s.task_state == "resize_migrating" for s in servers(world)))
    moving, other = sorted(servers(world), key=lambda server: server.task_state is None)
    world.do("delete", moving)
    assert (moving.task_state, world.actions(other.id)) == ("deleting", [])
    world.until(lambda: ended(world))
    assert world.actions(other.id) == ["migrate", "confirmResize"]


@scenario("never-5")
def moves_one_of_an_anti_affinity_group_at_a_time() -> None:
    world = drain("active", "active", "active")
    world.model.computes.add("cmp4")
    world.group("anti-affinity", *servers(world))
    world.until(lambda: ended(world))


@scenario("never-5")
def moves_as_many_of_an_anti_affinity_group_as_a_host_may_hold() -> None:
    """Of four with two a host, the other two hosts take all, two at a time."""
    world = World()
    for n in range(4):
        world.boot(f"s{n}")
    world.group("anti-affinity", *servers(world))
    (group,) = world.model.state.groups.values()
    group.rules["max_server_per_host"] = 2
    world.apply("Cold", migration={"requireCapacity": True})
    world.until(lambda: len(world.status.get("moving") or ()) == 2)
    world.until(lambda: ended(world))
    assert all(world.actions(s.id).count("confirmResize") == 1 for s in servers(world))


# Never 6: disables by others


@scenario("never-6", "always-8")
def restores_a_disable_that_another_user_had_made() -> None:
    world = World()
    world.boot("s0")
    world.disable("rack team")
    world.apply("Cold", service={"afterDrain": "KeepDisabled"})
    world.until(lambda: ended(world))
    service = world.model.service(HOST)
    assert service is not None
    assert (service.disabled_reason or "").startswith("quiesce: drain ")
    world.delete_drain()
    world.until(lambda: KEY not in world.store.objects)
    assert (service.disabled, service.disabled_reason) == (True, "rack team")


@scenario("never-6", "always-8")
def leaves_a_disable_that_another_user_made_meanwhile() -> None:
    world = drain("active", service={"afterDrain": "KeepDisabled"})
    world.until(lambda: ended(world))
    world.disable("rack team")
    world.run(10)
    world.delete_drain()
    world.until(lambda: KEY not in world.store.objects)
    service = world.model.service(HOST)
    assert service is not None
    assert (service.disabled, service.disabled_reason) == (True, "rack team")


@scenario("always-7", "always-8")
def restores_an_enabled_service_with_its_aggregates_after_a_delete() -> None:
    world = World()
    world.boot("s0")
    aggregate = world.model.computes.add_aggregate("ssd")
    world.model.computes.add_host(aggregate.id, HOST)
    world.apply("Cold")
    world.until(lambda: ended(world))
    world.model.kill_compute(HOST)
    world.until(lambda: world.status["phase"] == "Deleted")
    assert HOST not in aggregate.hosts
    world.model.start_compute(HOST)
    world.model.clock.advance(20)
    world.run(10)
    service = world.model.service(HOST)
    assert service is not None
    assert service.disabled
    world.delete_drain()
    world.until(lambda: KEY not in world.store.objects)
    assert not service.disabled
    assert aggregate.hosts == [HOST]


@scenario("never-6", "always-2")
def saves_what_it_finds_before_it_writes() -> None:
    for moment in range(1, 20):
        world = World()
        world.boot("s0")
        world.disable("rack team")
        world.apply("Cold", service={"afterDrain": "KeepDisabled"})
        world.die_in(moment)
        world.until(lambda world=world: ended(world))  # type: ignore[misc]
        world.delete_drain()
        world.until(lambda world=world: KEY not in world.store.objects)  # type: ignore[misc]
        service = world.model.service(HOST)
        assert service is not None
        assert (service.disabled, service.disabled_reason) == (True, "rack team"), moment


@scenario("always-8")
def lets_a_move_end_that_one_answer_lacks_before_it_leaves_the_host() -> None:
    world = drain("active", onDelete="Leave", confirmation={"checks": {"soak": "60s"}})
    (server,) = servers(world)
    world.until(lambda: server.vm_state == "resized")
    world.run(2)
    world.delete_drain()
    world.hidden.append("/os-migrations")
    world.until(lambda: KEY not in world.store.objects)
    assert world.actions(server.id) == ["migrate", "confirmResize"]


@scenario("always-8")
def lets_moves_in_flight_end_before_it_restores_the_host() -> None:
    world = drain("active", "active")
    world.model.faults.set("migrate_disk_and_power_off", "sleep:15")
    world.until(lambda: any(s.task_state == "resize_migrating" for s in servers(world)))
    world.delete_drain()
    world.until(lambda: KEY not in world.store.objects)
    assert not [s for s in servers(world) if s.vm_state == "resized" or s.task_state]
    service = world.model.service(HOST)
    assert service is not None
    assert not service.disabled


# Never 8: running guests under method Live


@scenario("never-8", "always-5")
def restarts_no_guest_that_cannot_live_migrate() -> None:
    world = drain("active", method="Live")
    world.model.faults.set("live_migration", "fail,swallowed")
    world.run(150)
    (server,) = servers(world)
    assert set(world.actions(server.id)) == {"live-migration"}
    assert world.problems() == {"LiveMigrationFailed"}


@scenario("never-8", "never-12", "always-5")
def restarts_no_guest_that_a_live_migration_left_in_error() -> None:
    """Nova 2025.2 and later; the guest runs on as before."""
    world = drain("active", "active", method="LiveThenCold")
    world.model.faults.set("live_migration", "fail,once")
    world.run(150)
    assert not any("migrate" in world.actions(server.id) for server in servers(world))
    assert "LiveFailedInError" in world.problems()
    for server in servers(world):
        if server.vm_state == "error":
            world.model.guests.reset_state(world.model.as_user("admin"), server.id, "active")
    world.until(lambda: ended(world))


@scenario("never-13", "always-5")
def copies_no_disk_of_a_guest_that_arrived_while_nova_compute_was_away() -> None:
    """Nova has it on the source, ACTIVE, later without a guest; its owner stops it."""
    world = drain("active", method="LiveThenCold", migration={"attempts": 1})
    world.model.faults.set("live_migration", "sleep:20,once")
    (server,) = servers(world)
    world.until(lambda: server.task_state == "migrating")
    world.run(5)
    world.model.kill_compute(HOST)
    world.model.clock.advance(30)
    world.model.start_compute(HOST)
    world.until(lambda: world.problems() == {"HostUncertain"})
    world.run(700)
    assert (server.vm_state, server.power_state) == ("active", 0)
    assert world.problems() == {"HostUncertain"}
    world.do("os-stop", server, "admin")
    world.run(700)
    assert world.problems() == {"HostUncertain"}
    assert "migrate" not in world.actions(server.id)

    # What its remedy says is done in Nova's database.
    world.model.state.save(server, host=server.runs_on)
    server.runs_on = ""
    world.until(lambda: world.problems() == set())


@scenario("always-5")
def starts_no_guest_a_second_time_that_has_left_by_a_live_migration() -> None:
    """Nova before 24.2.0, 25.1.0 and 26.1.0 has it on the source, in ERROR. A person resets it."""
    old = Model(HOSTS, seed=1, config=Config(ends_on_source=True))
    world = drain("active", method="LiveThenCold", world=World(old))
    old.faults.set("post_live_migration", "fail")
    (server,) = servers(world)
    world.until(lambda: server.vm_state == "error")
    world.run(150)
    assert world.problems() == {"HostUncertain"}
    old.guests.reset_state(old.as_user("admin"), server.id, "active")
    for _ in range(2):  # before and after Nova has stopped it
        world.run(600)
        assert world.problems() == {"HostUncertain"}
        remedies = [text for row in world.status["problems"] for text in row["remedies"]]
        assert not any(word in text for word in ("server start", "--hard") for text in remedies)
    assert server.vm_state == "stopped"
    assert world.actions(server.id).count("live-migration") == 1
    assert "migrate" not in world.actions(server.id)


@scenario("always-5")
def starts_no_guest_a_second_time_that_was_leaving_when_the_drain_began() -> None:
    """As above, by a live migration of another user."""
    old = Model(HOSTS, seed=1, config=Config(ends_on_source=True))
    world = World(old)
    server = world.boot("s0")
    old.faults.set("live_migration", "sleep:20,once")
    old.faults.set("post_live_migration", "fail")
    world.do("live-migrate", server, "admin")
    old.clock.advance(3)
    world.apply("Cold")
    world.until(lambda: server.vm_state == "error")
    old.guests.reset_state(old.as_user("admin"), server.id, "active")
    world.run(600)
    assert server.vm_state == "stopped"
    assert world.problems() == {"HostUncertain"}
    assert "migrate" not in world.actions(server.id)


@scenario("always-5")
def moves_no_guest_that_had_left_before_the_drain_began() -> None:
    """As above; already the first tick that can move it has to know."""
    old = Model(HOSTS, seed=1, config=Config(ends_on_source=True))
    world = World(old)
    server = world.boot("s0")
    old.faults.set("post_live_migration", "fail")
    world.do("live-migrate", server, "admin")
    old.clock.advance(30)
    assert server.vm_state == "error" and server.runs_on not in ("", HOST)
    old.guests.reset_state(old.as_user("admin"), server.id, "active")
    world.apply("Cold")
    world.run(20)
    assert world.problems() == {"HostUncertain"}
    assert "migrate" not in world.actions(server.id)


@scenario("never-12")
def restarts_no_guest_whose_live_migration_never_had_its_turn() -> None:
    """Another one copies all the time, and those that wait are ended, as by a nova-compute that is
    stopped.
    """
    world = drain(
        "active",
        "active",
        method="LiveThenCold",
        migration={"attempts": 1, "timeout": "60s", "onLiveTimeout": "Wait"},
    )
    world.model.faults.set("live_migration", "hang,once")  # whichever comes first
    world.until(lambda: any(waits(world, server, 1) for server in servers(world)))
    (second,) = (server for server in servers(world) if waits(world, server, 1))
    for number in (1, 2):
        world.until(lambda number=number: waits(world, second, number))  # type: ignore[misc]
        world.model.clock.advance(300)
        world.run(5)
        assert waits(world, second, number)
        *_, m = world.model.migrations_of(second)
        world.model.live.abort(world.model.as_user("admin"), m.server, m.id)
        world.run(5)
    assert "migrate" not in world.actions(second.id)


def waits(world: World, server: Server, number: int) -> bool:
    """Its live migration of this number waits for its turn."""
    found = world.model.migrations_of(server)
    return len(found) == number and found[-1].status == "queued"


# Never 9: no answer is no failure


@scenario("never-9")
def repeats_no_call_whose_answer_is_missing() -> None:
    world = drain("active", "stopped")
    world.run(2)
    for _ in range(60):
        world.faults = ["reset" if world.moments % 2 else "500 after"] if not ended(world) else []
        world.tick()
        world.faults = []
        world.tick()
    world.until(lambda: ended(world))
    for server in servers(world):
        assert world.actions(server.id) == ["migrate", "confirmResize"], server.name


@scenario("never-9")
def repeats_no_call_whose_effect_comes_late() -> None:
    """The connection broke before any visible effect; Nova may still be working on the request."""
    world = drain("active", "stopped")
    world.broken = {f"/servers/{s.id}/action": "refused" for s in servers(world)}
    world.run(40)
    world.broken = {}
    world.until(lambda: ended(world))


@scenario("never-9")
def repeats_no_call_early_because_the_machines_clock_was_set() -> None:
    for jump in (20.0, DAY, -DAY):
        world = drain("active")
        (server,) = servers(world)
        world.broken = {f"/servers/{server.id}/action": "refused"}
        world.until(lambda world=world: bool(world.watch.awaited))  # type: ignore[misc]
        world.set_by = jump
        world.run(10)
        world.broken = {}
        began = world.model.clock.now()
        world.until(lambda world=world: ended(world))  # type: ignore[misc]
        assert world.model.clock.now() - began < 120, jump


@scenario()
def lets_servers_soak_as_long_as_the_spec_says_whatever_the_machines_clock_says() -> None:
    for jump in (DAY, -DAY):
        world = drain("active", confirmation={"checks": {"soak": "20s"}})
        (server,) = servers(world)
        world.until(lambda server=server: server.vm_state == "resized")  # type: ignore[misc]
        arrived = world.model.clock.now()
        world.tick()
        world.set_by = jump
        world.until(lambda server=server: server.vm_state == "active")  # type: ignore[misc]
        assert 20 <= world.model.clock.now() - arrived < 40, jump


@scenario("never-9", "always-2")
def loses_the_answers_of_all_writes_and_repeats_none() -> None:
    world = drain("active", "stopped", "active")
    world.lossy = True
    world.until(lambda: ended(world))
    for server in servers(world):
        assert world.actions(server.id) == ["migrate", "confirmResize"], server.name


# Always: a drain that is abandoned


@scenario("always-9")
def is_released_when_abandoned_whatever_the_cloud_answers() -> None:
    world = drain("active")
    world.until(lambda: ended(world))
    world.broken = dict.fromkeys(("/os-services", "/servers/detail"), "refused")
    world.delete_drain()
    world.run(20)
    assert KEY in world.store.objects
    assert "quiesce.dev/abandon=true" in world.status["message"]
    world.store.objects[KEY]["metadata"]["annotations"]["quiesce.dev/abandon"] = "true"
    world.run(2)
    assert KEY not in world.store.objects


# Suspend and plan


@scenario()
def writes_nothing_while_suspended() -> None:
    world = drain("active", "active", "active", migration={"maxParallel": 1})
    world.until(lambda: any(s.vm_state == "resized" or s.task_state for s in servers(world)))
    world.edit(lambda spec: spec.update(suspend=True))
    world.run(30)
    assert world.status["phase"] == "Suspended"
    world.edit(lambda spec: spec.update(suspend=False))
    world.until(lambda: ended(world))


@scenario()
def writes_nothing_for_a_plan() -> None:
    world = drain("active", "suspended", mode="Plan")
    world.run(30)
    assert world.status["phase"] == "Planned"
    assert world.status["plan"]["cold"] == 1
    world.edit(lambda spec: spec.update(mode="Drain"))
    world.run(40)
    assert world.status["phase"] == "Stalled"


# Never 10: no secret is shown


@contextmanager
def log_of_the_operator() -> Iterator[io.StringIO]:
    """What it logs meanwhile, at every level, as it stands on stderr."""
    logger, stream = logging.getLogger("quiesce"), io.StringIO()
    handler, level = logging.StreamHandler(stream), logger.level
    handler.setFormatter(TextLines())
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    logging.disable(logging.NOTSET)
    try:
        yield stream
    finally:
        logging.disable(logging.CRITICAL)
        logger.setLevel(level)
        logger.removeHandler(handler)


@scenario("never-10")
def logs_no_secret_and_no_line_that_is_not_its_own() -> None:
    """Nova answers with an error that repeats a password, and a text of several lines."""
    world = drain("active", world=World(excuse="password=hunter2 is wrong\nforged line"))
    with log_of_the_operator() as log:
        world.run(2)
        world.faults = ["500 before"] * 12
        world.run(2)
        world.faults = []
        world.until(lambda: ended(world))
    lines = log.getvalue().splitlines()
    assert any("forged line" in line for line in lines)
    assert not [line for line in lines if line.startswith("forged")]
    assert "password=hunter2" not in log.getvalue()


# Never 11: one failing server holds up no other


@scenario("never-11", "always-3")
def lets_no_failing_server_hold_up_another() -> None:
    world = drain("suspended", "active", "active", "active", migration={"maxParallel": 2})
    world.model.faults.set("migrate_disk_and_power_off", "hang", server="s1")
    world.rest()
    assert sum(server.host != HOST for server in servers(world)) == 2
    assert {row["name"]: row["reason"] for row in world.status["problems"]} == {
        "s0": "Suspended",
        "s1": "Stuck",
    }


@scenario("always-1", "always-3")
def continues_by_itself_when_nova_compute_comes_back() -> None:
    world = drain("active", "active", method="Live")
    world.model.kill_compute(HOST)
    world.model.clock.advance(20)
    world.run(30)
    assert world.problems() == {"SourceDown"}
    world.model.start_compute(HOST)
    world.until(lambda: ended(world))


@scenario("always-1", "always-5")
def continues_by_itself_when_there_is_capacity_again() -> None:
    world = drain("active", "active")
    for name in ("cmp2", "cmp3"):
        service = world.model.service(name)
        assert service is not None
        service.disabled = True
    world.run(60)
    assert world.problems() == {"NoCapacity"}
    for name in ("cmp2", "cmp3"):
        service = world.model.service(name)
        assert service is not None
        service.disabled = False
    world.model.clock.advance(700)
    world.until(lambda: ended(world))


@scenario("never-12", "always-5")
def takes_down_one_guest_beyond_those_in_flight() -> None:
    world = drain(*["active"] * 6, migration={"maxParallel": 2})
    world.model.faults.set("migrate_disk_and_power_off", "fail")
    world.run(200)
    assert sum(server.vm_state == "error" for server in servers(world)) <= 3
    assert "ColdMigrationPaused" in world.problems()
    world.model.faults.clear()
    for server in servers(world):
        if server.vm_state == "error":
            world.model.guests.act(world.model.as_user("admin"), server.id, "reboot")
    asks_for_new_tries(world, "repaired")
    world.until(lambda: ended(world))


@scenario("never-12", "always-5")
def takes_down_one_guest_beyond_those_in_flight_where_guests_die_on_arrival() -> None:
    """Also where each is returned and runs again: it was restarted."""
    for policy, most in itertools.product(("Hold", "Revert"), (1, 2)):
        world = drain(
            *["active"] * 8,
            migration={"maxParallel": most},
            confirmation={"onFailedCheck": policy, "checks": {"soak": "30s"}},
        )
        world.model.faults.set("finish_migration", "dies")
        world.rest()
        moved = [world.actions(server.id) for server in servers(world)]
        assert sum(map(bool, moved)) == most + 1, (policy, most, moved)
        assert all(each.count("migrate") <= 1 for each in moved)
        assert "ColdMigrationPaused" in world.problems()


@scenario("never-12")
def takes_down_no_further_guest_where_one_answer_lacks_those_that_failed() -> None:
    """Whatever the process has read before."""
    for restarts in (False, True):
        world = drain(*["active"] * 6, migration={"maxParallel": 2})
        world.model.faults.set("migrate_disk_and_power_off", "fail")
        world.run(60)
        for _ in range(6):
            if restarts:
                world.start()
            world.hidden[:] = ["/os-migrations"]
            world.run(10)
        assert sum(server.vm_state == "error" for server in servers(world)) <= 3


@scenario("never-12", "always-2")
def remembers_who_died_on_arrival_when_it_is_started_again() -> None:
    world = drain(
        *["active"] * 4,
        migration={"maxParallel": 1},
        confirmation={"onFailedCheck": "Revert", "checks": {"soak": "30s"}},
    )
    world.model.faults.set("finish_migration", "dies")
    for _ in range(4):
        world.run(60)
        world.start()
    assert sum("migrate" in world.actions(server.id) for server in servers(world)) == 2
    world.model.faults.clear()
    asks_for_new_tries(world, "repaired")
    world.until(lambda: ended(world))


@scenario("never-12", "never-8")
def restarts_no_guest_for_a_cause_of_the_host() -> None:
    world = drain(*["active"] * 4, method="LiveThenCold")
    world.model.faults.set("live_migration", "fail,swallowed")
    world.run(300)
    assert not any("migrate" in world.actions(server.id) for server in servers(world))
    assert world.problems() == {"LiveMigrationPaused"}
    world.model.faults.clear()
    world.until(lambda: ended(world))


def arrived_first(world: World) -> tuple[Server, Server]:
    """Of two servers the one that has been moved, and the other."""
    world.until(lambda: any(server.vm_state == "resized" for server in servers(world)))
    first, second = sorted(servers(world), key=lambda s: s.vm_state != "resized")
    return first, second


@scenario("never-5")
def counts_a_revert_until_its_guest_runs_again() -> None:
    """Nova writes `reverted` before it starts the guest on the source."""
    for grouped in (False, True):
        world = drain(
            "active",
            "active",
            migration={"maxParallel": 4 if grouped else 1},
            confirmation={"onFailedCheck": "Revert"},
        )
        if grouped:
            world.group("anti-affinity", *servers(world))
        world.model.faults.set("finish_revert_migration", "sleep:20")
        first, second = arrived_first(world)
        for port in world.model.state.ports_of[first.id]:
            port.vif_type = "binding_failed"
        world.until(lambda first=first: first.task_state == "resize_reverting")  # type: ignore[misc]
        world.until(lambda first=first: first.task_state is None)  # type: ignore[misc]
        assert second.task_state is None, "two at once"


@scenario("always-8")
def releases_no_host_whose_revert_goes_on() -> None:
    world = drain("active", confirmation={"policy": "Manual"})
    (server,) = servers(world)
    world.model.faults.set("finish_revert_migration", "sleep:20,fail", server=server.id)
    world.until(lambda: server.vm_state == "resized")
    decision = {"server": server.id, "action": "Revert"}
    world.edit(lambda spec: spec["confirmation"].update(decisions=[decision]))
    world.until(lambda: server.task_state == "resize_reverting")
    world.delete_drain()
    for _ in range(5):
        world.tick()
    assert KEY in world.store.objects


@scenario("never-13", "always-3")
def remembers_how_a_server_was_that_its_owner_has_rolled_back() -> None:
    """It dies on its way back, and Nova itself stops what is off."""
    locked = {"locked": "Block"}
    world = drain("active", confirmation={"policy": "Manual"}, servers=locked)
    (server,) = servers(world)
    world.do("lock", world.boot("locked"))
    world.until(lambda: server.vm_state == "resized")
    world.run(12)
    world.do("revert", server, "admin")
    world.until(lambda: server.vm_state == "active" and server.task_state is None)
    world.model.power.go_off(server)
    world.run(60)
    world.edit(lambda spec: spec["confirmation"].update(policy="Automatic"))
    world.run(60)
    assert world.actions(server.id).count("migrate") == 1


@scenario("never-12", "always-5")
def lets_one_server_try_a_broken_ssh_path() -> None:
    world = drain(*["active"] * 4, migration={"maxParallel": 4, "attempts": 2})
    world.model.faults.set("migrate_disk_and_power_off", "ssh")
    world.run(60)
    assert world.problems() == {"SSHPathBroken"}
    tries = sorted(len(world.actions(server.id)) for server in servers(world))
    assert tries[:3] == [1, 1, 1]  # those that were on their way when the first one failed
    assert tries[3] > 2
    world.model.faults.clear()
    world.until(lambda: ended(world))


def restarted_in_a_copy() -> tuple[World, Server]:
    """A cold move whose record never ends.

    nova-compute died and came back during it, which left the guest off. A person has started it,
    and it has been moved again since.
    """
    world = drain("active")
    (server,) = servers(world)
    world.model.faults.set("migrate_disk_and_power_off", "sleep:30,once")
    world.until(lambda: server.task_state == "resize_migrating")
    world.model.kill_compute(HOST)
    world.model.start_compute(HOST)
    world.rest()
    assert world.problems() == {"LeftOff"}
    assert world.actions(server.id) == ["migrate"]
    world.model.guests.act(world.model.as_user("admin"), server.id, "os-start")
    world.rest()
    return world, server


@scenario("never-13", "always-3", "always-5")
def names_a_record_that_never_ends() -> None:
    world, server = restarted_in_a_copy()
    assert server.host != HOST
    assert not ended(world)
    assert world.problems() == {"StuckMigration"}


@scenario("always-3", "always-5")
def names_a_task_that_never_ends() -> None:
    """A server whose task never ends, though its record has.

    nova-compute died during a revert that a person had decided.
    """
    world = drain("active", confirmation={"policy": "Manual"})
    (server,) = servers(world)
    world.model.faults.set("finish_revert_migration", "sleep:30,once")
    world.until(lambda: server.vm_state == "resized" and server.task_state is None)
    world.edit(
        lambda spec: spec["confirmation"].update(
            decisions=[{"server": server.id, "action": "Revert"}]
        )
    )
    world.until(lambda: server.host == HOST and server.task_state == "resize_reverting")
    world.model.kill_compute(HOST)
    world.model.clock.advance(20)
    world.run(10)
    assert world.problems() == {"SourceDown"}
    world.model.start_compute(HOST)
    world.rest()
    assert world.problems() == {"Stuck"}
    assert world.status["phase"] == "Stalled"


@scenario("always-1")
def continues_when_a_person_has_ended_a_record_by_another_move() -> None:
    world, server = restarted_in_a_copy()
    person = world.model.as_user("admin")
    world.model.cold.migrate(person, server.id)
    world.model.clock.advance(70)
    assert [m.status for m in world.model.migrations_of(server)] == [
        "error",
        "confirmed",
        "finished",
    ]
    world.model.cold.confirm(person, server.id)
    world.run(60)
    assert {c["reason"] for c in world.status["conditions"] if c["type"] == "Stalled"} == {
        "AllocationsLeft"
    }


@scenario("always-1")
def an_idle_drain_writes_nothing() -> None:
    world = drain("suspended", "active")
    world.run(60)
    writes = world.store.writes
    world.run(40)
    assert world.store.writes == writes


# Always 10: only the holder of the Lease. Over HTTP, where the clients ask before they send.


def changes_nothing_without_its_lease(lose: Callable[[OverHttp, Fence], None]) -> None:
    """A process loses its Lease in the middle of a tick: nothing that it sends after that changes
    anything. Another one continues, and moves no server a second time.
    """
    for moment in range(1, 30, 5):
        with pytest.MonkeyPatch.context() as patch, Simulator(Model(HOSTS, seed=1)) as sim:
            world = over_http(sim)
            world.boundary.watch(patch)
            fence = Fence(clock=world.model.clock.now)
            patch.setattr(leadership, "_installed", fence)
            server = world.boot("s0")
            world.apply("Cold")
            sent = _runs_until_lost(world, sim, fence, moment, lose)
            assert changes(sim) == sent, (moment, changes(sim)[len(sent) :])
            patch.setattr(leadership, "_installed", OPEN)
            world.start()
            world.until(lambda world=world: world.is_true("Drained"))  # type: ignore[misc]
            assert world.actions(server.id) == ["migrate", "confirmResize"], moment


def _runs_until_lost(
    world: OverHttp,
    sim: Simulator,
    fence: Fence,
    moment: int,
    lose: Callable[[OverHttp, Fence], None],
) -> list[str]:
    """The changes that were sent until then, from the third tick on this moment."""
    found: list[list[str]] = []

    def lost() -> None:
        found.append(changes(sim))
        lose(world, fence)

    for tick in itertools.count():
        if tick == 2:
            world.boundary.meanwhile[len(world.boundary.names) + moment] = lost
        fence.extend(world.model.clock.now() + DEADLINE)
        with suppress(NotLeading):
            world.tick()
        if found:
            return found[0]
    raise AssertionError


def changes(sim: Simulator) -> list[str]:
    """What OpenStack was sent that is no read."""
    return [each.name for each in list(sim.log.entries) if each.method != "GET"]


@scenario("always-10", "never-1")
def changes_nothing_after_a_pause_beyond_its_lease() -> None:
    changes_nothing_without_its_lease(lambda world, _: world.model.clock.advance(DEADLINE + 1))


@scenario("always-10", "never-1")
def changes_nothing_once_another_has_its_lease() -> None:
    """Also where a renewal is answered after that."""

    def lose(world: OverHttp, fence: Fence) -> None:
        fence.close(0)
        fence.extend(world.model.clock.now() + DEADLINE)

    changes_nothing_without_its_lease(lose)


@pytest.mark.parametrize("name", SCENARIOS)
def test_scenario(name: str) -> None:
    SCENARIOS[name]()


def test_the_watch_sees_a_broken_promise() -> None:
    """The tests of the tests: a watch that never fails would be worth nothing."""
    world = drain("active")
    world.run(2)
    world.watch.listed.clear()
    with pytest.raises(Broken, match="not read on the host"):
        world.watch.start(servers(world)[0].id, "migrate")
