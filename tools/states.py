"""Makes docs/states.md by asking the drain itself.

    PYTHONPATH=operator python -m tools.states > docs/states.md

Each case is a server and its surroundings. Its verdict under each method is not written here but
decided by the rules, so that the table and the drain never differ.
"""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import NoneType
from typing import Any

from quiesce.api.drain.record import Record, Try
from quiesce.api.drain.spec import DrainSpec, Method
from quiesce.drain.decide import rules
from quiesce.drain.decide.breaker import breakers_of
from quiesce.drain.decide.servers import judge_all, present_server
from quiesce.drain.model.drain import Drain
from quiesce.drain.model.history import CONFIRM_EVENT, Cause, History, Refusal
from quiesce.drain.model.identity import DrainIdentity
from quiesce.drain.model.observation import Observation, Paths
from quiesce.drain.model.verdict import (
    Abort,
    Blocked,
    Confirm,
    Follow,
    ForceComplete,
    Held,
    Move,
    Offload,
    Resume,
    Revert,
    Verdict,
    Wait,
)
from quiesce.openstack.records import (
    NOSTATE,
    PAUSED,
    RUNNING,
    SHUTDOWN,
    Flavor,
    Migration,
    Port,
    Server,
    ServerGroup,
    Service,
)

HOST, THERE, THIRD = "compute-07", "compute-08", "compute-09"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=1)
JUST_NOW = NOW - timedelta(seconds=1)
US, THEM = "the operator's user", "another user"
BEGAN = 100  # the newest migration when the drain began
NO_HOST = "No valid host was found. There are not enough hosts available."
NO_SSH = "Resize error: not able to execute ssh command"
NO_LIBVIRT = "unable to connect to server at 'compute-08:16514': Connection refused"


@dataclass(frozen=True)
class Case:
    """A server and its surroundings.

    `when`: what the page says beside its status and task; `server`, `facts`, `history`, `spec`:
    what differs from a plain server, an empty observation and the defaults.
    """

    status: str
    task: str | None = None
    when: str = ""
    server: dict[str, Any] = field(default_factory=dict)
    moves: tuple[Migration, ...] = ()
    spec: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    history: dict[str, Any] = field(default_factory=dict)
    was: str | None = None

    @property
    def subject(self) -> Server:
        power = {"PAUSED": PAUSED, "SHUTOFF": SHUTDOWN}.get(self.status, RUNNING)
        fields: dict[str, Any] = {"name": "web-1", "power_state": power, "host": HOST}
        return Server(id="web-1", status=self.status, task_state=self.task, **fields | self.server)

    def observation(self) -> Observation:
        server = self.subject
        here = server.host == HOST
        whole: dict[str, Any] = {
            "service": MINE,
            "services": (
                MINE,
                *(Service(name, name, "enabled", "up", None) for name in (THERE, THIRD)),
            ),
            "servers": (server,) if here else (),
            "elsewhere": {} if here else {server.id: server},
            "migrations": tuple(sorted(self.moves, key=lambda m: -m.id)),
        }
        first_seen = {(m.id, m.status): LONG_AGO for m in self.moves}
        remembered = {"first_seen": first_seen} | self.history
        return Observation(NOW, HOST, US, history=History(**remembered), **whole | self.facts)

    def judged(self, method: Method) -> tuple[str, Verdict | None]:
        """The name of the rule that decides, and its verdict; None: nothing is left to do."""
        migration = {"method": method, **self.spec.get("migration", {})}
        spec = DrainSpec.read({"host": HOST, **self.spec, "migration": migration})
        begun = any(m.user_id == US and not m.terminal for m in self.moves)
        tries = {"web-1": Try(self.was, "cold", 1, "")} if self.was or begun else {}
        record = Record(
            found_status="enabled", found_migration=BEGAN, attempts_from=BEGAN, tries=tries
        )
        drain = Drain(DrainIdentity("openstack", "compute-07", "0a1b2c3d-0000"), spec, record)
        observation = self.observation()
        verdict = next((v.verdict for v in judge_all(drain, observation)), None)
        if self.subject.host != HOST:
            return "", verdict
        present = present_server(self.subject, drain, observation, breakers_of(drain, observation))
        return next(rule.__name__ for rule in rules.RULES if rule(present) is not None), verdict


def move(status: str, number: int = BEGAN + 1, **fields: Any) -> Migration:
    """Our own cold migration from the host since the drain began, unless `fields` differ."""
    defaults: dict[str, Any] = {
        "type": "migration",
        "source": HOST,
        "dest": THERE,
        "user_id": US,
        "created": JUST_NOW,
        "server_id": "web-1",
    }
    return Migration(number, f"m-{number}", status=status, **defaults | fields)


def failed(text: str, kind: str = "migration", tries: int = 3) -> dict[str, Any]:
    """Our attempts, all of which failed five minutes ago with this message of Nova."""
    moves = tuple(move("error", BEGAN + n, type=kind, dest=None) for n in range(1, tries + 1))
    return {
        "moves": moves,
        "history": {"causes": {m.id: Cause(text, NOW - timedelta(minutes=5)) for m in moves}},
    }


def refused(call: str, status: int, count: int) -> dict[str, Any]:
    return {"history": {"refusals": {"web-1": Refusal(call, status, "…", count, JUST_NOW)}}}


def group(policy: str, *members: str) -> dict[str, Any]:
    return {"groups": (ServerGroup("g", "web", policy, frozenset(members)),)}


def away(status: str = "VERIFY_RESIZE", **fields: Any) -> dict[str, Any]:
    """On its destination."""
    return {"host": THERE, **fields}


NEW: dict[str, Any] = {"first_seen": {}}
"""Its move is seen for the first time."""
MINE = Service("7", HOST, "disabled", "up", "quiesce: drain")
DOWN: dict[str, Any] = {
    "service": Service("7", HOST, "disabled", "down", "quiesce: drain"),
    "services": (Service("7", HOST, "disabled", "down", "quiesce: drain"),),
}
FORCED: dict[str, Any] = {
    "service": Service("7", HOST, "disabled", "down", "quiesce: drain", forced_down=True),
    "services": (),
}
TENANT: dict[str, Any] = {"type": "resize", "user_id": THEM}
ADMIN: dict[str, Any] = {"user_id": THEM}
INBOUND: dict[str, Any] = {"source": THIRD, "dest": HOST, "user_id": THEM}
CONFIRM_FOREIGN = {"confirmation": {"foreign": "Confirm"}}
UNBOUND = Port("p", "web-1", "DOWN", HOST, "binding_failed")

# Nova's states, without a migration; nova/api/openstack/common.py _STATE_MAP.
PLAIN = (
    Case("ACTIVE"),
    Case("SHUTOFF"),
    Case("SHUTOFF", server={"power_state": RUNNING}, when="its guest runs, as Nova shows it"),
    Case("PAUSED"),
    Case("SUSPENDED"),
    Case(
        "SUSPENDED", spec={"servers": {"suspended": "Resume"}}, when="`servers.suspended: Resume`"
    ),
    Case("SHELVED"),
    Case("SHELVED", server={"snapshot": False}, when="its image is gone from Glance"),
    Case("SHELVED", server={"snapshot": None}, when="Glance does not answer"),
    Case("SHELVED", spec={"servers": {"shelved": "Block"}}, when="`servers.shelved: Block`"),
    Case("SHELVED_OFFLOADED", when="still listed for a moment"),
    Case("RESCUE"),
    Case("ERROR"),
    Case("ERROR", "resize_migrating", "left with a task"),
    Case("BUILD", "spawning"),
    Case("BUILD"),
    Case("REBUILD", "rebuilding"),
    Case("REBOOT", "rebooting"),
    Case("HARD_REBOOT", "rebooting_hard"),
    Case("PASSWORD", "updating_password"),
    Case("ACTIVE", "powering-off", "any other task"),
    Case("ACTIVE", "deleting"),
    Case("DELETED"),
    Case("SOFT_DELETED"),
    Case("UNKNOWN"),
    Case("ACTIVE", server={"locked": True}, when="locked"),
    Case(
        "ACTIVE",
        server={"locked": True},
        spec={"servers": {"locked": "Block"}},
        when="locked, `servers.locked: Block`",
    ),
)
ENCRYPTED = {"volumes": ("v1",), "encrypted": ("v1",)}
PROPERTIES = (
    Case(
        "ACTIVE",
        server={"flavor": Flavor(extra_specs={"accel:device_profile": "gpu"})},
        when="flavor with an accelerator",
    ),
    Case(
        "ACTIVE",
        server={"flavor": Flavor(extra_specs={"pci_passthrough:alias": "nic:1"})},
        when="flavor with a PCI device",
    ),
    Case(
        "ACTIVE",
        server={"flavor": Flavor(extra_specs={"hw:tpm_version": "2.0"})},
        when="virtual TPM with its owner's secret",
    ),
    *(
        Case(
            status,
            server={
                "flavor": Flavor(
                    extra_specs={"hw:tpm_version": "2.0", "hw:tpm_secret_security": mode}
                )
            },
            when=f"virtual TPM, `hw:tpm_secret_security={mode}`",
        )
        for mode in ("host", "deployment")
        for status in ("ACTIVE", "SHUTOFF")
    ),
    *(
        Case(status, server=ENCRYPTED, when="an encrypted volume")
        for status in ("ACTIVE", "SHUTOFF")
    ),
    Case(
        "ACTIVE",
        server=ENCRYPTED,
        spec={"servers": {"encryptedVolumes": "Move"}},
        when="the same, `servers.encryptedVolumes: Move`",
    ),
    Case(
        "ACTIVE",
        server={"volumes": ("v1",), "encrypted": None},
        when="volumes, and Cinder does not answer",
    ),
    Case(
        "ACTIVE",
        server={"image_read": False},
        when="an image, and Glance does not answer (Nova before 2.98)",
    ),
    Case(
        "ACTIVE",
        server={"image_properties": {"hw_mem_encryption": "true"}},
        when="encrypted memory",
    ),
    Case("ACTIVE", facts=group("affinity", "web-1"), when="alone in its affinity group"),
    Case(
        "ACTIVE",
        facts=group("anti-affinity", "web-1", "web-2"),
        when="in an anti-affinity group, no other member in flight",
    ),
    Case("ACTIVE", server={"zone_pinned": "az1"}, when="pinned to an availability zone"),
)
UNDER_WAY = (
    Case("RESIZE", "resize_prep", "no migration record yet"),
    Case("MIGRATING", "migrating", "no migration record yet"),
    Case("RESIZE", "resize_migrating", "our move", moves=(move("migrating"),), history=NEW),
    Case(
        "MIGRATING",
        "migrating",
        "our move",
        moves=(move("running", type="live-migration"),),
        history={"first_seen": {}},
    ),
    Case(
        "REVERT_RESIZE",
        "resize_reverting",
        "our move, being reverted",
        moves=(move("reverting"),),
        history={"first_seen": {}},
    ),
    Case("RESIZE", "resize_migrating", "a tenant's resize", moves=(move("migrating", **TENANT),)),
    Case(
        "MIGRATING",
        "migrating",
        "another admin's move",
        moves=(move("running", **ADMIN | {"type": "live-migration"}),),
    ),
    Case(
        "VERIFY_RESIZE",
        when="resized or migrated *to* this host",
        moves=(move("finished", **INBOUND),),
    ),
    Case(
        "VERIFY_RESIZE",
        when="the same, `confirmation.foreign: Confirm`",
        moves=(move("finished", **INBOUND),),
        spec=CONFIRM_FOREIGN,
    ),
    Case("VERIFY_RESIZE", when="its migration is a moment behind"),
    Case("ACTIVE", when="its last migration has not ended yet", moves=(move("migrating"),)),
    Case(
        "ACTIVE",
        when="its last migration has not ended for a minute",
        moves=(move("migrating"),),
        history={"idle_since": {"web-1": LONG_AGO}},
    ),
    Case("ACTIVE", when="the last call had no answer", history={"unanswered": {"web-1": JUST_NOW}}),
    Case(
        "RESIZE",
        "resize_migrating",
        "our cold move, nova-compute of this host is down",
        moves=(move("migrating"),),
        facts=DOWN,
    ),
    Case(
        "MIGRATING",
        "migrating",
        "our live move over its time, nova-compute of this host is down",
        moves=(move("running", type="live-migration", created=LONG_AGO),),
        facts=DOWN,
    ),
    Case(
        "RESIZE",
        "resize_migrating",
        "our cold move, over `migration.timeout`",
        moves=(move("migrating", created=LONG_AGO),),
    ),
    *(
        Case(
            "MIGRATING",
            "migrating",
            f"our live move, over `migration.timeout`, `onLiveTimeout: {choice}`",
            moves=(move("running", type="live-migration", created=LONG_AGO),),
            spec={"migration": {"onLiveTimeout": choice}},
        )
        for choice in ("Abort", "ForceComplete", "Wait")
    ),
    Case(
        "ACTIVE",
        "powering-off",
        "a task for more than `migration.timeout`",
        history={"busy_since": {("web-1", "powering-off"): LONG_AGO}},
    ),
    Case("ACTIVE", "powering-off", "a task, nova-compute of this host is down", facts=DOWN),
    Case("ACTIVE", "deleting", "nova-compute of this host is down", facts=DOWN),
    *(
        Case(
            status,
            task,
            "its live migration away is `completed`, and Nova lists it here",
            moves=(move("completed", type="live-migration"),),
        )
        for status, task in (("MIGRATING", "migrating"), ("ACTIVE", None), ("SHUTOFF", None))
    ),
    Case(
        "MIGRATING",
        "migrating",
        "our live move waits for its turn, over `migration.timeout`",
        moves=(
            move("queued", type="live-migration", created=LONG_AGO),
            move("running", BEGAN + 2, type="live-migration", server_id="web-2"),
        ),
    ),
    Case(
        "MIGRATING",
        "migrating",
        "our live move waits for an hour, and no other of the host is under way",
        moves=(move("accepted", type="live-migration", created=LONG_AGO),),
    ),
)
PINNED = {"zone_pinned": "az1"}
WITH_SIBLING = group("anti-affinity", "web-1", "web-2")
SIBLINGS = tuple(Server(name, name, "ACTIVE", None, RUNNING, HOST) for name in ("web-1", "web-2"))
BESIDE_A_BROKEN_ONE = (
    Server("web-0", "web-0", "ACTIVE", None, RUNNING, HOST),
    Server("web-1", "web-1", "ACTIVE", None, RUNNING, HOST),
    Server("web-2", "web-2", "ERROR", None, RUNNING, HOST),
)
FAILED = (
    Case("ACTIVE", when="nova-compute of this host is down", facts=DOWN),
    Case("ACTIVE", when="the service of this host is forced down", facts=FORCED),
    Case("ACTIVE", when="Neutron cannot be read", facts={"ports_error": "GET /ports: HTTP 503"}),
    Case(
        "ACTIVE",
        when="a cold attempt failed a moment ago",
        moves=(move("error"),),
        history={"causes": {BEGAN + 1: Cause("…", JUST_NOW)}},
    ),
    Case(
        "ACTIVE",
        when="its last move failed, and Nova has not given the cause yet",
        moves=(move("error"),),
        history={"causes": {BEGAN + 1: Cause("…", JUST_NOW, final=False)}},
    ),
    Case("ACTIVE", when="all cold attempts found no host", **failed(NO_HOST)),
    Case("ACTIVE", when="all live attempts found no host", **failed(NO_HOST, "live-migration")),
    Case("ACTIVE", when="the same, pinned to a zone", server=PINNED, **failed(NO_HOST)),
    Case(
        "ACTIVE",
        when="the same, in a server group",
        moves=failed(NO_HOST)["moves"],
        history=failed(NO_HOST)["history"],
        facts=WITH_SIBLING,
    ),
    Case("ACTIVE", when="all cold attempts failed on a hypervisor", **failed("disk full")),
    Case(
        "ACTIVE",
        when="all live attempts failed on a hypervisor",
        **failed("copy failed", "live-migration"),
    ),
    Case(
        "ACTIVE",
        when="the last cold move from this host failed on SSH, a moment ago",
        moves=(move("error"),),
        history={"causes": {BEGAN + 1: Cause(NO_SSH, JUST_NOW)}},
    ),
    Case(
        "ACTIVE",
        when="a keyring is named, and has not proven this host's paths",
        facts={"paths": Paths(False, "the keyring has not proven this host's paths")},
    ),
    Case(
        "ACTIVE",
        when="rolled back as often as `attempts` allows",
        moves=tuple(move("reverted", BEGAN + n) for n in (1, 2, 3)),
    ),
    Case(
        "ACTIVE",
        when="returned by decision",
        moves=(move("reverted"),),
        spec={"confirmation": {"decisions": [{"server": "web-1", "action": "Revert"}]}},
    ),
    Case(
        "ACTIVE",
        when="`Revert` decided before it has moved",
        spec={"confirmation": {"decisions": [{"server": "web-1", "action": "Revert"}]}},
    ),
    Case("ACTIVE", when="the call was rejected once (409)", **refused("migrate", 409, 1)),
    Case("ACTIVE", when="the call was rejected again", **refused("migrate", 409, 2)),
    Case(
        "ACTIVE",
        when="live migration was rejected as impossible (400, or in words that say so)",
        **refused("os-migrateLive", 400, 1),
    ),
    Case("ACTIVE", when="the call was rejected with 403", **refused("migrate", 403, 2)),
    Case(
        "ACTIVE",
        when="the last live move from this host could not reach another libvirt",
        moves=(move("failed", type="live-migration"),),
        history={"causes": {BEGAN + 1: Cause(NO_LIBVIRT, JUST_NOW)}},
    ),
    Case(
        "ACTIVE",
        when="a cold move left another guest down, and a third tries",
        moves=(move("error", server_id="web-2"),),
        facts={"servers": BESIDE_A_BROKEN_ONE},
        history={"causes": {BEGAN + 1: Cause("disk full", JUST_NOW)}},
    ),
    Case("ERROR", when="after our own cold move", moves=(move("error"),)),
    Case("ERROR", when="after our own live move", moves=(move("error", type="live-migration"),)),
    *(
        Case(
            status,
            when="the same, Nova before 2024.1, and it is not seen to run here",
            moves=(move("error", type="live-migration"),),
            facts={"misplaces": True},
        )
        for status in ("ERROR", "ACTIVE", "SHUTOFF")
    ),
    Case(
        "ACTIVE",
        when="the same, any Nova, and its hypervisor here says that it does not run",
        moves=(move("error", type="live-migration"),),
        facts={"running": {"web-1": False}},
    ),
    Case(
        "SHUTOFF",
        when="the same, and Nova shows no power state: its host does not know the guest",
        server={"power_state": NOSTATE},
        moves=(move("error", type="live-migration"),),
    ),
    Case(
        "ERROR",
        when="after our own cold move, and its guest runs here",
        moves=(move("error"),),
        facts={"running": {"web-1": True}},
    ),
    Case(
        "SHUTOFF",
        when="it ran before its cold move, which failed; no user has stopped it",
        moves=(move("error"),),
        was="ACTIVE",
    ),
    Case(
        "ACTIVE",
        when="its live move failed and took the binding of a port along",
        moves=(move("failed", type="live-migration"),),
        history={"causes": {BEGAN + 1: Cause("…", LONG_AGO)}},
        facts={"ports": (UNBOUND,)},
    ),
    Case(
        "ACTIVE",
        when="every member of its affinity group is on this host",
        facts=group("affinity", "web-1", "web-2") | {"servers": SIBLINGS},
    ),
)
DEPARTED: tuple[Case, ...] = (
    Case(
        "RESIZE",
        "resize_finish",
        "arriving",
        server=away(),
        moves=(move("post-migrating"),),
        history=NEW,
    ),
    Case(
        "VERIFY_RESIZE",
        when="our move, every check passes",
        server=away(),
        moves=(move("finished"),),
        was="ACTIVE",
    ),
    Case(
        "VERIFY_RESIZE",
        when="the same, `checks.soak` not over",
        server=away(),
        moves=(move("finished"),),
        was="ACTIVE",
        spec={"confirmation": {"checks": {"soak": "48h"}}},
    ),
    Case(
        "VERIFY_RESIZE",
        when="the same, `policy: Manual`",
        server=away(),
        moves=(move("finished"),),
        was="ACTIVE",
        spec={"confirmation": {"policy": "Manual"}},
    ),
    *(
        Case(
            "VERIFY_RESIZE",
            when=f"a person decided `{action}`",
            server=away(),
            moves=(move("finished"),),
            was="ACTIVE",
            spec={
                "confirmation": {
                    "policy": "Manual",
                    "decisions": [{"server": "web-1", "action": action}],
                }
            },
        )
        for action in ("Confirm", "Revert")
    ),
    *(
        Case(
            "VERIFY_RESIZE",
            when=f"it ran and is off, `onFailedCheck: {choice}`",
            server=away(power_state=SHUTDOWN),
            moves=(move("finished"),),
            was="ACTIVE",
            spec={"confirmation": {"onFailedCheck": choice}},
        )
        for choice in ("Hold", "Revert")
    ),
    Case(
        "VERIFY_RESIZE",
        when="a port is not bound there",
        server=away(),
        moves=(move("finished"),),
        was="ACTIVE",
        facts={"ports": (UNBOUND,)},
    ),
    Case(
        "VERIFY_RESIZE",
        when="Neutron cannot be read",
        server=away(),
        moves=(move("finished"),),
        was="ACTIVE",
        facts={"ports_error": "GET /ports: HTTP 503"},
    ),
    Case(
        "VERIFY_RESIZE",
        when="nova-compute of this host is down",
        server=away(),
        moves=(move("finished"),),
        facts=DOWN,
    ),
    Case(
        "VERIFY_RESIZE",
        when="nova-compute where it has arrived is down",
        server=away(),
        moves=(move("finished"),),
        was="ACTIVE",
        facts={"services": (MINE, Service(THERE, THERE, "enabled", "down", None))},
    ),
    Case(
        "VERIFY_RESIZE",
        when="its hypervisor there does not answer",
        server=away(),
        moves=(move("finished"),),
        was="ACTIVE",
        facts={"silent": frozenset({"web-1"})},
    ),
    Case(
        "VERIFY_RESIZE",
        when="the confirm was rejected three times",
        server=away(),
        moves=(move("finished"),),
        was="ACTIVE",
        history={"refusals": {"web-1": Refusal("confirmResize", 409, "…", 3, JUST_NOW)}},
    ),
    Case(
        "VERIFY_RESIZE",
        when="our move, being confirmed",
        server=away(),
        moves=(move("confirming"),),
        history={"first_seen": {}},
    ),
    Case(
        "REVERT_RESIZE",
        "resize_reverting",
        "our move, being reverted",
        away(),
        (move("reverting"),),
        history={"first_seen": {}},
    ),
    Case(
        "VERIFY_RESIZE",
        when="a tenant's resize",
        server=away(),
        moves=(move("finished", **TENANT),),
    ),
    Case(
        "VERIFY_RESIZE",
        when="the same, `confirmation.foreign: Confirm`",
        server=away(),
        moves=(move("finished", **TENANT),),
        spec=CONFIRM_FOREIGN,
    ),
    Case(
        "VERIFY_RESIZE",
        when="another admin's migration",
        server=away(),
        moves=(move("finished", **ADMIN),),
    ),
    Case(
        "VERIFY_RESIZE",
        when="moved before this drain began",
        server=away(),
        moves=(move("finished", BEGAN),),
    ),
    Case(
        "RESIZE",
        "resize_finish",
        "another user's move to this host or from it",
        server=away(),
        moves=(move("migrating", **ADMIN),),
    ),
    Case(
        "ACTIVE",
        when="our move, `confirmed` or `completed`",
        server=away(),
        moves=(move("confirmed"),),
    ),
    Case(
        "ACTIVE",
        when="its migration has not ended for a minute",
        server=away(),
        moves=(move("migrating"),),
        history={"idle_since": {"web-1": LONG_AGO}},
    ),
    Case(
        "ACTIVE",
        when="an older migration of it has not ended",
        server=away(),
        moves=(move("queued", type="live-migration"), move("confirmed", BEGAN + 2)),
    ),
    Case(
        "VERIFY_RESIZE",
        when="its confirm has not ended for minutes",
        server=away(),
        moves=(move("confirming"),),
        history={"idle_since": {"web-1": LONG_AGO}},
    ),
    Case(
        "ERROR",
        when="its move failed there",
        server=away(fault="disk full"),
        moves=(move("error"),),
    ),
    Case(
        "ERROR",
        when="its confirm failed, and its guest runs there",
        server=away(),
        moves=(move("error"),),
        history={"causes": {BEGAN + 1: Cause("no libvirt", JUST_NOW, event=CONFIRM_EVENT)}},
        facts={"running": {"web-1": True}},
    ),
    Case(
        "ERROR",
        when="our live move is `completed` (Nova before 30.2.1)",
        server=away(),
        moves=(move("completed", type="live-migration"),),
    ),
    Case(
        "ACTIVE",
        when="its move failed, and it is healthy there",
        server=away(),
        moves=(move("error"),),
    ),
)
SECTIONS: tuple[tuple[str, tuple[Case, ...]], ...] = (
    ("Servers on the host", PLAIN),
    ("Flavors, images, groups and zones", PROPERTIES),
    ("Moves under way", UNDER_WAY),
    ("Failures", FAILED),
    ("Departed servers", DEPARTED),
)

INTRO = """\
# What is done with a server in each state

<!-- Made by: PYTHONPATH=operator python -m tools.states > docs/states.md -->

Every server that concerns the host gets exactly one verdict in each reconciliation, from what
Nova shows at that time. **Moved** means that it can be moved now; `migration.maxParallel` limits
how many are in flight at once ([usage](usage.md)). Servers that are **blocked** or **held** are
listed in `status.problems` with the reason given here ([remedies](status.md)); what **waits**
continues without a person. The program that decides makes these tables.

"Our move" is a cold or live migration *from* this host, started by the operator's own user since
the drain began. Every other migration belongs to another user, and is neither confirmed nor
reverted unless the spec says so.
"""
ORDER = """\
## The order of the rules

For a server on the host the rules apply in this order. The first that has a verdict decides; the
last one always has one.
"""


PLAIN_WORDS: dict[type, str] = {
    NoneType: "nothing left to do",
    Confirm: "confirmed",
    Revert: "reverted",
    Abort: "aborted",
    ForceComplete: "force-completed",
    Offload: "shelve-offloaded",
    Resume: "resumed, then moved",
}


def describe(verdict: Verdict | None) -> str:
    """A verdict for a cell of the table."""
    match verdict:
        case Move(method=method):
            return f"moved {method}"
        case Follow(stage=stage):
            return f"followed (`{stage}`)"
        case Wait(reason=reason):
            return f"waits (`{reason}`)"
        case Blocked(reason=reason, urgent=urgent):
            return f"**blocked**: `{reason}`" + (", first in the list" if urgent else "")
        case Held(reason=reason):
            return f"**held**: `{reason}`"
        case _:
            return PLAIN_WORDS[type(verdict)]


def table(cases: Iterable[Case], *, here: bool) -> Iterator[str]:
    """One row per case. `here`: with the rule that decides."""
    yield "| status | task | when | Cold | Live | LiveThenCold |" + (
        " decided by |" if here else ""
    )
    yield "|---|---|---|---|---|---|" + ("---|" if here else "")
    for case in cases:
        found = [case.judged(method) for method in Method]
        deciding = ", ".join(dict.fromkeys(f"`{name}`" for name, _ in found))
        cells = [
            case.status,
            case.task or "",
            case.when,
            *(describe(verdict) for _, verdict in found),
        ]
        yield f"| {' | '.join(cells)} |" + (f" {deciding} |" if here else "")


def order() -> Iterator[str]:
    for number, rule in enumerate(rules.RULES, 1):
        text = (rule.__doc__ or "").strip().split("\n")[0]
        yield f"{number}. `{rule.__name__}`" + (f": {text}" if text else "")


def messages() -> Iterator[str]:
    """The message for each reason, from the first case that has it."""
    found: dict[str, str] = {}
    cases = [case for _, section in SECTIONS for case in section]
    for verdict in (case.judged(method)[1] for case in cases for method in Method):
        if isinstance(verdict, Blocked | Held):
            found.setdefault(verdict.reason, verdict.message)
    yield "| reason | message, for example |"
    yield "|---|---|"
    for reason, message in sorted(found.items()):
        yield f"| `{reason}` | {message} |"


def page() -> str:
    """The whole of docs/states.md."""
    parts = [INTRO]
    for title, cases in SECTIONS:
        parts.append(f"## {title}\n\n" + "\n".join(table(cases, here=cases is not DEPARTED)) + "\n")
    parts.append("## Messages\n\n" + "\n".join(messages()) + "\n")
    parts.append(ORDER + "\n" + "\n".join(order()) + "\n")
    return "\n".join(parts)


if __name__ == "__main__":
    sys.stdout.write(page())
