"""PURE. What can be said of a server in one tick: small frozen values, each with a reason a person understands."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from quiesce.openstack.records import Migration

How = Literal["cold", "live"]


@dataclass(frozen=True, slots=True)
class Move:
    """Can be moved now."""

    how: How
    attempt: int


@dataclass(frozen=True, slots=True)
class Follow:
    """Our move is under way; nothing to do but look. `stage` is a word for people."""

    stage: str
    migration: Migration | None


@dataclass(frozen=True, slots=True)
class Confirm:
    migration: Migration
    ours: bool = True


@dataclass(frozen=True, slots=True)
class Revert:
    migration: Migration
    why: str


@dataclass(frozen=True, slots=True)
class Abort:
    """Abort a live migration that takes too long."""

    migration: Migration


@dataclass(frozen=True, slots=True)
class ForceComplete:
    """Force a live migration that takes too long to its end."""

    migration: Migration


@dataclass(frozen=True, slots=True)
class Offload:
    """Shelve-offload a SHELVED server: it leaves the host without landing on another."""


@dataclass(frozen=True, slots=True)
class Resume:
    """Resume a SUSPENDED server, to be moved as a running one afterwards."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Will pass by itself. `until`: when a back-off ends."""

    reason: str
    message: str
    until: datetime | None = None
    ours: bool = False  # counts as one of our moves in flight


@dataclass(frozen=True, slots=True)
class Blocked:
    """Needs somebody. Listed under `problems`."""

    reason: str
    message: str
    urgent: bool = False  # a guest is off, or the only good copy of a disk is here: top of the list
    until: datetime | None = None  # when it is tried again all the same
    ours: bool = False  # counts as one of our moves in flight


@dataclass(frozen=True, slots=True)
class Held:
    """Moved, in VERIFY_RESIZE, and kept there with both copies until a person decides."""

    reason: str
    message: str
    migration: Migration


Verdict = (
    Move
    | Follow
    | Confirm
    | Revert
    | Abort
    | ForceComplete
    | Offload
    | Resume
    | Wait
    | Blocked
    | Held
)
