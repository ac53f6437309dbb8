"""PURE. Words of a resource's metadata: API group, annotations that people set, our finalizers."""

from collections.abc import Mapping

from quiesce.api.outside import cleaned

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
SHARD_MARK = f"{GROUP}/shard."
"""Followed by the name of a Lease: the finalizer that says which shard works on the resource."""

SCOPE = f"{GROUP}/scope"
"""On a Lease: what its holder watches."""


VALUE_LENGTH = 256
"""Characters of a value that count: the API server takes 256 KiB."""


def request(annotations: Mapping[str, str], name: str) -> str | None:
    """The value of REQUESTED_AT or ROTATE_KEY, as it is remembered; None where there is none.

    The same for a value that was remembered: so no request is acted on twice.
    """
    value = annotations.get(name)
    return None if value is None else cleaned(value, VALUE_LENGTH)


def is_abandoned(annotations: Mapping[str, str]) -> bool:
    return annotations.get(ABANDON) == "true"
