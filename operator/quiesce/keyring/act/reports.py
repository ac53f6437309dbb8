"""PURE. What the scripts print on a host -> frozen values.

Lines of other programs, such as a login banner, are skipped: ours begin with a word of their own.
"""

import re
from collections.abc import Mapping, Sequence

from quiesce.keyring.model.identity import Identity
from quiesce.keyring.model.observation import (
    Account,
    ComputeView,
    File,
    HostObservation,
    Original,
)

_PREFIX = "quiesce "


class UnreadableReport(Exception):
    """The host's answer is not a complete report. The text says what came instead."""


def read_observation(output: str, identity: Identity) -> HostObservation:
    """Of `observe_script`. Raises UnreadableReport."""
    lines = report_lines(output)
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
    lines = report_lines(output)
    for line in lines:
        if match := re.fullmatch(r"failed (\d+) (.*)", line):
            return int(match[1]), match[2].strip()
    if "end" not in lines:
        raise UnreadableReport("the connection broke during a change")
    return None


def last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1][:200] if lines else "no message"


def report_lines(output: str) -> Sequence[str]:
    """What scripts of ours have printed, without the prefix."""
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
        computes=tuple(sorted(set(map(_compute, facts.get("compute", ()))), key=repr)),
    )


def _account(text: str) -> Account | None:
    if not text:
        return None
    uid, gid, home, shell = text.split(":")
    return Account(int(uid), int(gid), home, shell)


def _compute(text: str) -> ComputeView:
    """`container|42436|/var/lib/nova|no|yes|2049:131`."""
    where, uid, home, same_home, same_hosts, instances = text.split("|")
    return ComputeView(
        where, int(uid), home, same_home == "yes", same_hosts == "yes", instances or None
    )


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
