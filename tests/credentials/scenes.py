"""Drains that need one permission each, and lack it at first.

Each scene begins a drain on a host of its own with credentials that lack one rule, waits until the
status names it, gives the rule, and sees the drain through to its right end.
"""

import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.harness.kubernetes import Drain, Kube, condition
from tests.harness.openstack import Json, Lab, until
from tests.harness.promises import COLD, LIVE, moved, nothing_left

DESTINATION = "cmp5"
KEEP = {"afterDrain": "KeepDisabled"}
OFF = ("create", "stop")
WITHIN = 300.0  # seconds

Scene = Callable[["Stage"], None]


@dataclass(frozen=True)
class Case:
    """`shows`: what the status has to have in it. `give`: gives what is missing."""

    name: str
    shows: tuple[str, ...]
    scene: Scene
    clouds_yaml: str
    give: Callable[["Stage"], None]


@dataclass
class Stage:
    """One case on one host."""

    kube: Kube
    cloud: Lab
    namespace: str
    host: str
    case: Case
    secret: str
    drains: list[Drain] = field(default_factory=list)

    def run(self) -> str:
        """What went wrong; empty: nothing."""
        try:
            self.kube.credentials(self.namespace, self.case.clouds_yaml, self.secret)
            self.case.scene(self)
        except Exception:  # noqa: BLE001 one case must not end the others
            return traceback.format_exc()
        else:
            return ""
        finally:
            self.tidy()

    def tidy(self) -> None:
        """Without the operator, which may lack a right for it."""
        for drain in self.drains:
            what = ("-n", self.namespace, "--ignore-not-found", "--wait=false")
            self.kube.kubectl("delete", f"cnd/{drain.name}", *what, check=False)
            gone = '{"metadata": {"finalizers": null}}'
            self.kube.kubectl(
                "patch",
                f"cnd/{drain.name}",
                *("-n", self.namespace, "--type=merge", "-p", gone),
                check=False,
            )
        self.cloud.clear_faults(f"host:{self.host}")
        mine = [s["id"] for s in self.cloud.servers() if s["name"].startswith(f"{self.host}-")]
        self.cloud.delete(mine)
        for aggregate in self.cloud.admin.get("/os-aggregates")["aggregates"]:
            if self.host in aggregate["hosts"]:
                self.cloud.drop_aggregate(aggregate["id"])
        self.cloud.bring_up([self.host])
        service = self.cloud.service(self.host)
        if service and service["status"] != "enabled":
            self.cloud.set_service(self.host, "enabled")

    def boot(self, name: str, state: str = "ACTIVE", **extra: Any) -> str:
        return self.cloud.boot(self.host, [f"{self.host}-{name}"], state, **extra)[0]

    def begin(self, method: str = "LiveThenCold", **spec: Any) -> Drain:
        migration = {"targetHost": DESTINATION, **spec.pop("migration", {})}
        reference = {"secretName": self.secret}
        drain = Drain.apply(
            self.kube,
            self.namespace,
            self.host,
            method,
            migration=migration,
            cloudCredentialsRef=reference,
            **{"service": KEEP} | spec,
        )
        self.drains.append(drain)
        return drain

    def named(self, drain: Drain) -> Json:
        """What is missing is named where a person looks. Nothing was moved without it."""
        shows = self.case.shows
        status = drain.until(
            f"{shows} named",
            lambda s: any(all(each in text for each in shows) for text in texts(s)),
            WITHIN,
        )
        assert condition(status, "Ready")["status"] != "True"
        return status

    def given(self, drain: Drain) -> None:
        self.named(drain)
        self.case.give(self)


def texts(status: Mapping[str, Any]) -> list[str]:
    """The messages of conditions and problems."""
    conditions = [each["message"] for each in status["conditions"]]
    problems = [" ".join([p["message"], *p.get("remedies", ())]) for p in status["problems"]]
    return conditions + problems


def ends(stage: Stage, drain: Drain) -> None:
    """The host is empty, its drain is deleted, and it is as it was found."""
    drain.wait("Ready", WITHIN)
    drain.delete()
    service = stage.cloud.service(stage.host)
    assert service
    assert (service["status"], service["disabled_reason"]) == ("enabled", None)


def moves(stage: Stage) -> None:
    """One that runs goes live, one that is off goes cold and is confirmed."""
    ports = [{"uuid": network(stage.cloud)}]
    on = stage.boot("on", networks=ports)
    off = stage.boot("off", "SHUTOFF", networks=ports)
    drain = stage.begin()
    stage.given(drain)
    ends(stage, drain)
    moved(stage.cloud, on, stage.host, "ACTIVE", LIVE)
    moved(stage.cloud, off, stage.host, "SHUTOFF", COLD, OFF)


def moves_cold(stage: Stage) -> None:
    """One that runs goes cold: the hypervisor is asked for it before the confirm."""
    server = stage.boot("on")
    drain = stage.begin("Cold")
    stage.given(drain)
    ends(stage, drain)
    moved(stage.cloud, server, stage.host, "ACTIVE", COLD)


def retires(stage: Stage) -> None:
    """The service of the empty host is deleted."""
    server = stage.boot("on")
    drain = stage.begin(service={"afterDrain": "Delete"})
    drain.wait("Drained", WITHIN)
    stage.cloud.kill_compute(stage.host)
    stage.given(drain)
    drain.wait("Ready", WITHIN)
    nothing_left(stage.cloud, stage.host)
    moved(stage.cloud, server, stage.host, "ACTIVE", LIVE)


def returns(stage: Stage) -> None:
    """A deleted host is back, and belongs into its aggregate again."""
    aggregate = stage.cloud.aggregate(f"rack-{stage.host}", stage.host)
    drain = stage.begin(service={"afterDrain": "Delete"})
    drain.wait("Drained", WITHIN)
    stage.cloud.kill_compute(stage.host)
    drain.wait("Ready", WITHIN)
    stage.cloud.bring_up([stage.host])
    stage.kube.kubectl("delete", f"cnd/{drain.name}", "-n", stage.namespace, "--wait=false")
    stage.given(drain)
    drain.delete()
    assert stage.cloud.aggregate_hosts(aggregate) == [stage.host]


def is_slow(stage: Stage) -> None:
    """A live migration that takes longer than its time."""
    _too_long(stage, "Wait")


def is_aborted(stage: Stage) -> None:
    _too_long(stage, "Abort")


def is_forced(stage: Stage) -> None:
    _too_long(stage, "ForceComplete")


def _too_long(stage: Stage, on_timeout: str) -> None:
    server = stage.boot("on")
    stage.cloud.fault(f"host:{stage.host}", live_migration="hang,swallowed")
    drain = stage.begin("Live", migration={"timeout": "3s", "onLiveTimeout": on_timeout})
    stage.given(drain)
    if on_timeout == "Abort":
        until(
            "aborted",
            lambda: "cancelled" in {m["status"] for m in stage.cloud.migrations(stage.host)},
        )
    if on_timeout != "ForceComplete":
        stage.cloud.clear_faults(f"host:{stage.host}")
    ends(stage, drain)
    assert set(stage.cloud.actions(server)) >= {"create", "live-migration"}


def fails_once(stage: Stage) -> None:
    """The cause of a cold migration that failed is read from the server's actions."""
    server = stage.boot("off", "SHUTOFF")
    stage.cloud.fault(f"host:{stage.host}", migrate_disk_and_power_off="ssh:denied,once")
    drain = stage.begin("Cold")
    stage.given(drain)
    ends(stage, drain)
    moved(stage.cloud, server, stage.host, "SHUTOFF", ("migrate", *COLD), OFF)


def is_reverted(stage: Stage) -> None:
    """A person decides against a move."""
    server = stage.boot("off", "SHUTOFF")
    drain = stage.begin("Cold", confirmation={"policy": "Manual"})
    stage.cloud.wait_status(server, "VERIFY_RESIZE")
    decided = {"policy": "Manual", "decisions": [{"server": server, "action": "Revert"}]}
    drain.patch({"confirmation": decided})
    stage.given(drain)
    until("reverted", lambda: "revertResize" in stage.cloud.actions(server), WITHIN)
    stage.cloud.wait_status(server, "SHUTOFF")
    assert stage.cloud.host_of(server) == stage.host


def is_offloaded(stage: Stage) -> None:
    server = stage.boot("shelved", "SHELVED")
    drain = stage.begin()
    stage.given(drain)
    ends(stage, drain)
    assert stage.cloud.actions(server) == ["create", "shelve", "shelveOffload"]


def is_resumed(stage: Stage) -> None:
    server = stage.boot("suspended", "SUSPENDED")
    drain = stage.begin(servers={"suspended": "Resume"})
    stage.given(drain)
    ends(stage, drain)
    moved(stage.cloud, server, stage.host, "ACTIVE", ("resume", *LIVE), ("create", "suspend"))


def network(cloud: Lab) -> str:
    found = cloud.admin.connection.network.find_network("lab-net", ignore_missing=False)
    return str(found.id)
