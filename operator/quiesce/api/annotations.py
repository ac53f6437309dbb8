"""PURE. Words of a resource's metadata: API group, annotations that people set, our finalizers."""

from collections.abc import Mapping

GROUP = "quiesce.dev"
VERSION = "v1alpha1"

REQUESTED_AT = f"{GROUP}/requestedAt"
"""Any new value: reconcile now, and retry at once what is backing off."""
ABANDON = f"{GROUP}/abandon"
"""`"true"`: when the resource is deleted, release it at once, with nothing undone."""
ROTATE_KEY = f"{GROUP}/rotateKey"
"""Any new value: make a new migration key now."""

DRAIN_FINALIZER = f"{GROUP}/drain"
KEYRING_FINALIZER = f"{GROUP}/keyring"


def is_abandoned(annotations: Mapping[str, str]) -> bool:
    return annotations.get(ABANDON) == "true"
