"""What is read back from a drain's status: the few facts that cannot be derived again.

Everything else in the status is a report. docs/contract.md lists these fields; a test holds the
page, the CRD and this type together.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

ARRIVED_OFF = 100  # migrations
IN_FLIGHT = 100  # migrations
IDLE_PORTS = 8  # of one server; with more of them, the others count as if they had worked


@dataclass(frozen=True, slots=True)
class FoundAggregate:
    id: int
    name: str = ""


@dataclass(frozen=True, slots=True)
class Try:
    """A server's tries to leave the host: from the first one until the server has left.

    `was`: its status before the move (ACTIVE, SHUTOFF, …); None: not known. `method`: cold, live,
    offload or resume. `began`: when this attempt began, as a timestamp of the API. `idle_ports`:
    IDs of its ports that did not work before the move, at most IDLE_PORTS.
    """

    was: str | None
    method: str | None
    attempt: int
    began: str
    idle_ports: tuple[str, ...] = ()

    @property
    def migrates(self) -> bool:
        return self.method in ("cold", "live")

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> Self:
        return cls(
            row.get("was"),
            row.get("method"),
            row.get("attempt") or 1,
            row.get("since") or "",
            tuple(row.get("idlePorts") or ()),
        )

    def to_json(self, server_id: str) -> dict[str, Any]:
        return {
            "id": server_id,
            "was": self.was,
            "method": self.method,
            "attempt": self.attempt,
            "since": self.began or None,
            "idlePorts": list(self.idle_ports) or None,
        }


@dataclass(frozen=True, slots=True)
class Record:
    """`found_*`: the host before the first write to OpenStack; `found_status` None: nothing was
    written yet.

    `found_migration`: the highest ID of a migration that touched the host when the drain began.
    Migrations above it are of this drain's time, whatever the clocks say. `found_in_flight`: those
    away from the host that were in flight then, sorted; IN_FLIGHT at most are written down.
    `attempts_from`: failed tries count above this ID. `arrived_off`: cold migrations above it whose
    guest had run and was off where it arrived -> when it arrived, as a timestamp of Nova's.
    `moved`, `offloaded`: servers that left; Nova forgets those that are deleted since. `proven`:
    the host was proven empty. `planned`: a plan was made. `cloud`: a digest of what tells its cloud
    from others, once its credentials have worked there.
    """

    started: str | None = None
    found_status: str | None = None
    found_reason: str | None = None
    found_id: str | None = None
    found_unit: str | None = None
    found_aggregates: tuple[FoundAggregate, ...] = ()
    found_migration: int = 0
    found_in_flight: tuple[int, ...] = ()
    node: str | None = None
    address: str | None = None
    attempts_from: int = 0
    handled_request: str | None = None
    arrived_off: Mapping[int, str] = field(default_factory=dict)
    tries: Mapping[str, Try] = field(default_factory=dict)
    moved: int = 0
    offloaded: int = 0
    drained_since: str | None = None
    completed: str | None = None
    proven: bool = False
    planned: bool = False
    cloud: str | None = None

    @property
    def begun(self) -> bool:
        """The host's own state is saved: from here on OpenStack may be changed."""
        return self.found_status is not None

    def in_its_time(self, migration_id: int) -> bool:
        """Whether a migration away from the host was in flight at some time since the drain began,
        anybody's. Where more were than are written down, each above the last one counts.
        """
        noted = self.found_in_flight
        beyond = len(noted) >= IN_FLIGHT and migration_id > noted[-1]
        return migration_id > self.found_migration or migration_id in noted or beyond

    def was(self, server_id: str) -> str | None:
        """The server's status before its move, if it is known."""
        tried = self.tries.get(server_id)
        return tried.was if tried else None

    def may_have_run(self, server_id: str) -> bool:
        """Before its move: it did, or that is no longer known."""
        return self.was(server_id) in ("ACTIVE", None)

    def announces_move(self, server_id: str) -> bool:
        """Whether this drain migrates the server: that is recorded before each call."""
        tried = self.tries.get(server_id)
        return tried is not None and tried.migrates

    def idle_ports(self, server_id: str) -> tuple[str, ...]:
        """Its ports that did not work before its move."""
        tried = self.tries.get(server_id)
        return tried.idle_ports if tried else ()

    def acknowledge(self, requested_at: str | None, newest_migration: int) -> Self:
        """`quiesce.dev/requestedAt` has a new value: from here on every server has all its tries
        again.
        """
        if not requested_at or requested_at == self.handled_request:
            return self
        return replace(self, handled_request=requested_at, attempts_from=newest_migration)

    @classmethod
    def read(cls, status: Mapping[str, Any]) -> Self:
        """From a status as JSON; an empty status is an empty record."""
        service, progress = status.get("service") or {}, status.get("progress") or {}
        conditions = {c["type"]: c["status"] for c in status.get("conditions") or ()}
        return cls(
            started=status.get("startTime"),
            found_status=service.get("foundStatus"),
            found_reason=service.get("foundReason"),
            found_id=service.get("foundId"),
            found_unit=service.get("foundUnit"),
            found_aggregates=tuple(
                FoundAggregate(row["id"], row.get("name") or "")
                for row in status.get("foundAggregates") or ()
            ),
            found_migration=status.get("foundMigration") or 0,
            found_in_flight=tuple(sorted(status.get("foundInFlight") or ())),
            node=service.get("node"),
            address=service.get("address"),
            attempts_from=status.get("attemptsFrom") or status.get("foundMigration") or 0,
            handled_request=status.get("lastHandledRequestedAt"),
            arrived_off={
                row["migration"]: row.get("since") or "" for row in status.get("arrivedOff") or ()
            },
            tries=_tries(status),
            moved=progress.get("moved") or 0,
            offloaded=progress.get("offloaded") or 0,
            drained_since=status.get("drainedTime"),
            completed=status.get("completionTime"),
            proven=conditions.get("Drained") == "True",
            planned="plan" in status,
            cloud=status.get("cloud"),
        )

    def service_json(self) -> dict[str, Any]:
        """The part of it that stands in `status.service`."""
        return {
            "foundId": self.found_id,
            "foundStatus": self.found_status,
            "foundReason": self.found_reason,
            "foundUnit": self.found_unit,
            "node": self.node if self.begun else None,
            "address": self.address if self.begun else None,
        }

    def to_json(self) -> dict[str, Any]:
        """The rest of it, at the top of the status, but for what progress, plan and conditions
        show.
        """
        aggregates = [{"id": a.id, "name": a.name} for a in self.found_aggregates]
        tries = [tried.to_json(server_id) for server_id, tried in sorted(self.tries.items())]
        off = [{"migration": id_, "since": at} for id_, at in sorted(self.arrived_off.items())]
        return {
            "foundAggregates": aggregates or None,
            "foundMigration": self.found_migration if self.begun else None,
            "foundInFlight": list(self.found_in_flight[:IN_FLIGHT]) or None,
            "attemptsFrom": self.attempts_from if self.begun else None,
            "lastHandledRequestedAt": self.handled_request,
            "arrivedOff": off[-ARRIVED_OFF:] or None,
            "tries": [_present(row) for row in tries] or None,
            "startTime": self.started,
            "drainedTime": self.drained_since,
            "completionTime": self.completed,
            "cloud": self.cloud,
        }


def _tries(status: Mapping[str, Any]) -> dict[str, Try]:
    """Releases before 0.2 remembered them in the rows of `moving` and `problems`."""
    rows = status.get("tries")
    if rows is None:
        rows = [*(status.get("moving") or ()), *(status.get("problems") or ())]
        rows = [row for row in rows if "was" in row or "method" in row]
    return {row["id"]: Try.read(row) for row in rows}


def _present(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if value is not None}
