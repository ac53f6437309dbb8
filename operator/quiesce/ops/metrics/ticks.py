"""Reconciliations, and the queues that they wait in."""

from collections.abc import Callable, Iterator

from prometheus_client import Counter, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from quiesce.ops.metrics.registry import REGISTRY

_OUTCOMES = ("ok", "retry", "bug")

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
_queue_wait = Histogram(
    "quiesce_queue_wait_seconds",
    "How long a resource that was due waited for a worker",
    ["kind"],
    buckets=(0.005, 0.025, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
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


_backlog = _Backlog()
REGISTRY.register(_backlog)


def tick(kind: str, outcome: str, seconds: float) -> None:
    """`kind`: drain or keyring; `outcome`: ok, retry or bug."""
    _tick_seconds.labels(kind).observe(seconds)
    _ticks.labels(kind, outcome).inc()


def queue_depth(kind: str, due: Callable[[], int]) -> None:
    """`due` is called at each scrape, from then on.

    The kind's counters begin at 0: Prometheus does not see the increase of one that begins at 1.
    """
    _backlog.watch(kind, due)
    for outcome in _OUTCOMES:
        _ticks.labels(kind, outcome)


def queue_wait(kind: str, seconds: float) -> None:
    """From when a resource was due until a worker took it."""
    _queue_wait.labels(kind).observe(seconds)
