"""PURE. Conditions by the API conventions and kstatus: a state, its cause, its last change."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

MESSAGE_LENGTH = 1024

State = Literal["True", "False", "Unknown"]


@dataclass(frozen=True, slots=True)
class Condition:
    """`Reconciling` and `Stalled` exist only while they are True (kstatus)."""

    type: str
    status: State
    reason: str
    message: str = ""


def ready(value: bool | None, reason: str, message: str = "") -> Condition:
    return Condition(
        "Ready", "Unknown" if value is None else "True" if value else "False", reason, message
    )


def merged(
    previous: Iterable[Mapping[str, Any]],
    conditions: Iterable[Condition],
    generation: int,
    now: str,
) -> list[dict[str, Any]]:
    """As JSON, sorted by type. `lastTransitionTime` moves only where the status does."""
    before = {c["type"]: c for c in previous}
    return [
        as_json(c, before.get(c.type), generation, now)
        for c in sorted(conditions, key=lambda c: c.type)
    ]


def as_json(
    condition: Condition, before: Mapping[str, Any] | None, generation: int, now: str
) -> dict[str, Any]:
    same = before is not None and before["status"] == condition.status
    return {
        "type": condition.type,
        "status": condition.status,
        "reason": condition.reason,
        "message": condition.message[:MESSAGE_LENGTH],
        "observedGeneration": generation,
        "lastTransitionTime": before["lastTransitionTime"] if same and before else now,
    }
