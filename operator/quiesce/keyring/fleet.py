"""The visits of one keyring: what they brought so far, and the threads that carry them out.

This memory is a cache: after a restart every host is visited anew and nothing is lost.
Visits run beside the ticks, so that a slow host never holds up a worker; a host that failed last
time waits in a lane of its own, so that many dead hosts hold up no healthy one.
"""

import logging
import math
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from quiesce.keyring.sight import Sight
from quiesce.keyring.visit import Failure, Order, Pair, Visit

log = logging.getLogger(__name__)

HEALTHY_LANE = 16
SICK_LANE = 4
FIRST_RETRY = 5.0
LAST_RETRY = 120.0


@dataclass
class Proof:
    """The last login of the account from one host to another, and with which key."""

    pair: Pair
    at: float
    key_id: str | None
    failures: int = 0

    @property
    def retry_at(self) -> float:
        return self.at + retry_after(self.failures)


@dataclass
class HostMemory:
    """What is known of one host. `at` None: not visited yet (in this process)."""

    at: float | None = None
    sight: Sight | None = None
    since: float = 0.0
    """When the sight last changed."""
    failure: Failure | None = None
    failures: int = 0
    proofs: dict[str, Proof] = field(default_factory=dict)
    clear: bool = False
    """Nothing of ours was left there at the last visit."""

    @property
    def retry_at(self) -> float:
        return 0.0 if self.at is None else self.at + retry_after(self.failures)

    def ask(self) -> None:
        """Everything is due at once; what is known holds until then."""
        self.at = None
        for proof in self.proofs.values():
            proof.at = -math.inf

    def take(self, visit: Visit, now: float) -> None:
        """A visit has ended."""
        self.at, self.failure, self.clear = now, visit.failure, visit.clear
        self.failures = self.failures + 1 if visit.failure else 0
        if visit.sight is not None:
            self.since = self.since if visit.sight == self.sight else now
            self.sight = visit.sight
        for target, pair in visit.pairs:
            before = self.proofs.get(target)
            failures = (before.failures if before else 0) + 1 if pair.reason else 0
            self.proofs[target] = Proof(
                pair, now, visit.sight.uses if visit.sight else None, failures
            )


def retry_after(failures: int) -> float:
    """Seconds to wait after so many failures in a row."""
    return 0.0 if failures == 0 else min(FIRST_RETRY * 2 ** (failures - 1), LAST_RETRY)


class Lanes:
    """How many visits may run at once in this process, over all keyrings."""

    def __init__(self, healthy: int = HEALTHY_LANE, sick: int = SICK_LANE) -> None:
        self._free = {False: healthy, True: sick}
        self._lock = threading.Lock()

    def enter(self, sick: bool) -> bool:
        with self._lock:
            if self._free[sick] == 0:
                return False
            self._free[sick] -= 1
            return True

    def leave(self, sick: bool) -> None:
        with self._lock:
            self._free[sick] += 1


class Fleet:
    """The hosts of one keyring. Used by one tick at a time; only the visits run in other threads."""

    def __init__(self, lanes: Lanes, visit: Callable[[Order], Visit]) -> None:
        self.hosts: dict[str, HostMemory] = {}
        self.in_flight: set[str] = set()
        self.requested: str | None = None
        self.announced: dict[str, str] = {}
        """Of each host the last failure that an event told of."""
        self._begun_before: set[str] = set()
        """Hosts whose visit in flight began before everything was asked for anew: it does not count as that look."""
        self._lanes, self._visit = lanes, visit
        self._done: queue.Queue[tuple[str, Visit]] = queue.Queue()

    def keep_only(self, names: set[str]) -> None:
        """Forgets hosts that are no longer part of the keyring."""
        self.hosts = {name: self.hosts.get(name) or HostMemory() for name in sorted(names)}
        for memory in self.hosts.values():
            memory.proofs = {
                target: proof for target, proof in memory.proofs.items() if target in names
            }

    def ask(self) -> None:
        """Every host and every path is due at once."""
        self._begun_before = set(self.in_flight)
        for memory in self.hosts.values():
            memory.ask()

    def take(self, name: str, visit: Visit, now: float) -> None:
        """A visit has ended, to a host that may be no part of the keyring any more."""
        if name not in self.hosts:
            return
        self.hosts[name].take(visit, now)
        if name in self._begun_before:
            self._begun_before.discard(name)
            self.hosts[name].ask()

    def start(self, name: str, order: Order) -> bool:
        """Begins a visit; False where the lane is full: later."""
        sick = self.hosts[name].failure is not None
        if not self._lanes.enter(sick):
            return False
        self.in_flight.add(name)
        threading.Thread(
            target=self._run, args=(name, order, sick), name=f"visit-{name}", daemon=True
        ).start()
        return True

    def _run(self, name: str, order: Order, sick: bool) -> None:
        try:
            brought = self._visit(order)
        except Exception as error:  # a defect of ours must not look like a visit that never ends
            log.exception("unexpected in a visit to %s: this is a bug", name)
            brought = Visit(
                failure=Failure("InternalError", f"{type(error).__name__}: {error}", person=False)
            )
        finally:
            self._lanes.leave(sick)
        self._done.put((name, brought))

    def collect(self, timeout: float) -> list[tuple[str, Visit]]:
        """The visits that have ended, waiting up to `timeout` seconds for the first."""
        ended: list[tuple[str, Visit]] = []
        try:
            ended.append(
                self._done.get(timeout=timeout) if timeout > 0 else self._done.get_nowait()
            )
            while True:
                ended.append(self._done.get_nowait())
        except queue.Empty:
            self.in_flight -= {name for name, _ in ended}
            return ended
