"""PURE. The few things that are ever done to a host.

`what` names each for people; no secret is in a `repr`.

`path` is absolute. `as_root` False: done as the account, who owns the place.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class MakeAccount:
    """A system account without a password; with the ids that its home has, if that exists."""

    user: str

    @property
    def what(self) -> str:
        return f"account {self.user}"


@dataclass(frozen=True, slots=True)
class MakeHome:
    """Mode 0755, as packages have it: hypervisors run as others and open disks in it."""

    path: str

    @property
    def what(self) -> str:
        return self.path


@dataclass(frozen=True, slots=True)
class RemoveAccount:
    """With its home, if that is empty or gone and the account has no process; else it stays."""

    user: str

    @property
    def what(self) -> str:
        return f"removal of account {self.user}"


@dataclass(frozen=True, slots=True)
class SetShell:
    user: str
    shell: str

    @property
    def what(self) -> str:
        return f"shell of {self.user}"


@dataclass(frozen=True, slots=True)
class MakeDirectory:
    """Mode 0700, owned by the account."""

    path: str
    as_root: bool

    @property
    def what(self) -> str:
        return self.path


@dataclass(frozen=True, slots=True)
class SetMode:
    path: str
    mode: int
    as_root: bool = False

    @property
    def what(self) -> str:
        return f"mode of {self.path}"


@dataclass(frozen=True, slots=True)
class InstallFile:
    """A file that is all ours."""

    path: str
    content: str = field(repr=False)

    @property
    def what(self) -> str:
        return self.path


@dataclass(frozen=True, slots=True)
class KeepLines:
    """Our lines at the top of a shared file; every other byte stays. No lines: ours are removed."""

    path: str
    lines: tuple[str, ...]
    mode: int | None
    as_root: bool = False
    drop_if_empty: bool = False

    @property
    def what(self) -> str:
        return self.path


@dataclass(frozen=True, slots=True)
class RemoveFile:
    path: str

    @property
    def what(self) -> str:
        return f"removal of {self.path}"


@dataclass(frozen=True, slots=True)
class RemoveDirectory:
    """If it is empty; else it stays."""

    path: str
    as_root: bool

    @property
    def what(self) -> str:
        return f"removal of {self.path}"


@dataclass(frozen=True, slots=True)
class RemoveStaleFiles:
    """Removes temporary files of ours that an interrupted change or path check has left.

    `in_use`: those of a path check that may still run as well.
    """

    in_use: bool = False

    @property
    def what(self) -> str:
        return "stale temporary files"


@dataclass(frozen=True, slots=True)
class AdoptMarks:
    """Gives what an earlier version has installed for this keyring its present marks and names."""

    @property
    def what(self) -> str:
        return "marks of an earlier version"


Change = (
    AdoptMarks
    | MakeAccount
    | MakeHome
    | RemoveAccount
    | SetShell
    | MakeDirectory
    | SetMode
    | InstallFile
    | KeepLines
    | RemoveFile
    | RemoveDirectory
    | RemoveStaleFiles
)
