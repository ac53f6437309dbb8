"""Calls that change something at the API server, counted for Prometheus."""

from collections.abc import Callable
from typing import Any

from quiesce.kube.errors import KubeError, call
from quiesce.ops import metrics


def write(kind: str, verb: str, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """A `call` that changes something, counted by kind and verb. Raises KubeError."""
    try:
        answer = call(method, *args, **kwargs)
    except KubeError:
        metrics.kube_write(kind, verb, "error")
        raise
    metrics.kube_write(kind, verb, "ok")
    return answer
