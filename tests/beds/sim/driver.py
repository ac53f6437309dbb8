"""The hypervisors: operations that take no time unless a scripted fault says otherwise.

Faults are those of the fake hypervisor driver in tests/beds/cloud: a comma separated list of
`sleep:SECONDS`, `fail`, `fail:NOVA_EXCEPTION`, `hang` and `once`; besides, `ssh` fails as a cold
migration does whose source cannot log in to the destination. They are looked up in this order, first match wins,
`OP:HOST` before `OP`: server metadata `fault.OP`, then by server
(name glob or id), by host, for all.
"""

from collections.abc import Generator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from tests.beds.sim.errors import NoValidHostError, RollbackError, WorkError
from tests.beds.sim.process import HANG
from tests.beds.sim.records import Server

OPERATIONS = frozenset(
    (
        "spawn", "destroy", "power_on", "power_off", "pause", "unpause", "suspend", "resume",
        "migrate_disk_and_power_off", "finish_migration", "confirm_migration", "finish_revert_migration",
        "check_can_live_migrate_destination", "check_can_live_migrate_source", "pre_live_migration",
        "live_migration", "post_live_migration", "post_live_migration_at_destination",
        "rollback_live_migration_at_destination", "cleanup", "prep_resize",
    )
)  # fmt: skip

SSH_FAILURE = (
    "Unexpected error while running command.\nCommand: ssh -o BatchMode=yes 192.0.2.3 mkdir -p"
    " /var/lib/nova/instances/server\nExit code: 255\nStdout: ''\nStderr: 'Permission denied (publickey).\\r\\n'"
)
# How nova/exception.py begins the text of some exceptions.
WORDS = {
    "MigrationError": "Migration error: ",
    "MigrationPreCheckError": "Migration pre-check error: ",
    "ResizeError": "Resize error: ",
}
Table = dict[str, str]


@dataclass(frozen=True)
class Effect:
    """What a fault does: wait (seconds, HANG for ever), then raise `error` if there is one.

    words: the words of its spec, for those that mean more to one operation.
    """

    seconds: float = 0.0
    error: WorkError | None = None
    words: frozenset[str] = frozenset()


@dataclass
class Faults:
    """Scripted faults, changed at any time; see the module's text for their form."""

    servers: dict[str, Table] = field(default_factory=dict)
    hosts: dict[str, Table] = field(default_factory=dict)
    everywhere: Table = field(default_factory=dict)
    _used: set[tuple[str, str, str]] = field(default_factory=set)

    def set(self, operation: str, spec: str, *, server: str = "", host: str = "") -> None:
        """Let an operation fail or wait: for a server (glob or id), for a host, or everywhere."""
        if operation.partition(":")[0] not in OPERATIONS:
            raise ValueError(
                f"{operation!r} is no operation; there are: {' '.join(sorted(OPERATIONS))}"
            )
        if server:
            self.servers.setdefault(server, {})[operation] = spec
        elif host:
            self.hosts.setdefault(host, {})[operation] = spec
        else:
            self.everywhere[operation] = spec

    def clear(self) -> None:
        self.servers.clear()
        self.hosts.clear()
        self.everywhere.clear()
        self._used.clear()

    def effect(self, operation: str, host: str, server: Server) -> Effect:
        spec = self._spec(operation, host, server)
        words = [word.strip() for word in spec.split(",")] if spec else []
        if "once" in words:
            key = (operation, server.id, spec)
            if key in self._used:
                return Effect()
            self._used.add(key)
        return _effect(words, f"injected failure in {operation} on {host}")

    def _spec(self, operation: str, host: str, server: Server) -> str:
        by_server = (
            table
            for pattern, table in self.servers.items()
            if pattern == server.id or fnmatchcase(server.name, pattern)
        )
        metadata = {
            key.removeprefix("fault."): spec
            for key, spec in server.metadata.items()
            if key.startswith("fault.")
        }
        for table in (metadata, *by_server, self.hosts.get(host, {}), self.everywhere):
            for key in (f"{operation}:{host}", operation):
                if table.get(key):
                    return table[key]
        return ""


def _effect(words: list[str], message: str) -> Effect:
    seconds = 0.0
    error: WorkError | None = None
    for word in words:
        name, _, argument = word.partition(":")
        if name == "sleep":
            seconds = float(argument)
        elif name == "hang":
            seconds = HANG
        elif name == "ssh":
            error = RollbackError(f"Resize error: not able to execute ssh command: {SSH_FAILURE}")
        elif name == "fail":
            error = _exception(argument, message)
    return Effect(seconds, error, frozenset(words))


def _exception(kind: str, message: str) -> WorkError:
    if kind == "InstanceFaultRollback":
        return RollbackError(message)
    if kind == "NoValidHost":
        return NoValidHostError(message)
    return WorkError(kind or "NovaException", WORDS.get(kind, "") + message)


def operate(
    faults: Faults, operation: str, host: str, server: Server
) -> Generator[float, None, None]:
    """Do an operation on a host: its fault's delay, then its fault's failure."""
    effect = faults.effect(operation, host, server)
    if effect.seconds:
        yield effect.seconds
    if effect.error:
        raise effect.error
