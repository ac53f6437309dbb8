"""What is counted, for Prometheus. Labels have few values: never a server, a host or a resource."""

import threading
from collections import Counter as Tally
from collections.abc import Callable, Hashable, Iterator

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics import disable_created_metrics
from prometheus_client.registry import Collector

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each
REGISTRY = CollectorRegistry()
PlatformCollector(REGISTRY)
ProcessCollector(registry=REGISTRY)
GCCollector(REGISTRY)

_tick_seconds = Histogram(
    "quiesce_tick_duration_seconds",
    "One tick of one resource, from reading it to the last call",
    ["kind"],
    buckets=(0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
    registry=REGISTRY,
)
_ticks = Counter(
    "quiesce_ticks",
    "Ticks of resources: ok, retry (the API server failed), or bug (see the log)",
    ["kind", "outcome"],
    registry=REGISTRY,
)
_nova_requests = Counter(
    "quiesce_nova_requests",
    "Requests to OpenStack; status none: no answer",
    ["service", "method", "route", "status"],
    registry=REGISTRY,
)
_moves_started = Counter(
    "quiesce_moves_started", "Moves of servers requested from Nova", ["method"], registry=REGISTRY
)
_moves_finished = Counter(
    "quiesce_moves_finished",
    "Moves of servers that ended",
    ["method", "result"],
    registry=REGISTRY,
)
_leader = Gauge(
    "quiesce_leader",
    "1: this process leads, and works; 0: it stands by",
    registry=REGISTRY,
)


class _Backlog(Collector):
    """Keys that are due but wait for a worker, read from the queues at each scrape."""

    def __init__(self) -> None:
        self._of: dict[str, Callable[[], int]] = {}

    def watch(self, kind: str, due: Callable[[], int]) -> None:
        self._of[kind] = due

    def collect(self) -> Iterator[GaugeMetricFamily]:
        family = GaugeMetricFamily(
            "quiesce_queue_depth",
            "Resources that are due and wait for a worker",
            labels=["kind"],
        )
        for kind, due in sorted(self._of.items()):
            family.add_metric([kind], due())
        yield family


class _Phases(Collector):
    """How many drains are in which phase. A phase that became empty shows 0."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._phases: dict[Hashable, str] = {}
        self._known: set[str] = set()

    def put(self, drain: Hashable, phase: str | None) -> None:
        with self._lock:
            if phase is None:
                self._phases.pop(drain, None)
            else:
                self._phases[drain] = phase
                self._known.add(phase)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        family = GaugeMetricFamily("quiesce_drains", "ComputeNodeDrains by phase", labels=["phase"])
        with self._lock:
            tally = Tally(self._phases.values())
            for phase in sorted(self._known):
                family.add_metric([phase], tally[phase])
        yield family


_backlog, _phases = _Backlog(), _Phases()
REGISTRY.register(_backlog)
REGISTRY.register(_phases)


def tick(kind: str, outcome: str, seconds: float) -> None:
    """`kind`: drain or keyring; `outcome`: ok, retry or bug."""
    _tick_seconds.labels(kind).observe(seconds)
    _ticks.labels(kind, outcome).inc()


def leader(leads: bool) -> None:
    """Whether this process holds the Lease, or runs without one."""
    _leader.set(leads)


def queue_depth(kind: str, due: Callable[[], int]) -> None:
    """`due` is called at each scrape, from then on."""
    _backlog.watch(kind, due)


def nova_request(service: str, method: str, route: str, status: str) -> None:
    """`route` is a template such as /servers/{id}/action; `status` the HTTP status, or none."""
    _nova_requests.labels(service, method, route, status).inc()


def move_started(method: str) -> None:
    """`method`: cold, live or offload."""
    _moves_started.labels(method).inc()


def move_finished(method: str, result: str) -> None:
    """`result`: done, or why it failed."""
    _moves_finished.labels(method, result).inc()


def drain_phase(drain: Hashable, phase: str | None) -> None:
    """`drain`: anything that tells drains apart, such as their Key; `phase` None: it is gone."""
    _phases.put(drain, phase)
