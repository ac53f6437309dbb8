"""Nova over HTTP, as microversions 2.53 to 2.104 have it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from tests.beds.sim.clock import parse
from tests.beds.sim.compute_lists import MigrationList, ServerList, is_true, only_known, page_of
from tests.beds.sim.compute_views import Json, Version, Views
from tests.beds.sim.errors import (
    BadRequestError,
    ConflictError,
    ForbiddenError,
    NotAcceptableError,
    NotFoundError,
    UnexpectedApiError,
)
from tests.beds.sim.guests import SIMPLE, Boot
from tests.beds.sim.identity_api import Identity
from tests.beds.sim.model import Cloud
from tests.beds.sim.records import Action, Context, Flavor, Server
from tests.beds.sim.states import PAUSED_POWER, RUNNING, SHUTDOWN
from tests.beds.sim.web import Request, Response, Router

OLDEST: Version = (2, 1)  # as in Nova; what is asked for below 2.53 is answered as in 2.53
NEWEST: Version = (2, 104)
USSURI: Version = (2, 87)
CELLS_DOWN: Version = (2, 69)  # from here on servers of cells that are down are shown in part

Act = Callable[[Context, str, Any], Response | None]


@dataclass(frozen=True)
class Call:
    """One request to Nova: who asks, in which microversion."""

    request: Request
    context: Context
    version: Version

    @property
    def names(self) -> tuple[str, ...]:
        return self.request.names

    @property
    def body(self) -> Json:
        return self.request.body if isinstance(self.request.body, dict) else {}

    @property
    def is_admin(self) -> bool:
        return self.context.is_admin


NovaHandler = Callable[[Call], Response]


class ComputeApi:
    """Routes of Nova, on a cloud."""

    def __init__(self, cloud: Cloud, identity: Identity) -> None:
        self.cloud = cloud
        self.state = cloud.state
        self.identity = identity
        self.actions = self._actions()

    @property
    def views(self) -> Views:
        return Views(self.state, f"{self.identity.base()}/compute")

    def router(self) -> Router:
        router = Router()
        router.add("GET", "/", self._versions)
        router.add("GET", "/v2.1", self._version)
        for method, route, handler, rule in (*self._server_routes(), *self._host_routes()):
            router.add(method, "/v2.1" + route, self._guarded(handler, rule))
        return router

    def _server_routes(self) -> list[tuple[str, str, NovaHandler, str]]:
        """Method, route, handler and, for what only admins may do, the policy's name."""
        migrations = "/servers/{id}/migrations"
        return [
            ("GET", "/servers", self._list_servers, ""),
            ("GET", "/servers/detail", self._list_servers, ""),
            ("POST", "/servers", self._boot, ""),
            ("GET", "/servers/{id}", self._show_server, ""),
            ("DELETE", "/servers/{id}", self._delete_server, ""),
            ("POST", "/servers/{id}/action", self._act, ""),
            ("POST", "/servers/{id}/metadata", self._set_metadata, ""),
            ("GET", migrations, self._running, "servers:migrations:index"),
            ("GET", migrations + "/{id}", self._show_running, "servers:migrations:show"),
            ("DELETE", migrations + "/{id}", self._abort, "servers:migrations:delete"),
            ("POST", migrations + "/{id}/action", self._force, "servers:migrations:force_complete"),
            ("GET", "/servers/{id}/diagnostics", self._diagnose, "os-server-diagnostics"),
            ("GET", "/servers/{id}/os-instance-actions", self._list_actions, ""),
            ("GET", "/servers/{id}/os-instance-actions/{id}", self._show_action, ""),
            ("GET", "/os-migrations", self._list_migrations, "os-migrations:index"),
            ("GET", "/flavors", self._list_flavors, ""),
            ("GET", "/flavors/detail", self._list_flavors, ""),
            ("GET", "/flavors/{id}", self._show_flavor, ""),
            ("GET", "/os-server-groups", self._list_groups, ""),
            ("POST", "/os-server-groups", self._add_group, ""),
            ("GET", "/os-server-groups/{id}", self._show_group, ""),
            ("DELETE", "/os-server-groups/{id}", self._delete_group, ""),
        ]

    def _host_routes(self) -> list[tuple[str, str, NovaHandler, str]]:
        return [
            ("GET", "/os-services", self._list_services, "os-services:list"),
            ("PUT", "/os-services/{id}", self._update_service, "os-services:update"),
            ("DELETE", "/os-services/{id}", self._delete_service, "os-services:delete"),
            ("GET", "/os-hypervisors", self._list_hypervisors, "os-hypervisors:list"),
            ("GET", "/os-hypervisors/detail", self._list_hypervisors, "os-hypervisors:list-detail"),
            ("GET", "/os-hypervisors/{id}", self._show_hypervisor, "os-hypervisors:show"),
            ("GET", "/os-aggregates", self._list_aggregates, "os-aggregates:index"),
            ("POST", "/os-aggregates", self._add_aggregate, "os-aggregates:create"),
            ("GET", "/os-aggregates/{id}", self._show_aggregate, "os-aggregates:show"),
            ("DELETE", "/os-aggregates/{id}", self._delete_aggregate, "os-aggregates:delete"),
            (
                "POST",
                "/os-aggregates/{id}/action",
                self._aggregate_action,
                "os-aggregates:add_host",
            ),
        ]

    # Versions, users, policies

    def _guarded(self, handler: NovaHandler, rule: str) -> Callable[[Request], Response]:
        def run(request: Request) -> Response:
            user = self.identity.user_of(request)
            version = _requested(request)
            if rule and not user.is_admin:
                raise _denied(rule)
            context = Context(user, f"req-{self.state.new_uuid()}")
            response = handler(Call(request, context, version))
            response.headers |= {
                "OpenStack-API-Version": f"compute {version[0]}.{version[1]}",
                "X-OpenStack-Nova-API-Version": f"{version[0]}.{version[1]}",
                "Vary": "OpenStack-API-Version, X-OpenStack-Nova-API-Version",
                "x-openstack-request-id": context.request_id,
                "x-compute-request-id": context.request_id,
            }
            return response

        return run

    def _description(self) -> Json:
        newest = USSURI if self.state.config.ends_on_source else NEWEST
        return {
            "id": "v2.1",
            "status": "CURRENT",
            "version": f"{newest[0]}.{newest[1]}",
            "min_version": f"{OLDEST[0]}.{OLDEST[1]}",
            "updated": "2013-07-23T11:33:21Z",
            "links": [{"rel": "self", "href": f"{self.views.base}/v2.1/"}],
        }

    def _versions(self, request: Request) -> Response:
        return Response(200, {"versions": [self._description()]})

    def _version(self, request: Request) -> Response:
        return Response(200, {"version": {**self._description(), "media-types": []}})

    # Servers

    def _list_servers(self, call: Call) -> Response:
        detail = call.request.path.endswith("/detail")
        page = page_of(call.request, self.state.config.max_limit)
        listed = ServerList(self.state, call.request, call.context.user)
        servers, partial = listed.page(page), listed.unreachable()
        views = self.views
        shown = [
            views.server(server, call.version, admin=call.is_admin, shown_alone=False)
            if detail
            else views.server_row(server)
            for server in servers
        ]
        if call.version >= CELLS_DOWN:
            shown += [views.partial_server(server, detail=detail) for server in partial]
        last = servers[-1].id if servers else ""
        links = page.next_link(call.request, views.base, last, len(servers))
        return Response(200, {"servers": shown} | ({"servers_links": links} if links else {}))

    def _show_server(self, call: Call) -> Response:
        server = self.state.server(call.names[0], call.context)
        if not self.state.in_reach(server):
            self._check_reach(server, call.version >= CELLS_DOWN)
            return Response(200, {"server": self.views.partial_server_alone(server, call.version)})
        view = self.views.server(server, call.version, admin=call.is_admin, shown_alone=True)
        return Response(200, {"server": view})

    def _check_reach(self, server: Server, partly: bool = False) -> None:
        """Nova cannot do a thing with a server whose cell does not answer."""
        if not partly and not self.state.in_reach(server):
            raise UnexpectedApiError("NovaException")

    def _boot(self, call: Call) -> Response:
        wanted = call.body.get("server", {})
        if wanted.get("host") and not call.is_admin:
            raise _denied("compute:servers:create:requested_destination")
        zone, _, forced = (wanted.get("availability_zone") or "").partition(":")
        hints = call.body.get("os:scheduler_hints") or {}
        wish = Boot(
            name=wanted.get("name", ""),
            flavor=self._flavor(str(wanted.get("flavorRef"))),
            host=wanted.get("host") or forced or None,
            zone=zone or None,
            metadata=tuple((wanted.get("metadata") or {}).items()),
            image=wanted.get("imageRef") or "",
            group=hints.get("group"),
            network=wanted.get("networks") not in (None, "none", []),
        )
        server = self.cloud.guests.boot(call.context, wish)
        shown = {
            "id": server.id,
            "links": self.views.links(f"servers/{server.id}"),
            "OS-DCF:diskConfig": "MANUAL",
            "security_groups": [{"name": "default"}],
            "adminPass": "unused",
        }
        return Response(202, {"server": shown})

    def _flavor(self, reference: str) -> Flavor:
        for flavor in self.state.flavors.values():
            if flavor.id == reference:
                return flavor
        raise NotFoundError(f"Flavor {reference} could not be found.")

    def _delete_server(self, call: Call) -> Response:
        self.cloud.guests.delete(call.context, call.names[0])
        return Response(204)

    def _set_metadata(self, call: Call) -> Response:
        self.state.server(call.names[0], call.context)
        self.cloud.guests.set_metadata(call.names[0], call.body["metadata"])
        return Response(200, {"metadata": self.state.servers[call.names[0]].metadata})

    # Server actions

    def _actions(self) -> dict[str, tuple[Act, str]]:
        """Action -> what it does, and the policy's name where only admins may."""
        cold, live, guests = self.cloud.cold, self.cloud.live, self.cloud.guests
        actions: dict[str, tuple[Act, str]] = {
            "migrate": (
                lambda who, server, body: cold.migrate(who, server, (body or {}).get("host")),
                "os-migrate-server:migrate",
            ),
            "os-migrateLive": (
                lambda who, server, body: live.migrate(who, server, body.get("host")),
                "os-migrate-server:migrate_live",
            ),
            "evacuate": (
                lambda who, server, body: self._evacuate(who, server, body),
                "os-evacuate",
            ),
            "confirmResize": (lambda who, server, body: self._confirm(who, server), ""),
            "revertResize": (lambda who, server, body: cold.revert(who, server), ""),
            "resize": (
                lambda who, server, body: cold.resize(who, server, self._flavor(body["flavorRef"])),
                "",
            ),
            "shelveOffload": (lambda who, server, body: guests.shelve_offload(who, server), ""),
            "unshelve": (lambda who, server, body: guests.unshelve(who, server), ""),
            "lock": (
                lambda who, server, body: guests.lock(
                    who, server, (body or {}).get("locked_reason")
                ),
                "",
            ),
            "unlock": (lambda who, server, body: guests.unlock(who, server), ""),
            "os-resetState": (
                lambda who, server, body: guests.reset_state(who, server, body["state"]),
                "os-admin-actions:reset_state",
            ),
            "os-getConsoleOutput": (lambda who, server, body: self._console(who, server), ""),
            "forceDelete": (lambda who, server, body: guests.force_delete(who, server), ""),
            "restore": (lambda who, server, body: guests.restore(who, server), ""),
        }
        for name in SIMPLE:
            actions[name] = (self._simple(name), "")
        return actions

    def _confirm(self, who: Context, server: str) -> Response:
        self.cloud.cold.confirm(who, server)
        return Response(204)

    def _evacuate(self, who: Context, server: str, body: Any) -> Response:
        self.cloud.evacuations.evacuate(who, server, (body or {}).get("host"))
        return Response(200)

    def _console(self, who: Context, server: str) -> Response:
        return Response(200, {"output": self.cloud.guests.console(who, server)})

    def _simple(self, name: str) -> Act:
        def act(who: Context, server: str, body: Any) -> Response | None:
            self.cloud.guests.act(who, server, name)
            return Response(200, {"adminPass": "unused"}) if name == "rescue" else None

        return act

    def _act(self, call: Call) -> Response:
        name, body = next(iter(call.body.items()), ("", None))
        if name not in self.actions:
            raise BadRequestError(f"There is no such action: {name}")
        self._check_body(name, body)
        act, rule = self.actions[name]
        self._check_reach(self.state.server(call.names[0], call.context))
        if rule and not call.is_admin:
            raise _denied(rule)
        return act(call.context, call.names[0], body) or Response(202)

    def _check_body(self, name: str, body: Any) -> None:
        """The schemas of nova/api/openstack/compute/schemas, where a slip is likely."""
        if name == "os-migrateLive" and not {"host", "block_migration"} <= set(body or {}):
            missing = "host" if "host" not in (body or {}) else "block_migration"
            raise BadRequestError(
                f"Invalid input for field/attribute os-migrateLive. Value: {body}. {missing!r} is "
                "a required property"
            )
        if name == "migrate" and body is not None and set(body) - {"host"}:
            raise BadRequestError(
                f"Invalid input for field/attribute migrate. Value: {body}. Additional properties "
                "are"
                f" not allowed ({sorted(set(body) - {'host'})[0]!r} was unexpected)"
            )

    # Migrations

    def _list_migrations(self, call: Call) -> Response:
        page = page_of(call.request, self.state.config.max_limit)
        migrations = MigrationList(self.state, call.request).page(page)
        views = self.views
        body: Json = {
            "migrations": [views.migration(migration, call.version) for migration in migrations]
        }
        last = migrations[-1].uuid if migrations else ""
        links = page.next_link(call.request, views.base, last, len(migrations))
        return Response(200, body | ({"migrations_links": links} if links else {}))

    def _running(self, call: Call) -> Response:
        server = self.state.server(call.names[0], call.context)
        rows = self.cloud.live.in_progress(server)
        return Response(
            200, {"migrations": [self.views.running(row, call.version) for row in rows]}
        )

    def _show_running(self, call: Call) -> Response:
        server = self.state.server(call.names[0], call.context)
        for row in self.cloud.live.in_progress(server):
            if str(row.id) == call.names[1]:
                return Response(200, {"migration": self.views.running(row, call.version)})
        raise NotFoundError(
            f"In-progress live migration {call.names[1]} is not found for server {server.id}."
        )

    def _abort(self, call: Call) -> Response:
        self.cloud.live.abort(call.context, call.names[0], _number(call.names[1]))
        return Response(202)

    def _force(self, call: Call) -> Response:
        if "force_complete" not in call.body:
            raise BadRequestError(f"There is no such action: {next(iter(call.body), '')}")
        self.cloud.live.force_complete(call.context, call.names[0], _number(call.names[1]))
        return Response(202)

    # Instance actions

    def _history(self, call: Call) -> tuple[Server, list[Action]]:
        """Return a server, be it deleted, and its actions."""
        server = self.state.servers.get(call.names[0])
        hidden = (
            server is not None
            and not call.is_admin
            and server.owner.project != call.context.user.project
        )
        if server is None or hidden:
            raise NotFoundError(f"Instance {call.names[0]} could not be found.")
        self._check_reach(server)
        return server, self.state.actions.get(server.id, [])

    def _diagnose(self, call: Call) -> Response:
        """nova-compute looks at the guest itself (compute/manager.py get_instance_diagnostics)."""
        server = self.state.server(call.names[0], call.context)
        compute = self.state.computes.get(server.host or "")
        if compute is None or not compute.process.running:
            raise UnexpectedApiError("oslo_messaging.exceptions.MessagingTimeout")
        if server.domain != RUNNING:
            state = {SHUTDOWN: "shutdown", PAUSED_POWER: "paused"}.get(server.domain, "pending")
            raise ConflictError(
                f"Cannot 'get_diagnostics' instance {server.id} while it is in power state {state}"
            )
        return Response(200, {"state": "running", "driver": "libvirt", "hypervisor": "kvm"})

    def _list_actions(self, call: Call) -> Response:
        only_known(call.request, {"limit", "marker", "changes-since", "changes-before"})
        server, actions = self._history(call)
        since = call.request.one("changes-since")
        newest_first = [
            action
            for action in reversed(actions)
            if since is None or int(action.updated_at) >= parse(since)
        ]
        page = page_of(call.request, self.state.config.max_limit)
        place = {action.request_id: number for number, action in enumerate(newest_first)}
        after = next((action for action in newest_first if action.request_id == page.marker), None)
        shown = page.cut(newest_first, lambda action: (place[action.request_id],), after)
        body: Json = {"instanceActions": [self.views.action(action, server) for action in shown]}
        last = shown[-1].request_id if shown else ""
        links = page.next_link(call.request, self.views.base, last, len(shown))
        return Response(200, body | ({"links": links} if links else {}))

    def _show_action(self, call: Call) -> Response:
        server, actions = self._history(call)
        for action in actions:
            if action.request_id == call.names[1]:
                view = self.views.action(action, server)
                view["events"] = [
                    self.views.event(event, server, call.version, admin=call.is_admin)
                    for event in reversed(action.events)
                ]
                return Response(200, {"instanceAction": view})
        raise NotFoundError(f"Action {call.names[1]} not found")

    # Services and hypervisors

    def _list_services(self, call: Call) -> Response:
        only_known(call.request, {"host", "binary"})
        host, binary = call.request.one("host"), call.request.one("binary")
        views = self.views
        rows = [
            views.service(service)
            for service in self.state.services.values()
            if (not host or service.host == host) and (not binary or service.binary == binary)
        ]
        return Response(200, {"services": rows})

    def _update_service(self, call: Call) -> Response:
        unknown = set(call.body) - {"status", "disabled_reason", "forced_down"}
        if unknown or call.body.get("status") not in (None, "enabled", "disabled"):
            raise BadRequestError("Invalid input for field/attribute status.")
        reason = call.body.get("disabled_reason")
        if reason is not None and not 1 <= len(reason) <= 255:
            raise BadRequestError(
                "Invalid input for field/attribute disabled_reason."
                f" Value: {reason}. {reason!r} is too {'long' if reason else 'short'}"
            )
        service = self.cloud.computes.update(
            _uuid(call.names[0]),
            status=call.body.get("status"),
            reason=reason,
            forced_down=call.body.get("forced_down"),
        )
        return Response(200, {"service": self.views.service(service)})

    def _delete_service(self, call: Call) -> Response:
        self.cloud.computes.delete(_uuid(call.names[0]))
        return Response(204)

    def _list_hypervisors(self, call: Call) -> Response:
        """A node whose service is deleted is not shown; the pattern matches anywhere in the
        name.
        """
        only_known(call.request, {"hypervisor_hostname_pattern", "with_servers", "limit", "marker"})
        pattern = call.request.one("hypervisor_hostname_pattern")
        detail = call.request.path.endswith("/detail")
        servers = is_true(call.request.one("with_servers") or "")
        found = [
            compute
            for compute in self.state.computes.values()
            if pattern is None or pattern in compute.node
        ]
        if pattern is not None and not found:
            raise NotFoundError(f"No hypervisor matching '{pattern}' could be found.")
        page = page_of(call.request, self.state.config.max_limit)
        after = next((compute for compute in found if compute.provider == page.marker), None)
        shown = page.cut(found, lambda compute: (compute.number,), after)
        rows = [
            row
            for compute in shown
            if (service := self.state.service_of(compute.host)) is not None
            for row in self.views.hypervisors(
                compute, service, call.version, detail=detail, servers=servers
            )
        ]
        links = page.next_link(
            call.request, self.views.base, shown[-1].provider if shown else "", len(rows)
        )
        body: Json = {"hypervisors": rows}
        return Response(
            200, body | ({"hypervisors_links": links} if links and pattern is None else {})
        )

    def _show_hypervisor(self, call: Call) -> Response:
        servers = is_true(call.request.one("with_servers") or "")
        identity = _uuid(call.names[0])
        for compute in self.state.computes.values():
            service = self.state.service_of(compute.host)
            if compute.provider == identity and service is not None:
                view = self.views.hypervisor(
                    compute, service, call.version, detail=True, servers=servers
                )
                return Response(200, {"hypervisor": view})
        raise NotFoundError(f"Hypervisor with ID '{identity}' could not be found.")

    # Aggregates

    def _list_aggregates(self, call: Call) -> Response:
        rows = [self.views.aggregate(aggregate) for aggregate in self.state.aggregates.values()]
        return Response(200, {"aggregates": rows})

    def _add_aggregate(self, call: Call) -> Response:
        wanted = call.body["aggregate"]
        name = wanted["name"]
        if any(aggregate.name == name for aggregate in self.state.aggregates.values()):
            raise ConflictError(f"Aggregate {name} already exists.")
        made = self.cloud.computes.add_aggregate(name, wanted.get("availability_zone"))
        return Response(200, {"aggregate": self.views.aggregate(made)})

    def _show_aggregate(self, call: Call) -> Response:
        found = self.cloud.computes.aggregate(_number(call.names[0]))
        return Response(200, {"aggregate": self.views.aggregate(found)})

    def _delete_aggregate(self, call: Call) -> Response:
        aggregate = self.cloud.computes.aggregate(_number(call.names[0]))
        if aggregate.hosts:
            raise BadRequestError(
                f"Cannot remove host from aggregate {aggregate.id}. Reason: Host aggregate is not "
                "empty."
            )
        del self.state.aggregates[aggregate.id]
        return Response(200)

    def _aggregate_action(self, call: Call) -> Response:
        number = _number(call.names[0])
        computes = self.cloud.computes
        if "add_host" in call.body:
            changed = computes.add_host(number, call.body["add_host"]["host"])
        elif "remove_host" in call.body:
            changed = computes.remove_host(number, call.body["remove_host"]["host"])
        else:
            raise BadRequestError(f"There is no such action: {next(iter(call.body), '')}")
        return Response(200, {"aggregate": self.views.aggregate(changed)})

    # Flavors and groups

    def _list_flavors(self, call: Call) -> Response:
        return Response(
            200, {"flavors": [self.views.flavor(row) for row in self.state.flavors.values()]}
        )

    def _show_flavor(self, call: Call) -> Response:
        return Response(200, {"flavor": self.views.flavor(self._flavor(call.names[0]))})

    def _list_groups(self, call: Call) -> Response:
        everyone = call.is_admin and call.request.one("all_projects") is not None
        only_known(call.request, {"all_projects", "limit", "offset"})
        groups = [
            self.views.group(group)
            for group in self.state.groups.values()
            if everyone or group.owner.project == call.context.user.project
        ]
        offset = int(call.request.one("offset") or 0)
        limit = page_of(call.request, self.state.config.max_limit).limit
        return Response(200, {"server_groups": groups[offset : offset + limit]})

    def _add_group(self, call: Call) -> Response:
        wanted = call.body["server_group"]
        rules = wanted.get("rules") or {}
        user = call.context.user.name
        group = self.cloud.add_group(wanted["name"], wanted["policy"], user, **rules)
        return Response(200, {"server_group": self.views.group(group)})

    def _show_group(self, call: Call) -> Response:
        group = self.state.groups.get(call.names[0])
        if group is None:
            raise NotFoundError(f"Instance group {call.names[0]} could not be found.")
        return Response(200, {"server_group": self.views.group(group)})

    def _delete_group(self, call: Call) -> Response:
        self._show_group(call)
        del self.state.groups[call.names[0]]
        return Response(204)


def _requested(request: Request) -> Version:
    """Return the microversion of a request; NotAcceptableError for one that is not spoken here."""
    named = request.headers.get("OpenStack-API-Version", "")
    text = named.removeprefix("compute ").strip() or request.headers.get(
        "X-OpenStack-Nova-API-Version", ""
    )
    if text == "latest":
        return NEWEST
    major, _, minor = (text or f"{OLDEST[0]}.{OLDEST[1]}").partition(".")
    if not (major.isdecimal() and minor.isdecimal()):
        raise BadRequestError(
            f"API Version String {text} is of invalid format. Must be of format MajorNum.MinorNum."
        )
    version = (int(major), int(minor))
    if not OLDEST <= version <= NEWEST:
        raise NotAcceptableError(
            f"Version {text} is not supported by the API. Minimum is {OLDEST[0]}.{OLDEST[1]}"
            f" and maximum is {NEWEST[0]}.{NEWEST[1]}."
        )
    return version


def _denied(rule: str) -> ForbiddenError:
    return ForbiddenError(f"Policy doesn't allow os_compute_api:{rule} to be performed.")


def _number(text: str) -> int:
    if not text.isdecimal():
        raise NotFoundError("The resource could not be found.")
    return int(text)


def _uuid(text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        raise BadRequestError(f"Invalid uuid {text}") from None
