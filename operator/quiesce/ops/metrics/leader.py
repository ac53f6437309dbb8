"""Which of several processes works."""

from prometheus_client import Gauge

from quiesce.ops.metrics.registry import REGISTRY

_leader = Gauge(
    "quiesce_leader",
    "1: this process leads, and works; 0: it stands by",
    registry=REGISTRY,
)


def leader(leads: bool) -> None:
    """Whether this process holds the Lease, or runs without one."""
    _leader.set(leads)
