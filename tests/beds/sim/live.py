"""Live migration: from the request to completed, cancelled, failed or error.

The order of the steps is that of nova/conductor/tasks/live_migrate.py and nova/compute/manager.py
(live_migration, _do_live_migration, _post_live_migration, _rollback_live_migration).
"""

from dataclasses import dataclass, field

from tests.beds.sim import checks
from tests.beds.sim.driver import Effect, carry_out, operate
from tests.beds.sim.errors import BadRequestError, MaxRetriesError, NotFoundError, WorkError
from tests.beds.sim.power import Power
from tests.beds.sim.process import HANG, Work
from tests.beds.sim.records import Context, Migration, Server, User
from tests.beds.sim.scheduler import Scheduler
from tests.beds.sim.state import Compute, State
from tests.beds.sim.states import LIVE_IN_PROGRESS, SHUTDOWN

# A check that raises one of these says no to its host, and another is asked.
SAYS_NO = frozenset(
    (
        "Invalid",
        "MigrationPreCheckError",
        "InvalidCPUInfo",
        "InvalidLocalStorage",
        "InvalidSharedStorage",
    )
)
# After these the server is as it was (nova/conductor/manager.py _live_migrate).
KNOWN = SAYS_NO | {
    "NoValidHost",
    "MaxRetriesExceeded",
    "ComputeServiceUnavailable",
    "UnableToMigrateToSelf",
    "HypervisorUnavailable",
    "InstanceInvalidState",
}
MONITOR_INTERVAL = 5.0  # [libvirt]live_migration_monitor_interval: how often numbers are published
FIRST_PASS = 5.0  # seconds in which a busy guest's memory is copied once
DIRTIED = 0.2  # share of its memory that a busy guest dirties meanwhile
PASS = 7.0  # seconds of each later pass
LOST = "MessagingTimeout"
SWALLOWED = "swallowed"
QUEUE_GLANCE = 0.2  # seconds between two looks of a waiting one at whether it is its turn
GLANCE = 0.5  # seconds between two looks of a copy at whether it is to be aborted or forced


@dataclass
class Control:
    """What people asked a running live migration to do."""

    abort: bool = False
    force: bool = False


@dataclass
class LiveMigrations:
    state: State
    scheduler: Scheduler
    power: Power
    controls: dict[int, Control] = field(default_factory=dict)

    # Requests

    def migrate(self, context: Context, identity: str, host: str | None = None) -> None:
        server = self.state.server(identity, context)
        checks.supported(self.state, server, checks.LIVE)
        checks.unlocked(server, context)
        checks.lost_race(self.state, server, ("migrating",))
        checks.in_state(server, "os-migrateLive", ("active", "paused"))
        if host is not None and (
            host not in self.state.computes or self.state.service_of(host) is None
        ):
            raise BadRequestError(f"Compute host {host} could not be found.")
        checks.begin(self.state, server, "migrating")
        self.state.record(context, server, "live-migration")
        self.state.conductor.cast(
            lambda: self._conduct(context, server, host), self.state.timing.step
        )

    def abort(self, context: Context, identity: str, number: int) -> None:
        server = self.state.server(identity, context)
        checks.unlocked(server, context)
        checks.in_state(server, "abort live migration", tasks=("migrating",))
        migration = self.of_server(server, number)
        if migration.status not in ("running", "queued", "preparing"):
            raise self._wrong_state(migration, "abort live migration")
        self._control(migration).abort = True

    def force_complete(self, context: Context, identity: str, number: int) -> None:
        server = self.state.server(identity, context)
        checks.unlocked(server, context)
        checks.in_state(server, "force_complete", ("active",), ("migrating",))
        migration = self.of_server(server, number)
        if migration.status != "running":
            raise self._wrong_state(migration, "force complete")
        self._control(migration).force = True

    def of_server(self, server: Server, number: int) -> Migration:
        for migration in self.state.moves_of.get(server.id, []):
            if migration.id == number and not migration.deleted:
                return migration
        raise NotFoundError(f"Migration {number} not found for instance {server.id}")

    def in_progress(self, server: Server) -> list[Migration]:
        """Return the live migrations of a server that run: all that Nova shows under the server."""
        return [
            migration
            for migration in self.state.moves_of.get(server.id, [])
            if migration.kind == "live-migration"
            and migration.status in LIVE_IN_PROGRESS
            and not migration.deleted
        ]

    def _wrong_state(self, migration: Migration, what: str) -> BadRequestError:
        return BadRequestError(
            f"Migration {migration.id} state of instance {migration.server} is {migration.status}."
            f" Cannot {what} while the migration is in this state."
        )

    def _control(self, migration: Migration) -> Control:
        return self.controls.setdefault(migration.id, Control())

    # Conductor

    def _conduct(self, context: Context, server: Server, host: str | None) -> Work:
        with self.state.event(server, "conductor_live_migrate_instance", "conductor"):
            migration = self.state.new_migration(server, "live-migration", "accepted", context)
            try:
                yield self.state.latency(self.state.timing.schedule)
                source = self._source(server)
                target = yield from self._find(server, migration, source, host)
            except WorkError as error:
                self._refused(server, migration, error)
                return
            self.state.set_status(migration, "accepted", dest=target.host)
            source.process.cast(lambda: self._wait_for_turn(server, migration, source, target))

    def _refused(self, server: Server, migration: Migration, error: WorkError) -> None:
        """Nothing was touched; after a failure that Nova does not know here the server is in ERROR
        all the same.
        """
        self.state.set_status(migration, "error")
        self._give_back(server, migration)
        if error.kind in KNOWN:
            self.state.save(server, task_state=None)
            raise error
        self.state.error_out(server, error)
        raise WorkError("MigrationError", f"Migration error: {error.message}")

    def _source(self, server: Server) -> Compute:
        """A server that was offloaded, and whose state an admin has reset, is on no host,
        and off.
        """
        if server.host is None:
            raise WorkError(
                "InstanceInvalidState", f"Instance {server.id} is off: it cannot be live-migrated"
            )
        return self.state.computes[server.host]

    def _find(
        self, server: Server, migration: Migration, source: Compute, host: str | None
    ) -> Work:
        """Choose hosts until one agrees; a `host` that was asked for is the only one asked."""
        service = self.state.service_of(source.host)
        if service is None or not self.state.is_up(service):
            raise WorkError(
                "ComputeServiceUnavailable",
                f"Compute service of {source.host} is unavailable at this time.",
            )
        if host == source.host:
            raise WorkError(
                "UnableToMigrateToSelf",
                f"Unable to migrate instance ({server.id}) to current host ({host}).",
            )
        self.state.placement.move(server.id, migration.uuid)
        tried = [source.host]
        while True:
            self._check_retries(server, len(tried) - 1)
            target = self.scheduler.select(server, server.flavor, only=host, ignore=tuple(tried))[0]
            resources = server.flavor.resources()
            self.state.placement.claim(server.id, target.provider, resources, server.owner)
            try:
                yield from self._agree(server, source, target)
            except WorkError as error:
                self.state.placement.release(server.id)
                if error.kind not in SAYS_NO:
                    raise
                tried.append(target.host)
            else:
                return target

    def _check_retries(self, server: Server, retries: int) -> None:
        most = self.state.config.migrate_max_retries
        if most != -1 and retries > most:
            raise MaxRetriesError(
                f"Exceeded max scheduling retries {retries} for instance {server.id} during live"
                " migration"
            )

    def _agree(self, server: Server, source: Compute, target: Compute) -> Work:
        """The destination's check, which asks the source for its own."""

        def check() -> Work:
            with self.state.event(
                server, "compute_check_can_live_migrate_destination", target.host
            ):
                yield self.state.latency(0)
                name = "check_can_live_migrate_destination"
                yield from operate(self.state.faults, name, target.host, server)
                yield from target.process.call(source.process, self._check_source(server, source))

        yield from self.state.conductor.call(target.process, check())

    def _check_source(self, server: Server, source: Compute) -> Work:
        try:
            with self.state.event(server, "compute_check_can_live_migrate_source", source.host):
                yield from operate(
                    self.state.faults, "check_can_live_migrate_source", source.host, server
                )
        except WorkError as error:
            reason = (
                f"Error while check_can_live_migrate_source from {source.host}: "
                f"{error.kind} {error.message}"
            )
            raise WorkError(
                "MigrationPreCheckError", f"Migration pre-check error: {reason}"
            ) from error

    # Source

    def _wait_for_turn(
        self, server: Server, migration: Migration, source: Compute, target: Compute
    ) -> Work:
        """A compute copies a few at a time; the others are `queued`."""
        with self.state.event(server, "compute_live_migration", source.host):
            waiting = self.state.config.waiting_live_status
            self.state.set_status(
                migration, waiting
            )  # this step ends here: no failure of a copy shows in it
        source.live_line.append(migration.id)
        control = self._control(migration)
        limit = self.state.config.max_concurrent_live_migrations
        try:
            while source.live_line.index(migration.id) >= limit:
                if control.abort:
                    self._roll_back(server, migration, "cancelled")
                    return
                yield self.state.latency(QUEUE_GLANCE)
            yield self.state.latency(0)
            yield from self._live_migrate(server, migration, source, target)
        finally:
            if migration.id in source.live_line:  # a death of the compute empties the line
                source.live_line.remove(migration.id)

    def _live_migrate(
        self, server: Server, migration: Migration, source: Compute, target: Compute
    ) -> Work:
        self.state.set_status(migration, "preparing")
        try:
            yield from source.process.call(
                target.process, self._prepare_target(server, target, migration.initiator)
            )
        except WorkError:
            self.state.set_status(migration, "error")
            yield self.state.latency(self.state.timing.settle)
            self._roll_back(server, migration, "failed")
            raise
        if self._control(migration).abort:  # asked for while it was `preparing`
            self._roll_back(server, migration, "cancelled")
            return
        self.state.set_status(migration, "running")
        if (yield from self._copy(server, migration, source)):
            yield from self._hand_over(server, migration, source, target)

    def _prepare_target(self, server: Server, target: Compute, who: User) -> Work:
        with self.state.event(server, "compute_pre_live_migration", target.host):
            yield self.state.latency(self.state.timing.step)
            checks.secret(server, who, live=True)
            yield from operate(self.state.faults, "pre_live_migration", target.host, server)

    def _copy(self, server: Server, migration: Migration, source: Compute) -> Work:
        """Copy memory, with progress; return whether it got to its end."""
        effect = self.state.faults.effect("live_migration", source.host, server)
        control = self._control(migration)
        total = server.flavor.ram * 2**20
        began = published = self.state.now()
        self._progress(server, migration, 0, total)
        if effect.error is None and effect.seconds != HANG:
            migration.arrives_at = began + effect.seconds
        while not control.force and (passed := self.state.now() - began) < effect.seconds:
            if control.abort:
                yield from self._break_off(server, migration, "cancelled", effect)
                return False
            if self.state.now() >= published + MONITOR_INTERVAL:
                published = self.state.now()
                self._progress(server, migration, *_copied(effect, passed, total))
            yield min(GLANCE, effect.seconds - passed)
        migration.arrives_at = self.state.now()
        if effect.error is not None and not control.force:
            migration.arrives_at = None
            yield from self._break_off(server, migration, "failed", effect)
            return False
        yield self.state.latency(self.state.timing.step)
        return True

    def _progress(self, server: Server, migration: Migration, done: int, remaining: int) -> None:
        """nova/virt/libvirt/migration.py save_stats, in bytes."""
        total = server.flavor.ram * 2**20
        self.state.set_status(
            migration,
            migration.status,
            memory_total=total,
            memory_processed=done,
            memory_remaining=remaining,
        )
        self.state.save(server, progress=100 - round(remaining * 100 / total))

    def _break_off(self, server: Server, migration: Migration, status: str, effect: Effect) -> Work:
        """A copy that runs is aborted or fails: ACTIVE for a moment, then ERROR; the guest runs on.

        Nova rolls back, and then libvirt's driver raises the failure of the copy again
        (virt/libvirt/driver.py _live_migration, since 2025.2); compute/manager.py
        _do_live_migration takes that for a failure after which nothing can be rolled back.
        """
        self._give_back(server, migration)
        if not server.deleted:
            self.state.save(server, task_state=None, progress=0)
        yield self.state.latency(0)
        self.state.set_status(migration, status)
        if "unbound" in effect.words:
            self.state.unbind_ports(server)
        if "swallowed" in effect.words:
            return
        yield self.state.latency(0)
        self.state.set_status(migration, "error")
        yield self.state.latency(self.state.timing.settle)
        if not server.deleted:
            self.state.save(server, vm_state="error", task_state=None)

    def _roll_back(self, server: Server, migration: Migration, status: str) -> None:
        """The guest never left: back to the state it was in."""
        self.state.set_status(migration, status)
        self._give_back(server, migration)
        if not server.deleted:
            self.state.save(server, task_state=None, progress=0)

    def _give_back(self, server: Server, migration: Migration) -> None:
        """Make the server the holder of the source's resources again, and of nothing else."""
        if self.state.placement.of(migration.uuid):
            self.state.placement.release(server.id)
            self.state.placement.move(migration.uuid, server.id)

    def _hand_over(
        self, server: Server, migration: Migration, source: Compute, target: Compute
    ) -> Work:
        """The guest runs on the destination: ACTIVE there, then `completed`, then the allocation
        gone.
        """
        try:
            yield from operate(self.state.faults, "post_live_migration", source.host, server)
            yield from source.process.call(target.process, self._take_over(server, target))
        except WorkError as error:
            if error.kind == SWALLOWED:
                self.state.save(server, host=target.host)
                self.state.error_out(server, error)
            elif error.kind != LOST:
                self.state.set_status(migration, "error")
                if self.state.config.ends_on_source:
                    server.runs_on, server.domain = target.host, SHUTDOWN  # off on the source
                else:
                    self.state.save(server, host=target.host)
                self.state.error_out(server, error)
                raise
            else:
                server.runs_on, server.domain = target.host, SHUTDOWN  # off on the source
        yield self.state.latency(self.state.timing.completed)
        self.state.set_status(migration, "completed")
        yield self.state.latency(self.state.timing.step)
        self.state.placement.release(migration.uuid)

    def _take_over(self, server: Server, target: Compute) -> Work:
        with self.state.event(server, "compute_post_live_migration_at_destination", target.host):
            name = "post_live_migration_at_destination"
            effect = self.state.faults.effect(name, target.host, server)
            try:
                yield from carry_out(effect)
            except WorkError as error:
                if "swallowed" in effect.words:
                    raise WorkError(SWALLOWED, error.message) from error
                raise
            self.state.bind_ports(server, target.host)
            if "lost" in effect.words:
                raise WorkError(LOST, "Timed out waiting for a reply to message ID")
            self.state.save(
                server, expect=("migrating",), host=target.host, task_state=None, progress=0
            )
            if "dies" in effect.words:
                self.power.go_off_soon(server)


def _copied(effect: Effect, passed: float, total: int) -> tuple[int, int]:
    """Return how many bytes were copied and how many remain, some seconds after the start.

    A busy guest dirties memory faster than it is copied: the first number grows for ever, the
    second goes up and down.
    """
    if "busy" in effect.words:
        done = int(total * passed / FIRST_PASS)
        left = int(total * DIRTIED * (1 - passed % PASS / PASS))
        return done, max(total - done, left)
    share = 0.5 if effect.seconds == HANG else passed / effect.seconds
    return int(total * share), total - int(total * share)
