"""The one way to report something: the status, then Events and log lines for what changed."""

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from quiesce.api.events import Event
from quiesce.kube.resource import Resource
from quiesce.runtime.kinds import Context

log = logging.getLogger(__name__)


def publish(
    context: Context, resource: Resource, status: Mapping[str, Any], events: Iterable[Event] = ()
) -> None:
    """Writes `status` whole, if it differs from the stored one, then announces `events`.

    The status comes first: no event reports what the status does not show yet.
    Raises KubeError where the status cannot be written.
    """
    context.store.write_status(resource, status)
    announce(context, resource, events)


def announce(context: Context, resource: Resource, events: Iterable[Event]) -> None:
    """Each as a Kubernetes Event of the resource and as a log line. Never raises KubeError."""
    for event in events:
        context.events.emit(resource, event.type, event.reason, event.action, event.message)
        level = logging.WARNING if event.type == "Warning" else logging.INFO
        fields = {"event": event.reason}
        log.log(level, "%s: %s", event.reason, event.message, extra=fields)
