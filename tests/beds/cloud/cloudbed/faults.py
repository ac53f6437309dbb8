"""Edit the fault file that the simulated hypervisors read.

The file is JSON: {"servers": {NAME_GLOB_OR_UUID: {OP: SPEC}}, "hosts": {HOST: {OP: SPEC}},
"all": {OP: SPEC}}. A scope on the command line is `server:GLOB`, `host:HOST` or `all`.
"""

import json
import os
import re
from pathlib import Path
from typing import Any

from cloudbed.errors import BedError

OPS = frozenset((
    "spawn", "destroy", "power_on", "power_off", "pause", "unpause", "suspend", "resume",
    "migrate_disk_and_power_off", "finish_migration", "confirm_migration",
    "finish_revert_migration", "check_can_live_migrate_destination",
    "check_can_live_migrate_source", "pre_live_migration", "live_migration",
    "post_live_migration", "post_live_migration_at_destination",
    "rollback_live_migration_at_destination", "cleanup",
))
SPEC = re.compile(r"sleep:\d+(\.\d+)?|hang|once|fail(:[A-Za-z]+)?")
HELP = "sleep:SECONDS, hang, fail, fail:NOVA_EXCEPTION and once, comma separated"
Table = dict[str, Any]


def load(path: Path) -> Table:
    """Return the present faults, {} for none; BedError for a file that is no JSON object."""
    try:
        table = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise BedError(f"{path} is not JSON ({error}); correct it or run `cloud faults clear`") from error
    if not isinstance(table, dict):
        raise BedError(f"{path} does not hold a JSON object; run `cloud faults clear`")
    return table


def save(path: Path, table: Table) -> None:
    """Replace the file in one step: a hypervisor may be reading it."""
    new = path.with_suffix(".new")
    new.write_text(json.dumps(table, indent=1) + "\n")
    os.replace(new, path)


def parse_scope(scope: str) -> list[str]:
    """Return the keys that lead to a scope's operations in the table."""
    kind, _, name = scope.partition(":")
    if scope == "all":
        return ["all"]
    if kind in ("host", "server") and name:
        return [f"{kind}s", name]
    raise BedError(f"{scope!r} is no scope; give all, host:HOST or server:NAME_GLOB_OR_UUID")


def parse_fault(text: str) -> tuple[str, str]:
    """Return the operation (OP or OP@HOST) and the spec of `OP=SPEC`."""
    operation, _, spec = text.partition("=")
    name = operation.partition("@")[0]
    if name not in OPS:
        raise BedError(f"{name!r} is no operation; there are: {' '.join(sorted(OPS))}")
    if not spec or not all(SPEC.fullmatch(part) for part in spec.split(",")):
        raise BedError(f"{text!r}: the part after `=` has to be made of {HELP}")
    return operation, spec


def with_faults(table: Table, scope: str, faults: list[str]) -> Table:
    """Return the table with faults added to a scope."""
    new: Table = json.loads(json.dumps(table))
    operations = new
    for key in parse_scope(scope):
        operations = operations.setdefault(key, {})
    operations.update(map(parse_fault, faults))
    return new


def without_scope(table: Table, scope: str) -> Table:
    """Return the table without anything for a scope."""
    new: Table = json.loads(json.dumps(table))
    keys = parse_scope(scope)
    (new if len(keys) == 1 else new.get(keys[0], {})).pop(keys[-1], None)
    return {kind: entries for kind, entries in new.items() if entries}
