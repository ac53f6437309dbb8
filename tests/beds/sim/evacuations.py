"""Evacuation: servers of a host that is down are made again elsewhere.

As nova/compute/api.py evacuate, conductor/manager.py rebuild_instance and compute/manager.py
_do_rebuild_instance and _destroy_evacuated_instances have it, since microversion 2.95.
"""

from dataclasses import dataclass

from tests.beds.sim import checks
from tests.beds.sim.driver import operate
from tests.beds.sim.errors import BadRequestError, WorkError
from tests.beds.sim.process import Work
from tests.beds.sim.records import Context, Migration, Server
from tests.beds.sim.scheduler import Scheduler
from tests.beds.sim.state import Compute, State
from tests.beds.sim.states import RUNNING, SHUTDOWN


@dataclass
class Evacuations:
    state: State
    scheduler: Scheduler

    def evacuate(self, context: Context, identity: str, host: str | None = None) -> None:
        server = self.state.server(identity, context)
        checks.in_state(server, "evacuate", ("active", "stopped", "error"))
        service = self.state.service_of(server.host or "")
        if service is not None and self.state.is_up(service):
            raise BadRequestError(f"Compute service of {server.host} is still in use.")
        checks.begin(self.state, server, "rebuilding")
        self.state.record(context, server, "evacuate")
        migration = self.state.new_migration(server, "evacuation", "accepted", context)
        step = self.state.timing.conduct
        self.state.conductor.cast(lambda: self._conduct(server, migration, host), step)

    def _conduct(self, server: Server, migration: Migration, host: str | None) -> Work:
        with self.state.event(server, "rebuild_server", "conductor"):
            yield self.state.latency(self.state.timing.schedule)
            try:
                source = (server.host or "",)
                target = self.scheduler.select(server, server.flavor, only=host, ignore=source)[0]
            except WorkError as error:
                self.state.set_status(migration, "error")
                self.state.error_out(server, error)
                raise
            # The source's allocation stays until its nova-compute returns or its service is deleted.
            resources = server.flavor.resources()
            self.state.placement.claim(server.id, target.provider, resources, server.owner)
            self.state.set_status(migration, "pre-migrating", dest=target.host)
            target.process.cast(lambda: self._rebuild(server, migration, target))

    def _rebuild(self, server: Server, migration: Migration, target: Compute) -> Work:
        """ACTIVE and SHUTOFF end SHUTOFF, since 2.95; ERROR ends ACTIVE."""
        with self.state.event(server, "compute_rebuild_instance", target.host):
            try:
                yield self.state.latency(self.state.timing.spawn)
                yield from operate(self.state.faults, "spawn", target.host, server)
            except WorkError as error:
                self.state.set_status(migration, "failed")
                self.state.placement.release(server.id, target.provider)
                self.state.error_out(server, error)
                raise
            runs = server.vm_state == "error"
            self.state.bind_ports(server, target.host)
            self.state.save(
                server,
                host=target.host,
                vm_state="active" if runs else "stopped",
                task_state=None,
                power_state=RUNNING if runs else SHUTDOWN,
            )
            self.state.set_status(migration, "done")
