"""The state that all parts of the cloud share, and the few ways to change it."""

import random
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from tests.beds.sim.clock import Clock
from tests.beds.sim.driver import Faults
from tests.beds.sim.errors import BadRequestError, NotFoundError, ServerGoneError, WorkError
from tests.beds.sim.placement import Placement
from tests.beds.sim.process import Process
from tests.beds.sim.records import (
    Action,
    Aggregate,
    Context,
    Event,
    Fault,
    Flavor,
    Migration,
    Port,
    Resources,
    Server,
    ServerGroup,
    Service,
    User,
)
from tests.beds.sim.states import ENDED_MIGRATION, NO_POWER, SHUTDOWN

ANY = ("any",)


@dataclass(frozen=True)
class Timing:
    """Seconds that the steps take, as seen on a small idle cloud; `jitter` is a share of each."""

    jitter: float = 0.2
    cast: float = 0.03
    conduct: float = 0.3  # from the 202 of a migrate to its record
    schedule: float = 0.15
    step: float = 0.15  # one stage of a move on a compute
    settle: float = 0.3  # migration `finished`, server not yet VERIFY_RESIZE
    confirmed: float = 0.2  # migration `confirmed`, server not yet ACTIVE; then the same again
    completed: float = 0.6  # server ACTIVE on the destination, migration not yet `completed`
    guest: float = 0.3  # stop, start, pause and the like
    spawn: float = 0.8
    start_compute: float = 2.0
    dies: float = 1.0  # from the start of a guest that dies to its death
    stopped_event: float = (
        15.0  # nova/virt/libvirt/host.py: from a death to the event that tells it
    )
    first_power_sync: float = 8.0  # from the start of nova-compute
    race: float = (
        0.02  # two requests this close together both read the state before either writes it
    )


@dataclass(frozen=True)
class Config:
    """Nova's options of these names; seconds."""

    report_interval: float = 2.0
    service_down_time: float = 10.0
    max_concurrent_live_migrations: int = 1
    # No option of Nova's: refuse what is not supported as before Xena, with 403 and 409.
    before_xena: bool = False
    # No option of Nova's: a server whose live migration fails at its end on the source stays there,
    # as before 24.2.0, 25.1.0, 26.1.0 (bug 1628606); the version document ends at 2.87 then.
    ends_on_source: bool = False
    # No option of Nova's: the status in which a live migration waits for its turn; some versions
    # show `accepted` or `preparing` instead.
    waiting_live_status: str = "queued"
    max_attempts: int = 3
    migrate_max_retries: int = -1  # of live migrations; -1: as many as there are hosts
    resize_confirm_window: float = 0.0
    reclaim_instance_interval: float = 0.0  # above 0, a deleted server is SOFT_DELETED that long
    update_resources_interval: float = 60.0
    sync_power_state_interval: float = 600.0
    discover_hosts_interval: float = 5.0
    # No option of Nova's: the hypervisor's driver starts a guest again whose copy was cut off by
    # the death of nova-compute. libvirt's fails to (Nova 34: AttributeError in
    # _finish_revert_migration_vtpm).
    restarts_after_crash: bool = False
    max_limit: int = 1000
    list_records_by_skipping_down_cells: bool = True


@dataclass
class Compute:
    """A hypervisor with its nova-compute."""

    host: str
    node: str
    number: int
    provider: str
    process: Process
    inventories: Resources
    address: str
    cell: str = "cell1"
    more_nodes: dict[str, str] = field(default_factory=dict)  # Ironic: name -> provider
    live_line: list[int] = field(
        default_factory=list
    )  # ids of live migrations, first come first served
    # Nova looks at one of all rows ever registered for the host when it wants to know whether the
    # source of a cold migration is up; after several registrations that may be a deleted one.
    stale_service_row: bool = False


class State:
    """The databases, and everything that is the same for all."""

    def __init__(self, clock: Clock, seed: int, config: Config, timing: Timing) -> None:
        self.clock = clock
        self.random = random.Random(seed)
        self.config = config
        self.timing = timing
        self.faults = Faults()
        self.placement = Placement()
        self.servers: dict[str, Server] = {}
        self.migrations: list[Migration] = []
        self.moves_of: dict[str, list[Migration]] = {}  # by server, oldest first
        self.actions: dict[str, list[Action]] = {}
        self.services: dict[str, Service] = {}
        self.compute_services: dict[str, Service] = {}  # those of nova-compute, by host
        self.computes: dict[str, Compute] = {}
        self.aggregates: dict[int, Aggregate] = {}
        self.groups: dict[str, ServerGroup] = {}
        self.flavors: dict[str, Flavor] = {}
        self.users: dict[str, User] = {}
        self.ports_of: dict[str, list[Port]] = {}  # by server
        self.by_host: dict[
            str, dict[str, Server]
        ] = {}  # every server whose host this is, deleted ones too
        self.down_cells: set[str] = set()
        self.numbers = {
            name: count(1) for name in ("server", "migration", "service", "aggregate", "port")
        }
        self.conductor = Process("conductor", clock, self.latency)

    def now(self) -> float:
        return self.clock.now()

    def latency(self, seconds: float) -> float:
        """Return a duration with the jitter of this cloud."""
        spread = self.timing.jitter
        return (self.timing.cast + seconds) * self.random.uniform(1 - spread, 1 + spread)

    def new_uuid(self) -> str:
        return str(uuid.UUID(int=self.random.getrandbits(128), version=4))

    # Servers

    def server(self, identity: str, context: Context | None = None) -> Server:
        """Return a server that the user may see; NotFoundError as Nova words it."""
        server = self.servers.get(identity)
        hidden = context is not None and not context.is_admin and server is not None
        if (
            server is None
            or server.deleted
            or (hidden and server.owner.project != _project(context))
        ):
            raise NotFoundError(f"Instance {identity} could not be found.")
        return server

    def on_host(self, host: str) -> list[Server]:
        return [server for server in self.by_host.get(host, {}).values() if not server.deleted]

    def save(self, server: Server, *, expect: tuple[str | None, ...] = ANY, **changes: Any) -> None:
        """Change a server as `instance.save(expected_task_state=...)` does.

        Raises ServerGoneError for a deleted server, WorkError UnexpectedTaskStateError if its task
        is none of `expect`.
        """
        if server.deleted:
            raise ServerGoneError(server.id)
        if expect != ANY and server.task_state not in expect:
            raise WorkError(
                "UnexpectedTaskStateError",
                f"Conflict updating instance {server.id}. Expected: "
                f"{{'task_state': {list(expect)}}}."
                f" Actual: {{'task_state': {server.task_state!r}}}",
            )
        if "host" in changes:
            if changes["host"] != server.host:
                server.runs_on = ""  # whatever still runs there, this is another guest, or that one
            self._place(server, changes["host"])
        if "power_state" in changes:
            if server.is_away and changes["power_state"] == SHUTDOWN:
                changes["power_state"] = NO_POWER  # nothing is there to stop
            changes.setdefault("domain", changes["power_state"])
        for name, value in changes.items():
            setattr(server, name, value)
        server.updated_at = self.now()

    def _place(self, server: Server, host: str | None) -> None:
        """Keep by_host true."""
        if server.host is not None:
            self.by_host[server.host].pop(server.id, None)
        if host is not None:
            self.by_host.setdefault(host, {})[server.id] = server

    def in_reach(self, server: Server) -> bool:
        """Return whether the cell of a server answers."""
        compute = self.computes.get(server.host or "")
        return compute is None or compute.cell not in self.down_cells

    def bind_ports(self, server: Server, host: str) -> None:
        for port in self.ports_of.get(server.id, []):
            port.host = host

    def unbind_ports(self, server: Server) -> None:
        """What LP 1944619 was seen to leave: the binding is gone, on either host."""
        for port in self.ports_of.get(server.id, []):
            port.host, port.vif_type, port.status = "", "unbound", "DOWN"

    def error_out(self, server: Server, error: WorkError) -> None:
        """Put a server into ERROR with the failure as its fault."""
        if not server.deleted:
            self.save(server, vm_state="error", task_state=None, fault=self.fault(error))

    def fault(self, error: WorkError) -> Fault:
        return Fault(
            500, cut(error.message), self.now(), f"Traceback: {error.kind}: {error.message}"
        )

    # Migrations

    def new_migration(self, server: Server, kind: str, status: str, context: Context) -> Migration:
        number = next(self.numbers["migration"])
        migration = Migration(
            number,
            self.new_uuid(),
            server.id,
            kind,
            status,
            server.host or "",
            context.user,
            self.now(),
        )
        self.migrations.append(migration)
        self.moves_of.setdefault(server.id, []).append(migration)
        return migration

    def set_status(self, migration: Migration, status: str, **changes: Any) -> None:
        migration.status = status
        for name, value in changes.items():
            setattr(migration, name, value)
        migration.updated_at = self.now()

    def migration_by_status(self, server: Server, status: str) -> Migration | None:
        """Return the newest migration of a server with a status."""
        for migration in reversed(self.moves_of.get(server.id, [])):
            if migration.status == status and not migration.deleted:
                return migration
        return None

    def in_progress(self, host: str) -> list[Migration]:
        """Return what keeps the compute service of a host from being deleted."""
        return [
            migration
            for migration in self.migrations
            if host in (migration.source, migration.dest)
            and migration.status not in ENDED_MIGRATION
            and not migration.deleted
        ]

    # Instance actions

    def record(self, context: Context | None, server: Server, name: str) -> None:
        """Note what is done to a server. context: None for what Nova does by itself."""
        request = (context.request_id if context else "") or f"req-{self.new_uuid()}"
        user = context.user if context else None
        action = Action(name, request, user, self.now(), self.now())
        self.actions.setdefault(server.id, []).append(action)

    @contextmanager
    def event(self, server: Server, name: str, host: str) -> Iterator[None]:
        """Note a step of the newest action of a server, and how it ends."""
        action = self.actions[server.id][-1]
        event = Event(name, self.now(), host)
        action.events.append(event)
        try:
            yield
        except WorkError as error:
            event.result, event.details = "Error", cut(error.message)
            event.traceback = f"Traceback: {error.kind}: {error.message}"
            action.message = "Error"
            raise
        else:
            event.result = "Success"
        finally:
            event.finish = action.updated_at = self.now()

    # Hosts

    def compute(self, host: str) -> Compute:
        try:
            return self.computes[host]
        except KeyError:
            raise BadRequestError(f"Compute host {host} could not be found.") from None

    def service_of(self, host: str) -> Service | None:
        """Return the record of a host's nova-compute, if it is registered."""
        return self.compute_services.get(host)

    def add_service(self, service: Service) -> Service:
        self.services[service.id] = service
        if service.is_compute:
            self.compute_services[service.host] = service
        return service

    def drop_service(self, service: Service) -> None:
        del self.services[service.id]
        if service.is_compute:
            del self.compute_services[service.host]

    def is_up(self, service: Service) -> bool:
        """Return what the service list shows as `state`."""
        if service.forced_down:
            return False
        return self.last_seen(service) >= self.now() - self.config.service_down_time

    def last_seen(self, service: Service) -> float:
        compute = self.computes.get(service.host)
        if compute is None or compute.process.running:
            return self.now() - (self.now() - service.last_seen) % self.config.report_interval
        return service.last_seen

    def zone_of(self, host: str) -> str:
        for aggregate in self.aggregates.values():
            if host in aggregate.hosts and "availability_zone" in aggregate.metadata:
                return aggregate.metadata["availability_zone"]
        return "nova"


def cut(text: str) -> str:
    """Return what fits into the column (nova/compute/utils.py exception_to_dict), whole
    characters.
    """
    return text.encode()[:255].decode(errors="ignore")


def _project(context: Context | None) -> Any:
    return context.user.project if context else None
