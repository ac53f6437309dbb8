"""What was reported from other clouds about capacity, ports and dead hosts, as histories."""

import pytest

from tests.harness.world import HOST
from tests.model.test_scenarios import SCENARIOS, drain, ended, force_down, servers
from tests.model.world import World

CASES = {
    "takes_no_service_that_is_forced_down_for_a_nova_compute_that_has_stopped": "F14",
    "retires_a_dead_host_whose_servers_were_evacuated": "F15",
    "confirms_a_guest_whose_ports_are_as_they_were": "F17",
    "reverts_a_guest_whose_port_went_down_in_the_move": "F17",
    "moves_as_many_of_an_anti_affinity_group_as_a_host_may_hold": "F18",
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.field_case(case)) for name, case in CASES.items()]
)
def test_case(name: str) -> None:
    SCENARIOS[name]()


@pytest.mark.field_case("F14")
def test_servers_of_a_host_that_is_forced_down_say_so_and_move_when_it_no_longer_is() -> None:
    world = World()
    world.boot("s0")
    force_down(world)
    world.apply("Cold")
    world.until(lambda: world.status.get("phase") == "Stalled")
    (row,) = world.status["problems"]
    assert (row["reason"], "forced down" in row["message"]) == ("SourceDown", True)
    assert f"openstack compute service set --up {HOST} nova-compute" in row["remedies"]
    force_down(world, False)
    world.until(lambda: ended(world))


@pytest.mark.field_case("F16")
@pytest.mark.parametrize("policy", ["Hold", "Revert"])
def test_servers_whose_ports_cannot_be_read_are_held_and_the_drain_goes_on(policy: str) -> None:
    world = drain(
        "active", "stopped", "stopped", migration={"maxParallel": 1},
        confirmation={"onFailedCheck": policy},
    )  # fmt: skip
    running = servers(world)[0]
    world.model.faults.set("finish_migration", "sleep:10", server="s0")
    world.until(lambda: running.task_state is not None)
    world.broken["/ports"] = "503"
    world.until(lambda: {row["reason"] for row in world.status["problems"]} == {"PortsNotRead"})
    world.until(lambda: all(s.host != HOST for s in servers(world)))
    assert world.actions(running.id) == ["migrate"]
    world.broken.clear()
    world.until(lambda: ended(world))


@pytest.mark.field_case("F16")
def test_a_running_server_does_not_begin_to_move_while_its_ports_cannot_be_read() -> None:
    world = drain("active", "stopped")
    world.broken["/ports"] = "503"
    running, stopped = servers(world)
    world.until(lambda: stopped.host != HOST)
    world.run(30)
    world.until(lambda: "its ports cannot be read" in str(world.status))
    assert (world.actions(running.id), world.actions(stopped.id)) == ([], ["migrate"])
    world.broken.clear()
    world.until(lambda: ended(world))


@pytest.mark.field_case("F16")
def test_a_cause_that_cannot_be_read_holds_that_server_alone() -> None:
    world = drain("active", "stopped", "stopped", migration={"maxParallel": 1})
    first = servers(world)[0]
    world.model.faults.set("migrate_disk_and_power_off", "ssh:denied,once", server="s0")
    world.broken[f"/servers/{first.id}/os-instance-actions"] = "500 before"
    world.until(lambda: all(s.host != HOST for s in servers(world)[1:]))
    world.run(20)
    assert world.actions(first.id) == ["migrate"]
    assert "HTTP 500" in str(world.status)
    world.broken.clear()
    world.until(lambda: ended(world))


@pytest.mark.field_case("F19")
def test_a_plan_knows_which_hosts_have_dedicated_cpus() -> None:
    for dedicated, capacity in ((0, "Short"), (1, "Short"), (2, "Fits")):
        world = World()
        server = world.boot("s0")
        server.flavor = server.flavor.__class__(
            "pinned", vcpus=2, extra_specs=(("hw:cpu_policy", "dedicated"),)
        )
        if dedicated:
            world.model.computes.dedicate("cmp2", dedicated)
        world.apply("Cold", mode="Plan")
        world.until(lambda world=world: "plan" in world.status)  # type: ignore[misc]
        assert world.status["plan"]["capacity"] == capacity, dedicated


@pytest.mark.field_case("F24")
@pytest.mark.parametrize("mode", ["Drain", "Plan"])
def test_a_host_of_several_hypervisors_is_refused_before_anything_is_written(mode: str) -> None:
    world = World()
    world.model.computes.add_node(HOST, "node-a")
    world.apply("Cold", mode=mode)
    world.run(3)
    assert world.condition("Stalled")["reason"] == "HostNotSupported"
    assert "cmp1, node-a" in world.status["message"]
    service = world.model.service(HOST)
    assert service is not None
    assert not service.disabled
    world.delete_drain()
    world.run(2)
    assert not world.store.objects
