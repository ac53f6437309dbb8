"""PURE. What the scripts print on a host -> frozen values.

Lines of other programs, such as a login banner, are skipped: ours begin with a word of their own.
"""

import re
from collections.abc import Mapping, Sequence

from quiesce.keyring.model.identity import Identity
from quiesce.keyring.model.observation import Account, File, HostObservation, Original
from quiesce.keyring.model.visit import PathCheck

_PREFIX = "quiesce "

_LOGIN_FAILURES = (
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
"""Texts of OpenSSH's client (and of nologin), which are never translated, and what they mean."""
_BY_EXIT_CODE = {124: "Timeout", 126: "NoClient", 127: "NoClient", 255: "LoginFailed"}
"""124 is that of `timeout`, 126 and 127 are the shell's, 255 is ssh's own."""


class UnreadableReport(Exception):
    """The host's answer is not a complete report. The text says what came instead."""


def read_observation(output: str, identity: Identity) -> HostObservation:
    """Of `observe_script`. Raises UnreadableReport."""
    lines = _lines(output)
    if not lines or lines[-1] != "end":
        raise UnreadableReport("the host's report is incomplete")
    facts: dict[str, list[str]] = {}
    for line in lines:
        word, _, rest = line.partition(" ")
        facts.setdefault(word, []).append(rest)
    try:
        return _observation(facts, identity)
    except (ValueError, IndexError, KeyError) as error:
        raise UnreadableReport(f"the host's report cannot be read: {error}") from error


def read_failed_change(output: str) -> tuple[int, str] | None:
    """Of `change_script`: the place of the change that failed and its error text; None: none did.

    Raises UnreadableReport where the script did not reach its end.
    """
    lines = _lines(output)
    for line in lines:
        if match := re.fullmatch(r"failed (\d+) (.*)", line):
            return int(match[1]), match[2].strip()
    if "end" not in lines:
        raise UnreadableReport("the connection broke during a change")
    return None


def read_checks(output: str) -> Mapping[str, PathCheck]:
    """Of `check_script`: address -> how the login there went."""
    rows = [line.split(" ", 3) for line in _lines(output) if line.startswith("path ")]
    return {row[1]: path_check(int(row[2]), "".join(row[3:]).strip()) for row in rows}


def path_check(code: int, errors: str) -> PathCheck:
    """The end of `ssh … true`: its exit code and what it wrote to stderr."""
    if code == 0:
        return PathCheck()
    known = next((reason for text, reason in _LOGIN_FAILURES if text in errors), None)
    reason = known or _BY_EXIT_CODE.get(code, "ShellNotAllowed")
    return PathCheck(reason, errors or f"ssh ended with code {code} and no message")


def last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1][:200] if lines else "no message"


def _lines(output: str) -> Sequence[str]:
    return [line.removeprefix(_PREFIX) for line in output.splitlines() if line.startswith(_PREFIX)]


def _observation(facts: Mapping[str, list[str]], identity: Identity) -> HostObservation:
    def one(word: str) -> str:
        return facts.get(word, [""])[0]

    own = dict(_own_file(row) for row in facts.get("own", ()))
    own = {name: file for name, file in own.items() if identity.owns(name)}
    uses = one("uses") or None
    return HostObservation(
        root=one("uid") == "0",
        account=_account(one("account")),
        shell_usable=one("shell_usable") == "yes",
        home=_file(one("home")),
        ssh_dir=_file(one("ssh_dir")),
        readable=not one("ssh_dir") or facts.get("readable") == ["yes"],
        known_hosts=_file(one("known_hosts")),
        known_hosts_digest=one("known_lines"),
        original=Original.read(one("found")),
        authorized_keys=_file(one("authorized_keys")),
        authorized_lines=tuple(facts.get("authorized", ())),
        config=_file(one("config")),
        included=one("included") == "yes",
        config_lines=len(facts.get("config_line", ())),
        uses=uses if uses and identity.key_file(uses) in own else None,
        own_files=own,
        stale_files="stale" in facts,
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
