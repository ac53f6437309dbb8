"""PURE. The hosts and paths that do not work -> rows of `status.problems`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from quiesce.api.keyring.status import ProblemRow
from quiesce.api.text import some
from quiesce.keyring.model import HostFailure, PathCheck

_CAUSE_LENGTH = 80
_NEEDS_PERSON = frozenset(
    {"HostKeyMismatch", "PermissionDenied", "ShellNotAllowed", "ClientConfig", "NoClient"}
)
"""Failed logins between hosts that waiting does not correct."""
_REMEDIES = {
    "Refused": ("Start sshd on the target, or set spec.nova.port to the port where it listens",),
    "Timeout": ("Let the hosts reach each other's sshd: a firewall drops their packets",),
    "Unreachable": ("Correct the routes between the hosts, or spec.hosts.addresses of the target",),
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
    failures: Mapping[str, HostFailure], checks: Mapping[tuple[str, str], PathCheck | None]
) -> tuple[Problem, ...]:
    """Hosts first, then paths; in both what needs a person comes first.

    `checks`: (source, target) -> the last one, None where it does not count.
    """
    hosts = [host_problem(name, failure) for name, failure in failures.items()]
    grouped: dict[tuple[str, str], list[tuple[str, PathCheck]]] = {}
    for (source, target), check in checks.items():
        if check is not None and check.reason is not None:
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
    message = f"no login from {source} to {targets}: {_end(failed[0][1].message)}"
    row = ProblemRow(source, reason, message, _REMEDIES.get(reason, ()))
    return Problem(row, reason in _NEEDS_PERSON)


def _end(text: str) -> str:
    """ssh gives its cause last, after warnings of many lines."""
    return text if len(text) <= _CAUSE_LENGTH else "…" + text[1 - _CAUSE_LENGTH :]
