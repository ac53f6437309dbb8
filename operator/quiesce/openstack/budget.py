"""What one reconciliation may spend on OpenStack: time, and memory for what it reads.

    with budget(180):                # what runs inside, in this thread and copies of its context
        seconds = time_left(30)      # of the budget, at most 30
        take(len(body), values)      # of what has been read and is kept

Outside of a budget there is no limit but those of each request.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from quiesce.api.errors import CloudUnreachable

MOST_BYTES = 24 * 2**20
MOST_VALUES = 300_000
"""Of all answers that one reconciliation keeps something of. A host with 200 servers and 2000
migrations, in a cloud of 1000 hosts and 5000 server groups, has two thirds of that."""


@dataclass(slots=True)
class _Budget:
    until: float
    size: int = MOST_BYTES
    values: int = MOST_VALUES


_budget: ContextVar[_Budget | None] = ContextVar("budget", default=None)


@contextmanager
def budget(seconds: float) -> Iterator[None]:
    """From now on; one inside another cannot be larger."""
    around, until = _budget.get(), time.monotonic() + seconds
    own = _Budget(until)
    if around is not None:
        own = _Budget(min(around.until, until), around.size, around.values)
    token = _budget.set(own)
    try:
        yield
    finally:
        _budget.reset(token)


def time_left(most: float) -> float:
    """Seconds for what begins now, at most `most`. Raises CloudUnreachable where none are left."""
    own = _budget.get()
    left = most if own is None else min(most, own.until - time.monotonic())
    if left <= 0:
        raise CloudUnreachable(
            "OpenStack answers too slowly: the time of this reconciliation is used up. It starts "
            "over; if this stays, find out which of the cloud's services is slow"
        )
    return left


def used_up() -> bool:
    """Whether nothing is left. What fails then may have failed for that, and says nothing about a
    service: its last request was given less time than others are.
    """
    own = _budget.get()
    if own is None:
        return False
    return own.until <= time.monotonic() or own.size < 0 or own.values < 0


def spent() -> int:
    """Bytes that this reconciliation has taken so far."""
    own = _budget.get()
    return 0 if own is None else MOST_BYTES - own.size


def take(size: int, values: int) -> None:
    """`size` in bytes, and how many values these are. Raises CloudUnreachable where that is more
    than is left.
    """
    own = _budget.get()
    if own is None:
        return
    own.size -= size
    own.values -= values
    if own.size < 0 or own.values < 0:
        raise CloudUnreachable(
            f"OpenStack lists more than one reconciliation can hold ({MOST_BYTES // 2**20} MiB, "
            f"{MOST_VALUES} values): compare the cloud with Limits in docs/operations.md"
        )
