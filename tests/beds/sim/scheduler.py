"""The scheduler: which hosts may take a server, best first."""

from dataclasses import dataclass

from tests.beds.sim.errors import NoValidHostError, RollbackError
from tests.beds.sim.placement import DISABLED
from tests.beds.sim.records import Flavor, Server, ServerGroup
from tests.beds.sim.state import Compute, State

NOT_ENOUGH = "There are not enough hosts available."


@dataclass
class Scheduler:
    state: State

    def select(
        self,
        server: Server,
        flavor: Flavor,
        *,
        only: str | None = None,
        ignore: tuple[str, ...] = (),
    ) -> list[Compute]:
        """Return the hosts that pass all filters, most free memory first.

        only: a host that was asked for. Raises NoValidHostError when there is none.
        """
        fitting = [
            compute
            for compute in self.state.computes.values()
            if only in (None, compute.host) and compute.host not in ignore
            if self._usable(compute)
            and self._fits(compute, flavor)
            and self._allowed(compute, server)
        ]
        if not fitting:
            raise NoValidHostError(NOT_ENOUGH)
        order = {compute.host: self.state.random.random() for compute in fitting}
        return sorted(
            fitting, key=lambda compute: (-self._free_memory(compute), order[compute.host])
        )

    def _usable(self, compute: Compute) -> bool:
        """Placement's trait and the ComputeFilter: enabled, up and mapped to a cell."""
        service = self.state.service_of(compute.host)
        provider = self.state.placement.providers.get(compute.provider)
        return (
            service is not None
            and service.mapped
            and not service.disabled
            and self.state.is_up(service)
            and provider is not None
            and DISABLED not in provider.traits
        )

    def _fits(self, compute: Compute, flavor: Flavor) -> bool:
        return self.state.placement.fits(compute.provider, flavor.resources())

    def _free_memory(self, compute: Compute) -> int:
        placement = self.state.placement
        return compute.inventories["MEMORY_MB"] - placement.used(compute.provider)["MEMORY_MB"]

    def _allowed(self, compute: Compute, server: Server) -> bool:
        """AvailabilityZoneFilter and the filters of server groups."""
        zone = server.pinned_zone
        if zone is not None and self.state.zone_of(compute.host) != zone:
            return False
        group = self.state.groups.get(server.group or "")
        return group is None or self._group_allows(compute.host, server, group)

    def _group_allows(self, host: str, server: Server, group: ServerGroup) -> bool:
        if group.policy == "anti-affinity":
            return len(self._others_on(host, server, group)) < group.rules.get(
                "max_server_per_host", 1
            )
        if group.policy == "affinity":
            # The server itself counts: its own host is the only one that passes, unless nobody has
            # one.
            hosts = {member.host for member in self._members(group) if member.host}
            return not hosts or host in hosts
        return True

    def check_anti_affinity(self, host: str, server: Server) -> None:
        """The late check on the destination: another member came, or is coming, since it was
        chosen.

        Raises RollbackError.
        """
        group = self.state.groups.get(server.group or "")
        if group is None or group.policy != "anti-affinity":
            return
        others = self._others_on(host, server, group)
        coming = {move.server for move in self.state.in_progress(host) if move.dest == host}
        others |= coming & set(group.members) - {server.id}
        if len(others) >= group.rules.get("max_server_per_host", 1):
            raise RollbackError("Anti-affinity instance group policy was violated.")

    def _others_on(self, host: str, server: Server, group: ServerGroup) -> set[str]:
        return {member.id for member in self._members(group) if member.host == host} - {server.id}

    def _members(self, group: ServerGroup) -> list[Server]:
        servers = (self.state.servers[member] for member in group.members)
        return [server for server in servers if not server.deleted]
