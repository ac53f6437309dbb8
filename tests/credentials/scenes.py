"""Drains that are without one permission after the other, and need each of them.

A drain has credentials that lack one access rule, or a role that lacks one policy. Once its status
names what is missing it is there, and the next one is missing; at last nothing is, and the drain
comes to its right end. So each rule has its turn, and few servers are moved.
"""

import json
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from tools.access_rules import access_rules

from tests.credentials.user import Policies, User, title
from tests.harness.kubernetes import Drain, Kube, condition
from tests.harness.openstack import Lab, until
from tests.harness.promises import COLD, LIVE, moved, nothing_left

DESTINATION = "cmp5"
KEEP = {"afterDrain": "KeepDisabled"}
OFF = ("create", "stop")
RULES = {title(rule): rule for rule in access_rules()}
WITHIN = 400.0  # seconds


@dataclass
class Stage:
    """One host, with a Secret and a role of its own.

    `named`: what was missing and was named; `wrong`: what went wrong, with the status, which ends
    the scene.
    """

    kube: Kube
    cloud: Lab
    user: User
    policies: Policies
    namespace: str
    host: str
    role: str
    network: str
    named: list[str] = field(default_factory=list)
    wrong: str = ""
    drain: Drain = field(init=False)
    _used: list[dict[str, str]] | None = None

    def run(self, scene: Callable[["Stage"], None]) -> None:
        try:
            self.has_all()
            scene(self)
        except Exception:  # noqa: BLE001 one scene must not end the others
            self.wrong = traceback.format_exc()

    # What the credentials may do

    def has_all(self) -> None:
        self._use(access_rules())
        self.policies.give(self.role)

    def lacks(self, *names: str, **shown_as: str) -> None:
        """One access rule or policy after the other, each named. At no time all are there: what is
        read once would be read then.
        """
        for each in names:
            self.is_without(each)
            rule = RULES.get(each)
            words = ("HTTP 401", json.dumps(rule)) if rule else (shown_as.get(each, each),)
            self._is_named(each, *words)
        self.has_all()

    def is_without(self, name: str) -> None:
        """In place of what it was without before."""
        if rule := RULES.get(name):
            self._use([other for other in access_rules() if other != rule])
            self.policies.give(self.role)
        else:
            self.policies.take(self.role, name)
            self._use(access_rules())

    def _use(self, rules: list[dict[str, str]]) -> None:
        if rules == self._used:
            return
        self._used = rules
        document = self.user.clouds_yaml(self.role, rules)
        self.kube.credentials(self.namespace, document, self.role)

    def _is_named(self, missing: str, *words: str) -> None:
        """Where a person looks: in a condition or in a problem, with its remedies."""

        def names(status: Mapping[str, Any]) -> bool:
            return any(all(word in text for word in words) for text in texts(status))

        status = self.drain.until(f"{missing} named", names, WITHIN)
        assert condition(status, "Ready")["status"] != "True"
        self.named.append(missing)

    # The host

    def boot(self, name: str, state: str = "ACTIVE", **extra: Any) -> str:
        return self.cloud.boot(self.host, [f"{self.host}-{name}"], state, **extra)[0]

    def begin(self, method: str = "LiveThenCold", **spec: Any) -> None:
        """`migration` without `targetHost`: another policy is asked for."""
        migration = spec.pop("migration", {"targetHost": DESTINATION})
        fields = {"service": KEEP, "cloudCredentialsRef": {"secretName": self.role}} | spec
        self.drain = Drain.apply(
            self.kube, self.namespace, self.host, method, migration=migration, **fields
        )

    def ends(self) -> None:
        """The host is empty; once the drain is deleted it is as it was found."""
        self.drain.wait("Ready", WITHIN)
        self.is_restored()

    def is_restored(self) -> None:
        self.drain.delete(WITHIN)
        service = self.cloud.service(self.host)
        assert service
        assert (service["status"], service["disabled_reason"]) == ("enabled", None)

    def fault(self, **operations: str) -> None:
        self.cloud.fault(f"host:{self.host}", **operations)

    def no_faults(self) -> None:
        self.cloud.clear_faults(f"host:{self.host}")


def texts(status: Mapping[str, Any]) -> list[str]:
    """The messages of conditions, and of problems with their remedies."""
    conditions = [each["message"] for each in status["conditions"]]
    problems = [" ".join([p["message"], *p.get("remedies", ())]) for p in status["problems"]]
    return conditions + problems


def network(cloud: Lab) -> str:
    found = cloud.admin.connection.network.find_network("lab-net", ignore_missing=False)
    return str(found.id)


def retires_and_returns(stage: Stage) -> None:
    """Access rules: a host is emptied and deleted, comes back, and is restored."""
    cloud, host = stage.cloud, stage.host
    aggregate = cloud.aggregate(f"rack-{host}", host)
    on = stage.boot("on", networks=[{"uuid": stage.network}])
    off = stage.boot("off", "SHUTOFF")
    stage.is_without("GET /v2.1/os-services")
    stage.begin("Cold", service={"afterDrain": "Delete"})
    stage.lacks(
        "GET /v2.1/os-services",
        "GET /v2.1/os-hypervisors/detail",
        "GET /v2.1/os-aggregates",
        "GET /v2.1/os-migrations",
        "PUT /v2.1/os-services/*",  # before its servers are read
        "GET /v2.1/servers/*",
        "GET /v2.1/os-server-groups",
        "GET /allocation_candidates",
        "GET /resource_providers",
        "GET /v2.0/ports",
        "POST /v2.1/servers/*/action",
        "GET /v2.1/servers/*/diagnostics",
        "GET /resource_providers/*/allocations",
    )
    stage.drain.wait("Drained", WITHIN)
    cloud.kill_compute(host)
    stage.lacks("DELETE /v2.1/os-services/*")
    stage.drain.wait("Ready", WITHIN)
    nothing_left(cloud, host)
    moved(cloud, on, host, "ACTIVE", COLD)
    moved(cloud, off, host, "SHUTOFF", COLD, OFF)

    cloud.bring_up([host])
    stage.is_without("POST /v2.1/os-aggregates/*/action")
    what = (f"cnd/{stage.drain.name}", "-n", stage.namespace, "--wait=false")
    stage.kube.kubectl("delete", *what)
    stage.lacks("POST /v2.1/os-aggregates/*/action")
    stage.is_restored()
    assert cloud.aggregate_hosts(aggregate) == [host]


def is_emptied(stage: Stage) -> None:
    """Policies: of reads, and of a cold migration with its confirm."""
    off = stage.boot("off", "SHUTOFF", networks=[{"uuid": stage.network}])
    stage.is_without("context_is_admin")
    stage.begin("Cold", migration={})
    stage.lacks(
        "context_is_admin",
        "os_compute_api:os-migrations:index",
        "os_compute_api:servers:detail",
        "os_compute_api:servers:show:flavor-extra-specs",
        "os_compute_api:os-server-groups:index",
        "placement:allocation_candidates:list",
        "placement:resource_providers:list",
        "os_compute_api:os-migrate-server:migrate",
        "os_compute_api:servers:confirm_resize",
        # Its ports are read again before each confirm.
        "context_with_global_access",
        "get_port",
        "get_port:binding:host_id",
        "get_port:binding:vif_type",
        "placement:resource_providers:allocations:list",
        # Nova names whichever of the policies that are made of it was asked for.
        context_is_admin="Policy doesn't allow os_compute_api:os-",
    )
    stage.ends()
    assert stage.cloud.host_of(off) == DESTINATION


def is_slow(stage: Stage) -> None:
    """Live migrations over their time: one is aborted, one is completed by force."""
    stage.fault(live_migration="hang,swallowed")
    first = stage.boot("first")
    stage.is_without("os_compute_api:os-migrate-server:migrate_live")
    stage.begin("Live", migration={"timeout": "3s", "onLiveTimeout": "Abort"})
    stage.lacks(
        "os_compute_api:os-migrate-server:migrate_live",
        "GET /v2.1/servers/*/migrations",
        "os_compute_api:servers:migrations:index",
        "DELETE /v2.1/servers/*/migrations/*",
        "os_compute_api:servers:migrations:delete",
    )
    until("aborted", partial(_is_aborted, stage), WITHIN)
    stage.drain.patch({"migration": {"timeout": "10m"}})  # the next one is as slow as the machine
    stage.is_without("os_compute_api:servers:show")  # by which a live migration is verified
    stage.no_faults()
    stage.lacks("os_compute_api:servers:show")
    stage.ends()
    assert stage.cloud.host_of(first) != stage.host
    asked = [action for action in stage.cloud.actions(first) if action in LIVE]
    assert asked == [*LIVE, *LIVE], "once, and again after the abort"

    stage.fault(live_migration="hang,swallowed")
    second = stage.boot("second")
    forced = {"timeout": "3s", "onLiveTimeout": "ForceComplete", "targetHost": DESTINATION}
    stage.is_without("POST /v2.1/servers/*/migrations/*/action")
    stage.begin("Live", migration=forced)
    stage.lacks(
        "POST /v2.1/servers/*/migrations/*/action",
        "os_compute_api:servers:migrations:force_complete",
    )
    stage.ends()
    assert stage.cloud.host_of(second) == DESTINATION


def _is_aborted(stage: Stage) -> bool:
    return "cancelled" in {m["status"] for m in stage.cloud.migrations(stage.host)}


def goes_wrong(stage: Stage) -> None:
    """A move that fails, one that a person decides against, and a server to be resumed first."""
    stage.fault(migrate_disk_and_power_off="ssh:denied,once")
    off = stage.boot("off", "SHUTOFF")
    stage.begin("Cold")
    stage.lacks(
        "GET /v2.1/servers/*/os-instance-actions",
        "os_compute_api:os-instance-actions:list",
        "GET /v2.1/servers/*/os-instance-actions/*",
        "os_compute_api:os-instance-actions:show",
    )
    stage.no_faults()
    stage.ends()
    moved(stage.cloud, off, stage.host, "SHUTOFF", ("migrate", *COLD), OFF)

    other = stage.boot("other", "SHUTOFF")
    stage.begin("Cold", confirmation={"policy": "Manual"})
    stage.cloud.wait_status(other, "VERIFY_RESIZE", WITHIN)
    decided = {"policy": "Manual", "decisions": [{"server": other, "action": "Revert"}]}
    stage.is_without("os_compute_api:servers:revert_resize")
    stage.drain.patch({"confirmation": decided})
    stage.lacks("os_compute_api:servers:revert_resize")
    until("reverted", lambda: "revertResize" in stage.cloud.actions(other), WITHIN)
    stage.cloud.wait_status(other, "SHUTOFF", WITHIN)
    assert stage.cloud.host_of(other) == stage.host
    stage.is_restored()
    stage.cloud.delete([other])

    suspended = stage.boot("suspended", "SUSPENDED")
    stage.is_without("os_compute_api:os-suspend-server:resume")
    stage.begin(servers={"suspended": "Resume"})
    stage.lacks("os_compute_api:os-suspend-server:resume")
    stage.ends()
    moved(stage.cloud, suspended, stage.host, "ACTIVE", ("resume", *LIVE), ("create", "suspend"))


SCENES = (retires_and_returns, is_slow, goes_wrong)
"""Side by side."""
ALONE = is_emptied
"""Nova chooses where its server goes: not onto a host of another scene."""
