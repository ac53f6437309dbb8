"""PURE. One host at one moment, as frozen values."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from quiesce.keyring.model.desired import digest
from quiesce.ssh.keys import read_public

_REGULAR = ("regular file", "regular empty file")


@dataclass(frozen=True, slots=True)
class File:
    """`kind` as `stat -c %F` has it; `mode` without the file type.

    `digest`: SHA-256 of the content, if it was read.
    """

    kind: str
    owner: str
    mode: int
    digest: str | None = None

    @property
    def regular(self) -> bool:
        return self.kind in _REGULAR


@dataclass(frozen=True, slots=True)
class Account:
    """A row of the host's account database."""

    uid: int
    gid: int
    home: str
    shell: str


@dataclass(frozen=True, slots=True)
class Original:
    """What was there before the first change, as recorded on the host: a removal restores it."""

    shell: str
    created: tuple[str, ...]
    """Names of shared files and directories that did not exist."""

    @property
    def line(self) -> str:
        """As it stands in the known_hosts file on the host."""
        return f"# found shell={self.shell} made={','.join(self.created) or '-'}"

    @classmethod
    def read(cls, line: str) -> "Original | None":
        match = re.fullmatch(
            r"# found shell=(/[A-Za-z0-9._/-]{1,255}) made=([a-z_,.-]{1,255})", line
        )
        return match and cls(match[1], () if match[2] == "-" else tuple(match[2].split(",")))


@dataclass(frozen=True, slots=True)
class ComputeView:
    """What a running nova-compute sees of the account, as `/proc/PID/root` shows it.

    `where`: `host`, `container` or `pod`. `home`: of its user in its own account database, where
    OpenSSH looks (it ignores HOME); empty: there is no such user. `same_home`, `same_known_hosts`:
    these are the host's own. `instances`: device and inode of the folder of the servers' disks,
    where it has that.
    """

    where: str
    uid: int
    home: str
    same_home: bool
    same_known_hosts: bool
    instances: str | None


@dataclass(frozen=True, slots=True)
class AuthorizedLine:
    """A line of ours in authorized_keys, as far as it matters: on a host that was taken over it may
    be long.

    `digest`: SHA-256 of it. `key_id`: of the key that it accepts; None: of none.
    """

    digest: str
    key_id: str | None

    @classmethod
    def read(cls, line: str) -> "AuthorizedLine":
        match = re.search(r"(?:^|\s)((?:ssh|ecdsa)-[a-z0-9-]+ [A-Za-z0-9+/=]+)(?:\s|$)", line)
        try:
            key = read_public(match[1]) if match else None
        except ValueError:
            key = None
        return cls(digest(line), key.id if key else None)


@dataclass(frozen=True, slots=True)
class HostObservation:
    """A host at one moment. None means: it is not there."""

    root: bool
    account: Account | None
    system_uids: int = 999
    """The highest id of the system's own accounts (SYS_UID_MAX in login.defs)."""
    shell_usable: bool = True
    """The desired shell exists there and can run."""
    home: File | None = None
    ssh_dir: File | None = None
    readable: bool = True
    """The account itself can work in its `.ssh`."""
    known_hosts: File | None = None
    known_hosts_digest: str = ""
    """SHA-256 of our lines there."""
    original: Original | None = None
    authorized_keys: File | None = None
    authorized_lines: tuple[AuthorizedLine, ...] = ()
    config: File | None = None
    included: bool = False
    """Our line in the ssh config comes before everything that could override it."""
    config_lines: int = 0
    """How many lines there are ours."""
    uses: str | None = None
    """Id of the key that our ssh config names, if its file is there."""
    own_files: Mapping[str, File] = field(default_factory=dict)
    """Our own files in `.ssh`."""
    stale_files: bool = False
    """Temporary files of ours, left by an interrupted change or path check."""
    old_marks: bool = False
    """What an earlier version has installed for this keyring bears its old marks."""
    computes: tuple[ComputeView, ...] = ()
    """Every nova-compute that runs there; none: nothing is known of where it looks."""

    @property
    def accepts(self) -> frozenset[str]:
        """Ids of the keys that our authorized_keys lines accept."""
        return frozenset(line.key_id for line in self.authorized_lines if line.key_id is not None)
