"""Kubernetes Events: what `kubectl describe` shows under a resource. They mark transitions."""

import logging
import socket
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from kubernetes.client import ApiClient, CustomObjectsApi

from quiesce.api.annotations import GROUP
from quiesce.kube.errors import KubeError
from quiesce.kube.outgoing import outgoing_text
from quiesce.kube.resource import Resource
from quiesce.kube.store import MERGE
from quiesce.kube.writes import write

_NOTE_LIMIT = 1024
"""Bytes of a note: the API server refuses more (events.k8s.io/v1 validation)."""
_FOLD_SECONDS = 600.0
"""Repeats of an event within this time increase the count of the first one."""
_COUNT_SECONDS = 60.0
"""The count of a repeated event is sent at most this often."""

log = logging.getLogger(__name__)


@dataclass
class _Sent:
    name: str
    first: float
    counted: float
    count: int = 1


class Events:
    """Safe to use from many threads. An event that cannot be recorded is only logged."""

    def __init__(self, client: ApiClient, clock: Callable[[], float] = time.monotonic) -> None:
        self._api = CustomObjectsApi(client)
        self._clock = clock
        self._instance = socket.gethostname()
        self._lock = threading.Lock()
        self._sent: dict[tuple[str, ...], _Sent] = {}

    def emit(
        self,
        resource: Resource,
        type_: Literal["Normal", "Warning"],
        reason: str,
        action: str,
        message: str,
    ) -> None:
        """`reason` and `action` are CamelCase words; `message` is cleaned, and cut to what an
        Event may hold.
        """
        note = _bounded(outgoing_text(message))
        try:
            self._emit(resource, type_, reason, action, note)
        except KubeError as error:
            log.warning(
                "event %s not recorded: %s", reason, error, extra={"object": str(resource.key)}
            )

    def _emit(self, resource: Resource, type_: str, reason: str, action: str, note: str) -> None:
        now, same = self._clock(), (resource.uid, type_, reason, action, note)
        with self._lock:
            self._sent = {
                key: sent for key, sent in self._sent.items() if now - sent.first < _FOLD_SECONDS
            }
            sent = self._sent.get(same)
            if sent is None:
                name = _name(resource)
                self._sent[same] = _Sent(name, first=now, counted=now)
            else:
                sent.count += 1
                if now - sent.counted < _COUNT_SECONDS:
                    return
                sent.counted = now
        path = ("events.k8s.io", "v1", resource.key.namespace, "events")
        if sent is None:
            body = self._body(resource, name, type_, reason, action, note)
            write("events", "create", self._api.create_namespaced_custom_object, *path, body)
        else:
            series = {"series": {"count": sent.count, "lastObservedTime": _now()}}
            write(
                "events",
                "patch",
                self._api.patch_namespaced_custom_object,
                *path,
                sent.name,
                series,
                _content_type=MERGE,
            )

    def _body(
        self, resource: Resource, name: str, type_: str, reason: str, action: str, note: str
    ) -> dict[str, Any]:
        return {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"namespace": resource.key.namespace, "name": name},
            "eventTime": _now(),
            "reportingController": GROUP,
            "reportingInstance": self._instance,
            "type": type_,
            "reason": reason,
            "action": action,
            "note": note,
            "regarding": {
                "apiVersion": resource.api_version,
                "kind": resource.kind,
                "namespace": resource.key.namespace,
                "name": resource.key.name,
                "uid": resource.uid,
            },
        }


def _name(resource: Resource) -> str:
    """Unique; later ones sort after earlier ones: kubectl shows events in the order of names."""
    return f"{resource.key.name[:232].rstrip('-.')}.{time.time_ns():016x}{uuid.uuid4().hex[:4]}"


def _bounded(message: str) -> str:
    cut = message.encode()
    if len(cut) <= _NOTE_LIMIT:
        return message
    return cut[: _NOTE_LIMIT - len("…".encode())].decode(errors="ignore") + "…"


def _now() -> str:
    """A MicroTime: RFC 3339 with exactly six digits of a second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
