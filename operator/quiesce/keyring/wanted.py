"""PURE: what a host shall look like, as text and values, from the spec, the pins and the keys."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from quiesce.api.keyring.spec import KeyringSpec
from quiesce.keyring.hosts import ComputeHost
from quiesce.keyring.identity import Identity
from quiesce.ssh.keys import KeyPair, PublicKey
from quiesce.ssh.pins import SSH_PORT, Pins, spelled

MANAGED = "# Kept by the MigrationKeyring {marker}. Edits here are undone."
CONNECT_SECONDS = 10
"""How long a login of the account may take until it has a connection: bounds how old a key it can still use."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a keyring works on every host, and as whom: enough to look, and to take everything away again."""

    identity: Identity
    user: str
    home: str
    shell: str
    known_hosts_file: str

    @property
    def ssh_dir(self) -> str:
        return f"{self.home}/.ssh"


@dataclass(frozen=True, slots=True)
class Wanted:
    """The same for every host of a keyring."""

    place: Place
    known_lines: tuple[str, ...]
    hosts: tuple[str, ...]
    """Every name and address by which a host is reached."""
    port: int
    key: KeyPair
    previous: tuple[PublicKey, ...]
    """Keys before it, which some host may still use: they are let in until none does."""
    sources: tuple[str, ...]
    may_switch: bool
    """Every host lets the key in: those that use one before it change over."""

    def authorized_line(self, key: PublicKey) -> str:
        options = f'restrict,from="{",".join(self.sources)}"' if self.sources else "restrict"
        return f"{options} {key.line} {self.place.identity.marker}"

    @property
    def authorized_lines(self) -> tuple[str, ...]:
        return tuple(
            self.authorized_line(key) for key in dict.fromkeys((self.key.public, *self.previous))
        )

    @property
    def known_digest(self) -> str:
        return lines_digest(self.known_lines)

    def client_config(self, key_id: str) -> str:
        """Settings for ssh and scp to the hosts, and to nothing else; first values win in OpenSSH, so these do."""
        identity = self.place.identity
        lines = [
            MANAGED.format(marker=identity.marker),
            f"Host {' '.join(self.hosts)}",
            f"    IdentityFile {self.place.ssh_dir}/{identity.key_file(key_id)}",
            "    IdentitiesOnly yes",
            "    IdentityAgent none",
            "    BatchMode yes",
            "    StrictHostKeyChecking yes",
            f"    GlobalKnownHostsFile {self.place.known_hosts_file}",
            "    UserKnownHostsFile /dev/null",
            "    UpdateHostKeys no",
            "    ControlPath none",
            "    ForwardAgent no",
            f"    ConnectTimeout {CONNECT_SECONDS}",
        ]
        if self.port != SSH_PORT:
            lines.append(f"    Port {self.port}")
        return "".join(f"{line}\n" for line in lines)


@lru_cache(maxsize=8)
def lines_digest(lines: tuple[str, ...]) -> str:
    """Of the lines as a file. The same lines are compared with what every host shows, again and again."""
    return digest("".join(f"{line}\n" for line in lines))


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def published(hosts: Iterable[ComputeHost], pins: Pins, port: int, marker: str) -> tuple[str, ...]:
    """The hosts' own keys as lines of a known hosts file, by every name and address; sorted."""
    lines = {
        f"{','.join(spelled(name, port) for name in host.names)} {key.line} {marker}"
        for host in hosts
        for key in pins.of(host.names, port)
    }
    return tuple(sorted(lines))


def place(spec: KeyringSpec, identity: Identity) -> Place:
    account = spec.nova
    return Place(identity, account.user, account.home, account.shell, spec.known_hosts_file)


def wanted(
    spec: KeyringSpec,
    identity: Identity,
    hosts: tuple[ComputeHost, ...],
    pins: Pins,
    key: KeyPair,
    previous: tuple[PublicKey, ...],
) -> Wanted:
    """`may_switch` is off: that takes the sight of every host."""
    return Wanted(
        place=place(spec, identity),
        known_lines=published(hosts, pins, spec.nova_port, identity.marker),
        hosts=tuple(sorted({name for host in hosts for name in host.names})),
        port=spec.nova_port,
        key=key,
        previous=previous,
        sources=spec.authorized_keys_from,
        may_switch=False,
    )
