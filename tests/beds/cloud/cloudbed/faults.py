"""Faults: delays and failures injected into what the simulated hypervisors do.

A fault strikes an operation (a method of the virt driver, one of OPS). Its spec is made of comma
separated words, for example "sleep:5,fail":

    sleep:SECONDS    take that long before going on
    hang             take for ever
    fail             raise NovaException
    fail:NAME        raise nova.exception.NAME
    once             strike each server once only
    swallowed        live_migration: what ends a copy early is not raised again (Nova 2025.1)
    busy             live_migration: the guest dirties memory faster than it is copied, for ever
    ssh:CAUSE        migrate_disk_and_power_off: `ssh mkdir` fails, guest still on; see SSH
    scp              migrate_disk_and_power_off: the copy fails (disk full, network cut), guest off
    dies             finish_migration, post_live_migration_at_destination: the guest dies after it

Where faults come from, the first match wins:

1. metadata of the server: "fault.OP" (or "fault.OP:HOST") with a spec as the value;
2. the fault file, JSON: {"servers": {NAME_GLOB_OR_UUID: {OP: SPEC}},
   "hosts": {HOST: {OP: SPEC}}, "all": {OP: SPEC}}. OP:HOST in place of OP is about
   one host. A fault taken out of the file lets go of what it is delaying.
"""

from __future__ import (
    annotations,
)  # read by older releases of Nova too, on older versions of Python

import fnmatch
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import BedError

if TYPE_CHECKING:
    from typing import TypeAlias

OPS = frozenset(
    (
        "spawn",
        "destroy",
        "cleanup",
        "power_on",
        "power_off",
        "pause",
        "unpause",
        "suspend",
        "resume",
        "migrate_disk_and_power_off",
        "finish_migration",
        "confirm_migration",
        "finish_revert_migration",
        "check_can_live_migrate_destination",
        "check_can_live_migrate_source",
        "pre_live_migration",
        "live_migration",
        "post_live_migration",
        "post_live_migration_at_destination",
        "rollback_live_migration_at_destination",
        "get_console_output",
    )
)
# Why `ssh mkdir` fails on the destination: exit code, stdout, stderr. Seen with libvirt's driver.
SSH = {
    "denied": (255, "", "nova@{address}: Permission denied (publickey,password).\r\n"),
    "host-key": (255, "", "Host key verification failed.\r\n"),
    "refused": (255, "", "ssh: connect to host {address} port 22: Connection refused\r\n"),
    "nologin": (1, "This account is currently not available.\n", ""),
    "mkdir": (1, "", "mkdir: cannot create directory '{path}': Permission denied\n"),
}
# Words for one operation only.
OWN = frozenset(("swallowed", "busy", "scp", "dies", *(f"ssh:{cause}" for cause in SSH)))
WORD = re.compile(
    r"sleep:(?P<seconds>\d+(?:\.\d+)?)|hang|once|fail(?::(?P<exception>[A-Za-z]+))?|"
    + "|".join(sorted(OWN))
)
HELP = (
    "sleep:SECONDS, hang, fail, fail:NOVA_EXCEPTION, once, "
    + ", ".join(sorted(OWN))
    + ", comma separated"
)
Table: TypeAlias = "dict[str, Any]"


@dataclass(frozen=True)
class Fault:
    """What happens to an operation. seconds: the delay, infinite for a hang; words: OWN ones."""

    seconds: float = 0.0
    fails: bool = False
    exception: str = "NovaException"
    once: bool = False
    words: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Found:
    """A fault in force: the keys that lead to its spec, and the spec."""

    place: tuple[str, ...]
    spec: str


def parse(spec: str) -> Fault:
    """Return the fault a spec describes; ValueError names the word that is none."""
    seconds, fails, exception, once = 0.0, False, Fault.exception, False
    words = [word.strip() for word in spec.split(",")]
    for word in words:
        match = WORD.fullmatch(word)
        if match is None:
            raise ValueError(f"{word!r} is none of {HELP}")
        kind = match[0].partition(":")[0]
        endless = kind in ("hang", "busy")
        seconds = float("inf") if endless else float(match["seconds"] or seconds)
        fails = fails or kind == "fail"
        exception = match["exception"] or exception
        once = once or kind == "once"
    return Fault(seconds, fails, exception, once, OWN & set(words))


def _candidates(
    table: Table, metadata: Mapping[str, str], uuid: str, name: str, host: str
) -> Iterator[tuple[tuple[str, ...], Mapping[str, str]]]:
    """Yield the places that may hold a fault for a server on a host, the first to win first."""
    prefix = "fault."
    named = {key[len(prefix) :]: spec for key, spec in metadata.items() if key.startswith(prefix)}
    yield ("metadata", uuid), named
    for pattern, specs in table.get("servers", {}).items():
        if uuid == pattern or fnmatch.fnmatchcase(name, pattern):
            yield ("servers", pattern), specs
    yield ("hosts", host), table.get("hosts", {}).get(host, {})
    yield ("all",), table.get("all", {})


def find(
    table: Table, metadata: Mapping[str, str], uuid: str, name: str, host: str, operation: str
) -> Found | None:
    """Return the fault for an operation on a server at a host, if there is one."""
    for place, specs in _candidates(table, metadata, uuid, name, host):
        for key in (f"{operation}:{host}", operation):
            if specs.get(key):
                return Found((*place, key), specs[key])
    return None


def present(table: Table, found: Found) -> bool:
    """Return whether a fault is (still) in force; one from metadata stays for good."""
    if found.place[0] == "metadata":
        return True
    value: Any = table
    for key in found.place:
        value = value.get(key, {})
    return bool(value == found.spec)


def load(path: Path) -> Table:
    """Return the faults in a file, {} for none; BedError for a file that is no JSON object."""
    try:
        table = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise BedError(
            f"{path} is not JSON ({error}); correct it or run `cloud faults clear`"
        ) from error
    if not isinstance(table, dict):
        raise BedError(f"{path} does not hold a JSON object; run `cloud faults clear`")
    return table


def save(path: Path, table: Table) -> None:
    """Replace the file in one step: a hypervisor may be reading it."""
    new = path.with_suffix(".new")
    new.write_text(json.dumps(table, indent=1) + "\n")
    new.replace(path)


def parse_scope(scope: str) -> list[str]:
    """Return the keys that lead to a scope's operations in the table."""
    kind, _, name = scope.partition(":")
    if scope == "all":
        return ["all"]
    if kind in ("host", "server") and name:
        return [f"{kind}s", name]
    raise BedError(f"{scope!r} is no scope; give all, host:HOST or server:NAME_GLOB_OR_UUID")


def parse_setting(text: str) -> tuple[str, str]:
    """Return the operation (OP or OP:HOST) and the spec of `OP=SPEC`."""
    operation, _, spec = text.partition("=")
    name = operation.partition(":")[0]
    if name not in OPS:
        raise BedError(f"{name!r} is no operation; there are: {' '.join(sorted(OPS))}")
    try:
        parse(spec)
    except ValueError as error:
        raise BedError(f"{text!r}: {error}") from error
    return operation, spec


def with_faults(table: Table, scope: str, settings: list[str]) -> Table:
    """Return the table with faults added to a scope."""
    new: Table = json.loads(json.dumps(table))
    operations = new
    for key in parse_scope(scope):
        operations = operations.setdefault(key, {})
    operations.update(map(parse_setting, settings))
    return new


def without_scope(table: Table, scope: str) -> Table:
    """Return the table without anything for a scope."""
    new: Table = json.loads(json.dumps(table))
    keys = parse_scope(scope)
    (new if len(keys) == 1 else new.get(keys[0], {})).pop(keys[-1], None)
    return {kind: entries for kind, entries in new.items() if entries}
