"""Records as Nova shows them, by microversion (nova/api/openstack/compute/views)."""

import hashlib
from dataclasses import dataclass
from typing import Any

from tests.beds.sim.clock import iso, iso_micro
from tests.beds.sim.records import (
    Action,
    Aggregate,
    Event,
    Flavor,
    Migration,
    Server,
    ServerGroup,
    Service,
)
from tests.beds.sim.state import Compute, State
from tests.beds.sim.states import LIVE_IN_PROGRESS, status_of

Version = tuple[int, int]
Json = dict[str, Any]

_PROGRESS = ("ACTIVE", "BUILD", "REBUILD", "RESIZE", "VERIFY_RESIZE", "MIGRATING")


@dataclass
class Views:
    """base: URL of the compute API, to which links point."""

    state: State
    base: str

    def links(self, path: str) -> list[dict[str, str]]:
        return [
            {"rel": "self", "href": f"{self.base}/v2.1/{path}"},
            {"rel": "bookmark", "href": f"{self.base}/{path}"},
        ]

    # Servers

    def server_row(self, server: Server) -> Json:
        return {"id": server.id, "name": server.name, "links": self.links(f"servers/{server.id}")}

    def partial_server(self, server: Server, *, detail: bool) -> Json:
        """Return what the API's own database knows of a server (views/servers.py
        _show_from_down_cell).
        """
        row: Json = {
            "id": server.id,
            "status": "UNKNOWN",
            "links": self.links(f"servers/{server.id}"),
        }
        if detail:
            project, created = server.owner.project.id, iso(server.created_at)
            row |= {"tenant_id": project, "created": created}
        return row

    def partial_server_alone(self, server: Server, version: Version) -> Json:
        """Return the same with what the request of its boot tells; the power state is always 0."""
        view = self.partial_server(server, detail=True) | {
            "image": self._image(server, version),
            "flavor": self._embedded(server.flavor),
            "OS-EXT-AZ:availability_zone": server.pinned_zone or "UNKNOWN",
            "OS-EXT-STS:power_state": 0,
            "user_id": server.owner.id,
        }
        groups = [server.group] if server.group else []
        return view | ({"server_groups": groups} if version >= (2, 71) else {})

    def server(self, server: Server, version: Version, *, admin: bool, shown_alone: bool) -> Json:
        """Return a server in full; a list leaves `server_groups` out."""
        status = "DELETED" if server.deleted else status_of(server.vm_state, server.task_state)
        view = {
            **self.server_row(server),
            **self._what(server, version),
            "status": status,
            "OS-EXT-STS:task_state": server.task_state,
            "OS-EXT-STS:vm_state": server.vm_state,
            "OS-EXT-STS:power_state": server.power_state,
        }
        if status in _PROGRESS:
            view["progress"] = server.progress
        if server.fault and status in ("ERROR", "DELETED"):
            view["fault"] = self._fault(server, admin)
        if admin:
            view |= self._whereabouts(server)
        view |= self._newer(server, version)
        if view["addresses"]:
            view["security_groups"] = [{"name": "default"} for _ in view["addresses"]]
        if version >= (2, 71) and shown_alone:
            view["server_groups"] = [server.group] if server.group else []
        return view

    def _what(self, server: Server, version: Version) -> Json:
        project = server.owner.project.id
        launched, terminated = server.launched_at, server.terminated_at
        addresses = {} if server.vm_state == "building" else self._addresses(server)
        return {
            "tenant_id": project,
            "user_id": server.owner.id,
            "created": iso(server.created_at),
            "updated": iso(server.updated_at),
            "metadata": dict(server.metadata),
            "hostId": _host_id(server.host, project),
            "image": self._image(server, version),
            "flavor": self._embedded(server.flavor),
            "addresses": addresses,
            "accessIPv4": "",
            "accessIPv6": "",
            "OS-DCF:diskConfig": "MANUAL",
            "config_drive": "",
            "key_name": None,
            "os-extended-volumes:volumes_attached": [
                {"id": volume.id, "delete_on_termination": False} for volume in server.volumes
            ],
            "OS-EXT-AZ:availability_zone": self.state.zone_of(server.host) if server.host else "",
            "OS-SRV-USG:launched_at": iso_micro(launched) if launched else None,
            "OS-SRV-USG:terminated_at": iso_micro(terminated) if terminated else None,
            "locked": server.locked_by is not None,
            "description": None,
            "tags": list(server.tags),
        }

    def _whereabouts(self, server: Server) -> Json:
        """What only admins see."""
        compute = self.state.computes.get(server.host or "")
        prefix = "OS-EXT-SRV-ATTR:"
        return {
            f"{prefix}host": server.host,
            f"{prefix}hypervisor_hostname": compute.node if compute else None,
            f"{prefix}instance_name": server.instance_name,
            f"{prefix}hostname": server.name,
            f"{prefix}root_device_name": "/dev/sda" if server.launched_at else None,
            f"{prefix}reservation_id": f"r-{server.id[:8]}",
            f"{prefix}launch_index": 0,
            f"{prefix}kernel_id": "",
            f"{prefix}ramdisk_id": "",
            f"{prefix}user_data": None,
            "host_status": self.host_status(server.host),
        }

    def _newer(self, server: Server, version: Version) -> Json:
        """Attributes that came with a microversion."""
        added: list[tuple[Version, str, Any]] = [
            ((2, 63), "trusted_image_certificates", None),
            ((2, 73), "locked_reason", server.locked_reason),
            ((2, 90), "OS-EXT-SRV-ATTR:hostname", server.name),
            ((2, 96), "pinned_availability_zone", server.pinned_zone),
            ((2, 100), "scheduler_hints", {name: [value] for name, value in server.hints.items()}),
        ]
        return {name: value for since, name, value in added if version >= since}

    def host_status(self, host: str | None) -> str:
        """Nova looks at forced_down first, then at disabled: a disabled host that is down is
        MAINTENANCE.
        """
        service = self.state.service_of(host) if host else None
        if service is None:
            return ""
        if service.forced_down:
            return "DOWN"
        if service.disabled:
            return "MAINTENANCE"
        return "UP" if self.state.is_up(service) else "UNKNOWN"

    def _image(self, server: Server, version: Version) -> Json | str:
        if not server.image:
            return ""
        href = f"{self.base}/images/{server.image}"
        image: Json = {"id": server.image, "links": [{"rel": "bookmark", "href": href}]}
        if version >= (2, 98):
            image["properties"] = {}
        return image

    def _embedded(self, flavor: Flavor) -> Json:
        return {
            "original_name": flavor.name,
            "vcpus": flavor.vcpus,
            "ram": flavor.ram,
            "disk": flavor.disk,
            "ephemeral": 0,
            "swap": 0,
            "extra_specs": dict(flavor.extra_specs),
        }

    def _addresses(self, server: Server) -> Json:
        by_network: dict[str, list[Json]] = {}
        for port in self.state.ports_of.get(server.id, []):
            address = {
                "version": 4,
                "addr": port.address,
                "OS-EXT-IPS:type": "fixed",
                "OS-EXT-IPS-MAC:mac_addr": port.mac,
            }
            by_network.setdefault(port.network, []).append(address)
        return by_network

    def _fault(self, server: Server, admin: bool) -> Json:
        fault = server.fault
        if fault is None:
            return {}
        view: Json = {"code": fault.code, "created": iso(fault.created), "message": fault.message}
        if admin and fault.details:
            view["details"] = fault.details
        return view

    # Migrations

    def migration(self, migration: Migration, version: Version) -> Json:
        """Return a row of os-migrations; dest_host is an address, dest_compute a name."""
        view = {"id": migration.id, **self._route(migration), **self._times(migration)}
        view |= {
            "instance_uuid": migration.server,
            "status": migration.status,
            "migration_type": migration.kind,
            "old_instance_type_id": migration.old_flavor,
            "new_instance_type_id": migration.new_flavor,
        }
        if migration.kind == "live-migration" and migration.status in LIVE_IN_PROGRESS:
            view["links"] = self.links(f"servers/{migration.server}/migrations/{migration.id}")
        return view | self._initiator(migration, version)

    def running(self, migration: Migration, version: Version) -> Json:
        """Return a row of a server's live migrations in progress."""
        view = {"id": migration.id, **self._route(migration), **self._times(migration)}
        view |= {
            "server_uuid": migration.server,
            "status": migration.status,
            "memory_total_bytes": migration.memory_total,
            "memory_processed_bytes": migration.memory_processed,
            "memory_remaining_bytes": migration.memory_remaining,
        }
        disk = 0 if migration.memory_total else None
        view |= {f"disk_{what}_bytes": disk for what in ("total", "processed", "remaining")}
        return view | self._initiator(migration, version)

    def _route(self, migration: Migration) -> Json:
        source, dest = (
            self.state.computes.get(host or "") for host in (migration.source, migration.dest)
        )
        cold = migration.kind != "live-migration"
        return {
            "source_compute": migration.source or None,
            "source_node": source.node if source else None,
            "dest_compute": migration.dest,
            "dest_node": dest.node if dest else None,
            "dest_host": dest.address if dest and cold else None,
        }

    def _times(self, migration: Migration) -> Json:
        updated = migration.updated_at
        return {
            "created_at": iso_micro(migration.created_at),
            "updated_at": iso_micro(updated) if updated is not None else None,
        }

    def _initiator(self, migration: Migration, version: Version) -> Json:
        view: Json = {}
        if version >= (2, 59):
            view["uuid"] = migration.uuid
        if version >= (2, 80):
            view |= {
                "user_id": migration.initiator.id,
                "project_id": migration.initiator.project.id,
            }
        return view

    # Instance actions

    def action(self, action: Action, server: Server) -> Json:
        return {
            "action": action.name,
            "instance_uuid": server.id,
            "request_id": action.request_id,
            "user_id": action.user.id if action.user else None,
            "project_id": action.user.project.id if action.user else None,
            "start_time": iso_micro(action.start),
            "updated_at": iso_micro(action.updated_at),
            "message": action.message,
        }

    def event(self, event: Event, server: Server, version: Version, *, admin: bool) -> Json:
        view: Json = {
            "event": event.name,
            "start_time": iso_micro(event.start),
            "finish_time": iso_micro(event.finish) if event.finish is not None else None,
            "result": event.result,
        }
        if version >= (2, 62):
            view["hostId"] = _host_id(event.host, server.owner.project.id)
        if admin:
            view["traceback"] = event.traceback
            view |= {"host": event.host} if version >= (2, 62) else {}
            view |= {"details": event.details} if version >= (2, 84) else {}
        return view

    # Hosts

    def service(self, service: Service) -> Json:
        """Return a service; of a cell that is down only what the API knows without it."""
        compute = self.state.computes.get(service.host)
        if compute and compute.cell in self.state.down_cells:
            return {"binary": service.binary, "host": service.host, "status": "UNKNOWN"}
        return {
            "id": service.id,
            "binary": service.binary,
            "host": service.host,
            "zone": self.state.zone_of(service.host) if compute else "internal",
            "status": "disabled" if service.disabled else "enabled",
            "state": "up" if self.state.is_up(service) else "down",
            "updated_at": iso_micro(self.state.last_seen(service)),
            "disabled_reason": service.disabled_reason,
            "forced_down": service.forced_down,
        }

    def hypervisor(
        self, compute: Compute, service: Service, version: Version, *, detail: bool, servers: bool
    ) -> Json:
        view: Json = {
            "id": compute.provider,
            "hypervisor_hostname": compute.node,
            "state": "up" if self.state.is_up(service) else "down",
            "status": "disabled" if service.disabled else "enabled",
        }
        if detail:
            view |= {
                "hypervisor_type": "fake",
                "hypervisor_version": 1000,
                "host_ip": compute.address,
                "service": {
                    "id": service.id,
                    "host": service.host,
                    "disabled_reason": service.disabled_reason,
                },
            }
            view |= {"uptime": None} if version >= (2, 88) else self._capacity(compute)
        if servers:
            here = self.state.on_host(compute.host)
            view["servers"] = [{"name": server.instance_name, "uuid": server.id} for server in here]
        return view

    def hypervisors(
        self, compute: Compute, service: Service, version: Version, *, detail: bool, servers: bool
    ) -> list[Json]:
        """Return all hypervisors of one nova-compute; only the first one has servers."""
        first = self.hypervisor(compute, service, version, detail=detail, servers=servers)
        others = [
            {**first, "id": provider, "hypervisor_hostname": node}
            | ({"servers": []} if servers else {})
            for node, provider in compute.more_nodes.items()
        ]
        return [first, *others]

    def _capacity(self, compute: Compute) -> Json:
        """What 2.88 took away."""
        here = self.state.on_host(compute.host)
        total = compute.inventories
        memory, disk = (
            sum(getattr(server.flavor, what) for server in here) for what in ("ram", "disk")
        )
        return {
            "vcpus": total["VCPU"],
            "vcpus_used": sum(server.flavor.vcpus for server in here),
            "memory_mb": total["MEMORY_MB"],
            "memory_mb_used": memory,
            "free_ram_mb": total["MEMORY_MB"] - memory,
            "local_gb": total["DISK_GB"],
            "local_gb_used": disk,
            "free_disk_gb": total["DISK_GB"] - disk,
            "disk_available_least": 0,
            "running_vms": len(here),
            "current_workload": 0,
            "cpu_info": {},
        }

    def aggregate(self, aggregate: Aggregate) -> Json:
        updated = aggregate.updated_at
        return {
            "id": aggregate.id,
            "uuid": aggregate.uuid,
            "name": aggregate.name,
            "hosts": list(aggregate.hosts),
            "metadata": dict(aggregate.metadata),
            "availability_zone": aggregate.metadata.get("availability_zone"),
            "created_at": iso_micro(aggregate.created_at),
            "updated_at": iso_micro(updated) if updated is not None else None,
            "deleted_at": None,
            "deleted": False,
        }

    # Flavors and groups

    def flavor(self, flavor: Flavor) -> Json:
        return {
            "id": flavor.id,
            "name": flavor.name,
            "ram": flavor.ram,
            "vcpus": flavor.vcpus,
            "disk": flavor.disk,
            "swap": 0,
            "OS-FLV-EXT-DATA:ephemeral": 0,
            "OS-FLV-DISABLED:disabled": False,
            "os-flavor-access:is_public": True,
            "rxtx_factor": 1.0,
            "description": None,
            "extra_specs": dict(flavor.extra_specs),
            "links": self.links(f"flavors/{flavor.id}"),
        }

    def group(self, group: ServerGroup) -> Json:
        members = [member for member in group.members if not self.state.servers[member].deleted]
        return {
            "id": group.id,
            "name": group.name,
            "policy": group.policy,
            "rules": dict(group.rules),
            "members": members,
            "project_id": group.owner.project.id,
            "user_id": group.owner.id,
        }


def _host_id(host: str | None, project: str) -> str:
    return hashlib.sha224(f"{project}{host}".encode()).hexdigest() if host else ""
