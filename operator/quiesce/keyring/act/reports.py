"""PURE. What the scripts print on a host -> frozen values.

Lines of other programs, such as a login banner, are skipped: ours begin with a word of their own.
On a host that was taken over they can say anything: each value is checked for its form here, and
bounded. What the account prints comes in one word of root's report, and tells of the account's own
files only.
"""

import base64
import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from quiesce.api.outside import cleaned
from quiesce.keyring.model.identity import Identity
from quiesce.keyring.model.observation import (
    Account,
    AuthorizedLine,
    ComputeView,
    File,
    HostObservation,
    Original,
)

_PREFIX = "quiesce "
_NAME, _PATH, _LINE = 32, 255, 8192
"""Characters of a name or a kind of file, of a path, and of a line of ours: longer ones are cut."""
_LINES, _FILES, _COMPUTES = 64, 65, 8
"""Of one kind in one report: more are left out. A healthy host has a line and two files for each
key, the settings, and one nova-compute: 3 KiB are kept of its report, and of none more than 64."""
_ID = r"[0-9]{1,10}"
_DIGEST = r"[0-9a-f]{64}"
_FOLDER = r"[0-9]{1,20}:[0-9]{1,20}"
_Value = TypeVar("_Value")
_Facts = Mapping[str, Sequence[str]]
"""First word of a line -> what follows it, one for each such line."""


class UnreadableReport(Exception):
    """The host's answer is not a complete report. The text says what came instead."""


def read_observation(output: str, identity: Identity) -> HostObservation:
    """Of `observe_script`. Raises UnreadableReport."""
    lines = report_lines(output)
    if not lines or lines[-1] != "end":
        raise UnreadableReport("the host's report is incomplete")
    return _observation(_facts(lines), _facts(account_lines(lines)), identity)


def read_failed_change(output: str, steps: int) -> tuple[int, str] | None:
    """Of `change_script` with so many `steps`: the place of the change that failed and its error
    text; None: none did.

    Raises UnreadableReport where the script did not reach its end.
    """
    lines = report_lines(output)
    for line in lines:
        if match := re.fullmatch(r"failed ([0-9]{1,4}) (.*)", line):
            if int(match[1]) >= steps:
                raise UnreadableReport("the host's report names a change that was not asked for")
            return int(match[1]), cleaned(match[2])
    if "end" not in lines:
        raise UnreadableReport("the connection broke during a change")
    return None


def last_line(text: str) -> str:
    """What a person is shown of the output of other programs."""
    return cleaned(text.strip().rpartition("\n")[2], 200) or "no message"


def report_lines(output: str) -> Sequence[str]:
    """What scripts of ours have printed, without the prefix."""
    return [line.removeprefix(_PREFIX) for line in output.split("\n") if line.startswith(_PREFIX)]


def account_lines(lines: Sequence[str]) -> Sequence[str]:
    """What the account has printed, of a report's `lines`: the same form, in one encoded word.

    Raises UnreadableReport.
    """
    found = _facts(lines).get("account_report", ("",))[0]
    try:
        return report_lines(base64.b64decode(found, validate=True).decode(errors="replace"))
    except (binascii.Error, ValueError) as error:
        raise UnreadableReport("the host's report on the account cannot be read") from error


def _facts(lines: Sequence[str]) -> _Facts:
    facts: dict[str, list[str]] = {}
    for line in lines:
        word, _, rest = line.partition(" ")
        facts.setdefault(word, []).append(rest)
    return facts


def _observation(root: _Facts, account: _Facts, identity: Identity) -> HostObservation:
    """`root`: what root has printed. `account`: what the account has, of its own files."""

    def one(facts: _Facts, word: str, read: Callable[[str], _Value]) -> _Value:
        text = facts.get(word, ("",))[0]
        try:
            return read(text)
        except ValueError as error:
            raise UnreadableReport(
                f"the host's report says of {word}: {cleaned(text, 60)}"
            ) from error

    own = _own_files(account.get("own", ()), identity)
    uses = one(account, "uses", str)
    return HostObservation(
        root=one(root, "uid", str) == "0",
        account=one(root, "account", _account),
        system_uids=one(root, "system_uids", lambda text: _number(text) if text else 999),
        shell_usable=one(root, "shell_usable", str) == "yes",
        home=one(root, "home", _file),
        ssh_dir=one(root, "ssh_dir", _file),
        readable=not one(root, "ssh_dir", str) or tuple(account.get("readable", ())) == ("yes",),
        known_hosts=one(root, "known_hosts", _file),
        known_hosts_digest=one(root, "known_lines", _digest) or "",
        original=Original.read(one(root, "found", str)),
        authorized_keys=one(account, "authorized_keys", _file),
        authorized_lines=tuple(
            AuthorizedLine.read(line[:_LINE]) for line in account.get("authorized", ())[:_LINES]
        ),
        config=one(account, "config", _file),
        included=one(account, "included", str) == "yes",
        config_lines=len(account.get("config_line", ())[:_LINES]),
        uses=uses if uses and identity.key_file(uses) in own else None,
        own_files=own,
        stale_files="stale" in root or "stale" in account,
        old_marks="old" in account,
        computes=_computes(root.get("compute", ())),
    )


def _computes(rows: Sequence[str]) -> tuple[ComputeView, ...]:
    try:
        found = set(map(_compute, rows[:_COMPUTES]))
    except ValueError as error:
        raise UnreadableReport("the host's report on nova-compute cannot be read") from error
    return tuple(sorted(found, key=repr))


def _own_files(rows: Sequence[str], identity: Identity) -> Mapping[str, File]:
    """Those with names of ours; a row that is not as it should be is none."""
    found: dict[str, File] = {}
    for row in rows[:_FILES]:
        name, _, rest = row.partition("|")
        facts, _, digest = rest.rpartition("|")
        try:
            file = _file(facts)
            if file is not None and identity.owns(name):
                found[name] = File(file.kind, file.owner, file.mode, _digest(digest))
        except ValueError:
            continue
    return found


def _account(text: str) -> Account | None:
    """`64060:64060:/var/lib/nova:/bin/bash`."""
    if not text:
        return None
    uid, gid, home, shell = text.split(":")
    return Account(_number(uid), _number(gid), cleaned(home, _PATH), cleaned(shell, _PATH))


def _compute(text: str) -> ComputeView:
    """`container|42436|/var/lib/nova|no|yes|2049:131`."""
    where, uid, home, same_home, same_hosts, instances = text.split("|")
    if where not in ("host", "container", "pod"):
        raise ValueError(where)
    return ComputeView(
        where,
        _number(uid),
        cleaned(home, _PATH),
        same_home == "yes",
        same_hosts == "yes",
        instances if re.fullmatch(_FOLDER, instances) else None,
    )


def _file(text: str) -> File | None:
    """`regular file|root|644`, as `stat -c '%F|%U|%a'` prints it."""
    if not text:
        return None
    kind, owner, mode = text.split("|")
    if not re.fullmatch(r"[0-7]{1,4}", mode):
        raise ValueError(mode)
    return File(cleaned(kind, _NAME), cleaned(owner, _NAME), int(mode, 8))


def _digest(text: str) -> str | None:
    return text if re.fullmatch(_DIGEST, text) else None


def _number(text: str) -> int:
    """A user id or the like. Raises ValueError."""
    if not re.fullmatch(_ID, text):
        raise ValueError(text)
    return int(text)
