"""What one host looks like: the facts that the look script reports, as frozen values. No I/O."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from quiesce.keyring.identity import Identity
from quiesce.ssh.keys import PublicKey, read_public

REGULAR = ("regular file", "regular empty file")
PREFIX = "quiesce "


class UnreadableReport(Exception):
    """The host's answer is not a complete report. The text says what came instead."""


@dataclass(frozen=True, slots=True)
class File:
    """`kind` as `stat -c %F` has it; `mode` without the file type; `digest` is SHA-256 of the content, if it was read."""

    kind: str
    owner: str
    mode: int
    digest: str | None = None

    @property
    def regular(self) -> bool:
        return self.kind in REGULAR


@dataclass(frozen=True, slots=True)
class Account:
    """A row of the host's account database."""

    uid: int
    gid: int
    home: str
    shell: str


@dataclass(frozen=True, slots=True)
class Found:
    """What was there before the first change, as recorded on the host; it is what a removal puts back."""

    shell: str
    made: tuple[str, ...]
    """Names of shared files and directories that did not exist."""

    @property
    def line(self) -> str:
        return f"# found shell={self.shell} made={','.join(self.made) or '-'}"

    @classmethod
    def read(cls, line: str) -> "Found | None":
        seen = re.fullmatch(r"# found shell=(/[A-Za-z0-9._/-]+) made=([a-z_,.-]+)", line)
        return seen and cls(seen[1], () if seen[2] == "-" else tuple(seen[2].split(",")))


@dataclass(frozen=True, slots=True)
class Sight:
    """A host at one moment. None means: it is not there."""

    root: bool
    account: Account | None
    shell_usable: bool = True
    """The shell that is wanted exists there and can run."""
    home: File | None = None
    ssh_dir: File | None = None
    readable: bool = True
    """The account itself can work in its `.ssh`."""
    known_hosts: File | None = None
    known_lines: str = ""
    """SHA-256 of our lines there."""
    found: Found | None = None
    authorized: File | None = None
    authorized_lines: tuple[str, ...] = ()
    config: File | None = None
    included: bool = False
    """Our line in the ssh config stands before everything that could overrule it."""
    config_lines: int = 0
    """How many lines there are ours."""
    uses: str | None = None
    """The key that our ssh config names, if its file is there."""
    own: Mapping[str, File] = field(default_factory=dict)
    """Our own files in `.ssh`."""
    litter: bool = False
    """Temporary files of ours, left by an interrupted change."""

    @property
    def accepts(self) -> frozenset[str]:
        """Ids of the keys that our lines let in."""
        return frozenset(key.id for key in self.accepted_keys)

    @property
    def accepted_keys(self) -> tuple[PublicKey, ...]:
        keys = (authorized_key(line) for line in self.authorized_lines)
        return tuple(key for key in keys if key is not None)


def authorized_key(line: str) -> PublicKey | None:
    """The key of a line of an authorized_keys file."""
    seen = re.search(r"(?:^|\s)((?:ssh|ecdsa)-[a-z0-9-]+ [A-Za-z0-9+/=]+)(?:\s|$)", line)
    try:
        return read_public(seen[1]) if seen else None
    except ValueError:
        return None


def read_report(output: str, identity: Identity) -> Sight:
    """The look script's output -> a Sight. Lines of other programs (a login banner) are skipped."""
    lines = [line.removeprefix(PREFIX) for line in output.splitlines() if line.startswith(PREFIX)]
    if not lines or lines[-1] != "end":
        raise UnreadableReport("the host's report is incomplete")
    facts: dict[str, list[str]] = {}
    for line in lines:
        word, _, rest = line.partition(" ")
        facts.setdefault(word, []).append(rest)
    try:
        return _sight(facts, identity)
    except (ValueError, IndexError, KeyError) as error:
        raise UnreadableReport(f"the host's report cannot be read: {error}") from error


def _sight(facts: Mapping[str, list[str]], identity: Identity) -> Sight:
    def one(word: str) -> str:
        return facts.get(word, [""])[0]

    own = dict(_own_file(row) for row in facts.get("own", ()))
    own = {name: file for name, file in own.items() if identity.owns(name)}
    uses = one("uses") or None
    return Sight(
        root=one("uid") == "0",
        account=_account(one("account")),
        shell_usable=one("shell_usable") == "yes",
        home=_file(one("home")),
        ssh_dir=_file(one("ssh_dir")),
        readable=not one("ssh_dir") or facts.get("readable") == ["yes"],
        known_hosts=_file(one("known_hosts")),
        known_lines=one("known_lines"),
        found=Found.read(one("found")),
        authorized=_file(one("authorized_keys")),
        authorized_lines=tuple(facts.get("authorized", ())),
        config=_file(one("config")),
        included=one("included") == "yes",
        config_lines=len(facts.get("config_line", ())),
        uses=uses if uses and identity.key_file(uses) in own else None,
        own=own,
        litter="litter" in facts,
    )


def _account(text: str) -> Account | None:
    if not text:
        return None
    uid, gid, home, shell = text.split(":")
    return Account(int(uid), int(gid), home, shell)


def _file(text: str) -> File | None:
    """`regular file|root|644`, as `stat -c '%F|%U|%a'` prints it."""
    if not text:
        return None
    kind, owner, mode = text.split("|")
    return File(kind, owner, int(mode, 8))


def _own_file(text: str) -> tuple[str, File]:
    """`name|regular file|nova|600|digest`."""
    name, kind, owner, mode, digest = text.split("|")
    return name, File(kind, owner, int(mode, 8), digest or None)
