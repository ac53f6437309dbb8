"""nova-compute on each host: services, their death and return, and their removal."""

import contextlib
from dataclasses import dataclass

from tests.beds.sim.errors import BadRequestError, ConflictError, NotFoundError, WorkError
from tests.beds.sim.placement import DISABLED
from tests.beds.sim.power import Power
from tests.beds.sim.process import Process
from tests.beds.sim.records import Aggregate, Migration, Provider, Server, Service
from tests.beds.sim.state import Compute, State
from tests.beds.sim.states import ENDED_MIGRATION, NO_POWER, RUNNING, status_of

HOSTING = (
    "Unable to delete compute service that is hosting instances. "
    "Migrate or delete the instances first."
)
IN_PROGRESS = (
    "Unable to delete compute service that has in-progress migrations. "
    "Complete the migrations or delete the instances first."
)


@dataclass
class Computes:
    state: State
    power: Power

    # Processes

    def add_controller(self, host: str, binary: str) -> Service:
        """Register a service that is no nova-compute."""
        number = next(self.state.numbers["service"])
        service = Service(self.state.new_uuid(), number, host, binary, last_seen=self.state.now())
        return self.state.add_service(service)

    def add(
        self, host: str, *, node: str = "", vcpus: int = 64, ram: int = 65536, disk: int = 2000
    ) -> Compute:
        """Install a compute, at once up and mapped. ram: MiB; disk: GiB."""
        number = len(self.state.computes) + 1
        inventories = {"VCPU": vcpus, "MEMORY_MB": ram, "DISK_GB": disk}
        process = Process(host, self.state.clock, self.state.latency)
        compute = Compute(
            host,
            node or host,
            number,
            self.state.new_uuid(),
            process,
            inventories,
            f"192.0.2.{number % 250 + 1}",
        )
        self.state.computes[host] = compute
        self._register(compute, mapped=True)
        self._provide(compute)
        self._watch(compute)
        return compute

    def add_node(self, host: str, node: str) -> None:
        """Give a nova-compute a further hypervisor, as Ironic's has many."""
        compute = self.state.compute(host)
        provider = compute.more_nodes[node] = self.state.new_uuid()
        inventories = dict(compute.inventories)
        self.state.placement.providers[provider] = Provider(provider, node, inventories)

    def dedicate(self, host: str, pcpus: int) -> None:
        """Set cores of a host aside for guests with dedicated ones."""
        compute = self.state.compute(host)
        compute.inventories["PCPU"] = pcpus
        self.state.placement.provider(compute.provider).inventories["PCPU"] = pcpus

    def kill(self, host: str) -> None:
        """End nova-compute at once; what it was doing stays as it is."""
        compute = self.state.compute(host)
        service = self.state.service_of(host)
        if service is not None:
            service.last_seen = self.state.last_seen(service)
        compute.process.kill()
        compute.live_line.clear()

    def start(self, host: str) -> None:
        """Start nova-compute; it is up, registered again if its record is gone, some seconds
        later.
        """
        compute = self.state.compute(host)
        if not compute.process.running:
            delay = self.state.latency(self.state.timing.start_compute)
            self.state.clock.call_later(delay, lambda: self._come_up(compute))

    def restart(self, host: str) -> None:
        self.kill(host)
        self.start(host)

    def _come_up(self, compute: Compute) -> None:
        """The order of a start: record, instances, resources, then the queue."""
        if compute.process.running:
            return
        service = self.state.service_of(compute.host) or self._register(compute, mapped=False)
        service.last_seen = self.state.now()
        for server in self.state.on_host(compute.host):
            self._recover(server)
        self._provide(compute)
        self._sync_trait(service)
        compute.process.start()
        self._watch(compute)
        self._complete_evacuations(compute.host)

    def _register(self, compute: Compute, *, mapped: bool) -> Service:
        """A new record is enabled; a host that had one has to be discovered again."""
        number = next(self.state.numbers["service"])
        service = Service(
            self.state.new_uuid(), number, compute.host, last_seen=self.state.now(), mapped=mapped
        )
        self.state.add_service(service)
        if not mapped:
            delay = self.state.config.discover_hosts_interval
            self.state.clock.call_later(delay, lambda: setattr(service, "mapped", True))
        return service

    def _recover(self, server: Server) -> None:
        """ComputeManager._init_instance: what a start makes of a server caught in the middle."""
        task = server.task_state
        if server.vm_state == "building":
            self.state.error_out(server, WorkError("BuildAbortException", "Build was interrupted."))
        elif task == "resize_prep":
            self.state.save(server, task_state=None)
        elif task == "resize_migrating":
            self.state.save(server, task_state=None)
            if self.state.config.restarts_after_crash and server.old_vm_state != "stopped":
                self.state.save(server, power_state=RUNNING)
        elif task == "migrating":
            running = self.state.migration_by_status(server, "running")
            if running is not None:
                self._end_live(server, running)
            self.state.save(server, task_state=None)

    def _end_live(self, server: Server, migration: Migration) -> None:
        """ComputeManager._reset_live_migration: whether or not libvirt, which goes on without
        nova-compute, has brought the guest to the destination meanwhile.
        """
        arrives = migration.arrives_at
        if arrives is not None and self.state.now() >= arrives and migration.dest:
            server.runs_on, server.domain = migration.dest, NO_POWER
        self.state.set_status(migration, "error")

    def _complete_evacuations(self, host: str) -> None:
        for migration in self.state.migrations:
            if (
                migration.source == host
                and migration.kind == "evacuation"
                and migration.status == "done"
            ):
                provider = self.state.compute(host).provider
                self.state.placement.release(migration.server, provider)
                self.state.set_status(migration, "completed")

    # The periodic task

    def _watch(self, compute: Compute) -> None:
        """Run the periodic tasks at their intervals for as long as this process lives."""
        self.power.watch(compute)
        life = compute.process.life

        def again() -> None:
            if compute.process.running and compute.process.life == life:
                self._provide(compute)
                self._forget_deleted(compute)
                self._end_stale(compute)
                self.state.clock.call_later(self.state.config.update_resources_interval, again)

        self.state.clock.call_later(self.state.config.update_resources_interval, again)

    def _provide(self, compute: Compute) -> None:
        """Create the resource provider, also where its service record is gone."""
        providers = self.state.placement.providers
        if compute.provider not in providers:
            providers[compute.provider] = Provider(
                compute.provider, compute.node, dict(compute.inventories)
            )

    def _forget_deleted(self, compute: Compute) -> None:
        """Free what deleted servers still hold here."""
        for consumer in list(self.state.placement.on(compute.provider)):
            server = self.state.servers.get(consumer)
            if server is not None and server.deleted:
                self.state.placement.release(consumer, compute.provider)

    def _end_stale(self, compute: Compute) -> None:
        """ResourceTracker._update_usage_from_migrations: of a server in another cold move, the
        record that changed last.
        """
        last: dict[str, Migration] = {}
        for migration in sorted(self.state.migrations, key=lambda m: m.updated_at or m.created_at):
            ended = migration.status in ENDED_MIGRATION and migration.status != "error"
            if (
                compute.host in (migration.source, migration.dest)
                and not ended
                and not migration.deleted
            ):
                last[migration.server] = migration
        for server_id, migration in last.items():
            server, current = self.state.servers[server_id], self.state.moves_of[server_id][-1]
            resizes = status_of(server.vm_state, server.task_state) in (
                "RESIZE",
                "VERIFY_RESIZE",
                "REVERT_RESIZE",
            )
            if (
                resizes
                and current.dest
                and current is not migration
                and current.kind in ("migration", "resize")
            ):
                self.state.set_status(migration, "error")

    # Services

    def service(self, identity: str) -> Service:
        try:
            return self.state.services[identity]
        except KeyError:
            raise NotFoundError(f"Service {identity} could not be found.") from None

    def update(
        self, identity: str, *, status: str | None, reason: str | None, forced_down: bool | None
    ) -> Service:
        """PUT /os-services/{id}: without a reason, a foreign one is cleared."""
        service = self.service(identity)
        if not service.is_compute:
            raise BadRequestError(
                f"Updating a {service.binary} service is not supported. Only nova-compute services "
                "can be updated."
            )
        if status == "enabled" and reason:
            raise BadRequestError("Specifying 'disabled_reason' with status 'enabled' is invalid.")
        if status is None and forced_down is None:
            raise BadRequestError(
                "No updates were requested. Fields 'status' or 'forced_down' should be specified."
            )
        if forced_down is False:
            self._check_evacuations(service.host)
        if status is not None:
            service.disabled = status == "disabled"
            service.disabled_reason = reason if service.disabled else None
        if forced_down is not None:
            service.forced_down = forced_down
        if self.state.computes[service.host].process.running:
            self._sync_trait(service)
        return service

    def _check_evacuations(self, host: str) -> None:
        for migration in self.state.migrations:
            if (
                migration.source == host
                and migration.kind == "evacuation"
                and migration.status == "done"
            ):
                raise BadRequestError(
                    f"Unable to force up host {host} as `done` evacuation migration records remain"
                    " associated with the host. Ensure the compute service has been restarted, "
                    "allowing"
                    " these records to move to `completed` before retrying this request."
                )

    def _sync_trait(self, service: Service) -> None:
        provider = self.state.placement.providers.get(self.state.computes[service.host].provider)
        if provider is None:
            return
        if service.disabled:
            provider.traits.add(DISABLED)
        else:
            provider.traits.discard(DISABLED)

    def delete(self, identity: str) -> None:
        """DELETE /os-services/{id}: refused while servers or moves involve the host."""
        try:
            service = self.service(identity)
        except NotFoundError:
            raise NotFoundError(f"Service {identity} not found.") from None
        if service.is_compute:
            self._clear_away(service.host)
        self.state.drop_service(service)

    def _clear_away(self, host: str) -> None:
        if self.state.on_host(host):
            raise ConflictError(HOSTING)
        if self.state.in_progress(host):
            raise ConflictError(IN_PROGRESS)
        for aggregate in self.state.aggregates.values():
            if host in aggregate.hosts:
                aggregate.hosts.remove(host)
        # Those of evacuated servers it frees itself, since Yoga.
        provider = self.state.computes[host].provider
        for migration in self.state.migrations:
            evacuated = migration.kind == "evacuation" and migration.status == "done"
            if evacuated and migration.source == host:
                self.state.placement.release(migration.server, provider)
        # Nova only logs it when a leaked allocation keeps the provider: the answer is 204 all the
        # same.
        with contextlib.suppress(ConflictError, NotFoundError):
            self.state.placement.delete_provider(provider)

    # Aggregates

    def add_aggregate(self, name: str, zone: str | None = None) -> Aggregate:
        number = next(self.state.numbers["aggregate"])
        aggregate = Aggregate(number, self.state.new_uuid(), name, self.state.now())
        if zone:
            aggregate.metadata["availability_zone"] = zone
        self.state.aggregates[number] = aggregate
        return aggregate

    def aggregate(self, number: int) -> Aggregate:
        try:
            return self.state.aggregates[number]
        except KeyError:
            raise NotFoundError(f"Aggregate {number} could not be found.") from None

    def add_host(self, number: int, host: str) -> Aggregate:
        aggregate = self.aggregate(number)
        service = self.state.service_of(host)
        if service is None or not service.mapped:
            raise NotFoundError(f"Compute host {host} could not be found.")
        if host in aggregate.hosts:
            raise ConflictError(f"Aggregate {number} already has host {host}.")
        self._check_zone(aggregate, host)
        aggregate.hosts.append(host)
        aggregate.updated_at = self.state.now()
        return aggregate

    def _check_zone(self, aggregate: Aggregate, host: str) -> None:
        """A host has one availability zone, and servers do not change theirs with it."""
        new = aggregate.metadata.get("availability_zone")
        if new is None:
            return
        zones = {
            other.metadata["availability_zone"]
            for other in self.state.aggregates.values()
            if host in other.hosts and "availability_zone" in other.metadata
        }
        old = next(iter(zones), None)
        servers = len(self.state.on_host(host))
        reason = ""
        if old not in (None, new):
            reason = f"One or more hosts already in availability zone(s) {[old]}"
        elif servers and old != new:
            reason = (
                "The host cannot be added to the aggregate as the availability zone of the host "
                "would change"
                f" from '{old}' to '{new}' but the host already has {servers} instance(s). "
                "Changing the AZ of an"
                " existing instance is not supported by this action. Move the instances away from "
                "this host then"
                " try again. If you need to move the instances between AZs then you can use "
                "shelve_offload and"
                " unshelve to achieve this."
            )
        if reason:
            raise ConflictError(f"Cannot add host to aggregate {aggregate.id}. Reason: {reason}.")

    def remove_host(self, number: int, host: str) -> Aggregate:
        aggregate = self.aggregate(number)
        if host not in aggregate.hosts:
            raise NotFoundError(f"Cannot remove host {host} in aggregate {number}")
        aggregate.hosts.remove(host)
        aggregate.updated_at = self.state.now()
        return aggregate
