"""PURE. A ComputeNodeDrain as JSON -> what is shown of it.

A status may come from a hostile writer, and names of servers come from tenants: every text is
cleaned for terminals before anything else looks at it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

from quiesce.api.annotations import REQUESTED_AT, is_abandoned
from quiesce.api.conditions import Condition, find
from quiesce.api.drain.reasons import Phase, ServerReason
from quiesce.api.drain.status import DrainStatus, ProblemRow
from quiesce.api.outside import cleaned

Json = dict[str, Any]

LONGEST = 1024  # characters of one text, as the CRD bounds messages
HELD = frozenset(
    {ServerReason.AWAITING_DECISION, ServerReason.CHECK_FAILED, ServerReason.PORTS_NOT_READ}
)
"""Reasons of servers that were moved and are held: a person may decide about each."""
_MIN_MOVED = 3  # fewer servers make no pace


def printable(value: Any) -> Any:
    """The same JSON with every text fit for a terminal."""
    match value:
        case str():
            return cleaned(value, LONGEST)
        case list():
            return [printable(each) for each in value]
        case dict():
            return {cleaned(str(key)): printable(each) for key, each in value.items()}
    return value


@dataclass(frozen=True, slots=True)
class DrainView:
    """`status` None: it is not as this version of the API has it. `uid` and `version` are for
    preconditions; `decisions`: (server, action), as in the spec.
    """

    namespace: str
    name: str
    uid: str
    version: str
    generation: int
    created: datetime | None
    deleting: bool
    requested_at: str | None
    abandoned: bool
    host: str
    cloud: tuple[str, str]
    method: str
    mode: str
    suspended: bool
    on_delete: str
    decisions: tuple[tuple[str, str], ...]
    status: DrainStatus | None

    @classmethod
    def read(cls, resource: Mapping[str, Any]) -> Self:
        """From the API's JSON, of which only what is shown is looked at."""
        found = resource.get("metadata") or {}
        spec, status = (printable(resource.get(key) or {}) for key in ("spec", "status"))
        cloud, text = spec.get("cloudCredentialsRef") or {}, cleaned
        annotations = found.get("annotations") or {}
        decisions = (spec.get("confirmation") or {}).get("decisions") or ()
        return cls(
            namespace=text(found.get("namespace") or ""),
            name=text(found.get("name") or ""),
            uid=text(found.get("uid") or ""),
            version=text(found.get("resourceVersion") or ""),
            generation=found.get("generation") or 0,
            created=moment(found.get("creationTimestamp")),
            deleting=bool(found.get("deletionTimestamp")),
            requested_at=annotations.get(REQUESTED_AT),
            abandoned=is_abandoned(annotations),
            host=spec.get("host") or "",
            cloud=(cloud.get("secretName") or "", cloud.get("cloudName") or ""),
            method=(spec.get("migration") or {}).get("method") or "",
            mode=spec.get("mode") or "Drain",
            suspended=bool(spec.get("suspend")),
            on_delete=spec.get("onDelete") or "Restore",
            decisions=tuple((each["server"], each["action"]) for each in decisions),
            status=_status(status),
        )

    @property
    def answered(self) -> bool:
        """The operator has reconciled the present spec."""
        return self.status is not None and self.status.generation >= self.generation

    @property
    def phase(self) -> str:
        if self.status is None:
            return "Unreadable"
        if self.deleting:
            return Phase.RESTORING
        return self.status.phase or "New"

    @property
    def message(self) -> str:
        if self.status is None:
            return (
                "its status cannot be read: the CRD, the operator and kubectl-quiesce may be of "
                "different versions"
            )
        return self.status.message or "no operator has answered yet"

    @property
    def ready(self) -> Condition | None:
        return self.status.ready if self.status else None

    @property
    def is_stalled(self) -> bool:
        """A person is needed, or nobody can tell."""
        return self.status is None or find(self.status.conditions, "Stalled") is not None

    @property
    def is_at_goal(self) -> bool:
        """The end state that the present spec asks for holds now."""
        ready = self.ready
        return self.answered and not self.deleting and ready is not None and ready.status == "True"

    @property
    def begun(self) -> bool:
        """Something was changed on the host, or in OpenStack."""
        return self.status is not None and self.status.record.begun

    @property
    def left(self) -> str:
        """How the host is left once this drain is gone."""
        if not self.begun:
            return f"nothing was changed on {self.host}"
        if self.abandoned:
            return f"{self.host} is left as it was: the drain was abandoned"
        if self.on_delete == "Leave":
            return f"{self.host} is left as it was, as spec.onDelete says"
        return (
            f"{self.host} is restored; what could not be is a warning in: "
            f"kubectl events -n {self.namespace} --for cnd/{self.name}"
        )

    @property
    def problems(self) -> tuple[ProblemRow, ...]:
        return self.status.problems if self.status else ()

    @property
    def held(self) -> tuple[ProblemRow, ...]:
        return tuple(row for row in self.problems if row.reason in HELD)


def seconds_to_go(view: DrainView, now: datetime) -> float | None:
    """At the pace so far: for the servers that need no person. None: nothing honest can be told,
    because it moves nothing, too few have moved, or a person sets the pace.
    """
    status = view.status
    if status is None or status.progress is None or status.phase != Phase.DRAINING:
        return None
    progress, began = status.progress, moment(status.record.started)
    remaining = progress.waiting + progress.moving
    held = any(row.reason == ServerReason.AWAITING_DECISION for row in status.problems)
    if began is None or held or progress.moved < _MIN_MOVED or remaining <= 0 or not status.moving:
        return None
    return max(0.0, remaining * (now - began).total_seconds() / progress.moved)


def moment(text: Any) -> datetime | None:
    """A time of the API; None where it is none."""
    try:
        found = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def to_json(view: DrainView, now: datetime) -> Json:
    """For programs: what the pages show."""
    status, ready, left = view.status, view.ready, seconds_to_go(view, now)
    report: Json = status.to_json() if status else {}
    shown: Json = {
        key: report[key] for key in ("progress", "moving", "problems", "plan") if key in report
    }
    return {
        "namespace": view.namespace,
        "name": view.name,
        "host": view.host,
        "method": view.method,
        "mode": view.mode,
        "phase": view.phase,
        "message": view.message,
        "ready": ready.status if ready else "Unknown",
        "reason": ready.reason if ready else "",
        "stalled": view.is_stalled,
        **shown,
        "problemsOmitted": report.get("problemsOmitted", 0),
        "secondsToGo": None if left is None else round(left),
    }


def _status(status: Mapping[str, Any]) -> DrainStatus | None:
    try:
        return DrainStatus.read(status)
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
