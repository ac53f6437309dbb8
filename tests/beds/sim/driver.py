"""The hypervisors: operations that take no time unless a scripted fault says otherwise.

Faults are those of the fake hypervisor driver in tests/beds/cloud: a comma separated list of
`sleep:SECONDS`, `fail`, `fail:NOVA_EXCEPTION`, `hang`, `once` and, for one operation each:

    swallowed   live_migration: what ends a copy early is not raised again (Nova 2025.1);
                post_live_migration_at_destination: its failure is only logged (before 30.2.1)
    unbound     live_migration, beside what fails it: its ports have lost their bindings afterwards
    lost        post_live_migration_at_destination: the guest has left, but its record has not
    busy        live_migration: the guest dirties memory faster than it is copied, for ever
    ssh:CAUSE   migrate_disk_and_power_off: the source's `ssh mkdir` fails, of SSH; `ssh`: denied
    scp         migrate_disk_and_power_off: the copy fails (disk full, network cut), guest off
    copy:S      migrate_disk_and_power_off: no fault but a copy of S seconds, longer while source
                or destination copy for others too; the fake driver has no bandwidth to share
    dies        finish_migration, post_live_migration_at_destination: the guest dies soon after it

They are looked up in this order, first match wins, `OP:HOST` before `OP`: server metadata
`fault.OP`, then by server (name glob or id), by host, for all.
"""

from collections import Counter
from collections.abc import Generator
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase

from tests.beds.sim.errors import MaxRetriesError, NoValidHostError, RollbackError, WorkError
from tests.beds.sim.process import HANG
from tests.beds.sim.records import Server

OPERATIONS = frozenset(
    (
        "spawn",
        "destroy",
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
        "cleanup",
        "prep_resize",
        "get_console_output",
    )
)

# Why `ssh mkdir` fails on the destination: exit code, stdout, stderr. Seen with Nova 34 and
# libvirt.
SSH = {
    "denied": (255, "", "nova@{address}: Permission denied (publickey,password).\r\n"),
    "host-key": (255, "", "Host key verification failed.\r\n"),
    "refused": (255, "", "ssh: connect to host {address} port 22: Connection refused\r\n"),
    "nologin": (1, "This account is currently not available.\n", ""),
    "mkdir": (1, "", "mkdir: cannot create directory '{path}': Permission denied\n"),
}
# How nova/exception.py begins the text of some exceptions.
WORDS = {
    "MigrationError": "Migration error: ",
    "MigrationPreCheckError": "Migration pre-check error: ",
    "ResizeError": "Resize error: ",
}
TEXTS = {
    "ConsoleNotAvailable": "Guest does not have a console available."
}  # those without a reason
_SLICE = 0.5  # seconds after which a copy looks how many others there are
Table = dict[str, str]


@dataclass(frozen=True)
class Effect:
    """What a fault does: wait (seconds, HANG for ever), then raise `error` if there is one.

    words: the words of its spec, for those that mean more to one operation. copies: seconds
    that a copy takes alone.
    """

    seconds: float = 0.0
    copies: float = 0.0
    error: WorkError | None = None
    words: frozenset[str] = frozenset()


class Lines:
    """The network lines of hosts: copies over one share its bandwidth equally."""

    def __init__(self) -> None:
        self._copies: Counter[str] = Counter()

    def copy(self, seconds: float, *hosts: str) -> Generator[float, None, None]:
        """As long as the busiest of these lines lets it take."""
        self._copies.update(hosts)
        try:
            while seconds > 0:
                share = max(self._copies[host] for host in hosts)
                lasts = min(_SLICE, seconds * share)
                yield lasts
                seconds -= lasts / share
        finally:
            self._copies.subtract(hosts)


@dataclass
class Faults:
    """Scripted faults, changed at any time; see the module's text for their form."""

    servers: dict[str, Table] = field(default_factory=dict)
    hosts: dict[str, Table] = field(default_factory=dict)
    everywhere: Table = field(default_factory=dict)
    lines: Lines = field(default_factory=Lines)
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

    def effect(self, operation: str, host: str, server: Server, address: str = "") -> Effect:
        """Return what strikes an operation now. address: of the host that a server moves to."""
        spec = self._spec(operation, host, server)
        words = [word.strip() for word in spec.split(",")] if spec else []
        if "once" in words:
            key = (operation, server.id, spec)
            if key in self._used:
                return Effect()
            self._used.add(key)
        effect = _effect(words, f"injected failure in {operation} on {host}")
        causes = [
            word.partition(":")[2] or "denied" for word in words if word.partition(":")[0] == "ssh"
        ]
        return replace(effect, error=_ssh_failure(causes[0], server, address)) if causes else effect

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
    seconds = copies = 0.0
    error: WorkError | None = None
    for word in words:
        name, _, argument = word.partition(":")
        if name == "sleep":
            seconds = float(argument)
        elif name == "copy":
            copies = float(argument)
        elif name in ("hang", "busy"):
            seconds = HANG
        elif name == "scp":
            error = WorkError("ProcessExecutionError", "ProcessExecutionError")
        elif name == "fail":
            error = _exception(argument, message)
    return Effect(seconds, copies, error, frozenset(words))


def _ssh_failure(cause: str, server: Server, address: str) -> RollbackError:
    """As nova/virt/libvirt/driver.py migrate_disk_and_power_off words what oslo.concurrency
    says.
    """
    code, out, error = SSH[cause]
    path = f"/var/lib/nova/instances/{server.id}"
    error = error.format(address=address, path=path)
    return RollbackError(
        "Resize error: not able to execute ssh command: Unexpected error while running command.\n"
        f"Command: ssh -o BatchMode=yes {address} mkdir -p {path}\n"
        f"Exit code: {code}\nStdout: {out!r}\nStderr: {error!r}"
    )


def _exception(kind: str, message: str) -> WorkError:
    if kind == "InstanceFaultRollback":
        return RollbackError(message)
    if kind == "NoValidHost":
        return NoValidHostError(message)
    if kind == "MaxRetriesExceeded":
        return MaxRetriesError(message)
    text = TEXTS.get(kind) or WORDS.get(kind, "") + message
    return WorkError(kind or "NovaException", text)


def operate(
    faults: Faults, operation: str, host: str, server: Server, address: str = ""
) -> Generator[float, None, None]:
    """Do an operation on a host: its fault's delay, then its fault's failure."""
    yield from carry_out(faults.effect(operation, host, server, address))


def carry_out(effect: Effect) -> Generator[float, None, None]:
    if effect.seconds:
        yield effect.seconds
    if effect.error:
        raise effect.error
