"""The spec of a MigrationKeyring as frozen values. The meaning of every field stands in the CRD.

Names, homes and users that could mean something else to a shell, to sshd or to a file system
are refused here as well as by the CRD: what is stored may be older than the CRD.
"""

import re
from enum import StrEnum
from ipaddress import ip_network
from typing import Annotated, Self

from pydantic import AfterValidator, Field, ValidationError

from quiesce.api.errors import InvalidSpec
from quiesce.api.model import CloudCredentialsRef, Model, Seconds
from quiesce.ssh.keys import KeyType

HOST_NAME = r"[A-Za-z0-9]([A-Za-z0-9._-]{0,253}[A-Za-z0-9])?"
ADDRESS = r"[A-Za-z0-9:][A-Za-z0-9.:_-]{0,253}"


def matching(pattern: str) -> AfterValidator:
    """A value of exactly this form; no part of a path may be `..`."""

    def check(value: str) -> str:
        if not re.fullmatch(pattern, value) or ".." in value.split("/"):
            raise ValueError(f"{value!r} is not allowed here")
        return value

    return AfterValidator(check)


def _network(value: str) -> str:
    ip_network(value, strict=False)
    return value


HostName = Annotated[str, matching(HOST_NAME)]
Address = Annotated[str, matching(ADDRESS)]
UserName = Annotated[str, matching(r"[A-Za-z_][A-Za-z0-9._-]{0,31}")]
Path = Annotated[str, matching(r"/[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*")]
KnownHostsPath = Annotated[str, matching(r"/etc/ssh/[A-Za-z0-9._-]*known_hosts[A-Za-z0-9._-]*")]
Port = Annotated[int, Field(ge=1, le=65535)]
Network = Annotated[str, matching(r"[0-9A-Fa-f.:]+(/[0-9]{1,3})?"), AfterValidator(_network)]


class Become(StrEnum):
    NONE = "None"
    SUDO = "Sudo"


class Probe(StrEnum):
    ALL = "All"
    RING = "Ring"
    NONE = "None"


class ObjectKind(StrEnum):
    CONFIG_MAP = "ConfigMap"
    SECRET = "Secret"  # noqa: S105 -- the name of a kind


class OnDelete(StrEnum):
    REMOVE = "Remove"
    LEAVE = "Leave"


class SecretKeyRef(Model):
    name: str
    key: str = "ssh-privatekey"


class KnownHostsRef(Model):
    kind: ObjectKind = ObjectKind.CONFIG_MAP
    name: str
    key: str = "known_hosts"


class HostAccess(Model):
    """How the operator logs in to hosts; the same shape in a drain."""

    user: UserName = "root"
    port: Port = 22
    become: Become = Become.NONE
    private_key_secret_ref: SecretKeyRef
    known_hosts_ref: KnownHostsRef | None = None
    trust_on_first_use: bool = False


class Hosts(Model):
    exclude: tuple[HostName, ...] = ()
    addresses: dict[HostName, Address] = Field(default_factory=dict)


class NovaAccount(Model):
    """The account that Nova's cold migration uses. `port`: where the hosts reach each
    other's sshd.
    """

    user: UserName = "nova"
    home: Path = "/var/lib/nova"
    shell: Path = "/bin/bash"
    port: Port | None = None


class Key(Model):
    type: KeyType = KeyType.ED25519
    secret_name: str | None = None
    rotate_after: Seconds | None = None


class KeyringSpec(Model):
    cloud_credentials_ref: CloudCredentialsRef = CloudCredentialsRef()
    hosts: Hosts = Hosts()
    host_access: HostAccess
    nova: NovaAccount = NovaAccount()
    key: Key = Key()
    known_hosts_file: KnownHostsPath = "/etc/ssh/ssh_known_hosts"
    authorized_keys_from: tuple[Network, ...] = ()
    probe: Probe = Probe.ALL
    check_every: Seconds = 600.0
    on_delete: OnDelete = OnDelete.REMOVE

    @property
    def nova_port(self) -> int:
        """The port of the hosts' sshd as Nova's migrations see it."""
        return self.nova.port or self.host_access.port

    @classmethod
    def read(cls, spec: object) -> Self:
        """The `spec` of a resource, as JSON. Raises InvalidSpec that names each field at fault."""
        try:
            return cls.model_validate(spec)
        except ValidationError as error:
            faults = "; ".join(
                f"spec.{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}"
                for fault in error.errors(include_url=False, include_input=False)
            )
            raise InvalidSpec(f"{faults}: correct the manifest and apply it again") from error
