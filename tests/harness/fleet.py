"""Many drains of one cloud, side by side, on the stand-in in virtual time: what a machine is busy
with changes nothing.

The queue is the operator's own. Its workers take what is due; a tick happens at one moment, and
holds its worker for as long as its requests take.
"""

import heapq
import math
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast
from unittest import mock

from quiesce.drain.limiter import MoveLimiter
from quiesce.drain.newcomers import Newcomers
from quiesce.drain.reconcile import Drains
from quiesce.drain.rest import Rests
from quiesce.kube.resource import Key
from quiesce.openstack.cloud import Cloud
from quiesce.openstack.routes import route
from quiesce.openstack.session import Clouds
from quiesce.ops.clock import Clock
from quiesce.runtime.kinds import Context
from quiesce.runtime.reconciler import ResourceReconciler
from quiesce.runtime.workqueue import WorkQueue
from quiesce.settings import Settings
from tests.beds.sim.model import Cloud as Model
from tests.beds.sim.simulator import CloudApplication
from tests.beds.sim.state import Config
from tests.harness.inprocess import Boundary, MemoryEvents, MemorySecrets, MemoryStore, watched
from tests.model import nova
from tests.model.world import OneAfterTheOther, OneCloud

REQUEST = 0.05  # virtual seconds that a request takes
RECORDED = 0.4  # from the call that asks for a move to Nova's record of it, at most
TARGETS = 10  # hosts that take the servers, with less free memory than those that are drained


class Counting(nova.InProcess):
    """`made`: requests by route, and for which filter. `disabled`: when each service was."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.made: Counter[str] = Counter()
        self.disabled: dict[str, float] = {}

    def _send(self, service: Any, method: str, path: str, query: Any = (), body: Any = None) -> Any:
        kind = next((k for k in ("changes-since", "host", "status") if k in dict(query)), "")
        self.made[f"{method} {route(path)} {kind}".strip()] += 1
        if method == "PUT" and path.startswith("/os-services/"):
            self.disabled.setdefault(path.rpartition("/")[2], self._cloud.clock.now())
        return super()._send(service, method, path, query, body)


class Fleet:
    """`drains` hosts with `servers` each, whose moves take `seconds`: the same, or each its own.

    `shared`: cold moves take that long alone, and longer beside others on a line of one of their
    hosts. Drains are applied `spread` virtual seconds after each other, as kubectl does. `made`:
    requests, by method, route and filter. `max_moves`, `max_arrivals`: as the flags of these names.
    `apart`: hosts whose drains are in a namespace of their own.
    """

    def __init__(
        self,
        drains: int,
        servers: int,
        seconds: int | Sequence[int],
        *,
        shared: bool = False,
        spread: float = 0.0,
        workers: int = Settings().workers,
        method: str = "Cold",
        parallel: int = 4,
        max_moves: int = 0,
        max_arrivals: int = 0,
        apart: Collection[str] = (),
    ) -> None:
        self.apart = apart
        self.max_moves, self.max_arrivals = max_moves, max_arrivals
        self.workers, self.migration = workers, {"method": method, "maxParallel": parallel}
        model = self.model = Model((), seed=1, config=Config(max_concurrent_live_migrations=4))
        self.servers = drains * servers
        self.hosts = [f"src{number}" for number in range(drains)]
        for host in self.hosts:
            model.computes.add(host, vcpus=2 * servers)
        for number in range(TARGETS):
            model.computes.add(f"dst{number}", vcpus=servers * drains, ram=60000, disk=100000)
        step = "live_migration" if method == "Live" else "migrate_disk_and_power_off"
        lasts = [seconds] * servers if isinstance(seconds, int) else seconds
        for host in self.hosts:
            for number, each in enumerate(lasts):
                fault = {f"fault.{step}": f"{'copy' if shared else 'sleep'}:{each}"}
                model.boot(f"{host}-{number}", host=host, metadata=fault)
        model.clock.advance(30)
        self.applied: dict[str, float] = {}
        self.busy: list[tuple[float, Key, float | None]] = []
        self.began = model.clock.now()
        self.to_come = [(self.began + spread * n, host) for n, host in enumerate(self.hosts)]
        self.store = MemoryStore(Boundary())
        self._connect()

    def _connect(self) -> None:
        clock, application = self.model.clock, CloudApplication(self.model)
        quiet = SimpleNamespace(sent=_ignore, before=_ignore, after=_ignore)
        self.api = Counting(self.model, application, Boundary(), cast(Any, quiet), lambda *_: None)
        settings = Settings(listen=None)
        clouds = cast(Clouds, OneCloud(Cloud(self.api, clock.now)))
        stores: Any = (self.store, MemorySecrets("{}"), MemoryEvents(), {}, clouds)
        context = Context(settings, *stores)
        self.newcomers = Newcomers(clock.now)
        rests = Rests(clock.now)
        drains = self.actuator = Drains(
            context,
            MoveLimiter(self.max_moves, clock.now, self.max_arrivals),
            Clock(self._now, clock.now),
            newcomers=self.newcomers,
            resting=rests,
        )
        self.reconcile = watched(self.store, rests, ResourceReconciler(context, drains).reconcile)
        self.queue: WorkQueue[Key] = WorkQueue(clock.now, lambda key: key.namespace)
        self.queue.share_among(self.workers)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self.model.clock.now(), UTC)

    def _apply_due(self) -> None:
        now = self.model.clock.now()
        while self.to_come and self.to_come[0][0] <= now:
            _, host = self.to_come.pop(0)
            key = Key("apart" if host in self.apart else "openstack", host)
            spec = {"host": host, "migration": self.migration}
            self.store.put(key, spec, self._now())
            self.applied[host] = now
            resource = self.store.get(key)
            assert resource is not None
            self.newcomers.notice(resource)
            self.queue.add(key, news=True)

    def restart(self) -> None:
        """Another process goes on, and knows what is stored and nothing else."""
        self.busy.clear()
        self._connect()
        for key in self.store.objects:
            resource = self.store.get(key)
            assert resource is not None
            self.actuator.see(resource, gone=False)
            self.queue.add(key)

    def run(self, seconds: float) -> None:
        """Lets virtual time pass."""
        clock = self.model.clock
        end = clock.now() + seconds
        with virtual_time(clock.now):
            while clock.now() < end:
                self._apply_due()
                self._begin_ticks()
                ends = self.busy[0][0] if self.busy else math.inf
                clock.advance(max(0.0, min(ends - clock.now(), 0.1)))
                while self.busy and self.busy[0][0] <= clock.now():
                    _, key, delay = heapq.heappop(self.busy)
                    self.queue.done(key, delay)

    def _begin_ticks(self) -> None:
        while len(self.busy) < self.workers and (key := self.queue.get(0)) is not None:
            before = self.api.made.total()
            delay = self.reconcile(key)
            took = REQUEST * (1 + self.api.made.total() - before)
            heapq.heappush(self.busy, (self.model.clock.now() + took, key, delay))

    def waits(self) -> list[float]:
        """From apply to the request that disables, ascending; inf: it was not sent yet."""
        ids = {host: self.model.service(host) for host in self.hosts}
        return sorted(
            self.api.disabled.get(service.id, math.inf) - self.applied[host]
            for host, service in ids.items()
            if service is not None
        )

    @property
    def made(self) -> Counter[str]:
        return self.api.made

    @property
    def moved_astray(self) -> int:
        """Moves to hosts whose drain was applied before they were asked for."""
        return sum(
            m.dest in self.applied and m.created_at - RECORDED > self.applied[m.dest]
            for m in self.model.state.migrations
        )

    @property
    def moved(self) -> int:
        """Servers that have left for good."""
        return sum(m.status in ("confirmed", "completed") for m in self.model.state.migrations)


def _ignore(*_: Any, **__: Any) -> None:
    pass


@contextmanager
def virtual_time(clock: Callable[[], float]) -> Iterator[None]:
    with (
        mock.patch("quiesce.drain.reconcile.time", SimpleNamespace(monotonic=clock)),
        mock.patch("quiesce.openstack.side_by_side.ThreadPoolExecutor", OneAfterTheOther),
        mock.patch.object(nova, "LATENCY", 0.0),
    ):
        yield
