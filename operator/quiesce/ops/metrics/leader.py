"""Which of several processes works."""

from prometheus_client import Gauge

from quiesce.ops.metrics.registry import REGISTRY

_leader = Gauge(
    "quiesce_leader",
    "1: this process leads, and works; 0: it stands by",
    ["lease"],
    registry=REGISTRY,
)


def leader(lease: str, *, leads: bool) -> None:
    """Whether this process holds the Lease `namespace/name`, or runs without one: "".

    All replicas of one operator have the same Lease, and no two operators.
    """
    _leader.labels(lease=lease).set(leads)
