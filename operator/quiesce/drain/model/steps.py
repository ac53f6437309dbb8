"""Where each server stands, and what changed between two ticks: for the log and the metrics."""

from collections.abc import Mapping
from dataclasses import dataclass


class State:
    """The words that are no Stage: docs/monitoring.md lists all of them."""

    WAITING = "Waiting"
    BLOCKED = "Blocked"
    HELD = "Held"
    MOVED = "Moved"
    OFFLOADED = "Offloaded"
    GONE = "Gone"


LEFT = frozenset({State.MOVED, State.OFFLOADED, State.GONE})


@dataclass(frozen=True, slots=True)
class ServerStep:
    """`state`: a Stage, or a State. `attempt`: the last one that has begun; 0: none yet. `reason`:
    of one that waits, is blocked or held. `migration`: uuid of that attempt's; None: there is none
    yet. `person`: only a person can help. `finished`: Nova has it in VERIFY_RESIZE, by the drain's
    own move. `called`: a call for it goes out in this tick, and the log line of that call tells of
    this step.
    """

    name: str
    state: str
    attempt: int
    reason: str = ""
    method: str | None = None
    migration: str | None = None
    destination: str | None = None
    person: bool = False
    finished: bool = False
    called: bool = False

    @property
    def shown(self) -> str:
        """`Blocked (NoCapacity)`"""
        return f"{self.state} ({self.reason})" if self.reason else self.state

    @property
    def arrived(self) -> bool:
        return self.finished or self.state in LEFT


@dataclass(frozen=True, slots=True)
class Transition:
    """`before` None: the server was not known before."""

    server_id: str
    before: ServerStep | None
    after: ServerStep


@dataclass(frozen=True, slots=True)
class Standing:
    """All servers of a drain after one tick. `guests_off`: guests that ran before their move, and
    are off. `verify_resize_since`: seconds since 1970, of the oldest server in VERIFY_RESIZE that
    the drain moved there; None: there is none.
    """

    steps: Mapping[str, ServerStep]
    guests_off: int
    verify_resize_since: float | None
