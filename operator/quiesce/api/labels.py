"""PURE. Labels of Secrets: what a person lets the operator use, and what it has made itself.

Anyone who may create a resource names Secrets in it, and need not be allowed to read them. So a
Secret is used only for what its own labels say, which only those can set who may change it.
"""

from quiesce.api.annotations import GROUP

CLOUD_CREDENTIALS = f"{GROUP}/cloud-credentials"
"""`"true"`: may be named in `cloudCredentialsRef`."""
HOST_LOGIN = f"{GROUP}/host-login"
"""`"true"`: may be named in `hostAccess.privateKeySecretRef`."""
MIGRATION_KEY = f"{GROUP}/migration-key"
"""`"true"`: may be named in `key.secretName`: its private key is copied to every host."""

MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGER = "quiesce"
OWNER_UID = f"{GROUP}/owner-uid"
"""On a Secret that the operator has made: the uid of the resource that it was made for."""


def own_labels(uid: str) -> dict[str, str]:
    """What marks a Secret that was made for the resource with this uid."""
    return {MANAGED_BY: MANAGER, OWNER_UID: uid}


def label_command(namespace: str, name: str, *labels: str) -> str:
    """What a person runs; each of `labels` is `KEY=VALUE`."""
    return f"kubectl label secret -n {namespace} {name} {' '.join(labels)}"


def not_released(namespace: str, name: str, label: str) -> str:
    """Why a Secret is not used, and the command that allows it."""
    return (
        f"Secret {namespace}/{name} does not have the label {label}=true, which allows this use of "
        f"it: {label_command(namespace, name, f'{label}=true')}"
    )
