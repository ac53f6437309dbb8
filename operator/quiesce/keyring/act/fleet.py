"""The hosts of one keyring, and the threads in which they are visited.

Visits run beside the ticks, so that a slow host never holds up a worker. A host that failed last
time, or was never observed, waits in a lane of its own, so that many dead hosts hold up no healthy
one; and neither a namespace nor a keyring can have a whole lane, so that its hosts hold up those of
no other.
"""

import logging
import queue
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from quiesce.keyring.act.kept import MOST_KEPT, Kept, Share
from quiesce.keyring.act.visit import VisitOrder
from quiesce.keyring.model import HostFailure, HostRecord, VisitResult
from quiesce.ops.leadership import NotLeading
from quiesce.ops.logging import with_fields
from quiesce.ops.places import NamespacedPlaces
from quiesce.runtime.incident import reference

log = logging.getLogger(__name__)

HEALTHY_LANE = 16
"""Visits at a time of one keyring whose hosts are healthy, while there is no other."""
_NOT_KEPT = HostFailure(
    "NoReport",
    f"its report is not kept: {MOST_KEPT // 2**20} MiB is all that is kept of all keyrings' hosts",
    needs_person=False,
    remedies=(
        "Find the keyring with the most hosts, or with hosts that report what no other host does",
        "Set spec.probe: Ring where a keyring of many hosts has All",
    ),
)


class Lane(StrEnum):
    """Hosts wait for others of their own kind only."""

    HEALTHY = "healthy"
    """Observed before, and not failed since."""
    NEW = "new"
    """Not observed yet: nothing is known of what answers there."""
    FAILING = "failing"

    @classmethod
    def of(cls, record: HostRecord) -> "Lane":
        if record.failure is not None:
            return cls.FAILING
        return cls.NEW if record.observation is None else cls.HEALTHY


_SIZES = {Lane.HEALTHY: 36, Lane.NEW: 36, Lane.FAILING: 9}
"""Visits at a time, of all keyrings together. While there is one namespace: 24, 24 and 6, of one
keyring 16, 16 and 4.
"""


class Lanes:
    """How many visits may run at once in this process, over all keyrings.

    Hosts that answer slowly, or not at all, delay their own namespace only, and in it mostly their
    own keyring.
    """

    def __init__(self, sizes: Mapping[Lane, int] = _SIZES) -> None:
        self.kept = Kept()
        self._places = {lane: NamespacedPlaces(size) for lane, size in sizes.items()}

    def enter(self, lane: Lane, namespace: str, keyring: object) -> bool:
        """False: the share of the namespace, or that of the keyring, is in use."""
        return self._places[lane].enter(namespace, keyring)

    def leave(self, lane: Lane, namespace: str, keyring: object) -> None:
        self._places[lane].leave(namespace, keyring)


@dataclass
class Fleet:
    """One tick at a time uses it; only the visits run in other threads.

    `requested_at`: the annotation's value that was acted on. `announced`: host -> reason of the
    last failure that an event reported. `namespace`: the keyring's.
    """

    lanes: Lanes
    visit: Callable[[VisitOrder], VisitResult]
    hosts: dict[str, HostRecord] = field(default_factory=dict)
    in_flight: set[str] = field(default_factory=set)
    requested_at: str | None = None
    announced: dict[str, str] = field(default_factory=dict)
    namespace: str = ""
    _share: Share = field(default_factory=Share)
    """Stands for this keyring in the lanes."""
    _sizes: dict[str, int] = field(default_factory=dict)
    """Bytes that are kept of each host."""
    _total: int = 0
    _outdated: set[str] = field(default_factory=set)
    """Hosts whose visit in flight began before the last request: it does not answer that."""
    _done: "queue.Queue[tuple[str, VisitResult]]" = field(default_factory=queue.Queue)

    def keep_only(self, names: Iterable[str]) -> None:
        """Forgets hosts that are no longer part of the keyring, and paths to them."""
        kept = set(names)
        self.hosts = {
            name: self.hosts.get(name, HostRecord()).keep_paths(kept) for name in sorted(kept)
        }
        self._sizes = {name: size for name, size in self._sizes.items() if name in kept}
        self._total = sum(self._sizes.values())
        self.lanes.kept.hold(self._share, self._total)

    def handle_request(self, requested_at: str | None) -> None:
        """Another value than before: every host and every path is due at once."""
        if requested_at == self.requested_at:
            return
        self.requested_at = requested_at
        self._outdated = set(self.in_flight)
        self.hosts = {name: record.make_due() for name, record in self.hosts.items()}

    def start(self, name: str, order: VisitOrder) -> bool:
        """Begins a visit; False where the share in the lane is in use: later."""
        lane = Lane.of(self.hosts[name])
        if not self.lanes.enter(lane, self.namespace, self._share):
            return False
        self.in_flight.add(name)
        threading.Thread(
            target=with_fields(self._run),
            args=(name, order, lane),
            name=f"visit-{name}",
            daemon=True,
        ).start()
        return True

    def collect(self, timeout: float, now: Callable[[], float]) -> list[tuple[str, VisitResult]]:
        """Results of the visits that have ended, waiting up to `timeout` seconds for the first.

        They are recorded; those of hosts that are no longer part of the keyring are dropped.
        """
        ended: list[tuple[str, VisitResult]] = []
        try:
            ended.append(
                self._done.get(timeout=timeout) if timeout > 0 else self._done.get_nowait()
            )
            while True:
                ended.append(self._done.get_nowait())
        except queue.Empty:
            self.in_flight -= {name for name, _ in ended}
        for name, result in ended:
            self._record(name, result, now())
        return [(name, result) for name, result in ended if name in self.hosts]

    def _record(self, name: str, result: VisitResult, now: float) -> None:
        if name not in self.hosts:
            return
        record = self.hosts[name].after(result, now)
        if not self._hold(name, record):
            record = self.hosts[name].after(VisitResult(failure=_NOT_KEPT), now)
        self.hosts[name] = record.make_due() if name in self._outdated else record
        self._outdated.discard(name)

    def _hold(self, name: str, record: HostRecord) -> bool:
        size = record.weight
        total = self._total + size - self._sizes.get(name, 0)
        if not self.lanes.kept.hold(self._share, total):
            return False
        self._sizes[name], self._total = size, total
        return True

    def _run(self, name: str, order: VisitOrder, lane: Lane) -> None:
        try:
            result = self.visit(order)
        except NotLeading as error:  # this process is ending
            result = VisitResult(failure=HostFailure("NotLeading", str(error), needs_person=False))
        except Exception as error:  # it must not seem to be a visit that never ends
            found, kind = reference(error), type(error).__name__
            log.exception("unexpected error in a visit to %s (reference %s)", name, found)
            text = f"unexpected {kind}: a defect of the operator; search its log for {found}"
            result = VisitResult(failure=HostFailure("InternalError", text, needs_person=False))
        finally:
            self.lanes.leave(lane, self.namespace, self._share)
        self._done.put((name, result))
