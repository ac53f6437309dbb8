"""No resource fills the log: how many lines one may have, and one line that says what is left out.

Anyone who may create drains, or runs the cloud or hosts that they name, has some influence on how
often something changes. Lines at level debug are not counted: anyone who sets it wants all of them.
"""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

BURST = 500
"""Lines of one resource at once: a host with a hundred servers that all begin to move."""
PER_SECOND = 1.0
"""Lines of one resource in the long run: a move has five."""
_TRACEBACK = 20
"""So many lines does one with a traceback count for."""
_TELL_AFTER = 60.0
"""Seconds after which lines that were left out are told of, whatever resource is logged next."""
_MOST = 10_000
"""Resources that are remembered: the one that has been silent longest is forgotten first."""
OF_RESOURCE = ("drain", "keyring")
"""Fields of a line that name its resource."""


@dataclass
class _Bucket:
    lines: float
    at: float
    omitted: int = 0
    since: float = 0.0


@dataclass
class LineLimit:
    """Safe to use from many threads."""

    burst: int = BURST
    per_second: float = PER_SECOND
    clock: Callable[[], float] = time.monotonic
    _buckets: "OrderedDict[tuple[str, str], _Bucket]" = field(default_factory=OrderedDict)
    _silenced: dict[tuple[str, str], _Bucket] = field(default_factory=dict)
    """Those with lines that were left out, and not told of yet."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def admit(
        self, record: logging.LogRecord, fields: Mapping[str, Any]
    ) -> tuple[bool, list[logging.LogRecord]]:
        """Whether to log this line, and lines to log before it: what was left out meanwhile."""
        now, whose = self.clock(), _resource(fields)
        with self._lock:
            told = [
                self._told(each)
                for each, bucket in list(self._silenced.items())
                if now - bucket.since >= _TELL_AFTER
            ]
            if whose is None or record.levelno < logging.INFO:
                return True, told
            admitted = self._take(whose, record, now)
            if admitted and whose in self._silenced:
                told.append(self._told(whose))
            return admitted, told

    def _take(self, whose: tuple[str, str], record: logging.LogRecord, now: float) -> bool:
        bucket = self._buckets.setdefault(whose, _Bucket(self.burst, now))
        self._buckets.move_to_end(whose)
        if len(self._buckets) > _MOST:
            self._buckets.popitem(last=False)
        bucket.lines = min(self.burst, bucket.lines + (now - bucket.at) * self.per_second)
        bucket.at = now
        if bucket.lines >= 1:
            bucket.lines -= _TRACEBACK if record.exc_info else 1
            return True
        if whose not in self._silenced:
            self._silenced[whose], bucket.since = bucket, now
        bucket.omitted += 1
        return False

    def _told(self, whose: tuple[str, str]) -> logging.LogRecord:
        bucket = self._silenced.pop(whose)
        text = (
            f"{bucket.omitted} lines of this {whose[0]} are left out: it has more than "
            f"{60 * self.per_second:.0f} a minute; its status and events are complete"
        )
        omitted, bucket.omitted = bucket.omitted, 0
        return logging.makeLogRecord(
            {
                "name": "quiesce.ops.log_limit",
                "levelno": logging.WARNING,
                "levelname": "WARNING",
                "msg": text,
                whose[0]: whose[1],
                "omitted": omitted,
            }
        )


def _resource(fields: Mapping[str, Any]) -> tuple[str, str] | None:
    return next(((kind, str(fields[kind])) for kind in OF_RESOURCE if kind in fields), None)
