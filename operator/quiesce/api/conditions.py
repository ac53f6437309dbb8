"""Conditions by the API conventions and kstatus: a state, its cause, and when it last changed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

MESSAGE_LENGTH = 1024

State = Literal["True", "False", "Unknown"]


@dataclass(frozen=True, slots=True)
class Condition:
    """`Reconciling` and `Stalled` exist only while they are True (kstatus).

    `generation`, `changed`: `observedGeneration` and `lastTransitionTime`, known once it is
    stamped.
    """

    type: str
    status: State
    reason: str
    message: str = ""
    generation: int = 0
    changed: str = ""

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> Self:
        """From a status as JSON."""
        return cls(
            row["type"],
            row["status"],
            row["reason"],
            row["message"],
            row.get("observedGeneration") or 0,
            row["lastTransitionTime"],
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "type": self.type,
            "status": self.status,
            "reason": str(self.reason),
            "message": self.message[:MESSAGE_LENGTH],
            "observedGeneration": self.generation,
            "lastTransitionTime": self.changed,
        }


def ready(value: bool | None, reason: str, message: str = "") -> Condition:
    return Condition(
        "Ready", "Unknown" if value is None else "True" if value else "False", reason, message
    )


def find(conditions: Iterable[Condition], type_: str) -> Condition | None:
    return next((c for c in conditions if c.type == type_), None)


def stamped(
    previous: Iterable[Condition], conditions: Iterable[Condition], generation: int, now: str
) -> tuple[Condition, ...]:
    """Sorted by type. `lastTransitionTime` moves only where the status does."""
    before = {c.type: c for c in previous}

    def stamp(condition: Condition) -> Condition:
        old = before.get(condition.type)
        same = old is not None and old.status == condition.status
        changed = old.changed if old and same else now
        return replace(condition, generation=generation, changed=changed)

    return tuple(stamp(c) for c in sorted(conditions, key=lambda c: c.type))


def merged(
    previous: Iterable[Mapping[str, Any]],
    conditions: Iterable[Condition],
    generation: int,
    now: str,
) -> list[dict[str, Any]]:
    """The same, from JSON to JSON."""
    found = stamped(map(Condition.read, previous), conditions, generation, now)
    return [c.to_json() for c in found]
