"""The time that one reconciliation may spend on requests to OpenStack, and one request of it.

    with budget(180):                # what runs inside, in this thread and copies of its context
        seconds = time_left(30)      # of the budget, at most 30

Outside of a budget there is no limit but that of each request.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from quiesce.api.errors import CloudUnreachable

_until: ContextVar[float | None] = ContextVar("until", default=None)


@contextmanager
def budget(seconds: float) -> Iterator[None]:
    """From now on; one inside another cannot be longer."""
    before, until = _until.get(), time.monotonic() + seconds
    token = _until.set(until if before is None else min(before, until))
    try:
        yield
    finally:
        _until.reset(token)


def time_left(most: float) -> float:
    """Seconds for what begins now, at most `most`. Raises CloudUnreachable where none are left."""
    until = _until.get()
    left = most if until is None else min(most, until - time.monotonic())
    if left <= 0:
        raise CloudUnreachable(
            "OpenStack answers too slowly: the time of this reconciliation is used up. It starts "
            "over; if this stays, find out which of the cloud's services is slow"
        )
    return left
