"""PURE: the status before and after -> the events that mark what changed. No event for a tick that changed nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

AT_ONCE = 5  # problems that get an event of their own in one tick; the rest is in the status


@dataclass(frozen=True, slots=True)
class Event:
    type: Literal["Normal", "Warning"]
    reason: str
    action: str
    message: str


ACTION = {
    "Draining": "Drain",
    "Drained": "Drain",
    "Deleted": "DeleteService",
    "Restoring": "Restore",
    "Stalled": "Drain",
    "Suspended": "Suspend",
    "Planned": "Plan",
    "Pending": "Drain",
}


def events(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Event, ...]:
    found = []
    if after["phase"] != before.get("phase"):
        kind: Literal["Normal", "Warning"] = "Warning" if after["phase"] == "Stalled" else "Normal"
        found.append(Event(kind, after["phase"], ACTION[after["phase"]], after["message"]))
    elif (cause := ready_reason(after)) != (was := ready_reason(before)) and was is not None:
        kind = "Warning" if after["phase"] == "Stalled" or cause in ("CloudUnreachable", "DeleteRefused") else "Normal"
        found.append(Event(kind, cause or "Changed", ACTION[after["phase"]], after["message"]))
    known = {(row["id"], row["reason"]) for row in before.get("problems") or ()}
    new = [row for row in after.get("problems") or () if (row["id"], row["reason"]) not in known]
    found += [Event("Warning", row["reason"], "Move", f"{row['name']}: {row['message']}") for row in new[:AT_ONCE]]
    return tuple(found)


def ready_reason(status: Mapping[str, Any]) -> str | None:
    return next((c["reason"] for c in status.get("conditions") or () if c["type"] == "Ready"), None)
