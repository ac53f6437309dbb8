"""PURE. What was found and decided -> status, for people and for drains, and events."""

from quiesce.keyring.report.events import (
    abandoned,
    change_events,
    host_events,
    key_generated,
    key_rotated,
    keys_kept,
    keys_left,
    keys_removed,
    keys_stay,
    pinned,
    state_lost,
    transitions,
)
from quiesce.keyring.report.status import (
    problem_status,
    removal_status,
    status,
    timestamp,
)

__all__ = [
    "abandoned",
    "change_events",
    "host_events",
    "key_generated",
    "key_rotated",
    "keys_kept",
    "keys_left",
    "keys_removed",
    "keys_stay",
    "pinned",
    "problem_status",
    "removal_status",
    "state_lost",
    "status",
    "timestamp",
    "transitions",
]
