"""The one registry that /metrics shows."""

from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    Info,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.metrics import disable_created_metrics

from quiesce import __version__

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each
REGISTRY = CollectorRegistry()
PlatformCollector(REGISTRY)
ProcessCollector(registry=REGISTRY)
GCCollector(REGISTRY)
Info("quiesce_build", "The version that runs", registry=REGISTRY).info({"version": __version__})
