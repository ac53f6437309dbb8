"""What can be decided about a server in one tick: small frozen values, each with a reason for
people.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from quiesce.api.drain.reasons import ServerReason, Stage
from quiesce.openstack.records import Migration, Server

MoveMethod = Literal["cold", "live"]


@dataclass(frozen=True, slots=True)
class Move:
    """Can be moved now."""

    method: MoveMethod
    attempt: int


@dataclass(frozen=True, slots=True)
class Follow:
    """Our move is in progress; there is nothing to do but to poll."""

    stage: Stage
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
    """Resume a SUSPENDED server; it is moved as a running one afterwards."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Passes by itself. `until`: when a back-off ends. `ours`: counts as one of our moves in
    flight.
    """

    reason: ServerReason
    message: str
    until: datetime | None = None
    ours: bool = False


@dataclass(frozen=True, slots=True)
class Blocked:
    """Needs a person; listed under `problems`, with the `remedies` that are open.

    `urgent`: a guest is off, or the only good copy of a disk is here: top of the list.
    `until`: when it is tried again all the same. `ours`: counts as one of our moves in flight.
    """

    reason: ServerReason
    message: str
    remedies: tuple[str, ...] = ()
    urgent: bool = False
    until: datetime | None = None
    ours: bool = False


@dataclass(frozen=True, slots=True)
class Held:
    """Moved, in VERIFY_RESIZE, and kept there with both copies until a person decides."""

    reason: ServerReason
    message: str
    migration: Migration
    remedies: tuple[str, ...] = ()


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


@dataclass(frozen=True, slots=True)
class ServerVerdict:
    """A server and its verdict. `server` None: known by its migration only.

    `counts`: it is one of the servers that this drain has to bring away. `attempt`: from 1.
    """

    server_id: str
    name: str
    server: Server | None
    verdict: Verdict
    counts: bool
    attempt: int = 1

    @property
    def in_flight(self) -> bool:
        """Counts against maxParallel: from the call until Nova has nothing left to do; held ones do
        not.
        """
        match self.verdict:
            case Move() | Held() | Offload() | Resume():
                return False
            case Wait(ours=ours) | Blocked(ours=ours) | Confirm(ours=ours):
                return ours
            case _:
                return True

    @property
    def is_lively(self) -> bool:
        """Whether something is expected to change within seconds."""
        match self.verdict:
            case Follow(stage=stage):
                return not stage.slow
            case Wait(reason=reason):
                return not reason.slow
            case Blocked():
                return False
            case _:
                return self.in_flight
