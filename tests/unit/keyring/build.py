"""Small values for the tables: one keyring, its key, and hosts as they look in every state of an installation."""

from dataclasses import dataclass, replace

from quiesce.keyring.changes import (
    Change,
    CleanUp,
    InstallFile,
    KeepLines,
    MakeAccount,
    MakeDirectory,
    MakeHome,
    RemoveAccount,
    RemoveDirectory,
    RemoveFile,
    SetMode,
    SetShell,
)
from quiesce.keyring.identity import Identity
from quiesce.keyring.sight import Account, File, Found, Sight
from quiesce.keyring.wanted import Place, Wanted, digest
from quiesce.ssh.keys import KeyPair, KeyType, PublicKey, generate

IDENTITY = Identity("openstack", "cold")
PLACE = Place(IDENTITY, "nova", "/var/lib/nova", "/bin/bash", "/etc/ssh/ssh_known_hosts")
OLD, NEW = generate(KeyType.ED25519), generate(KeyType.ED25519)
HOME = File("directory", "nova", 0o755)
UNTOUCHED = Sight(
    root=True, account=Account(64060, 64060, "/var/lib/nova", "/usr/sbin/nologin"), home=HOME
)
HOMELESS = replace(UNTOUCHED, home=None)
BARE = Sight(root=True, account=None)
LOST = Sight(root=True, account=None, home=File("directory", "UNKNOWN", 0o755))
"""The account is gone; its home is there still."""


def wants(key: KeyPair = OLD, *previous: PublicKey, may_switch: bool = True) -> Wanted:
    return Wanted(
        place=PLACE,
        known_lines=("cmp1,192.0.2.1 ssh-ed25519 AAAA quiesce:openstack/cold",),
        hosts=("192.0.2.1", "cmp1"),
        port=22,
        key=key,
        previous=previous,
        sources=(),
        may_switch=may_switch,
    )


@dataclass
class Disk:
    """A host that carries out changes as the real scripts do, one at a time; what it looks like is its `sight`."""

    sight: Sight = UNTOUCHED

    def do(self, change: Change) -> None:
        match change:
            case MakeAccount() | MakeHome() | RemoveAccount() | SetShell():
                self._account(change)
            case MakeDirectory():
                self.sight = replace(self.sight, ssh_dir=File("directory", "nova", 0o700))
            case InstallFile(path, content):
                self._install(path.rpartition("/")[2], content)
            case KeepLines(path, lines, mode, _, drop):
                self._keep(path.rpartition("/")[2], lines, mode, drop)
            case RemoveFile(path):
                gone = path.rpartition("/")[2]
                self._own({name: file for name, file in self.sight.own.items() if name != gone})
            case SetMode(path, mode):
                self._mode(path.rpartition("/")[2], mode)
            case RemoveDirectory(PLACE.home):
                self.sight = replace(self.sight, home=None)
            case RemoveDirectory():
                self.sight = replace(self.sight, ssh_dir=None)
            case CleanUp():
                self.sight = replace(self.sight, litter=False)

    def _account(self, change: MakeAccount | MakeHome | RemoveAccount | SetShell) -> None:
        match change:
            case MakeAccount():
                home = self.sight.home and HOME
                self.sight = replace(
                    self.sight, account=Account(998, 998, PLACE.home, PLACE.shell), home=home
                )
            case MakeHome():
                self.sight = replace(self.sight, home=HOME)
            case RemoveAccount():
                self.sight = replace(self.sight, account=None, home=None)
            case SetShell(_, shell):
                assert self.sight.account is not None
                self.sight = replace(self.sight, account=replace(self.sight.account, shell=shell))

    def _install(self, name: str, content: str) -> None:
        self._own({**self.sight.own, name: File("regular file", "nova", 0o600, digest(content))})
        if name == IDENTITY.config:
            named = next(line for line in content.splitlines() if "IdentityFile" in line)[-12:]
            self.sight = replace(self.sight, uses=named)

    def _own(self, own: dict[str, File]) -> None:
        uses = self.sight.uses
        gone = uses is not None and (
            IDENTITY.key_file(uses) not in own or IDENTITY.config not in own
        )
        self.sight = replace(self.sight, own=own, uses=None if gone else uses)

    def _keep(self, name: str, lines: tuple[str, ...], mode: int | None, drop: bool) -> None:
        file = None if drop and not lines else File("regular file", "nova", mode or 0o600)
        if name == "authorized_keys":
            self.sight = replace(self.sight, authorized=file, authorized_lines=lines)
        elif name == "config":
            self.sight = replace(
                self.sight, config=file, included=bool(lines), config_lines=len(lines)
            )
        else:
            found = [
                line.removesuffix(f" {IDENTITY.marker}") for line in lines if line.startswith("#")
            ]
            hosts = "".join(f"{line}\n" for line in lines if not line.startswith("#"))
            self.sight = replace(
                self.sight,
                known_hosts=file,
                known_lines=digest(hosts) if file else "",
                found=Found.read(found[0]) if found else None,
            )

    def _mode(self, name: str, mode: int) -> None:
        if name in self.sight.own:
            self._own({**self.sight.own, name: replace(self.sight.own[name], mode=mode)})
        elif name == ".ssh":
            self.sight = replace(self.sight, ssh_dir=File("directory", "nova", mode))
        elif name == "authorized_keys":
            self.sight = replace(self.sight, authorized=File("regular file", "nova", mode))
        elif name == "config":
            self.sight = replace(self.sight, config=File("regular file", "nova", mode))
        else:
            self.sight = replace(self.sight, known_hosts=File("regular file", "root", mode))
