"""Whether this process may change anything. Asked right before every call that does.

    with leadership.writing():          # raises NotLeading
        send the request

The clients of OpenStack, Kubernetes and hosts ask here, so no caller can forget to. There is one
answer for the whole process: `run` installs the fence that its election opens and closes; other
programs, and `run` with `--lease none`, are never refused.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def uptime() -> float:
    """Seconds on a clock that nobody sets, and that goes on while the machine is suspended."""
    return time.clock_gettime(_CLOCK)


class NotLeading(Exception):
    """The call was not sent: another process may be the leader by now. This one is ending."""


class Fence:
    """Open until a moment of its clock, which only a renewal of the Lease moves on.

    A process that was stopped (SIGSTOP, a paused machine) finds it closed when it goes on, before
    its first call: no thread has to notice anything first. Safe to use from many threads.
    """

    def __init__(self, until: float = float("-inf"), clock: Callable[[], float] = uptime) -> None:
        self._until, self._clock = until, clock
        self._writing, self._idle, self._closed = 0, threading.Condition(), False

    @property
    def open(self) -> bool:
        return not self._closed and self._clock() < self._until

    def extend(self, until: float) -> None:
        """One that was closed stays closed."""
        self._until = until

    def check(self) -> None:
        """Raises NotLeading."""
        if not self.open:
            raise NotLeading("this process does not hold the Lease (any more): nothing was sent")

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Around one call. Raises NotLeading."""
        with self._idle:
            self.check()
            self._writing += 1
        try:
            yield
        finally:
            with self._idle:
                self._writing -= 1
                self._idle.notify_all()

    def close(self, seconds: float) -> bool:
        """No call begins any more; whether those under way have ended within `seconds`."""
        with self._idle:
            self._closed = True
            return self._idle.wait_for(lambda: self._writing == 0, max(0.0, seconds))


OPEN = Fence(float("inf"))
_installed = OPEN


def install(fence: Fence) -> None:
    """For the whole process, all its threads, to its end: those of a leader that was may still run
    when everything else has ended.
    """
    global _installed
    _installed = fence


def check() -> None:
    """Raises NotLeading."""
    _installed.check()


@contextmanager
def writing() -> Iterator[None]:
    """Around one call that changes something. Raises NotLeading."""
    with _installed.writing():
        yield
