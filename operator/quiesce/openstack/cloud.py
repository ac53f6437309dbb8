"""One cloud: typed reads, and the few verbs of a drain.

Raw calls instead of the SDK's resource classes: those drop unknown filters in silence, send wrong
markers, and live-migrate with a blocking microversion (2.30). Every read is complete or raises;
every verb sends one request, once.
"""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

from quiesce.api.errors import CloudUnreachable, NotAllowed
from quiesce.openstack.errors import NotFound
from quiesce.openstack.http import PAGE, Api
from quiesce.openstack.lookups import Lookups
from quiesce.openstack.records import (
    ActionEvents,
    Aggregate,
    Confirmed,
    Holdings,
    Hypervisor,
    Image,
    LiveProgress,
    Migration,
    Port,
    Room,
    Server,
    ServerGroup,
    Service,
    Shape,
    Volume,
    moment,
)

T = TypeVar("T")

_SERVICES_AGE = _HYPERVISORS_AGE = 10.0
"""Seconds for which a list may be shared between resources, and between ticks."""
_GROUPS_AGE = 30.0
_PORTS_AT_ONCE = 100


class _Shared(Generic[T]):
    """A read that all resources of one cloud share while it is recent enough."""

    def __init__(self, read: Callable[[], T], age: float, clock: Callable[[], float]) -> None:
        self._read, self._age, self._clock = read, age, clock
        self._lock = threading.Lock()
        self._value: tuple[float, T] | None = None

    def forget(self) -> None:
        with self._lock:
            self._value = None

    def get(self, *, fresh: bool = False) -> T:
        with self._lock:
            now = self._clock()
            if fresh or self._value is None or now - self._value[0] > self._age:
                self._value = (now, self._read())
            return self._value[1]


class Cloud:
    """Reads raise CloudUnreachable, BadCredentials, NotAllowed; verbs also Refused and Unknown."""

    def __init__(self, api: Api, clock: Callable[[], float] = time.monotonic) -> None:
        self._api = api
        self.user_id = api.user_id
        self.identity = api.identity
        self._lookups = Lookups(api, clock)
        self._services = _Shared(self._read_services, _SERVICES_AGE, clock)
        self._groups = _Shared(self._read_groups, _GROUPS_AGE, clock)
        self._hypervisors = _Shared(self._read_hypervisors, _HYPERVISORS_AGE, clock)
        self._computes = _Shared(self._read_computes, _HYPERVISORS_AGE, clock)

    @property
    def broken(self) -> bool:
        """Whether this connection is unusable: a new one has to be made."""
        return self._api.broken

    # Reads

    def services(self, *, fresh: bool = False) -> tuple[Service, ...]:
        """Every nova-compute service of the cloud."""
        return self._services.get(fresh=fresh)

    def _read_services(self) -> tuple[Service, ...]:
        body = self._api.get("compute", "/os-services", {"binary": "nova-compute"})
        return tuple(Service.read(row) for row in rows(body, "services"))

    def servers_on(self, host: str) -> tuple[Server, ...]:
        """Every server whose host is exactly this one, soft-deleted ones included.

        Nova drops the filter in silence for a user who may not use it (servers.py
        remove_invalid_options), so each row's own host attribute is checked; SHELVED_OFFLOADED
        servers leave with a short delay.
        """
        found = self._servers({"all_tenants": 1, "host": host, "soft_deleted": 1})
        return tuple(server for server in found if server.host == host)

    def servers_to_verify(self) -> tuple[Server, ...]:
        """Every server of the cloud in VERIFY_RESIZE."""
        found = self._servers({"all_tenants": 1, "status": "VERIFY_RESIZE"})
        return tuple(server for server in found if server.status == "VERIFY_RESIZE")

    def _servers(self, query: dict[str, str | int]) -> list[Server]:
        try:
            return [
                Server.read(row) for row in self._api.pages("/servers/detail", "servers", query)
            ]
        except KeyError as error:
            raise NotAllowed(
                f"Nova shows servers without {error}: the operator's user is no admin in Nova's "
                "policy (os_compute_api:os-extended-server-attributes). Use credentials that see "
                "all servers and their hosts"
            ) from error

    def server(self, server_id: str) -> Server | None:
        """One server, or None where it no longer exists."""
        try:
            return Server.read(self._api.get("compute", f"/servers/{server_id}")["server"])
        except NotFound:
            return None

    def migrations(self, host: str, above: int | None = None) -> tuple[Migration, ...]:
        """Migrations with this host as source or destination, newest first.

        `above`: only those with a higher id, reading no more pages than that takes
        (Nova sorts by creation, newest first, since 2.59). Rows of deleted servers are not listed.
        """
        query: dict[str, str | int] = {"host": host}
        if above is not None:
            query["limit"] = 200
        found = []
        for row in self._api.pages("/os-migrations", "migrations", query):
            if (
                row.get("source_compute") is None
                and row.get("dest_compute") is None
                and "source_compute" not in row
            ):
                raise NotAllowed(
                    "Nova shows migrations without hosts: allow the operator's user "
                    "os_compute_api:os-migrations:index:host in Nova's policy"
                )
            if above is not None and row["id"] <= above:
                break
            found.append(Migration.read(row))
        return tuple(found)

    def action_events(
        self, server_id: str, kinds: Iterable[str], created: datetime
    ) -> ActionEvents | None:
        """The instance action of a migration.

        That is the nearest one of these kinds that began up to 60 s before `created`.
        """
        listed = rows(
            self._api.get("compute", f"/servers/{server_id}/os-instance-actions"), "instanceActions"
        )
        wanted = tuple(kinds)
        ages = [
            (created - started, row)
            for row in listed
            if row["action"] in wanted and (started := moment(row["start_time"]))
        ]
        near = [
            (age, row["request_id"])
            for age, row in ages
            if timedelta(seconds=-2) <= age <= timedelta(seconds=60)
        ]
        return self._events(server_id, min(near)[1]) if near else None

    def last_confirm(self, server_id: str, since: datetime) -> Confirmed | None:
        """The newest confirm of a move of this server that began at `since`; None: no such action,
        or no such server.
        """
        try:
            body = self._api.get("compute", f"/servers/{server_id}/os-instance-actions")
        except NotFound:
            return None
        found = [
            Confirmed(started, row.get("user_id"))
            for row in rows(body, "instanceActions")
            if row["action"] == "confirmResize"
            and (started := moment(row["start_time"]))
            and started >= since
        ]
        return max(found, key=lambda confirmed: confirmed.started, default=None)

    def _events(self, server_id: str, request_id: str) -> ActionEvents:
        body = self._api.get("compute", f"/servers/{server_id}/os-instance-actions/{request_id}")[
            "instanceAction"
        ]
        events: list[dict[str, Any]] = body.get("events") or []
        failures = [e for e in events if e.get("result") not in ("Success", None)]
        failed = failures[0] if failures else {}
        unended = not failed and any(e.get("result") is None for e in events)
        started = moment(body["start_time"])
        if started is None:
            raise CloudUnreachable(f"instance action {request_id} has no start time")
        return ActionEvents(
            request_id, body["action"], started, failed.get("event"), _details(failures), unended
        )

    def is_running(self, server_id: str) -> bool | None:
        """Whether its hypervisor says that the guest runs; None: it could not be asked.

        Diagnostics are asked of nova-compute, which looks at the guest itself; of one that does
        not run Nova answers 409 (nova/compute/manager.py get_instance_diagnostics). The power
        state of the server is what the database heard last.
        """
        try:
            status, text = self._api.ask("compute", f"/servers/{server_id}/diagnostics")
        except CloudUnreachable:
            return None
        if status == 409 and "power state" in text:
            return False
        return True if status == 200 else None

    def stopped_by_user(self, server_id: str, since: datetime) -> bool:
        """Whether a user has asked for a stop since then. Nova's own stops have no user (the power
        sync: compute/manager.py _sync_instance_power_state).
        """
        path = f"/servers/{server_id}/os-instance-actions"
        try:
            listed = rows(self._api.get("compute", path), "instanceActions")
        except NotFound:
            return False
        return any(
            row["action"] == "stop"
            and row.get("user_id")
            and (started := moment(row["start_time"])) is not None
            and started >= since
            for row in listed
        )

    def live_progress(self, server_id: str) -> LiveProgress | None:
        """Counters of the server's running live migration, if any (memory and disk together)."""
        try:
            found = rows(self._api.get("compute", f"/servers/{server_id}/migrations"), "migrations")
        except NotFound:
            return None
        if not found:
            return None
        row = found[0]
        done = (row.get("memory_processed_bytes") or 0) + (row.get("disk_processed_bytes") or 0)
        remaining = sum(
            row.get(name) or 0 for name in ("memory_remaining_bytes", "disk_remaining_bytes")
        )
        return LiveProgress(row["id"], row["status"], done, remaining)

    def allocations(self, node: str) -> Holdings | None:
        """What is held on a hypervisor's resource providers, children included.

        `node`: the hypervisor_hostname, which names the root provider. None where there is
        no such provider. Raises NotInCatalog where the cloud shows no placement.
        """
        found = rows(
            self._api.get("placement", "/resource_providers", {"name": node}), "resource_providers"
        )
        if not found:
            return None
        inside = {"in_tree": found[0]["uuid"]}
        tree = rows(self._api.get("placement", "/resource_providers", inside), "resource_providers")
        held: dict[str, tuple[str, ...]] = {}
        for provider in (each["uuid"] for each in tree):
            body = self._api.get("placement", f"/resource_providers/{provider}/allocations")
            for consumer in body["allocations"]:
                held[consumer] = (*held.get(consumer, ()), provider)
        return Holdings(found[0]["uuid"], held)

    def rooms(self, shapes: Iterable[Shape]) -> tuple[Room, ...]:
        """Free capacity on every host that placement offers for one of these shapes.

        One request for each shape, and two more for the names. Hosts that Nova has disabled are
        left out (trait COMPUTE_STATUS_DISABLED). Raises NotInCatalog.
        """
        free: dict[str, dict[str, int]] = {}
        takes: dict[str, set[Shape]] = {}
        for shape in shapes:
            for root, room in self._candidates(shape).items():
                free.setdefault(root, {}).update(room)
                takes.setdefault(root, set()).add(shape)
        listed = rows(self._api.get("placement", "/resource_providers"), "resource_providers")
        names = {provider["uuid"]: provider["name"] for provider in listed}
        hosts = {h.hypervisor_hostname: h.host for h in self.hypervisors()}
        return tuple(
            Room(hosts[names[root]], room, frozenset(takes[root]))
            for root, room in free.items()
            if names.get(root) in hosts
        )

    def _candidates(self, shape: Shape) -> dict[str, dict[str, int]]:
        """root provider uuid -> what is free of each resource class of the shape's candidates."""
        query: dict[str, str | int] = {
            "resources": ",".join(f"{name}:{amount}" for name, amount in shape.resources),
            "root_required": "!COMPUTE_STATUS_DISABLED",
            "limit": PAGE,
        }
        if shape.traits:
            query["required"] = ",".join(shape.traits)
        summaries = self._api.get("placement", "/allocation_candidates", query)[
            "provider_summaries"
        ]
        found: dict[str, dict[str, int]] = {}
        for uuid, summary in summaries.items():
            mine = found.setdefault(summary.get("root_provider_uuid") or uuid, {})
            for name, amounts in summary["resources"].items():
                mine[name] = mine.get(name, 0) + amounts["capacity"] - amounts["used"]
        return found

    def hypervisors(self) -> tuple[Hypervisor, ...]:
        """All hypervisors with their service's host and address."""
        return self._hypervisors.get()

    def _read_hypervisors(self) -> tuple[Hypervisor, ...]:
        found = rows(self._api.get("compute", "/os-hypervisors/detail"), "hypervisors")
        return tuple(
            Hypervisor(
                h["hypervisor_hostname"],
                h["service"]["host"],
                h.get("host_ip") or "",
                h.get("hypervisor_type") or "",
            )
            for h in found
        )

    def computes(self) -> tuple[tuple[Service, ...], tuple[Hypervisor, ...]]:
        """All services and all hypervisors, of a cloud whose cells all answer.

        Raises CloudUnreachable while one does not.
        """
        return self._computes.get()

    def _read_computes(self) -> tuple[tuple[Service, ...], tuple[Hypervisor, ...]]:
        """While a cell is down Nova lists fewer hypervisors, in silence; its services are UNKNOWN.

        They are read before and after the hypervisors: a cell may go down, or come back, between
        two requests.
        """
        _complete(self.services(fresh=True))
        hypervisors = self._hypervisors.get(fresh=True)
        return _complete(self.services(fresh=True)), hypervisors

    def aggregates(self) -> tuple[Aggregate, ...]:
        found = rows(self._api.get("compute", "/os-aggregates"), "aggregates")
        return tuple(
            Aggregate(a["id"], a["name"], a.get("availability_zone"), tuple(a["hosts"]))
            for a in found
        )

    def groups(self) -> tuple[ServerGroup, ...]:
        """Server groups of all projects whose policy Nova enforces (`soft-*` ones are left out)."""
        return self._groups.get()

    def _read_groups(self) -> tuple[ServerGroup, ...]:
        found: list[dict[str, Any]] = []
        # This list has an offset and no links (nova api server_groups.py index).
        while len(found) % PAGE == 0:
            query: dict[str, str | int] = {
                "all_projects": "true",
                "limit": PAGE,
                "offset": len(found),
            }
            page = rows(self._api.get("compute", "/os-server-groups", query), "server_groups")
            found += page
            if not page:
                break
        return tuple(
            ServerGroup.read(g) for g in found if g["policy"] in ("affinity", "anti-affinity")
        )

    def ports(self, server_ids: Iterable[str]) -> tuple[Port, ...]:
        """The Neutron ports of these servers. Raises NotInCatalog.

        Of _PORTS_AT_ONCE servers in one request: web servers and proxies refuse a request line of
        more than 8 KiB (HTTP 414), and each server takes 47 bytes of it.
        """
        wanted, found = list(server_ids), []
        for first in range(0, len(wanted), _PORTS_AT_ONCE):
            some = wanted[first : first + _PORTS_AT_ONCE]
            query: list[tuple[str, str | int]] = [("device_id", server_id) for server_id in some]
            found += rows(self._api.get("network", "/ports", query), "ports")
        return tuple(Port.read(p) for p in found)

    def ports_not_working_on(self, host: str) -> tuple[Port, ...]:
        """Ports on a host that are DOWN or not bound, whatever they are of. Raises NotInCatalog."""
        query: list[tuple[str, str | int]] = [("binding:host_id", host)]
        query += [("status", status) for status in ("DOWN", "ERROR", "N/A")]
        found = rows(self._api.get("network", "/ports", query), "ports")
        return tuple(port for port in map(Port.read, found) if not port.works)

    def evacuations(self, host: str) -> dict[str, int]:
        """Servers that were evacuated from this host -> ID of the migration.

        Their resources on the host are counted until its nova-compute returns or its service is
        deleted: only then `done` becomes `completed` (compute/manager.py
        _destroy_evacuated_instances, scheduler/client/report.py
        _remove_allocations_for_evacuated_instances).
        """
        query: dict[str, str | int] = {
            "source_compute": host,
            "migration_type": "evacuation",
            "status": "done",
        }
        found = self._api.pages("/os-migrations", "migrations", query)
        return {
            row["instance_uuid"]: row["id"]
            for row in found
            if row["source_compute"] == host
            and (row["migration_type"], row["status"]) == ("evacuation", "done")
        }

    @property
    def shows_image_properties(self) -> bool:
        """Whether a server's row has those of its image (microversion 2.98)."""
        return tuple(map(int, self._api.microversion.split("."))) >= (2, 98)

    def volumes(self, ids: Iterable[str]) -> Mapping[str, Volume]:
        """Volumes by ID, of any project; those that are gone are left out. Raises NotInCatalog."""
        return self._lookups.volumes(ids)

    def images(self, ids: Iterable[str]) -> Mapping[str, Image]:
        """Images by ID; those that are gone are left out. Raises NotInCatalog."""
        return self._lookups.images(ids)

    # Verbs: each returns Nova's request id

    def disable_service(self, service_id: str, reason: str) -> str | None:
        return self._put_service(service_id, {"status": "disabled", "disabled_reason": reason})

    def disable_service_without_reason(self, service_id: str) -> str | None:
        return self._put_service(service_id, {"status": "disabled"})

    def enable_service(self, service_id: str) -> str | None:
        return self._put_service(service_id, {"status": "enabled"})

    def _put_service(self, service_id: str, body: dict[str, str]) -> str | None:
        self._services.forget()
        return self._api.write("compute", "PUT", f"/os-services/{service_id}", body)

    def delete_service(self, service_id: str) -> str | None:
        """Raises Refused 409 where Nova still counts servers or migrations of the host."""
        self._services.forget()
        return self._api.write("compute", "DELETE", f"/os-services/{service_id}")

    def migrate(self, server_id: str, target: str | None) -> str | None:
        return self._action(server_id, {"migrate": {"host": target} if target else None})

    def live_migrate(self, server_id: str, target: str | None) -> str | None:
        return self._action(
            server_id, {"os-migrateLive": {"host": target, "block_migration": "auto"}}
        )

    def confirm(self, server_id: str) -> str | None:
        return self._action(server_id, {"confirmResize": None})

    def revert(self, server_id: str) -> str | None:
        return self._action(server_id, {"revertResize": None})

    def shelve_offload(self, server_id: str) -> str | None:
        return self._action(server_id, {"shelveOffload": None})

    def resume(self, server_id: str) -> str | None:
        return self._action(server_id, {"resume": None})

    def abort_live(self, server_id: str, migration_id: int) -> str | None:
        return self._api.write(
            "compute", "DELETE", f"/servers/{server_id}/migrations/{migration_id}"
        )

    def force_complete(self, server_id: str, migration_id: int) -> str | None:
        path = f"/servers/{server_id}/migrations/{migration_id}/action"
        return self._api.write("compute", "POST", path, {"force_complete": None})

    def add_to_aggregate(self, aggregate_id: int, host: str) -> str | None:
        return self._api.write(
            "compute", "POST", f"/os-aggregates/{aggregate_id}/action", {"add_host": {"host": host}}
        )

    def _action(self, server_id: str, body: dict[str, Any]) -> str | None:
        return self._api.write("compute", "POST", f"/servers/{server_id}/action", body)


def _details(failures: list[dict[str, Any]]) -> str | None:
    """The message of the step that failed last, and of the one around it if that says more.

    Newest first (nova/db/main/api.py action_events_get): where every host rejects a live migration,
    each check is a failed step, and the step around them has what became of it.
    """
    texts = [e.get("details") for e in (failures[-1:] + failures[:1]) if e.get("details")]
    if len(set(texts)) < 2:
        return texts[-1] if texts else None
    return f"{str(texts[0]).rstrip('.')}; last: {texts[-1]}"


def _complete(services: tuple[Service, ...]) -> tuple[Service, ...]:
    """The same services. Raises CloudUnreachable where one is in a cell that is down."""
    unknown = sorted(service.host for service in services if service.status == "UNKNOWN")
    if unknown:
        raise CloudUnreachable(
            f"a cell of Nova is down ({len(unknown)} hosts, {unknown[0]} first): "
            "the list of hosts is incomplete"
        )
    return services


def rows(body: Any, key: str) -> list[dict[str, Any]]:
    """The list under `key`. A body without it is no answer: an absent list is not an empty one."""
    found = body.get(key) if isinstance(body, dict) else None
    if not isinstance(found, list):
        raise CloudUnreachable(f"the answer has no list {key!r}")
    return found
