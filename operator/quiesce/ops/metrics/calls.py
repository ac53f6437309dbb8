"""Requests to OpenStack, and writes to Kubernetes."""

from prometheus_client import Counter, Histogram

from quiesce.ops.metrics.registry import REGISTRY

_nova_requests = Counter(
    "quiesce_nova_requests",
    "Requests to OpenStack; status none: no answer",
    ["service", "method", "route", "status"],
    registry=REGISTRY,
)
_nova_seconds = Histogram(
    "quiesce_nova_request_duration_seconds",
    "How long a request to OpenStack took, whether or not it was answered",
    ["service", "method", "route"],
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
    registry=REGISTRY,
)
_kube_writes = Counter(
    "quiesce_kubernetes_writes",
    "Writes to the API server: kind as in its path, with the subresource; outcome ok or error",
    ["kind", "verb", "outcome"],
    registry=REGISTRY,
)


def nova_request(service: str, method: str, route: str, status: str, seconds: float) -> None:
    """`route` is a template such as /servers/{id}/action; `status` the HTTP status, or none."""
    _nova_requests.labels(service, method, route, status).inc()
    _nova_seconds.labels(service, method, route).observe(seconds)


def kube_write(kind: str, verb: str, outcome: str) -> None:
    """`kind`: such as computenodedrains/status; `verb`: create or patch; `outcome`: ok, error."""
    _kube_writes.labels(kind, verb, outcome).inc()
