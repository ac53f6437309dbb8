"""PURE. What every host of a keyring should look like."""

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address

from quiesce.keyring.model.identity import Identity
from quiesce.ssh.keys import KeyPair, PublicKey
from quiesce.ssh.pins import SSH_PORT

CONNECT_SECONDS = 10
"""How long a login of the account may take to connect: bounds how old a key it can still use."""
_ALIVE_SECONDS, _ALIVE_COUNT = 15, 4
"""A copy whose other end is gone ends after a minute: Nova itself cannot abort one."""
_HEADER = "# Managed by the MigrationKeyring {marker}. Edits here are reverted."


@dataclass(frozen=True, slots=True)
class HostLayout:
    """Where a keyring works on every host, and as whom.

    It is enough to observe a host, and to remove everything again.
    """

    identity: Identity
    user: str
    home: str
    shell: str
    known_hosts_file: str
    instances: str
    """Where nova-compute keeps the servers' disks, and so where Nova copies them to."""
    user_id: int | None = None
    """Of the account, where the spec says that it is none of the system's accounts."""
    keys: tuple[PublicKey, ...] = ()
    """Of this keyring, in use or earlier: by these what an earlier version installed is known."""

    @property
    def ssh_dir(self) -> str:
        return f"{self.home}/.ssh"


@dataclass(frozen=True, slots=True)
class DesiredState:
    """The same for every host of a keyring."""

    layout: HostLayout
    known_lines: tuple[str, ...]
    hosts: tuple[tuple[str, tuple[str, ...]], ...]
    """Address at which the other hosts reach a host -> every name and address of it."""
    port: int
    key: KeyPair
    previous: tuple[PublicKey, ...]
    """Earlier keys that some host may still use: they are accepted until none does."""
    sources: tuple[str, ...]
    may_switch: bool
    """Every host accepts the key: those that use an earlier one change over."""

    def authorized_line(self, key: PublicKey) -> str:
        options = f'restrict,from="{",".join(self.sources)}"' if self.sources else "restrict"
        return f"{options} {key.line} {self.layout.identity.marker}"

    @property
    def authorized_lines(self) -> tuple[str, ...]:
        return tuple(
            self.authorized_line(key) for key in dict.fromkeys((self.key.public, *self.previous))
        )

    @property
    def known_hosts_digest(self) -> str:
        return _lines_digest(self.known_lines)

    def client_config(self, key_id: str) -> str:
        """Settings for ssh and scp to the hosts, and to nothing else.

        OpenSSH takes the first value that it finds, so these come first.
        """
        identity = self.layout.identity
        lines = [
            _HEADER.format(marker=identity.marker),
            *self._addresses(),
            f"Host {' '.join(sorted({name for _, names in self.hosts for name in names}))}",
            f"    IdentityFile {self.layout.ssh_dir}/{identity.key_file(key_id)}",
            "    IdentitiesOnly yes",
            "    IdentityAgent none",
            "    BatchMode yes",
            "    StrictHostKeyChecking yes",
            f"    GlobalKnownHostsFile {self.layout.known_hosts_file}",
            "    UserKnownHostsFile /dev/null",
            "    UpdateHostKeys no",
            "    ControlPath none",
            "    ForwardAgent no",
            f"    ConnectTimeout {CONNECT_SECONDS}",
            f"    ServerAliveInterval {_ALIVE_SECONDS}",
            f"    ServerAliveCountMax {_ALIVE_COUNT}",
        ]
        if self.port != SSH_PORT:
            lines.append(f"    Port {self.port}")
        return "".join(f"{line}\n" for line in lines)

    def _addresses(self) -> list[str]:
        """Nova copies to a host by address, and fetches a base image that is gone from Glance by
        the host's name (libvirt/driver.py _try_fetch_image_cache): both lead to the same place,
        whether or not the name resolves.
        """
        lines = []
        for address, names in self.hosts:
            others = [name for name in names if name != address and not _is_ip(name)]
            if address and others:
                lines += [f"Host {' '.join(others)}", f"    HostName {address}"]
        return lines


@lru_cache(maxsize=8)
def _lines_digest(lines: tuple[str, ...]) -> str:
    """Of the lines as a file. They are compared with every host, at every tick."""
    return digest("".join(f"{line}\n" for line in lines))


def _is_ip(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
