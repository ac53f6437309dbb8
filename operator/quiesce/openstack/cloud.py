"""One cloud: typed reads, and the few verbs of a drain.

Raw calls instead of the SDK's resource classes: those drop unknown filters in silence, send wrong
markers, and live-migrate with a blocking microversion (2.30). Every read is complete or raises;
every verb sends one request, once.
"""

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice
from typing import Any

from quiesce.api.errors import CloudUnreachable, NotAllowed
from quiesce.openstack.addresses import is_id, path
from quiesce.openstack.changes import AGE, MOST, Change, Changes
from quiesce.openstack.errors import NotFound
from quiesce.openstack.fields import (
    Misread,
    id_of,
    items,
    mapping,
    number,
    optional_id,
    optional_text,
    part,
    text,
)
from quiesce.openstack.http import MISREAD, PAGE, Api
from quiesce.openstack.lookups import Found, Lookups
from quiesce.openstack.records import (
    ActionEvents,
    Aggregate,
    Confirmed,
    Holdings,
    Hypervisor,
    Image,
    InstanceAction,
    LiveProgress,
    Migration,
    Port,
    Room,
    Server,
    ServerGroup,
    Service,
    Shape,
    Volume,
    cheaper_one_by_one,
    moment,
)
from quiesce.openstack.shared import Shared
from quiesce.openstack.side_by_side import side_by_side, together
from quiesce.openstack.transport import LIST

_SERVICES_AGE = _HYPERVISORS_AGE = 10.0
"""Seconds for which a list may be shared between resources, and between ticks."""
_GROUPS_AGE = 30.0
FOUND_AGE = 1.0
"""Seconds that what is saved before a first write may be old: many drains that are new at once
share it, and the row of a service is read again right before it is written."""
_COMPUTES = {"binary": "nova-compute"}
_PORTS_AT_ONCE = 100
_HYPERVISORS_AT_ONCE = 500
_SERVERS_AT_ONCE = 50
"""Each may have 64 KiB of user data, which Nova lists too."""
_VERIFY = "VERIFY_RESIZE"
_VERIFY_AGE = 60.0
_LISTS_AT_ONCE = 4
_MOST_SKIPPED = 100
"""Older migrations in a row, half of a page: clocks of Nova's processes are seconds apart, and so
many do not begin on one host in that time."""
_MOST_PAGES = 100
_POWER_ACTIONS = ("stop", "start", "reboot")


class Cloud:
    """Reads raise CloudUnreachable, BadCredentials, NotAllowed; verbs also Refused and Unknown."""

    def __init__(self, api: Api, clock: Callable[[], float] = time.monotonic) -> None:
        self._api = api
        self.user_id = api.user_id
        self.identity = api.identity
        self.clock = clock
        self._lookups = Lookups(api, clock)
        self._services = Shared(self._read_services, _SERVICES_AGE, clock)
        self._groups = Shared(self._read_groups, _GROUPS_AGE, clock)
        self._hypervisors = Shared(self._read_hypervisors, _HYPERVISORS_AGE, clock)
        self._computes = Shared(self._read_computes, _HYPERVISORS_AGE, clock)
        self._aggregates = Shared(self._read_aggregates, FOUND_AGE, clock)
        self._verified = (float("-inf"), 0)  # when all such servers were listed, and how many
        self._changes = Changes(self._changed_migrations, clock)
        self._server_changes = Changes(self._changed_servers, clock)

    @property
    def broken(self) -> bool:
        """Whether this connection is unusable: a new one has to be made."""
        return self._api.broken

    # Reads

    def services(self, *, age: float | None = None) -> tuple[Service, ...]:
        """Every nova-compute service of the cloud. `age`: seconds that they may be old; None: as
        usual; 0: as they are now.
        """
        found, _ = self._services.get(age)
        return found

    def service(self, host: str) -> Service | None:
        """The nova-compute service of one host, as it is now; None: Nova lists none.

        The API itself filters the list (api/openstack/compute/services.py _get_services): that
        saves the other rows' way here.
        """
        body = self._api.get("compute", "/os-services", {**_COMPUTES, "host": host}, most=LIST)
        with _read_of("the list of services"):
            found = (Service.read(row) for row in rows(body, "services"))
            return next((service for service in found if service.host == host), None)

    def known_services(self, age: float | None = None) -> Mapping[str, Service] | None:
        """The first of each host, without a read; None: one is needed. `age`: as of `services`."""
        found = self._services.known(age)
        return None if found is None else found[1]

    def _read_services(self) -> tuple[tuple[Service, ...], Mapping[str, Service]]:
        asked = self.clock()
        body = self._api.get("compute", "/os-services", _COMPUTES, most=LIST)
        with _read_of("the list of services"):
            found = tuple(Service.read(row) for row in rows(body, "services"))
        # The earliest of those that are up: no process of Nova with a fast clock hides a change.
        reports = (moment(service.reported) for service in found if service.state == "up")
        earliest = min(filter(None, reports), default=None)
        for changes in (self._server_changes, self._changes):
            changes.tell_time(asked, earliest)
        return found, {service.host: service for service in reversed(found)}

    def servers_on(self, host: str) -> tuple[Server, ...]:
        """Every server whose host is exactly this one, soft-deleted ones included.

        Nova drops the filter in silence for a user who may not use it (servers.py
        remove_invalid_options), so each row's own host attribute is checked; SHELVED_OFFLOADED
        servers leave with a short delay.
        """
        found = self._servers({"all_tenants": 1, "host": host, "soft_deleted": 1})
        return tuple(server for server in found if server.host == host)

    def to_verify(self, ids: Collection[str]) -> dict[str, Server]:
        """Those of these servers that are in VERIFY_RESIZE, by ID: from one list of all such of the
        cloud, or one by one where it has had many others within the last minute.
        """
        listed, rows = self._verified
        if self.clock() - listed <= _VERIFY_AGE and cheaper_one_by_one(len(ids), rows):
            try:
                found = [self.server(server_id) for server_id in sorted(ids)]
            except CloudUnreachable:  # a server that Nova cannot show holds up no other
                found = self._list_to_verify()
        else:
            found = self._list_to_verify()
        shown = {server.id: server for server in found if server and server.status == _VERIFY}
        return {server_id: shown[server_id] for server_id in ids if server_id in shown}

    def _list_to_verify(self) -> list[Server | None]:
        found = self._servers({"all_tenants": 1, "status": _VERIFY})
        self._verified = self.clock(), len(found)
        return [*found]

    def _servers(self, query: dict[str, str | int]) -> list[Server]:
        """Each once: where a cell is mapped twice, Nova lists all of it twice."""
        query = {"limit": _SERVERS_AT_ONCE, **query}
        found: dict[str, Server] = {}
        with _read_of("a row of the list of servers"):
            for row in self._api.pages("/servers/detail", "servers", query):
                server = _server(row)
                found[server.id] = server
        return list(found.values())

    def server(self, server_id: str) -> Server | None:
        """One server, or None where it no longer exists."""
        try:
            body = self._api.get("compute", path("servers", server_id))
        except NotFound:
            return None
        with _read_of(f"server {server_id}"):
            return _server(body["server"])

    def migrations(self, host: str, above: int | None = None) -> tuple[Migration, ...]:
        """Migrations with this host as source or destination, newest first.

        `above`: only those with a higher id, reading hardly more pages than that takes. Rows of
        deleted servers are not listed.

        Nova sorts by created_at (since 2.59, api/openstack/compute/migrations.py), which is set by
        the clock of whichever process writes the record. So one from before may come before ours:
        they are skipped, and reading ends after many in a row. Newest is what has the highest id.
        """
        query: dict[str, str | int] = {"host": host}
        if above is not None:
            query["limit"] = 200
        asked, found, skipped = self.clock(), list[Migration](), 0
        for migration in self._migrations(query):
            if above is None or migration.id > above:
                found.append(migration)
                skipped = 0
                continue
            skipped += 1
            if skipped >= _MOST_SKIPPED:
                break
        self._changes.begin(asked, [_migration_change(each) for each in found])
        return tuple(sorted(found, key=lambda migration: -migration.id))

    def no_migration_changed(self, host: str, asked: float, *, age: float = AGE) -> bool:
        """Whether `migrations` of this host would show now what they showed when they were asked
        for, by `clock`; `age` seconds ago, to be exact. False: they would not, or that is not
        known.
        """
        return self._changes.none_since(host, asked, age)

    def migration_changed(
        self, host: str, asked: float, *, age: float, read: bool = True
    ) -> bool | None:
        """The other way round; None: it is not known. `read` False: as far as it is known."""
        return self._changes.since(host, asked, age, read=read)

    def _changed_migrations(self, since: datetime) -> tuple[Change, ...]:
        found = self._migrations({"changes-since": _in_utc(since)}, kept=False)
        return tuple(map(_migration_change, islice(found, MOST)))

    def server_changed(
        self,
        host: str,
        asked: float,
        *,
        age: float,
        read: bool = True,
        servers: Collection[str] = (),
    ) -> bool | None:
        """Whether anything has changed of a server that is on this host since then, by `clock`;
        `age` seconds ago, to be exact. None: it is not known. `read` False: as far as it is known.
        `servers`: IDs of those that were; one that is shelved and offloaded has no host any more.
        """
        return self._server_changes.since(host, asked, age, read=read, also=servers)

    def _changed_servers(self, since: datetime) -> tuple[Change, ...]:
        query: dict[str, str | int] = {
            "all_tenants": 1,
            "changes-since": _in_utc(since),
            "limit": _SERVERS_AT_ONCE,
        }
        with _read_of("a row of the list of servers"):
            found = self._api.pages("/servers/detail", "servers", query, kept=False)
            return tuple(map(_server_change, islice(found, MOST)))

    def _migrations(self, query: dict[str, str | int], *, kept: bool = True) -> Iterator[Migration]:
        with _read_of("a row of the list of migrations"):
            for row in self._api.pages("/os-migrations", "migrations", query, kept=kept):
                # Nova shows them as null then. Each migration has a source from its beginning.
                if row.get("source_compute") is None and row.get("dest_compute") is None:
                    raise NotAllowed(
                        "Nova shows migrations without hosts: allow the operator's user "
                        "os_compute_api:os-migrations:index:host in Nova's policy"
                    )
                yield Migration.read(row)

    def action_events(
        self, server_id: str, kinds: Iterable[str], created: datetime
    ) -> ActionEvents | None:
        """The instance action of a migration.

        That is the nearest one of these kinds that began up to 60 s before `created`.
        """
        wanted = tuple(kinds)
        ages = [(created - each.started, each) for each in self._actions(server_id)]
        near = [
            (age, each.request_id)
            for age, each in ages
            if each.action in wanted and timedelta(seconds=-2) <= age <= timedelta(seconds=60)
        ]
        return self._events(server_id, min(near)[1]) if near else None

    def confirm_events(self, server_id: str, since: datetime) -> ActionEvents | None:
        """The newest confirm of a move of this server that began at `since`. Raises NotFound."""
        last = self._newest_confirm(server_id, since)
        return self._events(server_id, last.request_id) if last else None

    def last_confirm(self, server_id: str, since: datetime) -> Confirmed | None:
        """The newest confirm of a move of this server that began at `since`; None: no such action,
        or no such server.
        """
        try:
            last = self._newest_confirm(server_id, since)
        except NotFound:
            return None
        return Confirmed(last.started, last.user_id) if last else None

    def _newest_confirm(self, server_id: str, since: datetime) -> InstanceAction | None:
        confirms = (
            each
            for each in self._actions(server_id)
            if each.action == "confirmResize" and each.started >= since
        )
        return max(confirms, key=lambda each: each.started, default=None)

    def _actions(self, server_id: str) -> list[InstanceAction]:
        """Those that have a start. Raises NotFound where there is no such server."""
        body = self._api.get("compute", path("servers", server_id, "os-instance-actions"))
        with _read_of(f"the actions of server {server_id}"):
            listed = [InstanceAction.read(row) for row in rows(body, "instanceActions")]
            return [each for each in listed if each is not None]

    def _events(self, server_id: str, request_id: str) -> ActionEvents:
        where = path("servers", server_id, "os-instance-actions", request_id)
        body = self._api.get("compute", where)
        with _read_of(f"instance action {request_id}"):
            return ActionEvents.read(body["instanceAction"], request_id)

    def is_running(self, server_id: str) -> bool | None:
        """Whether its hypervisor says that the guest runs; None: it is not one that can be asked.

        Diagnostics are asked of nova-compute, which looks at the guest itself; of one that does
        not run Nova answers 409 (nova/compute/manager.py get_instance_diagnostics). The power
        state of the server is what the database heard last. Raises CloudUnreachable where
        nova-compute or its hypervisor does not answer: Nova says 500 then, after its
        rpc_response_timeout of a minute.
        """
        status, text = self._api.ask("compute", path("servers", server_id, "diagnostics"))
        if status == 409 and "power state" in text:
            return False
        return True if status == 200 else None

    def stopped_by_user(self, server_id: str, since: datetime) -> bool:
        """Whether the last that a user asked for since then was a stop. Nova's own stops have no
        user (the power sync: compute/manager.py _sync_instance_power_state). Where Nova does not
        tell, none is known: then the server stays where it is (decide.breaker was_left_off).
        """
        try:
            listed = self._actions(server_id)
        except (NotFound, CloudUnreachable):
            return False
        asked = [
            each
            for each in listed
            if each.action in _POWER_ACTIONS and each.user_id and each.started >= since
        ]
        last = max(asked, key=lambda each: each.started, default=None)
        return last is not None and last.action == "stop"

    def live_progress(self, server_id: str, migration_id: int) -> LiveProgress | None:
        """Counters of this live migration (memory and disk together); None: it is not in progress.

        Nova lists all of the server's that are, in no order, and ones that were left over among
        them (nova/db/main/api.py migration_get_in_progress_by_instance).
        """
        try:
            body = self._api.get("compute", path("servers", server_id, "migrations"))
        except NotFound:
            return None
        with _read_of(f"the migrations of server {server_id}"):
            found = map(LiveProgress.read, rows(body, "migrations"))
            return next((each for each in found if each.migration_id == migration_id), None)

    def allocations(self, node: str) -> Holdings | None:
        """What is held on a hypervisor's resource providers, children included.

        `node`: the hypervisor_hostname, which names the root provider. None where there is
        no such provider. Raises NotInCatalog where the cloud shows no placement.
        """
        named = self._providers({"name": node})
        if not named:
            return None
        root = next(iter(named))
        held: dict[str, tuple[str, ...]] = {}
        for provider in self._providers({"in_tree": root}):
            body = self._allocations_of(provider)
            with _read_of(f"the allocations of resource provider {provider}"):
                for consumer in mapping(body["allocations"], "allocations"):
                    if not is_id(consumer):
                        raise Misread("a consumer is no ID")
                    held[consumer] = (*held.get(consumer, ()), provider)
        return Holdings(root, held)

    def _allocations_of(self, provider: str) -> Any:
        try:
            where = path("resource_providers", provider, "allocations")
            return self._api.get("placement", where)
        except NotFound as error:
            raise CloudUnreachable(
                f"resource provider {provider} was deleted while its allocations were read"
            ) from error

    def _providers(self, query: dict[str, str | int]) -> dict[str, str]:
        """uuid -> name."""
        body = self._api.get("placement", "/resource_providers", query, most=LIST)
        with _read_of("the list of resource providers"):
            return {
                id_of(row, "uuid"): optional_text(row, "name") or ""
                for row in rows(body, "resource_providers")
            }

    def rooms(self, shapes: Iterable[Shape]) -> tuple[Room, ...]:
        """Free capacity on every host that placement offers for one of these shapes.

        One request for each shape, and two more for the names, side by side. Hosts that Nova has
        disabled are left out (trait COMPUTE_STATUS_DISABLED). Raises NotInCatalog.
        """
        free: dict[str, dict[str, int]] = {}
        takes: dict[str, set[Shape]] = {}
        each = list(shapes)
        names, hypervisors, offered = together(
            partial(self._providers, {}),
            self.hypervisors,
            lambda: side_by_side((partial(self._candidates, s) for s in each), _LISTS_AT_ONCE),
        )
        for shape, rooms in zip(each, offered, strict=True):
            for root, room in rooms.items():
                free.setdefault(root, {}).update(room)
                takes.setdefault(root, set()).add(shape)
        hosts = {h.hypervisor_hostname: h.host for h in hypervisors}
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
        body = self._api.get("placement", "/allocation_candidates", query, most=LIST, kept=False)
        found: dict[str, dict[str, int]] = {}
        with _read_of("the list of allocation candidates"):
            for uuid, summary in mapping(body["provider_summaries"]).items():
                mine = found.setdefault(optional_id(summary, "root_provider_uuid") or uuid, {})
                for name in mapping(summary["resources"]):
                    amounts = mapping(summary["resources"][name], name)
                    free = number(amounts, "capacity") - number(amounts, "used")
                    mine[name] = mine.get(name, 0) + free
        return found

    def hypervisors(self, *, age: float | None = None) -> tuple[Hypervisor, ...]:
        """All hypervisors with their service's host and address. `age`: as of `services`."""
        return self._hypervisors.get(age)

    def _read_hypervisors(self) -> tuple[Hypervisor, ...]:
        """Nova ends every list after [api]max_limit rows, 1000 by default."""
        query: dict[str, str | int] = {"limit": _HYPERVISORS_AT_ONCE}
        with _read_of("the list of hypervisors"):
            listed = self._api.pages("/os-hypervisors/detail", "hypervisors", query)
            return tuple(Hypervisor.read(row) for row in listed)

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
        _complete(self.services(age=0.0))
        hypervisors = self._hypervisors.get(0.0)
        return _complete(self.services(age=0.0)), hypervisors

    def aggregates(self, *, age: float | None = None) -> tuple[Aggregate, ...]:
        """All of them. `age`: seconds that they may be old; None: FOUND_AGE; 0: as they are now."""
        return self._aggregates.get(age)

    def _read_aggregates(self) -> tuple[Aggregate, ...]:
        body = self._api.get("compute", "/os-aggregates", most=LIST)
        with _read_of("the list of aggregates"):
            return tuple(Aggregate.read(row) for row in rows(body, "aggregates"))

    def groups(self) -> tuple[ServerGroup, ...]:
        """Server groups of all projects whose policy Nova enforces (`soft-*` ones are left out)."""
        return self._groups.get()

    def _read_groups(self) -> tuple[ServerGroup, ...]:
        found, offset = list[ServerGroup](), 0
        # This list has an offset and no links (nova api server_groups.py index), and a page has
        # [api]max_limit rows at most: a short one may not be the last.
        for _ in range(_MOST_PAGES):
            query: dict[str, str | int] = {
                "all_projects": "true",
                "limit": PAGE,
                "offset": offset,
            }
            body = self._api.get("compute", "/os-server-groups", query, most=LIST)
            with _read_of("the list of server groups"):
                page = [ServerGroup.read(row) for row in rows(body, "server_groups")]
            if not page:
                return tuple(found)
            found += [each for each in page if each.policy in ("affinity", "anti-affinity")]
            offset += len(page)
        raise CloudUnreachable(f"the list of server groups does not end after {_MOST_PAGES} pages")

    def ports(self, server_ids: Iterable[str]) -> tuple[Port, ...]:
        """The Neutron ports of these servers. Raises NotInCatalog.

        Of _PORTS_AT_ONCE servers in one request: web servers and proxies refuse a request line of
        more than 8 KiB (HTTP 414), and each server takes 47 bytes of it.
        """
        wanted, found = list(server_ids), list[Port]()
        for first in range(0, len(wanted), _PORTS_AT_ONCE):
            some = wanted[first : first + _PORTS_AT_ONCE]
            query: list[tuple[str, str | int]] = [("device_id", server_id) for server_id in some]
            found += self._ports(query)
        return tuple(found)

    def _ports(self, query: list[tuple[str, str | int]]) -> list[Port]:
        """Page by page, where Neutron has pagination_max_limit: it has none by default.

        The ID of the last row is the next marker (neutron/api/api_common.py get_pagination_links).
        """
        found: dict[str, Port] = {}
        asked = query
        for _ in range(_MOST_PAGES):
            body = self._api.get("network", "/ports", asked, most=LIST)
            with _read_of("the list of ports"):
                page = [_port(row) for row in rows(body, "ports")]
                links = [mapping(each, "a link") for each in items(body, "ports_links")]
            new = {port.id: port for port in page if port.id not in found}
            found |= new
            if not page or not any(link.get("rel") == "next" for link in links):
                return list(found.values())
            if not new:
                break
            asked = [*query, ("marker", page[-1].id)]
        raise CloudUnreachable("the list of ports does not end")

    def ports_not_working_on(self, host: str) -> tuple[Port, ...]:
        """Ports on a host that are DOWN or not bound, whatever they are of. Raises NotInCatalog."""
        query: list[tuple[str, str | int]] = [("binding:host_id", host)]
        query += [("status", status) for status in ("DOWN", "ERROR", "N/A")]
        return tuple(port for port in self._ports(query) if not port.works)

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
        with _read_of("a row of the list of evacuations"):
            listed = self._api.pages("/os-migrations", "migrations", query)
            found = [Migration.read(row) for row in listed]
        return {
            m.server_id: m.id
            for m in found
            if m.source == host and (m.type, m.status) == ("evacuation", "done")
        }

    @property
    def shows_image_properties(self) -> bool:
        """Whether a server's row has those of its image (microversion 2.98)."""
        return tuple(map(int, self._api.microversion.split("."))) >= (2, 98)

    @property
    def misplaces(self) -> bool:
        """Whether a nova-compute may leave a server on its source whose live migration failed at
        its end, while its guest runs on the destination (bug 1628606).

        None does from 24.2.0, 25.1.0, 26.1.0 and 27.0.0 on (commit 8449b7ca). Nova 29, the first
        with 2.96, starts with none older than 27 (nova/objects/service.py); nothing older than 2.96
        tells.
        """
        return tuple(map(int, self._api.microversion.split("."))) < (2, 96)

    def volumes(self, ids: Iterable[str]) -> Found[Volume]:
        """Of any project."""
        return self._lookups.volumes(ids)

    def images(self, ids: Iterable[str]) -> Found[Image]:
        return self._lookups.images(ids)

    def snapshots(self, server_ids: Iterable[str]) -> Found[str]:
        """Of these shelved servers the IDs of the images that their disks are too."""
        return self._lookups.snapshots(server_ids)

    # Verbs: each returns Nova's request id

    def disable_service(self, service_id: str, reason: str) -> str | None:
        return self._put_service(service_id, {"status": "disabled", "disabled_reason": reason})

    def disable_service_without_reason(self, service_id: str) -> str | None:
        return self._put_service(service_id, {"status": "disabled"})

    def enable_service(self, service_id: str) -> str | None:
        return self._put_service(service_id, {"status": "enabled"})

    def _put_service(self, service_id: str, body: dict[str, str]) -> str | None:
        with self._changing_services():
            return self._api.write("compute", "PUT", path("os-services", service_id), body)

    def delete_service(self, service_id: str) -> str | None:
        """Raises Refused 409 where Nova still counts servers or migrations of the host."""
        with self._changing_services():
            return self._api.write("compute", "DELETE", path("os-services", service_id))

    @contextmanager
    def _changing_services(self) -> Iterator[None]:
        """A list that another thread reads meanwhile may show the service as it was before."""
        try:
            yield
        finally:
            self._services.forget()

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
            "compute", "DELETE", path("servers", server_id, "migrations", str(migration_id))
        )

    def force_complete(self, server_id: str, migration_id: int) -> str | None:
        where = path("servers", server_id, "migrations", str(migration_id), "action")
        return self._api.write("compute", "POST", where, {"force_complete": None})

    def add_to_aggregate(self, aggregate_id: int, host: str) -> str | None:
        where = path("os-aggregates", str(aggregate_id), "action")
        return self._api.write("compute", "POST", where, {"add_host": {"host": host}})

    def _action(self, server_id: str, body: dict[str, Any]) -> str | None:
        return self._api.write("compute", "POST", path("servers", server_id, "action"), body)


def _in_utc(time_: datetime) -> str:
    return f"{time_.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _migration_change(found: Migration) -> Change:
    """What a live migration has copied is written to its record every few seconds as well, and
    nothing follows from that: its status changes when it ends.
    """
    hosts = tuple(filter(None, (found.source, found.dest)))
    return Change(found.uuid, (found.status, found.dest), hosts, found.updated)


def _server_change(row: Any) -> Change:
    updated, host = text(row, "updated"), optional_text(row, "OS-EXT-SRV-ATTR:host")
    own = id_of(row, "id")
    offloaded = own if optional_text(row, "status") == "SHELVED_OFFLOADED" else None
    hosts = tuple(filter(None, (host or offloaded,)))
    return Change(own, (updated, host), hosts, moment(updated))


def _server(row: Any) -> Server:
    """Raises NotAllowed where it is shown without its host, or its flavor without extra specs."""
    try:
        found, flavor = Server.read(row), part(mapping(row), "flavor")
    except KeyError as error:
        if error.args != ("OS-EXT-SRV-ATTR:host",):
            raise
        raise NotAllowed(
            f"Nova shows servers without {error}: the operator's user is no admin in Nova's "
            "policy (os_compute_api:os-extended-server-attributes). Use credentials that see "
            "all servers and their hosts"
        ) from error
    if flavor and "extra_specs" not in flavor:
        # Without them a server with a virtual TPM or an accelerator looks like any other.
        raise NotAllowed(
            "Nova shows flavors without extra specs, on which it depends how a server can be "
            "moved: allow the operator's user os_compute_api:servers:show:flavor-extra-specs in "
            "Nova's policy"
        )
    return found


def _port(row: Any) -> Port:
    """Raises NotAllowed where it is shown without its binding: Neutron leaves out what a user may
    not see, and such a port would look unbound.
    """
    hidden = [name for name in ("binding:host_id", "binding:vif_type") if name not in mapping(row)]
    if hidden:
        raise NotAllowed(
            f"Neutron shows ports without {' and '.join(hidden)}: allow the operator's user "
            f"{' and '.join(f'get_port:{name}' for name in hidden)} in Neutron's policy"
        )
    return Port.read(row)


@contextmanager
def _read_of(what: str) -> Iterator[None]:
    """A row that is not as the API describes it proves nothing. Raises CloudUnreachable."""
    try:
        yield
    except MISREAD as error:
        why = error if isinstance(error, Misread) else "the answer is not as the API describes it"
        raise CloudUnreachable(f"{what} cannot be read: {why}") from error


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
