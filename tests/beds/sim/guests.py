"""What tenants and admins do to servers, apart from moving them."""

from dataclasses import dataclass

from tests.beds.sim import checks
from tests.beds.sim.driver import operate
from tests.beds.sim.errors import BadRequestError, ConflictError, NotFoundError, WorkError
from tests.beds.sim.process import Work
from tests.beds.sim.records import Context, Flavor, Port, Server
from tests.beds.sim.scheduler import Scheduler
from tests.beds.sim.state import Compute, State
from tests.beds.sim.states import NO_POWER, PAUSED_POWER, RUNNING, SHUTDOWN


@dataclass(frozen=True)
class Simple:
    """An action that only changes the state of a guest where it is.

    Fields: the action's name in refusals and action records, the vm_states it is allowed in, the
    task meanwhile, the hypervisor's operation, and vm_state and power state after it.
    """

    name: str
    allowed: tuple[str, ...]
    task: str
    operation: str
    vm_state: str
    power: int


# HTTP action -> what it does; nova/compute/api.py
SIMPLE: dict[str, Simple] = {
    "os-stop": Simple(
        "stop", ("active", "error"), "powering-off", "power_off", "stopped", SHUTDOWN
    ),
    "os-start": Simple("start", ("stopped",), "powering-on", "power_on", "active", RUNNING),
    "pause": Simple("pause", ("active",), "pausing", "pause", "paused", PAUSED_POWER),
    "unpause": Simple("unpause", ("paused",), "unpausing", "unpause", "active", RUNNING),
    "suspend": Simple("suspend", ("active",), "suspending", "suspend", "suspended", SHUTDOWN),
    "resume": Simple("resume", ("suspended",), "resuming", "resume", "active", RUNNING),
    "rescue": Simple(
        "rescue", ("active", "stopped", "error"), "rescuing", "power_on", "rescued", RUNNING
    ),
    "unrescue": Simple("unrescue", ("rescued",), "unrescuing", "power_on", "active", RUNNING),
    "shelve": Simple(
        "shelve",
        ("active", "stopped", "paused", "suspended"),
        "shelving",
        "power_off",
        "shelved",
        SHUTDOWN,
    ),
    "reboot": Simple(
        "reboot",
        ("active", "stopped", "paused", "suspended", "error"),
        "rebooting_hard",
        "power_on",
        "active",
        RUNNING,
    ),
}


@dataclass(frozen=True)
class Boot:
    """What a new server is to be.

    host: a compute to boot on, which the scheduler has to agree with; zone: pins the server.
    """

    name: str
    flavor: Flavor
    host: str | None = None
    zone: str | None = None
    metadata: tuple[tuple[str, str], ...] = ()
    image: str = ""
    group: str | None = None
    network: bool = True


@dataclass
class Guests:
    state: State
    scheduler: Scheduler

    # Boot

    def boot(self, context: Context, wish: Boot) -> Server:
        """Accept a new server; it is ACTIVE, or in ERROR, some seconds later."""
        if wish.host is not None and wish.host not in self.state.computes:
            raise BadRequestError(f"Compute host {wish.host} could not be found.")
        now = self.state.now()
        number = next(self.state.numbers["server"])
        server = Server(
            self.state.new_uuid(), number, wish.name, context.user, wish.flavor, now, now
        )
        server.metadata, server.image = dict(wish.metadata), wish.image
        server.pinned_zone, server.group = wish.zone, wish.group
        if wish.group:
            server.hints = {"group": wish.group}
            self.state.groups[wish.group].members.append(server.id)
        self.state.servers[server.id] = server
        self.state.record(context, server, "create")
        self.state.conductor.cast(lambda: self._build(server, wish), self.state.timing.step)
        return server

    def _build(self, server: Server, wish: Boot) -> Work:
        """Schedule, claim, spawn; the host shows only from the claim on the compute on."""
        with self.state.event(server, "conductor_schedule_and_build_instances", "conductor"):
            yield self.state.latency(self.state.timing.schedule)
            try:
                target = self.scheduler.select(server, wish.flavor, only=wish.host)[0]
            except WorkError as error:
                self.state.error_out(server, error)
                raise
            resources = wish.flavor.resources()
            self.state.placement.claim(server.id, target.provider, resources, server.owner)
            target.process.cast(lambda: self._spawn(server, wish, target), self.state.timing.step)

    def _spawn(self, server: Server, wish: Boot, target: Compute) -> Work:
        with self.state.event(server, "compute__do_build_and_run_instance", target.host):
            try:
                self.state.save(server, host=target.host, task_state="spawning")
                yield self.state.latency(self.state.timing.spawn)
                yield from operate(self.state.faults, "spawn", target.host, server)
                self.scheduler.check_anti_affinity(target.host, server)
                if wish.network:
                    self._plug(server, target.host)
                now = self.state.now()
                self.state.save(
                    server, vm_state="active", task_state=None, power_state=RUNNING, launched_at=now
                )
            except WorkError as error:
                self.state.error_out(server, error)
                raise

    def _plug(self, server: Server, host: str) -> None:
        number = next(self.state.numbers["port"])
        low, high = number % 250 + 2, number // 250
        port = Port(
            self.state.new_uuid(),
            server.id,
            "lab-net",
            host,
            f"10.99.{high}.{low}",
            f"fa:16:3e:00:{high:02x}:{low:02x}",
            server.owner,
        )
        self.state.ports_of.setdefault(server.id, []).append(port)

    # Simple actions

    def act(self, context: Context, identity: str, action: str) -> None:
        """Do one of SIMPLE."""
        simple = SIMPLE[action]
        server = self.state.server(identity, context)
        checks.unlocked(server, context)
        checks.in_state(server, simple.name, simple.allowed)
        host = self._require_host(server)
        checks.begin(self.state, server, simple.task)
        self.state.record(context, server, simple.name)
        host.process.cast(lambda: self._do(server, simple, host), self.state.timing.guest)

    def stop_by_nova(self, server: Server) -> None:
        """Nova found its guest off, or on although it was stopped: an action without a user."""
        simple = SIMPLE["os-stop"]
        host = self._require_host(server)
        checks.begin(self.state, server, simple.task)
        self.state.record(None, server, simple.name)
        host.process.cast(lambda: self._do(server, simple, host), self.state.timing.guest)

    def _require_host(self, server: Server) -> Compute:
        if server.host is None:
            raise ConflictError(f"Instance {server.id} is not ready")
        return self.state.computes[server.host]

    def _do(self, server: Server, simple: Simple, host: Compute) -> Work:
        with self.state.event(server, f"compute_{simple.name}_instance", host.host):
            try:
                yield from operate(self.state.faults, simple.operation, host.host, server)
                vm_state, power = simple.vm_state, simple.power
                self.state.save(
                    server,
                    expect=(simple.task,),
                    vm_state=vm_state,
                    task_state=None,
                    power_state=power,
                )
            except WorkError as error:
                self.state.error_out(server, error)
                raise

    def shelve_offload(self, context: Context, identity: str) -> None:
        server = self.state.server(identity, context)
        checks.unlocked(server, context)
        checks.in_state(server, "shelveOffload", ("shelved",))
        host = self._require_host(server)
        checks.begin(self.state, server, "shelving_offloading")
        self.state.record(context, server, "shelveOffload")
        host.process.cast(lambda: self._offload(server, host), self.state.timing.guest)

    def _offload(self, server: Server, host: Compute) -> Work:
        """The status changes a moment before the host is forgotten."""
        with self.state.event(server, "compute_shelve_offload_instance", host.host):
            yield from operate(self.state.faults, "destroy", host.host, server)
            self.state.save(
                server, vm_state="shelved_offloaded", task_state=None, power_state=NO_POWER
            )
            yield self.state.latency(self.state.timing.step)
            self.state.placement.release(server.id)
            self.state.save(server, host=None)

    def unshelve(self, context: Context, identity: str) -> None:
        """Start a shelved server where it is, an offloaded one where the scheduler puts it."""
        server = self.state.server(identity, context)
        checks.unlocked(server, context)
        checks.in_state(server, "unshelve", ("shelved", "shelved_offloaded"))
        checks.begin(self.state, server, "unshelving")
        self.state.record(context, server, "unshelve")
        self.state.conductor.cast(lambda: self._unshelve(server), self.state.timing.guest)

    def _unshelve(self, server: Server) -> Work:
        with self.state.event(server, "conductor_unshelve_instance", "conductor"):
            if server.host is None:
                yield self.state.latency(self.state.timing.schedule)
                try:
                    target = self.scheduler.select(server, server.flavor)[0]
                except WorkError:
                    self.state.save(server, task_state=None)
                    raise
                resources = server.flavor.resources()
                self.state.placement.claim(server.id, target.provider, resources, server.owner)
                self.state.save(server, host=target.host)
            yield self.state.latency(self.state.timing.guest)
            self.state.save(server, vm_state="active", task_state=None, power_state=RUNNING)

    # Administration

    def lock(self, context: Context, identity: str, reason: str | None = None) -> None:
        server = self.state.server(identity, context)
        by = "owner" if context.user.project == server.owner.project else "admin"
        self.state.save(server, locked_by=by, locked_reason=reason)
        self.state.record(context, server, "lock")

    def unlock(self, context: Context, identity: str) -> None:
        server = self.state.server(identity, context)
        self.state.save(server, locked_by=None, locked_reason=None)
        self.state.record(context, server, "unlock")

    def reset_state(self, context: Context, identity: str, vm_state: str) -> None:
        """os-resetState: vm_state and task_state only; a migration record stays as it is."""
        server = self.state.server(identity, context)
        self.state.save(server, vm_state=vm_state, task_state=None)

    def console(self, context: Context, identity: str) -> str:
        """Return the console's output. A failed look is noted as the server's newest fault."""
        server = self.state.server(identity, context)
        host = self._require_host(server)
        error = self.state.faults.effect("get_console_output", host.host, server).error
        if error is not None:
            server.fault = self.state.fault(error)
            raise NotFoundError(error.message)
        return ""

    def set_metadata(self, identity: str, metadata: dict[str, str]) -> None:
        server = self.state.server(identity)
        self.state.save(server, metadata={**server.metadata, **metadata})

    # Delete

    def delete(self, context: Context, identity: str) -> None:
        """Delete a server, or put it aside as SOFT_DELETED where Nova is set up to."""
        server = self.state.server(identity, context)
        checks.unlocked(server, context)
        if server.task_state == "deleting":
            return
        interval = self.state.config.reclaim_instance_interval
        if interval and server.vm_state != "soft-delete":
            self._put_aside(context, server, interval)
            return
        self._delete(context, server)

    def force_delete(self, context: Context, identity: str) -> None:
        self._delete(context, self.state.server(identity, context))

    def restore(self, context: Context, identity: str) -> None:
        server = self.state.server(identity, context)
        checks.in_state(server, "restore", ("soft-delete",))
        self.state.save(server, vm_state="active", task_state=None, power_state=RUNNING)
        self.state.record(context, server, "restore")

    def _put_aside(self, context: Context, server: Server, interval: float) -> None:
        self.state.save(server, vm_state="soft-delete", task_state=None, power_state=SHUTDOWN)
        self.state.record(context, server, "softDelete")

        def reclaim() -> None:
            if server.vm_state == "soft-delete" and not server.deleted:
                self._delete(context, server)

        self.state.clock.call_later(interval, reclaim)

    def _delete(self, context: Context, server: Server) -> None:
        checks.begin(self.state, server, "deleting")
        self.state.record(context, server, "delete")
        compute = self.state.computes.get(server.host or "")
        service = self.state.service_of(server.host or "")
        if compute is None or service is None or not self.state.is_up(service):
            self._gone(server)  # the API itself deletes what no nova-compute can be asked for
            return
        compute.process.cast(lambda: self._terminate(server, compute), self.state.timing.guest)

    def _terminate(self, server: Server, compute: Compute) -> Work:
        if server.deleted:
            return
        with self.state.event(server, "compute_terminate_instance", compute.host):
            try:
                yield from operate(self.state.faults, "destroy", compute.host, server)
            except WorkError as error:
                self.state.error_out(server, error)
                raise
            self._gone(server)

    def _gone(self, server: Server) -> None:
        """Delete the rows; the migrations of a server vanish with it."""
        now = self.state.now()
        was_resized = server.vm_state == "resized"
        self.state.save(
            server,
            vm_state="deleted",
            task_state=None,
            power_state=NO_POWER,
            terminated_at=now,
            deleted=True,
        )
        self.state.placement.release(server.id)
        for migration in self.state.moves_of.get(server.id, []):
            migration.deleted = True
            if was_resized:  # its confirmation is part of the deletion
                self.state.placement.release(migration.uuid)
        self.state.ports_of.pop(server.id, None)
