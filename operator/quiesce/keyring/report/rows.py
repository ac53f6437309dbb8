"""PURE. The hosts and paths that do not work -> rows of `status.problems`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from quiesce.api.keyring.status import ProblemRow
from quiesce.api.text import some
from quiesce.keyring.model import HostFailure, PathCheck

_NEEDS_PERSON = frozenset(
    {
        "HostKeyMismatch",
        "PermissionDenied",
        "ShellNotAllowed",
        "ClientConfig",
        "NoClient",
        "NoSFTP",
        "NotWritable",
        "ShellPrints",
        "WrongFolder",
        "WrongHost",
    }
)
"""Failed copies between hosts that waiting does not correct."""
_NO_LOGIN = frozenset(
    {
        "Refused",
        "Timeout",
        "Unreachable",
        "HostKeyMismatch",
        "PermissionDenied",
        "ShellNotAllowed",
        "ClientConfig",
        "NoClient",
        "LoginFailed",
    }
)
_REMEDIES = {
    "Refused": ("Start sshd on the target, or set spec.nova.port to the port where it listens",),
    "Timeout": ("Let the hosts reach each other's sshd: a firewall drops their packets",),
    "Unreachable": (
        "Correct the routes between the hosts, or spec.hosts.migrationAddresses of the target",
    ),
    "HostKeyMismatch": (
        "Pin the target's present host key in the object named in knownHostsRef",
        "Let only this keyring write host keys for the target on the source",
    ),
    "PermissionDenied": (
        "Check authorizedKeysFrom: it has to hold the address that the source comes from",
        "Check AllowUsers, AuthorizedKeysFile and a locked account in the target's sshd",
    ),
    "ShellNotAllowed": ("Allow the account commands over SSH on the target: its shell refuses",),
    "ClientConfig": ("Correct the ssh client's configuration on the source",),
    "NoClient": ("Install the OpenSSH client on the source",),
    "LoginFailed": ("See sshd's log on the target",),
    "NoSFTP": (
        "Give the target's sshd its sftp subsystem: Subsystem sftp internal-sftp in sshd_config, "
        "then restart sshd",
    ),
    "NotWritable": ("Let the account create folders where the target keeps its servers' disks",),
    "DiskFull": ("Free disk space on the target, or raise the account's quota there",),
    "ReadOnly": ("Find out why the target's file system is read-only, and remount it",),
    "ShellPrints": ("Let the account's shell print nothing when scp starts it on the target",),
    "CopyFailed": ("See sshd's log on the target",),
    "WrongFolder": (
        "Mount the folder of the servers' disks into nova-compute's container at the same path",
        "Set spec.nova.port to the sshd that shares nova-compute's files",
    ),
    "WrongHost": (
        "Correct spec.hosts.migrationAddresses of the target, or remove other settings for its "
        "name from the ssh configuration of the source",
    ),
}


@dataclass(frozen=True, slots=True)
class Problem:
    """A row, and whether it needs a person."""

    row: ProblemRow
    needs_person: bool

    @property
    def urgency(self) -> tuple[bool, str, str]:
        return not self.needs_person, self.row.host, self.row.reason


def problems(
    failures: Mapping[str, HostFailure], checks: Mapping[tuple[str, str], PathCheck]
) -> tuple[Problem, ...]:
    """Hosts first, then paths; in both what needs a person comes first.

    `checks`: (source, target) -> the last one.
    """
    hosts = [host_problem(name, failure) for name, failure in failures.items()]
    grouped: dict[tuple[str, str], list[tuple[str, PathCheck]]] = {}
    for (source, target), check in checks.items():
        if check.reason is not None:
            grouped.setdefault((source, check.reason), []).append((target, check))
    paths = [_path_problem(*key, failed) for key, failed in grouped.items()]
    return (
        *sorted(hosts, key=lambda each: each.urgency),
        *sorted(paths, key=lambda each: each.urgency),
    )


def host_problem(name: str, failure: HostFailure) -> Problem:
    row = ProblemRow(name, failure.reason, failure.message, failure.remedies)
    return Problem(row, failure.needs_person)


def _path_problem(source: str, reason: str, failed: Sequence[tuple[str, PathCheck]]) -> Problem:
    """One for each source and cause."""
    targets = some(target for target, _ in failed)
    what = "login" if reason in _NO_LOGIN else "copy"
    told = next((check.message for _, check in failed if check.message), reason)
    message = f"no {what} from {source} to {targets}: {told}"
    ends = tuple(sorted(target for target, _ in failed))
    row = ProblemRow(source, reason, message, _REMEDIES.get(reason, ()), ends)
    return Problem(row, reason in _NEEDS_PERSON)
