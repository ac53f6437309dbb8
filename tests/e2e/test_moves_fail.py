"""Moves fail at every step that a hypervisor has, all at once, and the drain reports each right.

Two hosts are drained side by side, one cold and one live. Each of their servers meets another
failure, or a step that takes long or never ends. Those that need no person are moved all the same;
of every other server the drain says what happened and what to do, and it never calls a host empty
while Nova or Placement have anything on it. Then the causes are removed, people do what the drains
say, and both complete by themselves.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.harness.books import NeverWronglyDrained
from tests.harness.kubernetes import Drain, Kube, Operator, condition
from tests.harness.openstack import Json, Lab
from tests.harness.promises import COLD, LIVE, moved

KEEP = {"afterDrain": "KeepDisabled"}
SMALL, LARGE = "tiny", "small"  # the two flavors that there are; the larger one goes first


@dataclass(frozen=True)
class Failure:
    """One server, how its move fails, and how it ends.

    faults: by operation of the hypervisor.
    reason, says: of its problem, and words of the message; '': it needs no person.
    seen: its status meanwhile; there: it has left the host then.
    person: the action that a person does to it once the cause is gone.
    actions: all that Nova's log says was done with it in the end, after `create`.
    """

    faults: dict[str, str]
    actions: tuple[str, ...]
    reason: str = ""
    says: tuple[str, ...] = ()
    seen: str = "ACTIVE"
    there: bool = False
    person: tuple[str, Any] | None = None
    flavor: str = SMALL


REBOOT = ("reboot", {"type": "HARD"})
RESET = ("os-resetState", {"state": "active"})
HARD_REBOOT = "openstack server reboot --hard"
THERE = ("may be the only good one", HARD_REBOOT)
RUNS_ON = ("the guest most likely runs", "Without a reboot: openstack server set --state active")

COLD_FAILURES = {
    "copy-fails": Failure(
        {"migrate_disk_and_power_off": "fail"},
        ("migrate", "reboot", *COLD),
        reason="SourceFailed",
        says=(
            "the guest may be OFF",
            "injected failure in migrate_disk_and_power_off",
            HARD_REBOOT,
        ),
        seen="ERROR",
        person=REBOOT,
    ),
    "copy-rolls-back": Failure(
        {"migrate_disk_and_power_off": "fail:InstanceFaultRollback"},
        ("migrate", *COLD),
        reason="MigrationFailed",
        says=("the guest is as it was",),
    ),
    "copy-is-slow": Failure(
        {"migrate_disk_and_power_off": "sleep:12", "finish_migration": "sleep:6"},
        COLD,
        flavor=LARGE,
    ),
    "copy-hangs": Failure(
        {"migrate_disk_and_power_off": "hang"},
        COLD,
        reason="Stuck",
        says=("is migrating for more than 45s", "Nova cannot abort a cold migration"),
        seen="RESIZE",
        flavor=LARGE,
    ),
    "arrival-fails": Failure(
        {"finish_migration": "fail"},
        ("migrate", "reboot"),
        reason="DestinationFailed",
        says=("injected failure in finish_migration", *THERE),
        seen="ERROR",
        there=True,
        person=REBOOT,
    ),
    "confirm-fails": Failure(
        {"confirm_migration": "fail"},
        ("migrate", "confirmResize", "resetState"),
        reason="DestinationFailed",
        says=(
            "runs there, but its confirm failed",
            "injected failure in confirm_migration",
            "Without a reboot: openstack server set --state active",
        ),
        seen="ERROR",
        there=True,
        person=RESET,
    ),
    "revert-fails": Failure(
        {"finish_revert_migration": "fail"},
        ("migrate", "revertResize", "reboot", *COLD),
        reason="SourceFailed",
        says=("the guest may be OFF", HARD_REBOOT),
        seen="ERROR",
        person=REBOOT,
    ),
}
LIVE_FAILURES = {
    "copy-fails": Failure(
        {"live_migration": "fail,swallowed"},
        LIVE * 2,
        reason="LiveMigrationFailed",
        says=("tried 1 time and failed, and the guest is as it was", "quiesce.dev/requestedAt="),
    ),
    "copy-is-slow": Failure({"live_migration": "sleep:40"}, LIVE, flavor=LARGE),
    "preparation-fails": Failure(
        {"pre_live_migration": "fail"},
        LIVE * 2,
        reason="LiveMigrationFailed",
        says=("injected failure in pre_live_migration", "the guest is as it was"),
    ),
    "one-host-refuses": Failure(
        {"check_can_live_migrate_destination:cmp3": "fail:MigrationPreCheckError"}, LIVE
    ),
    "all-hosts-refuse": Failure(
        {"check_can_live_migrate_destination": "fail:MigrationPreCheckError"},
        LIVE * 2,
        reason="NoValidHostByZone",
        says=(
            "last: Migration pre-check error",
            "injected failure in check_can_live_migrate_destination",
            "the guest is as it was",
        ),
    ),
    "check-fails-here": Failure(
        {"check_can_live_migrate_source": "fail"},
        LIVE * 2,
        reason="NoValidHostByZone",
        says=("injected failure in check_can_live_migrate_source", "the guest is as it was"),
    ),
    "end-fails-here": Failure(
        {"post_live_migration": "fail"},
        (*LIVE, "resetState"),
        reason="DestinationFailed",
        says=RUNS_ON,
        seen="ERROR",
        there=True,
        person=RESET,
    ),
    "end-fails-there": Failure(
        {"post_live_migration_at_destination": "fail"},
        (*LIVE, "resetState"),
        reason="DestinationFailed",
        says=RUNS_ON,
        seen="ERROR",
        there=True,
        person=RESET,
    ),
}


@dataclass
class Side:
    """One of the two hosts, its failures, and its drain."""

    cloud: Lab
    host: str
    failures: dict[str, Failure]
    prefix: str
    ids: dict[str, str] = field(default_factory=dict)
    drain: Drain = field(init=False)

    def boot(self) -> None:
        for flavor in (SMALL, LARGE):
            names = [name for name, failure in self.failures.items() if failure.flavor == flavor]
            self.ids |= dict(
                zip(
                    names,
                    self.cloud.boot(self.host, [self.prefix + n for n in names], flavor=flavor),
                    strict=True,
                )
            )
        for name, failure in self.failures.items():
            self.cloud.fault(f"server:{self.prefix}{name}", **failure.faults)

    def apply(self, kube: Kube, namespace: str, method: str, **spec: Any) -> None:
        self.drain = Drain.apply(kube, namespace, self.host, method, service=KEEP, **spec)

    def problems(self, status: Json) -> dict[str, str]:
        """By name without the prefix: the reason."""
        return {
            p["name"].removeprefix(self.prefix): p["reason"] for p in status.get("problems") or ()
        }

    def stalled_with(self, names: Iterable[str]) -> Json:
        """Wait until only these problems are left, and it says that a person is needed."""
        wanted = {name: self.failures[name].reason for name in names}
        return self.drain.until(
            f"{self.host} stalled with {wanted}",
            lambda s: s["phase"] == "Stalled" and self.problems(s) == wanted,
        )

    def says_what_happened(self, status: Json) -> None:
        said = {
            p["name"].removeprefix(self.prefix): " ".join((p["message"], *p["remedies"]))
            for p in status["problems"]
        }
        for name, failure in self.failures.items():
            for words in failure.says:
                assert words in said[name], (name, words, said[name])

    def nova_agrees(self) -> None:
        """Each server is in the state in which its failure leaves it."""
        for name, failure in self.failures.items():
            server = self.cloud.server(self.ids[name])
            assert server, name
            away = server["OS-EXT-SRV-ATTR:host"] != self.host
            moves_anyway = not failure.reason
            assert (server["status"], away) == (failure.seen, failure.there or moves_anyway), name

    def people_act(self, *, there: bool) -> None:
        for name, failure in self.failures.items():
            if failure.person and failure.there is there:
                self.cloud.admin.action(self.ids[name], *failure.person)

    @property
    def left_there(self) -> list[str]:
        """Those in trouble on another host."""
        return [name for name, failure in self.failures.items() if failure.there]

    def ended_well(self) -> None:
        done = {name: self.cloud.actions(server_id) for name, server_id in self.ids.items()}
        assert done == {
            name: ["create", *failure.actions] for name, failure in self.failures.items()
        }
        for name, failure in self.failures.items():
            if failure.there and failure.person == RESET:
                # Its power state is that of the broken move until Nova's next sync of all of them.
                assert (self.cloud.server(self.ids[name]) or {})["status"] == "ACTIVE"
                assert self.cloud.host_of(self.ids[name]) != self.host
            else:
                moved(self.cloud, self.ids[name], self.host, "ACTIVE", failure.actions)


@pytest.mark.promise("never-11", "always-4", "always-5", "always-6")
def test_every_failure_is_named_and_what_is_fixed_moves(
    kube: Kube, cloud: Lab, operator: Operator, credentials: str, hosts: tuple[str, ...]
) -> None:
    cold, live = (
        Side(cloud, hosts[0], COLD_FAILURES, "cold-"),
        Side(cloud, hosts[1], LIVE_FAILURES, "live-"),
    )
    for side in (cold, live):
        side.boot()
    undo = {"decisions": [{"server": cold.ids["revert-fails"], "action": "Revert"}]}
    cold.apply(
        kube,
        credentials,
        "Cold",  # all at once: the first guest that is left down would pause the others
        migration={"attempts": 1, "maxParallel": 20, "timeout": "45s"},
        confirmation=undo,
    )
    live.apply(kube, credentials, "Live", migration={"attempts": 1, "timeout": "30s"})

    with (
        NeverWronglyDrained(cloud, cold.drain, cold.host),
        NeverWronglyDrained(cloud, live.drain, live.host),
    ):
        for side in (live, cold):
            status = side.stalled_with(
                name for name, failure in side.failures.items() if failure.reason
            )
            assert condition(status, "Stalled")["reason"] == "ServersBlocked"
            assert condition(status, "Drained")["status"] == "False"
            side.says_what_happened(status)
            side.nova_agrees()

        cloud.clear_faults()
        cold.drain.patch({"confirmation": {"decisions": []}})
        for side in (cold, live):
            side.people_act(there=False)
        for side in (cold, live):
            side.drain.annotate("quiesce.dev/requestedAt=fixed")
        for side in (cold, live):
            status = side.stalled_with(side.left_there)
            assert condition(status, "Stalled")["reason"] == "DestinationFailed"
            side.people_act(there=True)
        remove_claims_of_failed_moves(cloud, live)
        for side in (cold, live):
            side.drain.wait("Drained")
            side.drain.wait("Ready")
            assert side.drain.status["problems"] == []
            side.ended_well()
    assert operator.healthy()


def remove_claims_of_failed_moves(cloud: Lab, side: Side) -> None:
    """Of live moves that failed after the guest had left.

    Nova never removes their claims on the source.
    """
    status = side.drain.until(
        "the claims named", lambda s: condition(s, "Stalled").get("reason") == "AllocationsLeft"
    )
    held = cloud.holders(side.host)
    assert {row["uuid"] for row in cloud.migrations(side.host) if row["status"] == "error"} >= set(
        held
    )
    for consumer in held:
        assert consumer in status["message"]
        cloud.drop_allocations(consumer)


@pytest.mark.promise("never-8", "never-12", "always-5")
@pytest.mark.field_case("D1")
@pytest.mark.parametrize("operation", ["live_migration", "check_can_live_migrate_destination"])
def test_a_server_that_a_live_migration_left_in_error_pauses_the_others(
    kube: Kube, cloud: Lab, operator: Operator, credentials: str, host: str, operation: str
) -> None:
    """Nova 2025.2 and later set it to ERROR although its guest runs on."""
    (broken,) = cloud.boot(host, ["broken"], flavor=LARGE)
    (calm,) = cloud.boot(host, ["calm"])
    cloud.fault("server:broken", **{operation: "fail"})
    one = {"maxParallel": 1, "attempts": 1}
    drain = Drain.apply(kube, credentials, host, "LiveThenCold", service=KEEP, migration=one)
    reasons = {"broken": "LiveFailedInError", "calm": "LiveMigrationPaused"}
    status = drain.until(
        f"stalled with {reasons}",
        lambda s: (
            s["phase"] == "Stalled" and {p["name"]: p["reason"] for p in s["problems"]} == reasons
        ),
    )
    words = {p["name"]: " ".join((p["message"], *p["remedies"])) for p in status["problems"]}
    assert "runs on here as before" in words["broken"]
    assert "Without a reboot: openstack server set --state active" in words["broken"]
    assert HARD_REBOOT not in words["broken"]
    assert "it left broken in ERROR" in words["calm"]

    cloud.clear_faults()
    cloud.admin.action(broken, *RESET)
    drain.annotate("quiesce.dev/requestedAt=fixed")
    drain.wait("Ready")
    moved(cloud, broken, host, "ACTIVE", [*LIVE, "resetState", *LIVE])
    moved(cloud, calm, host, "ACTIVE", LIVE)
    assert operator.healthy()
