"""PURE. One SSH session to one host: what is due in it, and what it found."""

from dataclasses import dataclass

from quiesce.keyring.model.observation import HostObservation
from quiesce.ssh.keys import PublicKey


@dataclass(frozen=True, slots=True)
class HostFailure:
    """Why a host is not as desired, in one sentence. `needs_person`: waiting does not help.

    `remedies`: what a person can do, each a sentence or a command.
    """

    reason: str
    message: str
    needs_person: bool
    remedies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PathCheck:
    """How a copy by the account to another host went. `reason` None: it works."""

    reason: str | None = None
    message: str = ""

    @property
    def works(self) -> bool:
        return self.reason is None


@dataclass(frozen=True, slots=True)
class DueVisit:
    """A visit that should begin now. `targets`: hosts to check the paths to, in a fair order."""

    host: str
    targets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PathTarget:
    """The other end of a copy: `name` is the host's, `address` what Nova would copy to.

    `alias`: the name by which Nova would fetch a base image from it. `instances`: device and inode
    of the folder that its nova-compute uses, where that is known.
    """

    name: str
    address: str
    alias: str
    instances: str | None = None


@dataclass(frozen=True, slots=True)
class VisitResult:
    """`changed`: what was changed, by `Change.what`. `checks`: target -> how the login there went.

    `presented`: the host's key, where only that was requested. `removed`: nothing of ours is left.
    """

    observation: HostObservation | None = None
    failure: HostFailure | None = None
    changed: tuple[str, ...] = ()
    checks: tuple[tuple[str, PathCheck], ...] = ()
    presented: PublicKey | None = None
    removed: bool = False
