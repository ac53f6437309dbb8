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


TROUBLE = ("CloudUnreachable", "DisableRefused", "DeleteRefused")
"""Reasons of a drain that goes on by itself, and that somebody should know of all the same."""
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
    found, cause = [], ready_reason(after)
    kind: Literal["Normal", "Warning"] = (
        "Warning" if after["phase"] == "Stalled" or cause in TROUBLE else "Normal"
    )
    if after["phase"] != before.get("phase"):
        found.append(Event(kind, after["phase"], ACTION[after["phase"]], after["message"]))
    elif cause != (was := ready_reason(before)) and was is not None:
        found.append(Event(kind, cause or "Changed", ACTION[after["phase"]], after["message"]))
    known = {(row["id"], row["reason"]) for row in before.get("problems") or ()}
    new = [row for row in after.get("problems") or () if (row["id"], row["reason"]) not in known]
    found += [
        Event("Warning", row["reason"], "Move", f"{row['name']}: {row['message']}")
        for row in new[:AT_ONCE]
    ]
    return tuple(found)


def ready_reason(status: Mapping[str, Any]) -> str | None:
    return next((c["reason"] for c in status.get("conditions") or () if c["type"] == "Ready"), None)
