"""One visit to one host: an SSH session in which it is observed, corrected, its paths checked."""

from collections.abc import Sequence
from dataclasses import dataclass

from quiesce.keyring.act.path_check import read_checks
from quiesce.keyring.act.reports import (
    UnreadableReport,
    account_lines,
    last_line,
    read_failed_change,
    read_observation,
    report_lines,
)
from quiesce.keyring.act.scripts import change_script, check_script, observe_script
from quiesce.keyring.decide import (
    Obstacle,
    changes,
    installation_obstacle,
    removal_obstacle,
    removals,
)
from quiesce.keyring.model import (
    Change,
    DesiredState,
    HostFailure,
    HostLayout,
    HostObservation,
    PathCheck,
    PathTarget,
    VisitResult,
)
from quiesce.ssh.errors import ConnectionRefused, PermissionDenied, SSHError, TimedOut, Unreachable
from quiesce.ssh.keys import PublicKey
from quiesce.ssh.login import Login
from quiesce.ssh.session import Session, Target, connect, presented_key, refuse_revoked

_CHECK_SECONDS = 5.0
"""For each path that is checked, besides the time for the visit itself: several run at a time."""
ROUNDS = 3
"""Of changes: one may take over what an earlier version installed, and one create the account: only
then can its home be observed.
"""
_EXCLUDE = "If the host stays down, add it to spec.hosts.exclude, or delete its service from Nova"
_CAUSES = {
    "No space left": ("DiskFull", "Free disk space on the host"),
    "Disk quota": ("DiskFull", "Raise the disk quota, or free disk space"),
    "Read-only file system": ("ReadOnly", "Find out why it is read-only, and remount it"),
}
"""Texts of failed changes -> reason and remedy."""


@dataclass(frozen=True, slots=True)
class VisitOrder:
    """What to do on one host. `desired` None: remove everything of ours.

    `trust`: where no key is pinned, only ask which one the host presents.
    """

    target: Target
    login: Login
    layout: HostLayout
    desired: DesiredState | None
    pinned: tuple[PublicKey, ...]
    revoked: frozenset[PublicKey] = frozenset()
    trust: bool = False
    targets: tuple[PathTarget, ...] = ()


class _ChangeFailed(Exception):
    """The host could not carry out a change."""

    def __init__(self, what: str, errors: str) -> None:
        self.reason, remedy = next(
            (cause for text, cause in _CAUSES.items() if text in errors),
            ("ChangeFailed", "See the host's own message"),
        )
        self.remedies = (remedy,)
        super().__init__(f"{what}: {errors}")


def visit(order: VisitOrder, timeout: float) -> VisitResult:
    """In `timeout` seconds, and some for each path. What went wrong is the result, no exception."""
    try:
        if order.trust and not order.pinned:
            key = presented_key(order.target, timeout)
            refuse_revoked(key, order.revoked)
            return VisitResult(presented=key)
        seconds = timeout + _CHECK_SECONDS * len(order.targets)
        with connect(order.target, order.login, order.pinned, order.revoked, seconds) as session:
            if order.desired is None:
                return _remove(session, order.layout)
            return _install(session, order, order.desired)
    except SSHError as error:
        return VisitResult(failure=_ssh_failure(error))
    except UnreadableReport as error:
        return VisitResult(failure=HostFailure("NoReport", str(error), needs_person=False))


def _ssh_failure(error: SSHError) -> HostFailure:
    away = isinstance(error, ConnectionRefused | TimedOut | Unreachable)
    remedies = (*error.remedies, _EXCLUDE) if away else error.remedies
    return HostFailure(error.reason, str(error), error.person, remedies)


def _install(session: Session, order: VisitOrder, desired: DesiredState) -> VisitResult:
    layout = order.layout
    observed, done = _observe(session, layout), tuple[str, ...]()
    for _ in range(ROUNDS):
        if obstacle := installation_obstacle(layout, observed):
            return VisitResult(observed, _obstructed(obstacle), done)
        todo = changes(desired, observed)
        if not todo:
            break
        try:
            done += _change(session, layout, todo)
        except _ChangeFailed as error:
            return VisitResult(_observe(session, layout), _failed(error), done)
        observed = _observe(session, layout)
    if remaining := changes(desired, observed):
        what = ", ".join(change.what for change in remaining)
        failure = HostFailure(
            "NotHolding",
            f"changed, and still not as desired: {what}",
            needs_person=False,
            remedies=("Look for another tool on the host that manages the same files",),
        )
        return VisitResult(observed, failure, done)
    return VisitResult(observed, changed=done, checks=_check(session, order, desired))


def _remove(session: Session, layout: HostLayout) -> VisitResult:
    observed, done = _observe(session, layout, removing=True), tuple[str, ...]()
    for _ in range(ROUNDS):
        if obstacle := removal_obstacle(layout, observed):
            return VisitResult(observed, _obstructed(obstacle), done)
        todo = removals(layout, observed)
        if not todo:
            break
        try:
            done += _change(session, layout, todo)
        except _ChangeFailed as error:
            return VisitResult(observed, _failed(error), done)
        observed = _observe(session, layout, removing=True)
    return VisitResult(observed, changed=done, removed=not removals(layout, observed))


def _obstructed(obstacle: Obstacle) -> HostFailure:
    return HostFailure(obstacle.reason, obstacle.message, True, obstacle.remedies)


def _failed(error: _ChangeFailed) -> HostFailure:
    return HostFailure(error.reason, str(error), False, error.remedies)


def _observe(session: Session, layout: HostLayout, *, removing: bool = False) -> HostObservation:
    done = session.run_script(observe_script(layout, removing=removing))
    if done.code and "sudo:" in done.errors:
        raise PermissionDenied(
            f"the login may not become root: {last_line(done.errors)}",
            ["Allow hostAccess.user sudo without a password on the host"],
        )
    try:
        return read_observation(done.output, layout.identity)
    except UnreadableReport as error:
        if not done.errors.strip():
            raise
        raise UnreadableReport(f"{error}: {last_line(done.errors)}") from error


def _change(session: Session, layout: HostLayout, todo: Sequence[Change]) -> tuple[str, ...]:
    """What was changed. Raises _ChangeFailed at the first change that failed."""
    done = session.run_script(change_script(layout, todo))
    try:
        failed = read_failed_change(done.output, len(todo))
    except UnreadableReport as error:
        raise UnreadableReport(f"{error}: {last_line(done.errors)}") from error
    if failed is not None:
        place, errors = failed
        raise _ChangeFailed(todo[place].what, errors)
    return tuple(change.what for change in todo)


def _check(
    session: Session, order: VisitOrder, desired: DesiredState
) -> tuple[tuple[str, PathCheck], ...]:
    layout, targets = order.layout, order.targets
    if not targets:
        return ()
    public = f"{layout.ssh_dir}/{layout.identity.key_file(desired.key.public.id)}.pub"
    done = session.run_script(check_script(layout, order.target.name, public, targets))
    checks = read_checks(account_lines(report_lines(done.output)), targets)
    missing = PathCheck("NotProbed", f"the host sent no result: {last_line(done.errors)}")
    return tuple((target.name, checks.get(target.name, missing)) for target in targets)
