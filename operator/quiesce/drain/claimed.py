"""Which drain of this process holds which host of which cloud."""

import hashlib
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import replace

from quiesce.drain.decide.claims import Claim, ignored, refuse_second
from quiesce.ops.logging import get_logger

LISTED_WITHIN = 5.0
"""Seconds for which a list of all drains counts, where this process alone gives hosts to them."""

log = get_logger(__name__)


def cloud_digest(identity: str) -> str:
    """What is recorded of a cloud: it tells one from another, and no address."""
    return hashlib.sha256(identity.encode()).hexdigest()[:32]


class StoredClaims:
    """The claims of all drains as they are stored, of which many that are new ask at once.

    A drain that has begun since a list was read has begun in this process, which holds its host,
    unless other processes work on drains as well. Safe to use from many threads.
    """

    def __init__(
        self, read: Callable[[], Iterable[Claim]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._read, self._clock = read, clock
        self._lock = threading.Lock()
        self._last: tuple[float, tuple[Claim, ...]] | None = None

    def get(self, *, fresh: bool = False) -> tuple[Claim, ...]:
        """Read LISTED_WITHIN seconds before this call at most; `fresh`: after it. Those that wait
        for the same list share it. Raises what `read` raises.
        """
        oldest = self._clock() - (0.0 if fresh else LISTED_WITHIN)
        with self._lock:
            if self._last is None or self._last[0] <= oldest:
                self._last = self._clock(), tuple(self._read())
            return self._last[1]


class Claims:
    """Safe to use from many threads: of two drains that ask at once, one is given the host."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[str, Claim] = {}
        self._clouds: dict[str, str] = {}
        self._said: dict[str, str] = {}

    def cloud_of(self, uid: str) -> str | None:
        """The digest of the cloud in which this drain's credentials have worked; None: nowhere."""
        return self._clouds.get(uid)

    def prove(self, uid: str, cloud: str) -> None:
        """Its credentials have just worked in this cloud."""
        self._clouds[uid] = cloud

    def hold(self, claim: Claim) -> None:
        """One that has begun keeps its host, whichever other one asks for it."""
        with self._lock:
            self._held[claim.uid] = claim

    def take(
        self, mine: Claim, others: Callable[[], Iterable[Claim]], *, divided: bool = False
    ) -> None:
        """Raises HostTaken. `others`: all drains as stored; read only where no drain of this
        process holds the host, and once for the one that is given it.

        `divided`: drains of other processes are among them, which ask in the same way.
        """
        given = replace(mine, begun=True)
        with self._lock:
            if self._held.get(mine.uid) == given:
                return
            refuse_second(mine, self._held.values())
            self._held[mine.uid] = given
        try:
            stored = list(others())
            self._say(mine, stored)
            refuse_second(mine, stored, divided=divided)
        except BaseException:
            with self._lock:
                self._held.pop(mine.uid, None)
            raise

    def refuse(self, mine: Claim, others: Iterable[Claim]) -> None:
        """Raises HostTaken where another drain keeps it off already, before it has asked."""
        refuse_second(mine, others)

    def forget(self, uid: str) -> None:
        with self._lock:
            for kept in (self._held, self._clouds, self._said):
                kept.pop(uid, None)

    def _say(self, mine: Claim, stored: Iterable[Claim]) -> None:
        text = ignored(mine, stored)
        if text is not None and self._said.get(mine.uid) != text:
            self._said[mine.uid] = text
            log.info("%s", text)
