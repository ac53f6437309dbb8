"""Virtual time: events in the order of their times, moved by hand or by the wall clock."""

import heapq
import itertools
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime


@dataclass(order=True)
class Timer:
    """One event to come; `cancel()` makes it a no-op."""

    due: float
    number: int
    callback: Callable[[], None] | None = field(compare=False)

    def cancel(self) -> None:
        self.callback = None


class Clock:
    """Seconds since the epoch that pass only when asked to.

    speed: virtual seconds for each real second; 0 stands still until `advance`.
    With a speed there is no thread: whoever looks calls `catch_up` first, and every
    event runs at its own virtual time, however late it is looked at.
    """

    def __init__(self, start: float, speed: float = 0.0) -> None:
        self.lock = threading.RLock()
        self._now = start
        self._timers: list[Timer] = []
        self._numbers = itertools.count()
        self._speed = speed
        self._anchor = (time.monotonic(), start)

    def now(self) -> float:
        return self._now

    @property
    def speed(self) -> float:
        return self._speed

    @speed.setter
    def speed(self, factor: float) -> None:
        with self.lock:
            self.catch_up()
            self._speed = factor
            self._anchor = (time.monotonic(), self._now)

    def call_later(self, delay: float, callback: Callable[[], None]) -> Timer:
        timer = Timer(self._now + max(delay, 0.0), next(self._numbers), callback)
        heapq.heappush(self._timers, timer)
        return timer

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass, running every event that falls due on the way."""
        with self.lock:
            self._run_until(self._now + seconds)
            self._anchor = (time.monotonic(), self._now)

    def catch_up(self) -> None:
        """Run what fell due since the last look, where the clock has a speed."""
        with self.lock:
            if self._speed:
                began, then = self._anchor
                self._run_until(max(self._now, then + (time.monotonic() - began) * self._speed))

    def run_until(self, condition: Callable[[], bool], within: float) -> bool:
        """Advance event by event until `condition()` holds or `within` seconds have passed.

        Returns whether it holds.
        """
        with self.lock:
            end = self._now + within
            while not condition():
                following = self._following()
                if following is None or following.due > end:
                    self.advance(end - self._now)
                    return condition()
                self.advance(following.due - self._now)
            return True

    def _following(self) -> Timer | None:
        while self._timers and self._timers[0].callback is None:
            heapq.heappop(self._timers)
        return self._timers[0] if self._timers else None

    def _run_until(self, end: float) -> None:
        while (timer := self._following()) is not None and timer.due <= end:
            heapq.heappop(self._timers)
            self._now = max(self._now, timer.due)
            callback, timer.callback = timer.callback, None
            if callback is not None:
                callback()
        self._now = max(self._now, end)


def iso(seconds: float) -> str:
    """Return `2026-11-22T14:30:10Z`, as Nova shows times of servers."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def iso_micro(seconds: float) -> str:
    """Return `2026-11-22T14:30:10.000000`, as Nova shows times of migrations and services.

    The database keeps whole seconds.
    """
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%S.000000")


def parse(text: str) -> float:
    """Return seconds for an ISO 8601 time, UTC if it has no zone; ValueError for anything else."""
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
