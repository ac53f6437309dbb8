"""Random histories of a drain in a cloud where everybody acts at once.

Every promise of docs/safety.md is checked at every step.
"""

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.beds.sim.records import Server
from tests.harness.inprocess import KEY
from tests.harness.world import HOST
from tests.model.nova import FAULTS
from tests.model.watch import MARK
from tests.model.world import HOSTS, World

STATES = (
    "active",
    "active",
    "active",
    "stopped",
    "stopped",
    "paused",
    "suspended",
    "shelved",
    "rescued",
    "error",
    "soft-deleted",
)
GUEST_ACTS = (
    "os-stop", "os-start", "pause", "unpause", "suspend", "resume", "shelve", "unshelve", "rescue",
    "unrescue", "lock", "unlock", "resize", "confirm", "revert", "delete", "soft-delete", "migrate",
    "migrate here", "live-migrate", "reset to active",
)  # fmt: skip
# Failures of the hypervisor as in nova-compute: the operation, and how it fails.
BREAKS = (
    "migrate_disk_and_power_off", "finish_migration", "confirm_migration", "live_migration",
    "finish_revert_migration", "pre_live_migration", "check_can_live_migrate_destination",
    "post_live_migration", "prep_resize",
)  # fmt: skip
HOWS = ("fail,once", "fail:InstanceFaultRollback,once", "sleep:20,once")

specs = st.fixed_dictionaries(
    {
        "method": st.sampled_from(["Cold", "Live", "LiveThenCold"]),
        "migration": st.fixed_dictionaries(
            {
                "maxParallel": st.integers(1, 4),
                "attempts": st.integers(1, 3),
                "timeout": st.sampled_from(["1h", "15s"]),
                "onLiveTimeout": st.sampled_from(["Abort", "ForceComplete", "Wait"]),
            }
        ),
        "servers": st.fixed_dictionaries(
            {
                "shelved": st.sampled_from(["Offload", "Block"]),
                "suspended": st.sampled_from(["Block", "Resume"]),
                "locked": st.sampled_from(["Move", "Block"]),
            }
        ),
        "confirmation": st.fixed_dictionaries(
            {
                "policy": st.sampled_from(["Automatic", "Automatic", "Manual"]),
                "onFailedCheck": st.sampled_from(["Hold", "Revert"]),
                "foreign": st.sampled_from(["Wait", "Confirm"]),
                "checks": st.sampled_from([{}, {"soak": "10s"}]),
            }
        ),
        "service": st.fixed_dictionaries(
            {
                "afterDrain": st.sampled_from(["Delete", "KeepDisabled"]),
                "whileRunning": st.sampled_from(["Wait", "Delete"]),
            }
        ),
        "onDelete": st.sampled_from(["Restore", "Restore", "Leave"]),
    }
)
reasons = st.sampled_from(["rack team", "maintenance", None, ""])


class Drain(RuleBasedStateMachine):
    """A compute host with some servers, a drain for it, and people around."""

    @initialize(
        spec=specs,
        states=st.lists(st.sampled_from(STATES), min_size=1, max_size=5),
        group=st.sampled_from([None, "anti-affinity", "affinity"]),
        most=st.integers(1, 2),
        found=st.sampled_from(["", "", "rack team", None]),
        shares=st.booleans(),
    )
    def begin(
        self,
        spec: dict[str, Any],
        states: list[str],
        group: str | None,
        most: int,
        found: str | None,
        shares: bool,
    ) -> None:
        self.world = World()
        self.world.shares = shares
        self.people_touched_the_service = False
        servers = [self.world.boot(f"s{n}", state=state) for n, state in enumerate(states)]
        if group:
            self.world.group(group, *servers[:3])
            (made,) = self.world.model.state.groups.values()
            made.rules = {"max_server_per_host": most} if group == "anti-affinity" else {}
        aggregate = self.world.model.computes.add_aggregate("ssd")
        self.world.model.computes.add_host(aggregate.id, HOST)
        if found != "":
            self.world.disable(found)
        self.found = found
        self.world.apply(**spec)

    def some_server(self, index: int) -> Server:
        servers = list(self.world.model.state.servers.values())
        return servers[index % len(servers)]

    # The operator

    @rule(ticks=st.integers(1, 8))
    def continues(self, ticks: int) -> None:
        self.world.run(ticks)

    @rule(ticks=st.integers(1, 8))
    def continues_again(self, ticks: int) -> None:
        self.world.run(ticks)

    @rule(moment=st.integers(1, 40), ticks=st.integers(1, 3))
    def dies(self, moment: int, ticks: int) -> None:
        self.world.die_in(moment)
        self.world.run(ticks)
        self.world.die_in(0)

    @rule(faults=st.lists(st.sampled_from([None, None, *FAULTS]), min_size=1, max_size=12))
    def calls_fail(self, faults: list[Any]) -> None:
        self.world.faults = faults
        self.world.run(2)
        self.world.faults = []

    @rule(seconds=st.sampled_from([1, 5, 20, 70, 400]))
    def is_slow(self, seconds: int) -> None:
        self.world.model.clock.advance(seconds)

    # People

    @rule(state=st.sampled_from(STATES), host=st.sampled_from([*HOSTS, None]))
    def another_user_boots(self, state: str, host: str | None) -> None:
        if len(self.world.model.state.servers) < 8:
            self.world.boot("late", host, state if host == HOST else "active")

    @rule(act=st.sampled_from(GUEST_ACTS), index=st.integers(0, 7), then=st.integers(0, 3))
    def another_user_acts(self, act: str, index: int, then: int) -> None:
        self.world.do(
            act, self.some_server(index), "demo" if act in ("lock", "resize", "delete") else "admin"
        )
        self.world.run(then)

    @rule(act=st.sampled_from(GUEST_ACTS), index=st.integers(0, 7), moment=st.integers(1, 20))
    def another_user_acts_meanwhile(self, act: str, index: int, moment: int) -> None:
        server = self.some_server(index)
        self.world.meanwhile(moment, lambda: self.world.do(act, server, "admin"))
        self.world.tick()

    @rule(reason=reasons)
    def another_user_disables_or_enables(self, reason: str | None) -> None:
        self.world.disable(reason)
        self.people_touched_the_service = True
        self.world.tick()

    @rule(index=st.integers(0, 7), what=st.sampled_from(["crash", "unplug"]))
    def a_moved_guest_breaks(self, index: int, what: str) -> None:
        server = self.some_server(index)
        if server.vm_state != "resized" or server.task_state is not None:
            return
        if what == "crash":
            self.world.model.state.save(server, power_state=4)
        else:
            for port in self.world.model.state.ports_of.get(server.id, []):
                port.vif_type = "binding_failed"

    # The cloud

    @rule(host=st.sampled_from(HOSTS), ticks=st.integers(0, 2))
    def nova_compute_dies(self, host: str, ticks: int) -> None:
        self.world.model.kill_compute(host)
        self.world.run(ticks)

    @rule(forced=st.booleans(), ticks=st.integers(0, 3))
    def a_tool_forces_the_service_down(self, forced: bool, ticks: int) -> None:
        service = self.world.model.service(HOST)
        if service is not None:
            with self.world.trying():
                self.world.model.computes.update(
                    service.id, status=None, reason=None, forced_down=forced
                )
        self.world.run(ticks)

    @rule(index=st.integers(0, 7), ticks=st.integers(0, 3))
    def a_server_is_evacuated(self, index: int, ticks: int) -> None:
        server = self.some_server(index)
        if server.host == HOST and not self.world.model.compute(HOST).process.running:
            with self.world.trying():
                admin = self.world.model.as_user("admin")
                self.world.model.evacuations.evacuate(admin, server.id)
        self.world.run(ticks)

    @rule(host=st.sampled_from(HOSTS))
    def nova_compute_returns(self, host: str) -> None:
        self.world.model.start_compute(host)

    @rule(operation=st.sampled_from(BREAKS), how=st.sampled_from(HOWS))
    def a_hypervisor_fails(self, operation: str, how: str) -> None:
        self.world.model.faults.set(operation, how)
        self.world.run(1)

    @rule(ticks=st.integers(1, 2))
    def a_cell_is_down(self, ticks: int) -> None:
        self.world.model.state.down_cells.add("cell1")
        self.world.run(ticks)
        self.world.model.state.down_cells.clear()

    @rule(path=st.sampled_from(["/os-migrations", "/servers/detail"]), ticks=st.integers(1, 2))
    def one_answer_lacks_the_cell(self, path: str, ticks: int) -> None:
        self.world.hidden.append(path)
        self.world.run(ticks)

    # The drain's owner

    def edit(self, change: Callable[[dict[str, Any]], None]) -> None:
        self.world.edit(change)
        self.world.tick()

    @rule()
    def suspends_or_resumes(self) -> None:
        self.edit(lambda spec: spec.update(suspend=not spec.get("suspend", False)))

    @rule(mode=st.sampled_from(["Drain", "Plan"]))
    def changes_the_mode(self, mode: str) -> None:
        self.edit(lambda spec: spec.update(mode=mode))

    @rule(most=st.integers(1, 4), method=st.sampled_from(["Cold", "Live", "LiveThenCold"]))
    def changes_the_migration(self, most: int, method: str) -> None:
        self.edit(lambda spec: spec["migration"].update(maxParallel=most, method=method))

    @rule(index=st.integers(0, 7), action=st.sampled_from(["Confirm", "Revert"]))
    def decides(self, index: int, action: str) -> None:
        server = self.some_server(index)

        def add(spec: dict[str, Any]) -> None:
            others = [
                d for d in spec["confirmation"].get("decisions", []) if d["server"] != server.id
            ]
            spec["confirmation"]["decisions"] = [*others, {"server": server.id, "action": action}]

        self.edit(add)

    @rule(value=st.sampled_from(["a", "b", "c"]))
    def asks_for_new_attempts(self, value: str) -> None:
        if KEY in self.world.store.objects:
            self.world.store.objects[KEY]["metadata"]["annotations"]["quiesce.dev/requestedAt"] = (
                value
            )

    @precondition(lambda self: self.world.moments > 0)
    @rule(ticks=st.integers(0, 3), when=st.integers(0, 5))
    def deletes_the_drain(self, ticks: int, when: int) -> None:
        if when == 0:
            self.world.delete_drain()
            self.world.run(ticks)

    # The end

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.everybody_stops()
            if KEY in self.world.store.objects and not self.world.watch.deleting:
                self.ends()
            self.restores()

    def everybody_stops(self) -> None:
        """Faults are over, every compute is there, and people have finished what they began."""
        world = self.world
        world.die_in(0)
        world.faults = []
        world.hidden.clear()
        world.model.faults.clear()
        world.model.state.down_cells.clear()
        for host in HOSTS:
            world.model.start_compute(host)
        world.model.clock.advance(15)
        service = world.model.service(HOST)
        if service is not None:
            service.forced_down = False
        for server in world.model.state.servers.values():
            for m in world.model.migrations_of(server):
                if m.status == "finished" and not (
                    m.initiator.name == "quiesce" and m.source == HOST
                ):
                    world.do("confirm", server, "admin")
        decisions = [{"server": s, "action": "Confirm"} for s in world.model.state.servers]
        world.edit(lambda spec: spec["confirmation"].update(decisions=decisions))
        world.model.clock.advance(15)

    def ends(self) -> None:
        """Left alone, the drain comes to an end, or says what keeps it."""
        world = self.world
        world.edit(lambda spec: spec.update(suspend=False, mode="Drain"))
        world.rest()
        against = world.watch.against_empty()
        if world.is_true("Drained"):
            assert not against, f"{against}\n{world.describe()}"
            self.is_retired()
        else:
            assert self.is_explained(), f"{against}\n{world.describe()}"

    def is_retired(self) -> None:
        """Once nova-compute is stopped the service is deleted or kept; leftovers are named."""
        world = self.world
        world.model.kill_compute(HOST)
        world.model.clock.advance(15)
        world.run(8)
        if world.watch.policy("service", "afterDrain", "Delete") == "Delete":
            assert world.model.service(HOST) is None, world.describe()
            left = world.model.compute(HOST).provider in world.model.placement.providers
            assert (world.status["phase"] == "Stalled") == left, world.describe()
        else:
            assert world.status["phase"] == "Drained", world.describe()

    def is_explained(self) -> bool:
        """Every server that is still on the host has a row, or waits for one that has.

        Where no server is the cause the message names it.
        """
        status, state = self.world.status, self.world.model.state
        rows = {row["id"] for row in status["problems"]}
        here = state.on_host(HOST)
        if here and all(s.id in rows for s in here):
            return status["phase"] in ("Stalled", "Draining")
        if here:
            return status["phase"] == "Stalled" and "waiting for them: " in status["message"]
        return status["phase"] == "Stalled" or any(
            w in status["message"] for w in ("allocation", "its cell is down")
        )

    def restores(self) -> None:
        world = self.world
        if KEY in world.store.objects:
            leave = world.watch.spec.get("onDelete") == "Leave"
            world.delete_drain()
            world.rest()
            for (
                server
            ) in world.model.state.servers.values():  # of moves that died with a nova-compute
                if server.task_state is not None:
                    world.do("reset to active", server, "admin")
            world.until(lambda: KEY not in world.store.objects)
        else:
            leave = True  # it was restored earlier, with people acting since
        service = world.model.service(HOST)
        if leave or service is None:
            return
        reason = service.disabled_reason or ""
        assert not reason.startswith(MARK), world.describe()
        if not self.people_touched_the_service:
            expected = (False, None) if self.found == "" else (True, self.found)
            assert (service.disabled, service.disabled_reason) == expected, world.describe()


TestDrain = Drain.TestCase
