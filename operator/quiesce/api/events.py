"""PURE. What is reported when a resource changes: as a Kubernetes Event and a log line."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Event:
    """`reason` and `action` are CamelCase words (events.k8s.io/v1); `message` is for people."""

    type: Literal["Normal", "Warning"]
    reason: str
    action: str
    message: str


def normal(reason: str, action: str, message: str) -> Event:
    return Event("Normal", reason, action, message)


def warning(reason: str, action: str, message: str) -> Event:
    return Event("Warning", reason, action, message)
