"""What specs say about compute hosts: how to log in there, and what runs nova-compute.

Names, addresses and paths that could mean something else to a shell, to sshd or to a file system
are refused here as well as by the CRDs: what is stored may be older than the CRD.
"""

import re
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, Field

from quiesce.api.model import Model

_HOST_NAME = r"[A-Za-z0-9]([A-Za-z0-9._-]{0,253}[A-Za-z0-9])?"
ADDRESS = r"[A-Za-z0-9:][A-Za-z0-9.:_-]{0,253}"


def matching(pattern: str) -> AfterValidator:
    """A value of exactly this form; no part of a path may be `..`."""

    def check(value: str) -> str:
        if not re.fullmatch(pattern, value) or ".." in value.split("/"):
            raise ValueError(f"{value!r} is not allowed here")
        return value

    return AfterValidator(check)


HostName = Annotated[str, matching(_HOST_NAME)]
Address = Annotated[str, matching(ADDRESS)]
UserName = Annotated[str, matching(r"[A-Za-z_][A-Za-z0-9._-]{0,31}")]
Port = Annotated[int, Field(ge=1, le=65535)]


class Become(StrEnum):
    NONE = "None"
    SUDO = "Sudo"


class ObjectKind(StrEnum):
    CONFIG_MAP = "ConfigMap"
    SECRET = "Secret"  # noqa: S105 -- the name of a kind


class SecretKeyRef(Model):
    name: str
    key: str = "ssh-privatekey"


class KnownHostsRef(Model):
    kind: ObjectKind = ObjectKind.CONFIG_MAP
    name: str
    key: str = "known_hosts"


class HostAccess(Model):
    """How the operator logs in to hosts; the same in every kind."""

    user: UserName = "root"
    port: Port = 22
    become: Become = Become.NONE
    private_key_secret_ref: SecretKeyRef
    known_hosts_ref: KnownHostsRef | None = None
    trust_on_first_use: bool = False


class Supervisor(StrEnum):
    """What starts nova-compute on a host, and keeps it running."""

    SYSTEMD = "Systemd"
    PODMAN = "Podman"
    DOCKER = "Docker"


class KeyType(StrEnum):
    """Types of SSH keys that the operator can generate."""

    ED25519 = "Ed25519"
    ECDSA = "ECDSA"
    RSA = "RSA"
