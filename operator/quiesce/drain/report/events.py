"""The status before and after -> the events that mark what changed. No event for a tick that
changed nothing.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

from quiesce.api.conditions import find
from quiesce.api.drain.reasons import DrainReason, Phase
from quiesce.api.drain.spec import Confirmation, ConfirmationPolicy
from quiesce.api.drain.status import DrainStatus
from quiesce.api.events import Event
from quiesce.api.text import with_remedy
from quiesce.drain.model.history import ForeignConfirm

AT_ONCE = 5  # problems that get an event of their own in one tick; the rest is in the status

_WARNINGS = frozenset(
    {"CloudUnreachable", "InternalError", DrainReason.DISABLE_REFUSED, DrainReason.DELETE_REFUSED}
)
"""Reasons of a drain that continues by itself, and that people should know of all the same."""
_ACTIONS = {
    Phase.DRAINING: "Drain",
    Phase.DRAINED: "Drain",
    Phase.DELETED: "DeleteService",
    Phase.RESTORING: "Restore",
    Phase.STALLED: "Drain",
    Phase.SUSPENDED: "Suspend",
    Phase.PLANNED: "Plan",
    Phase.PENDING: "Drain",
}


def events(before: DrainStatus, after: DrainStatus) -> tuple[Event, ...]:
    reason, action = _ready_reason(after), _ACTIONS[Phase(after.phase)]
    stalled = find(after.conditions, "Stalled") is not None  # also while a host is restored
    warning = stalled or after.phase == Phase.STALLED or reason in _WARNINGS
    kind: Literal["Normal", "Warning"] = "Warning" if warning else "Normal"
    was, found = _ready_reason(before), []
    if after.phase != before.phase:
        found.append(Event(kind, str(after.phase), action, after.message))
    elif was is not None and reason != was:
        found.append(Event(kind, reason or "Changed", action, after.message))
    new = [row for row in after.problems if (row.id, row.reason) not in before.warned]
    return (
        *found,
        *(
            Event(
                "Warning",
                str(row.reason),
                "Move",
                f"{row.name}: {with_remedy(row.message, row.remedies)}",
            )
            for row in new[:AT_ONCE]
        ),
    )


def _ready_reason(status: DrainStatus) -> str | None:
    return str(status.ready.reason) if status.ready else None


def foreign_confirms(
    found: Sequence[ForeignConfirm], names: Mapping[str, str], asked: Confirmation
) -> tuple[Event, ...]:
    """Moves of ours that were not confirmed by us: what the spec asks for before a confirm was
    not waited for.
    """
    checks = "checks, checks.soak" + (
        " and policy: Manual" if asked.policy is ConfirmationPolicy.MANUAL else ""
    )
    return tuple(
        Event(
            "Warning",
            "ConfirmedByNova" if each.by_nova else "ConfirmedByOthers",
            "Confirm",
            f"{names.get(each.server_id, each.server_id)}: its move was confirmed by "
            + (
                "Nova itself (resize_confirm_window in nova.conf)"
                if each.by_nova
                else "another user"
            )
            + f", not by this drain: {checks} were not waited for",
        )
        for each in found[:AT_ONCE]
    )
