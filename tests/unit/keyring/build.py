"""Small values for the tables: a keyring, its key, and hosts in every state of an installation."""

from dataclasses import dataclass, replace

from quiesce.api.host import KeyType
from quiesce.keyring.model.changes import (
    Change,
    InstallFile,
    KeepLines,
    MakeAccount,
    MakeDirectory,
    MakeHome,
    RemoveAccount,
    RemoveDirectory,
    RemoveFile,
    RemoveStaleFiles,
    SetMode,
    SetShell,
)
from quiesce.keyring.model.desired import DesiredState, HostLayout, digest
from quiesce.keyring.model.identity import Identity
from quiesce.keyring.model.observation import (
    Account,
    AuthorizedLine,
    File,
    HostObservation,
    Original,
)
from quiesce.ssh.keys import KeyPair, PublicKey
from quiesce.ssh.private_keys import generate

IDENTITY = Identity("openstack", "cold")
LAYOUT = HostLayout(
    IDENTITY,
    "nova",
    "/var/lib/nova",
    "/bin/bash",
    "/etc/ssh/ssh_known_hosts",
    "/var/lib/nova/instances",
)
OLD, NEW = generate(KeyType.ED25519), generate(KeyType.ED25519)
HOME = File("directory", "nova", 0o755)
UNTOUCHED = HostObservation(
    root=True, account=Account(64060, 64060, "/var/lib/nova", "/usr/sbin/nologin"), home=HOME
)
HOMELESS = replace(UNTOUCHED, home=None)
BARE = HostObservation(root=True, account=None)
LOST = HostObservation(root=True, account=None, home=File("directory", "UNKNOWN", 0o755))
"""The account is gone; its home is there still."""


def desired(key: KeyPair = OLD, *previous: PublicKey, may_switch: bool = True) -> DesiredState:
    return DesiredState(
        layout=LAYOUT,
        known_lines=("cmp1,192.0.2.1 ssh-ed25519 AAAA quiesce:openstack/cold",),
        hosts=(("192.0.2.1", ("192.0.2.1", "cmp1")),),
        port=22,
        key=key,
        previous=previous,
        sources=(),
        may_switch=may_switch,
    )


@dataclass
class Disk:
    """A host that carries out changes as the real scripts do; `seen` is what it looks like."""

    seen: HostObservation = UNTOUCHED
    identity: Identity = IDENTITY

    def do(self, change: Change) -> None:
        match change:
            case MakeAccount() | MakeHome() | RemoveAccount() | SetShell():
                self._account(change)
            case MakeDirectory():
                self.seen = replace(self.seen, ssh_dir=File("directory", "nova", 0o700))
            case InstallFile(path, content):
                self._install(path.rpartition("/")[2], content)
            case KeepLines(path, lines, mode, _, drop):
                self._keep(path.rpartition("/")[2], lines, mode, drop)
            case RemoveFile(path):
                gone = path.rpartition("/")[2]
                self._own(
                    {name: file for name, file in self.seen.own_files.items() if name != gone}
                )
            case SetMode(path, mode):
                self._mode(path.rpartition("/")[2], mode)
            case RemoveDirectory(LAYOUT.home):
                self.seen = replace(self.seen, home=None)
            case RemoveDirectory():
                self.seen = replace(self.seen, ssh_dir=None)
            case RemoveStaleFiles():
                self.seen = replace(self.seen, stale_files=False)

    def _account(self, change: MakeAccount | MakeHome | RemoveAccount | SetShell) -> None:
        match change:
            case MakeAccount():
                home = self.seen.home and HOME
                self.seen = replace(
                    self.seen, account=Account(998, 998, LAYOUT.home, LAYOUT.shell), home=home
                )
            case MakeHome():
                self.seen = replace(self.seen, home=HOME)
            case RemoveAccount():
                self.seen = replace(self.seen, account=None, home=None)
            case SetShell(_, shell):
                assert self.seen.account is not None
                self.seen = replace(self.seen, account=replace(self.seen.account, shell=shell))

    def _install(self, name: str, content: str) -> None:
        self._own(
            {**self.seen.own_files, name: File("regular file", "nova", 0o600, digest(content))}
        )
        if name == self.identity.config:
            named = next(line for line in content.splitlines() if "IdentityFile" in line)[-12:]
            self.seen = replace(self.seen, uses=named)

    def _own(self, own: dict[str, File]) -> None:
        uses = self.seen.uses
        gone = uses is not None and (
            self.identity.key_file(uses) not in own or self.identity.config not in own
        )
        self.seen = replace(self.seen, own_files=own, uses=None if gone else uses)

    def _keep(self, name: str, lines: tuple[str, ...], mode: int | None, drop: bool) -> None:
        file = None if drop and not lines else File("regular file", "nova", mode or 0o600)
        if name == "authorized_keys":
            own = tuple(map(AuthorizedLine.read, lines))
            self.seen = replace(self.seen, authorized_keys=file, authorized_lines=own)
        elif name == "config":
            self.seen = replace(
                self.seen, config=file, included=bool(lines), config_lines=len(lines)
            )
        else:
            found = [
                line.removesuffix(f" {self.identity.marker}")
                for line in lines
                if line.startswith("#")
            ]
            hosts = "".join(f"{line}\n" for line in lines if not line.startswith("#"))
            self.seen = replace(
                self.seen,
                known_hosts=file,
                known_hosts_digest=digest(hosts) if file else "",
                original=Original.read(found[0]) if found else None,
            )

    def _mode(self, name: str, mode: int) -> None:
        if name in self.seen.own_files:
            self._own({**self.seen.own_files, name: replace(self.seen.own_files[name], mode=mode)})
        elif name == ".ssh":
            self.seen = replace(self.seen, ssh_dir=File("directory", "nova", mode))
        elif name == "authorized_keys":
            self.seen = replace(self.seen, authorized_keys=File("regular file", "nova", mode))
        elif name == "config":
            self.seen = replace(self.seen, config=File("regular file", "nova", mode))
        else:
            self.seen = replace(self.seen, known_hosts=File("regular file", "root", mode))
