"""PURE. What every host of a keyring should look like."""

import hashlib
from dataclasses import dataclass
from functools import lru_cache

from quiesce.keyring.model.identity import Identity
from quiesce.ssh.keys import KeyPair, PublicKey
from quiesce.ssh.pins import SSH_PORT

CONNECT_SECONDS = 10
"""How long a login of the account may take to connect: bounds how old a key it can still use."""
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

    @property
    def ssh_dir(self) -> str:
        return f"{self.home}/.ssh"


@dataclass(frozen=True, slots=True)
class DesiredState:
    """The same for every host of a keyring."""

    layout: HostLayout
    known_lines: tuple[str, ...]
    hosts: tuple[str, ...]
    """Every name and address by which a host is reached."""
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
            f"Host {' '.join(self.hosts)}",
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
        ]
        if self.port != SSH_PORT:
            lines.append(f"    Port {self.port}")
        return "".join(f"{line}\n" for line in lines)


@lru_cache(maxsize=8)
def _lines_digest(lines: tuple[str, ...]) -> str:
    """Of the lines as a file. They are compared with every host, at every tick."""
    return digest("".join(f"{line}\n" for line in lines))


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
