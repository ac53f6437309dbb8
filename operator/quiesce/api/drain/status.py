"""The status of a ComputeNodeDrain as one frozen type: written and read here, and nowhere else.

What the operator needs back from it is a record of its own (quiesce.api.drain.record); the rest is
a report for people, bounded in length and in number. The meaning of every field stands in the CRD.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from quiesce.api.conditions import Condition, find
from quiesce.api.drain.record import Record

MOVING_ROWS = 100
PROBLEM_ROWS = 20
PLAN_ROWS = 20
PLANNED_ROWS = 100
MESSAGE_LENGTH = 1024
REMEDY_LENGTH = 512
_NAME_LENGTH = 255

Capacity = Literal["Fits", "Short", "Unknown"]


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """The host's nova-compute service as Nova shows it now; `status` deleted: Nova lists none."""

    status: str
    id: str | None = None
    state: str | None = None

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> Self:
        return cls(row.get("status") or "deleted", row.get("id"), row.get("state"))

    def to_json(self) -> dict[str, Any]:
        return {"id": self.id, "status": self.status, "state": self.state}


@dataclass(frozen=True, slots=True)
class Progress:
    """How many servers the drain has to do with, by what became of them."""

    total: int
    moved: int
    offloaded: int
    moving: int
    waiting: int
    blocked: int

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> Self:
        names = ("total", "moved", "offloaded", "moving", "waiting", "blocked")
        return cls(*(row.get(name) or 0 for name in names))

    def to_json(self) -> dict[str, Any]:
        return {
            "summary": f"{self.moved}/{self.total}",
            "total": self.total,
            "moved": self.moved,
            "offloaded": self.offloaded,
            "moving": self.moving,
            "waiting": self.waiting,
            "blocked": self.blocked,
            "percent": 100 * self.moved // self.total if self.total else 100,
        }


@dataclass(frozen=True, slots=True)
class MovingRow:
    """A server on its way. `since`: when this attempt began. `percent`, `rate` (bytes a second): of
    a live migration that runs for minutes, where Nova shows it.
    """

    id: str
    name: str
    method: str | None
    state: str
    destination: str | None
    attempt: int
    since: str
    was: str | None
    percent: int | None = None
    rate: int | None = None

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> Self:
        return cls(
            id=row["id"],
            name=row.get("name") or row["id"],
            method=row.get("method"),
            state=row.get("state") or "",
            destination=row.get("destination"),
            attempt=row.get("attempt") or 1,
            since=row.get("since") or "",
            was=row.get("was"),
            percent=row.get("percent"),
            rate=row.get("bytesPerSecond"),
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "name": self.name[:_NAME_LENGTH],
            "method": self.method,
            "state": str(self.state),
            "destination": self.destination,
            "attempt": self.attempt,
            "since": self.since,
            "was": self.was,
            "percent": self.percent,
            "bytesPerSecond": self.rate,
        }


@dataclass(frozen=True, slots=True)
class ProblemRow:
    """A server that is in the way. `remedies`: each a sentence, or a command that can be copied."""

    id: str
    name: str
    reason: str
    message: str
    remedies: tuple[str, ...]
    attempts: int
    since: str
    was: str | None = None

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> Self:
        return cls(
            id=row["id"],
            name=row.get("name") or row["id"],
            reason=row["reason"],
            message=row.get("message") or "",
            remedies=tuple(row.get("remedies") or ()),
            attempts=row.get("attempts") or 0,
            since=row.get("since") or "",
            was=row.get("was"),
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "name": self.name[:_NAME_LENGTH],
            "reason": str(self.reason),
            "message": self.message[:MESSAGE_LENGTH],
            "remedies": [remedy[:REMEDY_LENGTH] for remedy in self.remedies] or None,
            "attempts": self.attempts,
            "since": self.since,
            "was": self.was,
        }


@dataclass(frozen=True, slots=True)
class PlannedServer:
    """What a drain would do with one server, and why. `action`: live, cold, offload, resume; wait:
    not now; none: it stays.
    """

    id: str
    name: str
    status: str
    action: str
    message: str

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> Self:
        names = ("id", "name", "status", "action", "message")
        return cls(*(row.get(name) or "" for name in names))

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "name": self.name[:_NAME_LENGTH],
            "status": self.status,
            "action": self.action,
            "message": self.message[:REMEDY_LENGTH],
        }


@dataclass(frozen=True, slots=True)
class PlanStatus:
    """What a drain would do. `reasons`: (reason, count, message), the most frequent first.
    `servers`: under mode Plan, those that stay first.
    """

    live: int
    cold: int
    offload: int
    blocked: int
    capacity: Capacity
    estimated_seconds: int | None
    reasons: tuple[tuple[str, int, str], ...]
    servers: tuple[PlannedServer, ...] = ()
    servers_omitted: int = 0

    @classmethod
    def read(cls, plan: Mapping[str, Any]) -> Self:
        return cls(
            live=plan["live"],
            cold=plan["cold"],
            offload=plan["offload"],
            blocked=plan["blocked"],
            capacity=plan["capacity"],
            estimated_seconds=plan.get("estimatedSeconds"),
            reasons=tuple(
                (row["reason"], row["count"], row.get("message") or "")
                for row in plan.get("reasons") or ()
            ),
            servers=tuple(map(PlannedServer.read, plan.get("servers") or ())),
            servers_omitted=plan.get("serversOmitted") or 0,
        )

    def to_json(self) -> dict[str, Any]:
        rows = [
            {"reason": str(reason), "count": number, "message": text[:MESSAGE_LENGTH]}
            for reason, number, text in self.reasons[:PLAN_ROWS]
        ]
        omitted = self.servers_omitted + max(0, len(self.servers) - PLANNED_ROWS)
        return {
            "live": self.live,
            "cold": self.cold,
            "offload": self.offload,
            "blocked": self.blocked,
            "capacity": self.capacity,
            "estimatedSeconds": self.estimated_seconds,
            "reasons": rows,
            "servers": [row.to_json() for row in self.servers[:PLANNED_ROWS]] or None,
            "serversOmitted": omitted or None,
        }


@dataclass(frozen=True, slots=True)
class DrainStatus:
    """The whole status. An empty one is that of a drain which was not reconciled yet."""

    generation: int = -1
    phase: str = ""
    message: str = ""
    conditions: tuple[Condition, ...] = ()
    record: Record = field(default_factory=Record)
    service: ServiceStatus | None = None
    progress: Progress | None = None
    moving: tuple[MovingRow, ...] = ()
    problems: tuple[ProblemRow, ...] = ()
    problems_omitted: int = 0
    plan: PlanStatus | None = None

    @property
    def ready(self) -> Condition | None:
        return find(self.conditions, "Ready")

    @property
    def warned(self) -> frozenset[tuple[str, str]]:
        """(server, reason) of every problem that it lists."""
        return frozenset((row.id, row.reason) for row in self.problems)

    @classmethod
    def read(cls, status: Mapping[str, Any]) -> Self:
        """From JSON, as `to_json` wrote it."""
        service, progress, plan = (status.get(key) for key in ("service", "progress", "plan"))
        return cls(
            generation=status.get("observedGeneration", -1),
            phase=status.get("phase") or "",
            message=status.get("message") or "",
            conditions=tuple(map(Condition.read, status.get("conditions") or ())),
            record=Record.read(status),
            service=ServiceStatus.read(service) if service else None,
            progress=Progress.read(progress) if progress else None,
            moving=tuple(map(MovingRow.read, status.get("moving") or ())),
            problems=tuple(map(ProblemRow.read, status.get("problems") or ())),
            problems_omitted=status.get("problemsOmitted") or 0,
            plan=PlanStatus.read(plan) if plan else None,
        )

    def to_json(self) -> dict[str, Any]:
        """Whole, bounded; keys without a value are absent."""
        service = self.service.to_json() if self.service else {}
        whole: dict[str, Any] = {
            "observedGeneration": self.generation,
            "phase": str(self.phase),
            "message": self.message[:MESSAGE_LENGTH],
            "conditions": [c.to_json() for c in self.conditions],
            "service": _present(service | self.record.service_json()) or None,
            "progress": self.progress.to_json() if self.progress else None,
            "moving": [_present(row.to_json()) for row in self.moving[:MOVING_ROWS]],
            "problems": [_present(row.to_json()) for row in self.problems[:PROBLEM_ROWS]],
            "problemsOmitted": self.problems_omitted + max(0, len(self.problems) - PROBLEM_ROWS),
            "plan": _present(self.plan.to_json()) if self.plan else None,
        }
        return _present(whole | self.record.to_json())


def _present(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if value is not None}
