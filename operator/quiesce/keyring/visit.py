"""One visit to one host: one connection, in which it is looked at, put right and its paths are tried."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from quiesce.keyring import scripts
from quiesce.keyring.changes import Change
from quiesce.keyring.decide import Refusal, changes, refusal, removal_refusal, removals
from quiesce.keyring.scripts import ProbeTarget
from quiesce.keyring.sight import PREFIX, Sight, UnreadableReport, read_report
from quiesce.keyring.wanted import Place, Wanted
from quiesce.ssh.errors import PermissionDenied, SSHError
from quiesce.ssh.keys import PublicKey
from quiesce.ssh.session import SHELL, Login, Session, Target, connect, presented_key

PROBE_SECONDS = 3.0
"""For each path that is tried, besides the time for the visit itself: several are tried at a time."""
ROUNDS = 2
"""Of changes: a first one may make the account; what is in its home can be seen, and put right, only after that."""


@dataclass(frozen=True, slots=True)
class Order:
    """What to do on one host. `wanted` None: take everything of ours away."""

    target: Target
    login: Login
    place: Place
    wanted: Wanted | None
    pinned: tuple[PublicKey, ...]
    revoked: frozenset[PublicKey] = frozenset()
    trust: bool = False
    """No key is pinned: only ask which one the host presents."""
    targets: tuple[ProbeTarget, ...] = ()


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a host is not as it should be. `person`: it stays so until somebody acts."""

    reason: str
    message: str
    person: bool


@dataclass(frozen=True, slots=True)
class Pair:
    """A login of the account to another host was tried. `reason` None: it works."""

    reason: str | None = None
    message: str = ""


@dataclass(frozen=True, slots=True)
class Visit:
    """What a visit brought."""

    sight: Sight | None = None
    failure: Failure | None = None
    changed: tuple[str, ...] = ()
    pairs: tuple[tuple[str, Pair], ...] = ()
    presented: PublicKey | None = None
    clear: bool = False
    """Nothing of ours is left there."""


class ChangeFailed(Exception):
    """The host could not carry out a change. `reason` is what people see."""

    CAUSES: ClassVar = {
        "No space left": ("DiskFull", "the disk is full: make room"),
        "Disk quota": ("DiskFull", "the disk quota is used up: make room"),
        "Read-only file system": (
            "ReadOnly",
            "the file system is read-only: find out why and remount it",
        ),
    }

    def __init__(self, what: str, errors: str) -> None:
        reason, remedy = next(
            (cause for words, cause in self.CAUSES.items() if words in errors),
            ("ChangeFailed", "see the host"),
        )
        super().__init__(f"{what}: {errors} ({remedy})")
        self.reason = reason


def visit(order: Order, timeout: float) -> Visit:
    """In `timeout` seconds, and some for each path. Never raises: what went wrong is the result."""
    try:
        if order.trust and not order.pinned:
            return Visit(presented=presented_key(order.target, timeout))
        seconds = timeout + PROBE_SECONDS * len(order.targets)
        with connect(order.target, order.login, order.pinned, order.revoked, seconds) as session:
            return (
                _clear(session, order)
                if order.wanted is None
                else _keep(session, order, order.wanted)
            )
    except SSHError as error:
        return Visit(failure=Failure(error.reason, str(error), error.person))
    except UnreadableReport as error:
        return Visit(failure=Failure("NoReport", str(error), person=False))


def _keep(session: Session, order: Order, wanted: Wanted) -> Visit:
    sight, done = _look(session, order.place), tuple[str, ...]()
    for _ in range(ROUNDS):
        if refused := refusal(order.place, sight):
            return Visit(sight, _refused(refused), done)
        todo = changes(wanted, sight)
        if not todo:
            break
        try:
            done += _apply(session, order.place, todo)
        except ChangeFailed as error:
            return Visit(
                _look(session, order.place), Failure(error.reason, str(error), person=False), done
            )
        sight = _look(session, order.place)
    if left := changes(wanted, sight):
        what = ", ".join(change.what for change in left)
        return Visit(
            sight, Failure("NotHolding", f"changed, yet not as wanted: {what}", person=False), done
        )
    return Visit(sight, changed=done, pairs=_probe(session, order.place, order.targets))


def _clear(session: Session, order: Order) -> Visit:
    sight = _look(session, order.place)
    if refused := removal_refusal(order.place, sight):
        return Visit(sight, _refused(refused))
    todo = removals(order.place, sight)
    if not todo:
        return Visit(sight, clear=True)
    try:
        done = _apply(session, order.place, todo)
    except ChangeFailed as error:
        return Visit(sight, Failure(error.reason, str(error), person=False))
    sight = _look(session, order.place)
    return Visit(sight, changed=done, clear=not removals(order.place, sight))


def _refused(refused: Refusal) -> Failure:
    return Failure(refused.reason, refused.message, person=True)


def _look(session: Session, place: Place) -> Sight:
    done = session.run(SHELL, scripts.look(place))
    if done.code and "sudo:" in done.errors:
        raise PermissionDenied(f"the login may not become root: {_last_line(done.errors)}")
    try:
        return read_report(done.output, place.identity)
    except UnreadableReport as error:
        if not done.errors.strip():
            raise
        raise UnreadableReport(f"{error}: {_last_line(done.errors)}") from error


def _apply(session: Session, place: Place, todo: Sequence[Change]) -> tuple[str, ...]:
    """What was changed. Raises ChangeFailed at the first change that failed."""
    done = session.run(SHELL, scripts.apply(place, todo))
    lines = [
        line.removeprefix(PREFIX) for line in done.output.splitlines() if line.startswith(PREFIX)
    ]
    for line in lines:
        if failed := re.fullmatch(r"failed (\d+) (.*)", line):
            raise ChangeFailed(todo[int(failed[1])].what, failed[2].strip())
    if "end" not in lines:
        raise UnreadableReport(f"a change broke off: {_last_line(done.errors)}")
    return tuple(change.what for change in todo)


def _probe(
    session: Session, place: Place, targets: Sequence[ProbeTarget]
) -> tuple[tuple[str, Pair], ...]:
    if not targets:
        return ()
    done = session.run(SHELL, scripts.probe(place, targets))
    seen = dict(
        _pair(line) for line in done.output.splitlines() if line.startswith(f"{PREFIX}pair ")
    )
    missing = Pair("NotProbed", f"the host did not report on it: {_last_line(done.errors)}")
    return tuple((target.name, seen.get(target.address, missing)) for target in targets)


def _pair(line: str) -> tuple[str, Pair]:
    _, _, address, code, *errors = line.split(" ", 4)
    return address, judged(int(code), " ".join(errors).strip())


PAIR_CAUSES = (
    ("REMOTE HOST IDENTIFICATION HAS CHANGED", "HostKeyMismatch"),
    ("Host key verification failed", "HostKeyMismatch"),
    ("Permission denied", "PermissionDenied"),
    ("Connection refused", "Refused"),
    ("timed out", "Timeout"),
    ("No route to host", "Unreachable"),
    ("Network is unreachable", "Unreachable"),
    ("Could not resolve hostname", "Unreachable"),
    ("not available", "ShellNotAllowed"),
    ("Bad configuration option", "ClientConfig"),
    ("Bad owner or permissions", "ClientConfig"),
)
"""Words of OpenSSH's client (and of nologin), which are never translated, and what they mean."""


def judged(code: int, errors: str) -> Pair:
    """The end of `ssh … true` -> a Pair. 255 is ssh's own failure; 124 that of `timeout`; else the shell's."""
    if code == 0:
        return Pair()
    found = next((reason for words, reason in PAIR_CAUSES if words in errors), None)
    by_code = {124: "Timeout", 126: "NoClient", 127: "NoClient", 255: "LoginFailed"}
    reason = found or by_code.get(code, "ShellNotAllowed")
    return Pair(reason, errors or f"ended with code {code} and no word")


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1][:200] if lines else "no word"
