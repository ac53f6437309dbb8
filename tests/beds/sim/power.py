"""Power states: what a hypervisor knows (`domain`), and when Nova's database hears of it
(`power_state`).

As nova/compute/manager.py handle_lifecycle_event, _sync_power_states and _sync_instance_power_state
have it; virt/libvirt/host.py tells of a guest that stopped 15 s later.
"""

from dataclasses import dataclass

from tests.beds.sim.guests import Guests
from tests.beds.sim.records import Server
from tests.beds.sim.state import Compute, State
from tests.beds.sim.states import RUNNING, SHUTDOWN


@dataclass
class Power:
    state: State
    guests: Guests

    def go_off(self, server: Server) -> None:
        """Its guest is off from now on, by whatever it was; Nova hears of it later, if at all."""
        if server.deleted or server.host is None or server.domain == SHUTDOWN or server.is_away:
            return
        server.domain = SHUTDOWN
        host = server.host
        delay = self.state.timing.stopped_event
        self.state.clock.call_later(delay, lambda: self._hear(server, host))

    def go_off_soon(self, server: Server) -> None:
        """Its guest dies a moment after it was started."""
        delay = self.state.timing.dies
        self.state.clock.call_later(delay, lambda: self.go_off(server))

    def _hear(self, server: Server, host: str) -> None:
        """An event that is late, and no longer true, is dropped."""
        if self.state.computes[host].process.running and server.domain == SHUTDOWN:
            self.sync(server, host)

    def sync(self, server: Server, host: str) -> None:
        """Correct what the database says, and stop what is off without having been stopped."""
        if server.deleted or server.host != host or server.task_state is not None:
            return
        if server.domain != server.power_state:
            self.state.save(server, power_state=server.domain)
        off = server.vm_state in ("active", "paused") and server.domain == SHUTDOWN
        on = server.vm_state == "stopped" and server.domain == RUNNING
        if off or on:
            self.guests.stop_by_nova(server)

    def watch(self, compute: Compute) -> None:
        """Run the periodic task soon after a start, then at its interval, while this
        process lives.
        """
        life = compute.process.life

        def again() -> None:
            if compute.process.running and compute.process.life == life:
                for server in self.state.on_host(compute.host):
                    self.sync(server, compute.host)
                self.state.clock.call_later(self.state.config.sync_power_state_interval, again)

        self.state.clock.call_later(self.state.timing.first_power_sync, again)
