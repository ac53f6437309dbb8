"""The spec of a MigrationKeyring as frozen values. The meaning of every field stands in the CRD."""

from enum import StrEnum
from ipaddress import ip_network
from typing import Annotated

from pydantic import AfterValidator, Field

from quiesce.api.host import Address, HostAccess, HostName, KeyType, Port, UserName, matching
from quiesce.api.model import CloudCredentialsRef, Model, Seconds, Spec

__all__ = [
    "HostAccess",
    "Hosts",
    "Key",
    "KeyringSpec",
    "NovaAccount",
    "OnDelete",
    "Probe",
]


def _network(value: str) -> str:
    ip_network(value, strict=False)
    return value


Path = Annotated[str, matching(r"/[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*")]
KnownHostsPath = Annotated[str, matching(r"/etc/ssh/[A-Za-z0-9._-]*known_hosts[A-Za-z0-9._-]*")]
Network = Annotated[str, matching(r"[0-9A-Fa-f.:]+(/[0-9]{1,3})?"), AfterValidator(_network)]

UserId = Annotated[int, Field(ge=1, le=4294967294)]


class Probe(StrEnum):
    ALL = "All"
    RING = "Ring"
    NONE = "None"


class OnDelete(StrEnum):
    REMOVE = "Remove"
    LEAVE = "Leave"


class Hosts(Model):
    exclude: tuple[HostName, ...] = ()
    addresses: dict[HostName, Address] = Field(default_factory=dict)
    migration_addresses: dict[HostName, Address] = Field(default_factory=dict)


class NovaAccount(Model):
    """The account that Nova's cold migration uses. `user_id`: its id where that is none of the
    system's own. `port`: where hosts reach each other's sshd.
    """

    user: UserName = "nova"
    user_id: UserId | None = None
    home: Path = "/var/lib/nova"
    shell: Path = "/bin/bash"
    instances_path: Path | None = None
    port: Port | None = None

    @property
    def instances(self) -> str:
        """Nova's default is `$state_path/instances` (nova/conf/compute.py instances_path)."""
        return self.instances_path or f"{self.home}/instances"


class Key(Model):
    type: KeyType = KeyType.ED25519
    secret_name: str | None = None
    rotate_after: Seconds | None = None


class KeyringSpec(Spec):
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
