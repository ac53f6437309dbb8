"""What time it is, for what is decided and for what people read.

The clock of a machine is set now and then, by NTP or by a person, and the difference of two of its
times is then no duration. So what is decided goes by a clock that nobody sets, and only what people
read, or other programs, follows the machine's.
"""

import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from quiesce.ops.leadership import uptime

log = logging.getLogger(__name__)

_SLIGHT = timedelta(seconds=2)
_MEANING = "times in statuses follow it, and waiting lasts as long as before"


def _wall() -> datetime:
    return datetime.now(UTC)


class Clock:
    """Safe to use from many threads.

    NTP adjusts the rate of the uptime together with that of the machine's clock, and never sets it
    (clock_gettime(2)): the two differ by what the machine's clock was set by, and by no more.
    """

    def __init__(
        self, wall: Callable[[], datetime] = _wall, uptime: Callable[[], float] = uptime
    ) -> None:
        self._wall, self._uptime = wall, uptime
        self._began, self._at = wall(), uptime()
        self._set_by, self._lock = timedelta(0), threading.Lock()

    def now(self) -> datetime:
        """For durations: the machine's time at the start of the process, and what has passed since.
        Its differences are true whatever the machine's clock was set to meanwhile.
        """
        return self._began + timedelta(seconds=self._uptime() - self._at)

    def set_by(self) -> timedelta:
        """What to add to `now` for the machine's time of day. It stays the same, and 0 at first,
        until the machine's clock is set by two seconds or more, of which the log tells.
        """
        with self._lock:
            found = self._wall() - self.now()
            step = found - self._set_by
            if abs(step) < _SLIGHT:
                return self._set_by
            self._set_by = found
        way = "forward" if step > timedelta(0) else "back"
        text = "the clock of this machine was set %s by %.0f s: %s"
        log.warning(text, way, abs(step).total_seconds(), _MEANING)
        return found

    def wall(self) -> datetime:
        """The machine's time of day, for what people read."""
        return self.now() + self.set_by()
