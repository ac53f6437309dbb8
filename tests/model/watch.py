"""The promises of a drain as assertions on every request to OpenStack and every status.

They read the model's own state, not what the operator believes.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.beds.sim.model import Cloud
from tests.beds.sim.records import Migration, Server
from tests.beds.sim.states import ENDED_MIGRATION, RUNNING, SHUTDOWN, status_of
from tests.beds.sim.web import Request, Response
from tests.harness.world import HOST

MARK = "quiesce: drain "
STARTS = {
    "migrate": "resize_prep",
    "os-migrateLive": "migrating",
    "shelveOffload": "shelving_offloading",
    "resume": "resuming",
}
"""What a drain begins with a server, and the task in which Nova has it then."""
Json = Mapping[str, Any]


class Broken(AssertionError):
    """A promise was broken."""


def promise(holds: bool, text: str) -> None:
    if not holds:
        raise Broken(text)


def call_of(request: Request) -> tuple[str, str]:
    return f"{request.method} {request.path}", str(request.body)


@dataclass
class Watch:
    """Told of every request before it takes effect.

    `drain`: the resource as JSON, as it is in the API server now.
    """

    cloud: Cloud
    drain: dict[str, Any] = field(default_factory=dict)
    # Servers as read in this tick: those of the host, and any.
    listed: dict[str, Json] = field(default_factory=dict)
    seen: dict[str, Json] = field(default_factory=dict)
    # By server: its task by our call, and how many migrations it had then.
    begun: dict[str, tuple[str, int]] = field(default_factory=dict)
    refusals: dict[tuple[str, str], int] = field(default_factory=dict)
    asked: set[tuple[str, str]] = field(default_factory=set)  # calls of this tick
    # Calls without an answer, and when they were sent.
    awaited: dict[tuple[str, str], float] = field(default_factory=dict)
    # Which drain has written last, and the moves from the host in flight at its first write.
    began: tuple[str, int] | None = None
    found_in_flight: frozenset[int] = frozenset()

    def tick_begins(self) -> None:
        self.listed, self.seen, self.asked = {}, {}, set()

    # The resource

    @property
    def spec(self) -> Json:
        return dict(self.drain["spec"])

    @property
    def status(self) -> Json:
        return dict(self.drain.get("status") or {})

    @property
    def deleting(self) -> bool:
        return "deletionTimestamp" in self.drain["metadata"]

    def policy(self, group: str, name: str, default: str) -> str:
        return str((self.spec.get(group) or {}).get(name, default))

    @property
    def found_migration(self) -> int:
        return int(self.status["foundMigration"])

    # Requests

    def before(self, request: Request) -> None:
        if request.method == "GET":
            return
        self.any_write(request)
        parts = request.path.strip("/").split("/")[1:]
        match request.method, parts:
            case "POST", ["servers", server_id, "action"]:
                self.action(server_id, next(iter(request.body)))
            case "PUT", ["os-services", _]:
                self.service_update(request.body)
            case "DELETE", ["os-services", service_id]:
                self.service_delete(service_id)
            case "DELETE", ["servers", server_id, "migrations", number]:
                self.live_control(server_id, int(number), "Abort")
            case "POST", ["servers", server_id, "migrations", number, "action"]:
                self.live_control(server_id, int(number), "ForceComplete")
            case "POST", ["os-aggregates", number, "action"]:
                promise(self.deleting, "an aggregate is changed by a drain that is kept")
                found = [row["id"] for row in self.status.get("foundAggregates") or ()]
                promise(
                    int(number) in found,
                    f"the host is put into aggregate {number}, in which it was not found",
                )
            case _:
                promise(False, f"{request.method} {request.path} is none of the calls of a drain")

    def after(self, request: Request, response: Response) -> None:
        if request.method == "GET" and request.path == "/v2.1/servers/detail":
            rows = response.body.get("servers") or []
            self.seen |= {row["id"]: row for row in rows}
            if ("host", HOST) in request.query:
                self.listed |= {
                    row["id"]: row for row in rows if row["OS-EXT-SRV-ATTR:host"] == HOST
                }
        elif request.method == "GET" and re.fullmatch("/v2.1/servers/[^/]+", request.path):
            self.read_alone(request.path.rpartition("/")[2], response)
        elif request.method != "GET":
            self.count_refusal(request, response.status)

    def read_alone(self, server_id: str, response: Response) -> None:
        """What was read last counts."""
        row = response.body["server"] if response.status == 200 else None
        for known in (self.seen, self.listed):
            known.pop(server_id, None)
        if row is not None:
            self.seen[server_id] = row
            if row.get("OS-EXT-SRV-ATTR:host") == HOST:
                self.listed[server_id] = row

    def sent(self, request: Request, *, answered: bool) -> None:
        """Not twice in a tick, and after a call without an answer not within ten seconds."""
        call, now = call_of(request), self.cloud.clock.now()
        promise(call not in self.asked, f"{call} is sent twice in one tick")
        self.asked.add(call)
        if request.path.endswith("/action") and "/servers/" in request.path:
            promise(
                not 0 < now - self.awaited.get(call, now) < 10,
                f"{call} is repeated without waiting for its effect",
            )
        if not answered:
            self.awaited[call] = now

    def count_refusal(self, request: Request, status: int) -> None:
        """A call that is refused again and again is repeated once a second at most, on average."""
        key = call_of(request)
        self.refusals[key] = self.refusals.get(key, 0) + 1 if status >= 400 else 0
        promise(self.refusals[key] < 40, f"{key} was refused 40 times in a row")

    # Promises about single calls

    def any_write(self, request: Request) -> None:
        what = f"{request.method} {request.path} {request.body}"
        found = (self.status.get("service") or {}).get("foundStatus")
        promise(found is not None, f"{what} before what was found is saved")
        promise(bool(self.drain["metadata"]["finalizers"]), f"{what} without a finalizer")
        promise(self.deleting or not self.spec.get("suspend"), f"{what} while suspended")
        began = (self.status["startTime"], self.found_migration)
        if began != self.began:
            moves = self.cloud.state.in_progress(HOST)
            self.began = began
            self.found_in_flight = frozenset(m.id for m in moves if m.source == HOST)

    def action(self, server_id: str, name: str) -> None:
        promise(name in (*STARTS, "confirmResize", "revertResize"), f"a drain never does {name}")
        if name in STARTS:
            self.start(server_id, name)
        else:
            self.finish(server_id, name)

    def start(self, server_id: str, name: str) -> None:
        server = self.cloud.state.servers[server_id]
        row = self.listed.get(server_id)
        promise(
            row is not None, f"{name} of {server.name}, which was not read on the host in this tick"
        )
        assert row is not None
        promise(
            server.host == HOST or self.moved_by_others(server),
            f"{name} of {server.name}, which is on {server.host}",
        )
        promise(not self.deleting, f"{name} while the host is restored")
        promise(self.spec.get("mode", "Drain") == "Drain", f"{name} in mode Plan")
        promise(
            not (row["locked"] and self.policy("servers", "locked", "Move") == "Block"),
            f"{name} of a locked server",
        )
        self.start_by_method(server, row["status"], name)
        self.slots(server, name)
        self.begun[server_id] = STARTS[name], len(self.cloud.migrations_of(server))

    def start_by_method(self, server: Server, status: str, name: str) -> None:
        method = self.spec["migration"]["method"]
        if name == "migrate":
            promise(
                not server.is_away,
                f"cold migration of {server.name}, whose guest runs on {server.runs_on}",
            )
            promise(
                method != "Live" or status == "SHUTOFF",
                f"cold migration of {server.name} ({status}) under method Live",
            )
        elif name == "os-migrateLive":
            promise(method != "Cold", f"live migration of {server.name} under method Cold")
        elif name == "shelveOffload":
            promise(
                self.policy("servers", "shelved", "Offload") == "Offload",
                f"offload of {server.name} against the policy",
            )
        else:
            promise(
                self.policy("servers", "suspended", "Block") == "Resume",
                f"resume of {server.name} against the policy",
            )

    def slots(self, server: Server, name: str) -> None:
        flying = self.in_flight() - {server.id}
        most = self.spec["migration"].get("maxParallel", 4)
        promise(
            len(flying) < most,
            f"{name} of {server.name}: {len(flying)} of {most} are in flight already",
        )
        group = self.cloud.state.groups.get(server.group or "")
        if group is not None and group.policy == "anti-affinity":
            others = flying & set(group.members)
            allowed = group.rules.get("max_server_per_host", 1)
            promise(
                len(others) < allowed,
                f"{name} of {server.name} with {len(others)} others of its anti-affinity group in "
                f"flight, which allows {allowed} on one host",
            )

    def in_flight(self) -> set[str]:
        """Servers with a move of ours that Nova still works on.

        Held ones wait for a person, as those do whose confirm or revert was cut off; and records of
        idle ones are stale.
        """
        waiting = {row["id"] for row in self.status.get("problems") or ()}
        found = set()
        for m in self.cloud.state.migrations:
            server = self.cloud.state.servers[m.server]
            if not self.is_ours(m) or m.deleted or m.status in ENDED_MIGRATION:
                continue
            stale = server.task_state is None and server.vm_state != "resized"
            arrived = m.status in ("finished", "confirming", "reverting") and not server.task_state
            if not stale and not (arrived and server.id in waiting):
                found.add(server.id)
        return found | {server_id for server_id in self.begun if self.is_starting(server_id)}

    def is_starting(self, server_id: str) -> bool:
        """Its move was accepted by Nova, and has no migration record yet."""
        server, (task, migrations) = self.cloud.state.servers[server_id], self.begun[server_id]
        return (
            server.task_state == task
            and not server.deleted
            and len(self.cloud.migrations_of(server)) == migrations
        )

    def is_ours(self, m: Migration) -> bool:
        by_us = m.initiator.name == "quiesce" and m.kind in ("migration", "live-migration")
        return by_us and m.source == HOST and m.id > self.found_migration

    def moved_by_others(self, server: Server) -> bool:
        moves = [m for m in self.cloud.state.migrations if m.server == server.id]
        return bool(moves) and not self.is_ours(moves[-1])

    def finish(self, server_id: str, name: str) -> None:
        server = self.cloud.state.servers[server_id]
        row = self.seen.get(server_id) or self.listed.get(server_id)
        shown = (
            row is not None
            and row["status"] == "VERIFY_RESIZE"
            and row["OS-EXT-STS:task_state"] is None
        )
        promise(
            shown, f"{name} of {server.name}, not seen in VERIFY_RESIZE without a task in this tick"
        )
        m = self.cloud.state.migration_by_status(server, "finished")
        if m is None or server.vm_state != "resized":
            return  # another user was quicker, and Nova will refuse it
        if not self.is_ours(m):
            promise(name == "confirmResize", f"revert of another user's {m.kind} of {server.name}")
            promise(
                self.policy("confirmation", "foreign", "Wait") == "Confirm",
                f"confirm of another user's {m.kind}",
            )
            off = server.power_state == RUNNING and server.domain != RUNNING
            promise(not off, f"confirm of another user's {m.kind}, whose guest is off")
            return
        decisions = (self.spec.get("confirmation") or {}).get("decisions") or ()
        decision = next((d["action"] for d in decisions if d["server"] == server_id), None)
        if name == "confirmResize":
            self.confirm(server, decision)
        else:
            self.revert(server, m, decision)

    def confirm(self, server: Server, decision: str | None) -> None:
        promise(decision != "Revert", f"confirm of {server.name} against a person's decision")
        if decision == "Confirm":
            return
        promise(
            self.policy("confirmation", "policy", "Automatic") == "Automatic",
            f"confirm of {server.name} without a decision",
        )
        promise(not self.fails(server), f"confirm of {server.name}: {self.fails(server)}")
        off = self.wanted(server) == RUNNING and server.domain != RUNNING
        promise(not off, f"confirm of {server.name}, whose guest is off")

    def wanted(self, server: Server) -> int:
        return SHUTDOWN if server.old_vm_state == "stopped" else RUNNING

    def fails(self, server: Server) -> str:
        """The check that a server in VERIFY_RESIZE fails, looked up in the model.

        Nova's power state is late, in both directions; the hypervisor's is the truth.
        """
        wanted = self.wanted(server)
        if wanted not in (server.power_state, server.domain):
            return f"power state {server.power_state} instead of {wanted}"
        ports = self.cloud.state.ports_of.get(server.id, [])
        return (
            "a port is not bound"
            if any(p.vif_type == "binding_failed" or p.host != server.host for p in ports)
            else ""
        )

    def revert(self, server: Server, m: Migration, decision: str | None) -> None:
        automatic = self.policy("confirmation", "policy", "Automatic") == "Automatic"
        by_check = self.policy("confirmation", "onFailedCheck", "Hold") == "Revert"
        asked = decision == "Revert" or (automatic and by_check)
        promise(asked, f"revert of {server.name} that no one asked for")
        promise(decision != "Confirm", f"revert of {server.name} against a person's decision")
        service = self.cloud.state.service_of(m.source)
        promise(
            service is not None and self.cloud.state.is_up(service),
            f"revert of {server.name} while its source is down",
        )

    def live_control(self, server_id: str, number: int, what: str) -> None:
        m = next((m for m in self.cloud.state.migrations if m.id == number), None)
        promise(
            m is None or (self.is_ours(m) and m.server == server_id),
            f"{what} of another user's live migration",
        )
        promise(
            self.spec["migration"].get("onLiveTimeout", "Abort") == what,
            f"{what} against the policy",
        )

    def service_update(self, body: Json) -> None:
        service = self.cloud.state.service_of(HOST)
        if service is None:
            return
        mine = (service.disabled_reason or "").startswith(MARK)
        found = self.status["service"]
        if body["status"] == "enabled":
            promise(self.deleting, "the service is enabled by a drain that is kept")
            promise(
                mine,
                f"the service is enabled, and others had disabled it ({service.disabled_reason})",
            )
        elif service.disabled and not mine:
            saved = (
                found["foundStatus"] == "disabled"
                and found.get("foundReason") == service.disabled_reason
            )
            promise(
                saved,
                f"a disable by another user ({service.disabled_reason}) is written over unsaved",
            )

    def service_delete(self, service_id: str) -> None:
        promise(not self.deleting, "the service is deleted while the host is restored")
        promise(self.spec.get("mode", "Drain") == "Drain", "the service is deleted in mode Plan")
        promise(
            self.policy("service", "afterDrain", "Delete") == "Delete",
            "the service is deleted against the policy",
        )
        service = self.cloud.state.services.get(service_id)
        if service is None:
            return
        runs = self.cloud.state.is_up(service) or self.cloud.state.computes[HOST].process.running
        waits = self.policy("service", "whileRunning", "Wait") == "Wait"
        promise(not (runs and waits), "the service is deleted while nova-compute is up")
        promise(service.disabled, "the service is deleted while it is enabled")
        against = self.against_empty()
        promise(not against, f"the service is deleted, and {against}")

    # Promises about the status

    def against_empty(self) -> str:
        """What in the model speaks against the host being empty."""
        state = self.cloud.state
        if servers := state.on_host(HOST):
            status = status_of(servers[0].vm_state, servers[0].task_state)
            return f"{servers[0].name} ({status}) is on the host"
        if moves := state.in_progress(HOST):
            return f"migration {moves[0].id} is {moves[0].status}"
        held = set(state.placement.on(state.computes[HOST].provider)) - self.evacuated()
        if held:
            return f"{min(held)} holds resources of the host"
        return self.lost_copy()

    def evacuated(self) -> set[str]:
        """Servers that were evacuated and are well elsewhere: Nova's own delete of the service
        releases what they hold here.
        """
        servers = self.cloud.state.servers
        return {
            m.server
            for m in self.cloud.state.migrations
            if (m.kind, m.status, m.source) == ("evacuation", "done", HOST)
            and servers[m.server].vm_state != "error"
            and servers[m.server].task_state is None
            and servers[m.server].host != HOST
        }

    def lost_copy(self) -> str:
        """A server in ERROR elsewhere after a failed move: its good disk may be here."""
        for server in self.cloud.state.servers.values():
            moves = [
                m for m in self.cloud.state.migrations if m.server == server.id and not m.deleted
            ]
            last = moves[-1] if moves and not server.deleted else None
            if (
                last is None
                or last.source != HOST
                or last.status not in ("error", "failed")
                or not (last.id > self.found_migration or last.id in self.found_in_flight)
            ):
                continue
            if server.vm_state == "error" and server.host != HOST:
                return f"{server.name} failed on {server.host}"
        return ""

    def condition(self, kind: str) -> Json:
        return next((c for c in self.status.get("conditions") or () if c["type"] == kind), {})

    def written(self, before: Json) -> None:
        """A status was written in a tick without acts of others. `before`: the one before."""
        kinds = [c["type"] for c in self.status.get("conditions") or ()]
        promise(len(kinds) == len(set(kinds)), "a condition is there twice")
        promise(not {"Reconciling", "Stalled"} <= set(kinds), "Reconciling and Stalled at once")
        promise(len(self.status.get("problems") or ()) <= 20, "more than 20 problems are listed")
        promise(len(self.status.get("message", "")) <= 1024, "the message is not bounded")
        was = next(
            (c["status"] for c in before.get("conditions") or () if c["type"] == "Drained"),
            "Unknown",
        )
        if self.condition("Drained").get("status") == "True" and was != "True":
            promise(not self.against_empty(), f"Drained=True, and {self.against_empty()}")
        for name in ("foundStatus", "foundReason", "foundId"):
            old = (before.get("service") or {}).get(name)
            kept = old is None or (self.status.get("service") or {}).get(name) == old
            promise(kept, f"service.{name} is lost from the status")
