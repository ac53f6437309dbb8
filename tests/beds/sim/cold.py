"""Cold migration and resize: from the request to confirmed, reverted or error.

The order of the steps is that of nova/conductor/tasks/migrate.py and nova/compute/manager.py
(prep_resize, resize_instance, finish_resize, confirm_resize, revert_resize).
"""

from dataclasses import dataclass, replace

from tests.beds.sim import checks
from tests.beds.sim.driver import carry_out, operate
from tests.beds.sim.errors import (
    BadRequestError,
    ConflictError,
    MaxRetriesError,
    NoValidHostError,
    RollbackError,
    ServerGoneError,
    WorkError,
)
from tests.beds.sim.power import Power
from tests.beds.sim.process import Work
from tests.beds.sim.records import Context, Flavor, Migration, Server
from tests.beds.sim.scheduler import Scheduler
from tests.beds.sim.state import Compute, State
from tests.beds.sim.states import RUNNING, SHUTDOWN


@dataclass(frozen=True)
class Move:
    """One cold migration or resize on its way."""

    context: Context
    server: Server
    migration: Migration
    flavor: Flavor
    alternates: tuple[Compute, ...] = ()
    targeted: bool = False


@dataclass
class ColdMigrations:
    state: State
    scheduler: Scheduler
    power: Power

    # Requests

    def migrate(self, context: Context, identity: str, host: str | None = None) -> None:
        server = self.state.server(identity, context)
        self._start(context, server, "migrate", server.flavor, host)

    def resize(self, context: Context, identity: str, flavor: Flavor) -> None:
        server = self.state.server(identity, context)
        if flavor == server.flavor:
            raise BadRequestError("When resizing, instances must change flavor!")
        self._start(context, server, "resize", flavor, None)

    def _start(
        self, context: Context, server: Server, action: str, flavor: Flavor, host: str | None
    ) -> None:
        checks.supported(self.state, server, checks.COLD)
        checks.unlocked(server, context)
        checks.lost_race(self.state, server, ("resize_prep",))
        checks.in_state(server, action, ("active", "stopped"))
        checks.host_is_up(self.state, server)
        if host is not None:
            self._check_target(server, host)
        checks.begin(self.state, server, "resize_prep")
        self.state.record(context, server, action)
        self.state.conductor.cast(
            lambda: self._conduct(context, server, flavor, host), self.state.timing.conduct
        )

    def _check_target(self, server: Server, host: str) -> None:
        if host == server.host:
            raise BadRequestError("Cannot migrate to the host where the server exists.")
        self.state.compute(host)
        if self.state.service_of(host) is None:
            raise BadRequestError(f"Compute host {host} could not be found.")

    def confirm(self, context: Context, identity: str) -> None:
        server = self.state.server(identity, context)
        checks.unlocked(server, context)
        checks.in_state(server, "confirmResize", ("resized",))
        if self._just_confirmed(server):
            return
        migration = self._finished(server)
        service = self.state.service_of(migration.source)
        if service is None or not self.state.is_up(service):
            raise ConflictError(checks.UNAVAILABLE)
        self._begin_confirm(context, server, migration)

    def _begin_confirm(self, context: Context | None, server: Server, migration: Migration) -> None:
        """context: None where Nova confirms by itself."""
        self.state.set_status(migration, "confirming")
        self.state.record(context, server, "confirmResize")
        source = self.state.computes[migration.source]
        source.process.cast(
            lambda: self._confirm(server, migration, source), self.state.timing.step
        )

    def _just_confirmed(self, server: Server) -> bool:
        """Two confirms at the same moment both read `finished` and are both accepted."""
        migration = self.state.migration_by_status(server, "confirming")
        since = migration.updated_at if migration else None
        return since is not None and self.state.now() - since <= self.state.timing.race

    def _finished(self, server: Server) -> Migration:
        migration = self.state.migration_by_status(server, "finished")
        if migration is None:
            raise BadRequestError("Instance has not been resized.")
        return migration

    def revert(self, context: Context, identity: str) -> None:
        """Start a revert; Nova does not look whether the source is up."""
        server = self.state.server(identity, context)
        checks.unlocked(server, context)
        checks.in_state(server, "revertResize", ("resized",))
        migration = self._finished(server)
        checks.begin(self.state, server, "resize_reverting")
        self.state.set_status(migration, "reverting")
        self.state.record(context, server, "revertResize")
        destination = self.state.computes[migration.dest or ""]
        destination.process.cast(
            lambda: self._revert(server, migration, destination), self.state.timing.step
        )

    # Conductor

    def _conduct(self, context: Context, server: Server, flavor: Flavor, host: str | None) -> Work:
        with (
            self.state.event(server, "conductor_migrate_server", "conductor"),
            self.state.event(server, "cold_migrate", "conductor"),
        ):
            kind = "migration" if flavor == server.flavor else "resize"
            migration = self.state.new_migration(server, kind, "pre-migrating", context)
            self.state.placement.move(server.id, migration.uuid)
            move = Move(context, server, migration, flavor, targeted=host is not None)
            yield self.state.latency(self.state.timing.schedule)
            try:
                self._choose(move, host)
            except WorkError as error:
                self._give_up(move, error)

    def _choose(self, move: Move, host: str | None) -> None:
        server = move.server
        source = (server.host or "",)
        found = self.scheduler.select(server, move.flavor, only=host, ignore=source)
        attempts = 1 if move.targeted else self.state.config.max_attempts
        self._send(replace(move, alternates=tuple(found[:attempts])))

    def _send(self, move: Move) -> None:
        """Claim the first host that still has room and hand the move to it."""
        server, placement = move.server, self.state.placement
        for number, target in enumerate(move.alternates, 1):
            if placement.claim(server.id, target.provider, move.flavor.resources(), server.owner):
                rest = replace(move, alternates=move.alternates[number:])
                self._cast_prepare(rest, target)
                return
        reason = (
            f"Exhausted all hosts available for retrying build failures for instance {server.id}."
        )
        raise MaxRetriesError(reason)

    def _cast_prepare(self, move: Move, target: Compute) -> None:
        target.process.cast(lambda: self._prepare(move, target), self.state.timing.step)

    def _give_up(self, move: Move, error: WorkError) -> None:
        """Nothing was touched: the server is as it was, the migration is `error`."""
        self.state.set_status(move.migration, "error")
        self._take_back(move)
        if isinstance(error, NoValidHostError):
            self.state.save(move.server, task_state=None)
            what = "cold migrate" if move.migration.kind == "migration" else "resize"
            raise NoValidHostError(f"No valid host found for {what}")
        raise error

    def _take_back(self, move: Move) -> None:
        """Give the source's allocation back to the server and drop the destination's."""
        self.state.placement.release(move.server.id)
        self.state.placement.move(move.migration.uuid, move.server.id)

    # Destination, source, destination

    def _prepare(self, move: Move, target: Compute) -> Work:
        """prep_resize on the destination."""
        server = move.server
        with self.state.event(server, "compute_prep_resize", target.host):
            try:
                yield from operate(self.state.faults, "prep_resize", target.host, server)
                self.scheduler.check_anti_affinity(target.host, server)
                self.state.save(server, expect=("resize_prep",))
            except WorkError as error:
                self._take_back(move)
                self._try_another(move, error)
                return
            self.state.set_status(move.migration, "pre-migrating", dest=target.host)
            source = self.state.computes[move.migration.source]
            source.process.cast(lambda: self._leave(move, source, target), self.state.timing.step)

    def _try_another(self, move: Move, error: WorkError) -> None:
        """Ask the conductor for the next alternate; without one the failure stands."""
        if move.targeted or isinstance(error, ServerGoneError):
            self._fail(move, error)
            return

        def again() -> Work:
            with self.state.event(move.server, "cold_migrate", "conductor"):
                self.state.placement.move(move.server.id, move.migration.uuid)
                yield self.state.latency(self.state.timing.step)
                try:
                    self._send(move)
                except WorkError as exhausted:
                    self._give_up(move, exhausted)

        self.state.conductor.cast(again, self.state.timing.step)

    def _fail(self, move: Move, error: WorkError) -> None:
        """End a move with its failure: rolled back, or the server in ERROR where it is now."""
        self.state.set_status(move.migration, "error")
        if not isinstance(error, RollbackError):
            self.state.error_out(move.server, error)
            raise error
        if not move.server.deleted:
            self.state.save(move.server, task_state=None)
        raise WorkError("InstanceFaultRollback", error.inner)

    def _leave(self, move: Move, source: Compute, target: Compute) -> Work:
        """resize_instance on the source: shut down, copy, hand over."""
        server = move.server
        with self.state.event(server, "compute_resize_instance", source.host):
            try:
                self.state.save(
                    server,
                    expect=("resize_prep",),
                    task_state="resize_migrating",
                    old_vm_state=server.vm_state,
                )
                self.state.set_status(move.migration, "migrating")
                yield self.state.latency(self.state.timing.step)
                name = "migrate_disk_and_power_off"
                effect = self.state.faults.effect(name, source.host, server, target.address)
                if not isinstance(effect.error, RollbackError):
                    self.power.go_off(server)
                yield from carry_out(effect)
                yield from self.state.faults.lines.copy(effect.copies, source.host, target.host)
                self.state.save(
                    server,
                    expect=("resize_migrating",),
                    task_state="resize_migrated",
                    host=target.host,
                )
            except WorkError as error:
                self._take_back(move)
                self._left_badly(move, error)
            self.state.set_status(move.migration, "post-migrating")
            target.process.cast(lambda: self._finish(move, target), self.state.timing.step)

    def _left_badly(self, move: Move, error: WorkError) -> None:
        """A task that somebody reset meanwhile is saved with the ERROR that comes of it."""
        try:
            self._fail(move, error)
        finally:
            if error.kind == "UnexpectedTaskStateError" and not move.server.deleted:
                self.state.save(move.server, task_state="resize_migrating")

    def _finish(self, move: Move, target: Compute) -> Work:
        """finish_resize on the destination: the migration is `finished` before the server
        shows it.
        """
        server = move.server
        with self.state.event(server, "compute_finish_resize", target.host):
            try:
                self.state.save(server, expect=("resize_migrated",), task_state="resize_finish")
                self.state.bind_ports(server, target.host)
                yield self.state.latency(self.state.timing.step)
                checks.secret(server, move.context.user)
                effect = self.state.faults.effect("finish_migration", target.host, server)
                yield from carry_out(effect)
                self.state.set_status(move.migration, "finished")
                yield self.state.latency(self.state.timing.settle)
                self._arrive(move)
                if "dies" in effect.words:
                    self.power.go_off_soon(server)
            except WorkError as error:
                self.state.placement.release(move.migration.uuid)
                self._fail(move, error)

    def _arrive(self, move: Move) -> None:
        server = move.server
        was_off = server.old_vm_state == "stopped"
        changed = (
            {}
            if move.flavor == server.flavor
            else {"flavor": move.flavor, "old_flavor": server.flavor}
        )
        self.state.save(
            server,
            expect=("resize_finish",),
            vm_state="resized",
            task_state=None,
            power_state=SHUTDOWN if was_off else RUNNING,
            launched_at=self.state.now(),
            **changed,
        )
        window = self.state.config.resize_confirm_window
        if window:
            self.state.clock.call_later(window, lambda: self._confirm_by_itself(move))

    def _confirm_by_itself(self, move: Move) -> None:
        """resize_confirm_window: Nova confirms what nobody decided on."""
        server = move.server
        unasked = move.migration.status == "finished" and not server.deleted
        if unasked and server.vm_state == "resized" and server.task_state is None:
            self._begin_confirm(None, server, move.migration)

    # Confirm and revert

    def _confirm(self, server: Server, migration: Migration, source: Compute) -> Work:
        """confirm_resize on the source: confirmed, then ACTIVE, then the allocation gone."""
        if migration.status not in ("finished", "confirming") or server.deleted:
            return
        with self.state.event(server, "compute_confirm_resize", source.host):
            try:
                yield from operate(self.state.faults, "confirm_migration", source.host, server)
                self.state.set_status(migration, "confirmed")
                yield self.state.latency(self.state.timing.confirmed)
                vm_state = "stopped" if server.power_state == SHUTDOWN else "active"
                self.state.save(server, vm_state=vm_state, task_state=None, old_flavor=None)
            except WorkError as error:
                self.state.set_status(migration, "error")
                self.state.error_out(server, error)
                self.state.placement.release(migration.uuid)
                raise
            yield self.state.latency(self.state.timing.confirmed)
            self.state.placement.release(migration.uuid)

    def _revert(self, server: Server, migration: Migration, destination: Compute) -> Work:
        """revert_resize on the destination: the guest is destroyed there, come what may."""
        with self.state.event(server, "compute_revert_resize", destination.host):
            try:
                yield from operate(self.state.faults, "destroy", destination.host, server)
                self.state.set_status(migration, "reverted")
            except WorkError as error:
                self._revert_failed(server, migration, error)
            source = self.state.computes[migration.source]
            source.process.cast(
                lambda: self._return(server, migration, source), self.state.timing.step
            )

    def _return(self, server: Server, migration: Migration, source: Compute) -> Work:
        """finish_revert_resize on the source: it looks at no power state, so neither does the
        record.
        """
        with self.state.event(server, "compute_finish_revert_resize", source.host):
            try:
                flavor = server.old_flavor or server.flavor
                self.state.save(server, host=source.host, flavor=flavor, old_flavor=None)
                self.state.bind_ports(server, source.host)
                self.state.placement.release(server.id)
                self.state.placement.move(migration.uuid, server.id)
                yield self.state.latency(self.state.timing.step)
                yield from operate(
                    self.state.faults, "finish_revert_migration", source.host, server
                )
                yield self.state.latency(self.state.timing.step)
                power = SHUTDOWN if server.old_vm_state == "stopped" else RUNNING
                self.state.save(
                    server,
                    vm_state=server.old_vm_state,
                    task_state=None,
                    domain=power,
                    launched_at=self.state.now(),
                )
            except WorkError as error:
                self._revert_failed(server, migration, error)

    def _revert_failed(self, server: Server, migration: Migration, error: WorkError) -> None:
        self.state.set_status(migration, "error")
        self.state.error_out(server, error)
        raise error
