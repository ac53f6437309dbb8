"""Nova's lists: filters, sorting and paging."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlencode

from tests.beds.sim.clock import parse
from tests.beds.sim.errors import BadRequestError, ForbiddenError, UnexpectedApiError
from tests.beds.sim.records import Migration, Server, User
from tests.beds.sim.state import State
from tests.beds.sim.states import states_of
from tests.beds.sim.web import Request

Row = TypeVar("Row")
Order = Callable[[Row], tuple[int | str, ...]]

PAGING = {"limit", "marker"}
SERVER_FILTERS = PAGING | {
    "all_tenants",
    "availability_zone",
    "changes-before",
    "changes-since",
    "created_at",
    "deleted",
    "description",
    "flavor",
    "host",
    "image",
    "ip",
    "locked",
    "name",
    "node",
    "not-tags",
    "not-tags-any",
    "power_state",
    "project_id",
    "soft_deleted",
    "sort_dir",
    "sort_key",
    "status",
    "tags",
    "tags-any",
    "task_state",
    "tenant_id",
    "user_id",
    "uuid",
    "vm_state",
}
# What only an admin may filter by: from others it is dropped without a word.
ADMIN_FILTERS = {
    "deleted",
    "description",
    "host",
    "node",
    "project_id",
    "soft_deleted",
    "tenant_id",
    "uuid",
}
MIGRATION_FILTERS = PAGING | {
    "hidden",
    "host",
    "instance_uuid",
    "source_compute",
    "status",
    "migration_type",
    "changes-since",
    "changes-before",
    "user_id",
    "project_id",
}


def only_known(request: Request, known: set[str]) -> None:
    """Refuse query parameters that Nova's schemas do not know (2.75, migrations 2.59)."""
    for name, _ in request.query:
        if name not in known:
            raise BadRequestError(
                f"Additional properties are not allowed ({name!r} was unexpected)"
            )


def is_true(text: str) -> bool:
    return text.strip().lower() in ("1", "t", "true", "on", "y", "yes")


def moment(request: Request, name: str) -> float | None:
    """Return a time parameter in seconds; BadRequestError as the schema words it."""
    text = request.one(name)
    if text is None:
        return None
    try:
        return parse(text)
    except ValueError:
        raise BadRequestError(
            f"Invalid input for query parameters {name}. Value: {text}. {text!r} is not a"
            " 'date-time'"
        ) from None


@dataclass(frozen=True)
class Page:
    """limit: at most this many rows; marker: the id of the last row of the page before."""

    limit: int
    marker: str | None

    def cut(self, rows: Sequence[Row], order: Order[Row], after: Row | None) -> list[Row]:
        """Return the rows of this page, sorted: those behind `after`, which need not be
        among them.
        """
        behind = sorted(
            (row for row in rows if after is None or order(row) > order(after)), key=order
        )
        return behind[: self.limit]

    def next_link(self, request: Request, base: str, last: str, count: int) -> list[dict[str, str]]:
        """Return the link to the next page, if this one is full: it may be empty."""
        if not count or count < self.limit:
            return []
        query = {name: value for name, value in request.query if name != "marker"}
        parameters = urlencode({**dict(sorted(query.items())), "marker": last})
        return [{"rel": "next", "href": f"{base}{request.path}?{parameters}"}]


def page_of(request: Request, max_limit: int) -> Page:
    text = request.one("limit")
    if text is not None and not text.isdecimal():
        raise BadRequestError(
            f"Invalid input for query parameters limit. Value: {text}. {text!r} does not"
            " match '^[0-9]*$'"
        )
    limit = max_limit if text is None else min(max_limit, int(text))
    return Page(limit, request.one("marker"))


@dataclass
class ServerList:
    """GET /servers and /servers/detail."""

    state: State
    request: Request
    user: User

    def rows(self) -> list[Server]:
        """Return every server that passes the filters."""
        for name, _ in self.request.query:
            if name not in SERVER_FILTERS:
                raise BadRequestError(f"{name!r} does not match any of the regexes: '^_'")
        tests = self._tests()
        host = self._value("host")
        known = self.state.servers if host is None else self.state.by_host.get(host, {})
        return [server for server in known.values() if all(test(server) for test in tests)]

    def unreachable(self) -> list[Server]:
        """Return those of cells that are down, which show in part where all servers are asked for.

        Elsewhere they are left out and the answer is 200, or 500 where Nova is set up so
        (nova/api/openstack/compute/servers.py _is_cell_down_supported).
        """
        everyone = self._whose()
        down = [
            server
            for server in self.state.servers.values()
            if not server.deleted and everyone(server) and not self.state.in_reach(server)
        ]
        filters = {name for name, _ in self.request.query} - {"all_tenants"}
        if down and filters and not self.state.config.list_records_by_skipping_down_cells:
            raise UnexpectedApiError("NovaException")
        return [] if filters else down

    def page(self, page: Page) -> list[Server]:
        """Return one page, newest first; a deleted server is a good marker."""
        after = self.state.servers.get(page.marker or "")
        if page.marker is not None and after is None:
            raise BadRequestError(f"marker [{page.marker}] not found")
        return page.cut(self.rows(), lambda server: (-int(server.created_at), server.id), after)

    def _value(self, name: str) -> str | None:
        """Return a filter that this user may use."""
        allowed = self.user.is_admin or name not in ADMIN_FILTERS
        return self.request.one(name) if allowed else None

    def _tests(self) -> list[Callable[[Server], bool]]:
        since = moment(self.request, "changes-since")
        before = moment(self.request, "changes-before")
        tests = [
            self._whose(),
            self._alive(since is not None or before is not None),
            self.state.in_reach,
        ]
        if since is not None:
            tests.append(lambda server: int(server.updated_at) >= since)
        if before is not None:
            tests.append(lambda server: int(server.updated_at) <= before)
        if self.request.all("status"):
            tests.append(self._by_status())
        return tests + self._by_attribute()

    def _whose(self) -> Callable[[Server], bool]:
        wanted = self.request.one("all_tenants")
        if wanted is not None and (wanted == "" or is_true(wanted)):
            if not self.user.is_admin:
                rule = "os_compute_api:servers:detail:get_all_tenants"
                if not self.request.path.endswith("/detail"):
                    rule = "os_compute_api:servers:index:get_all_tenants"
                raise ForbiddenError(f"Policy doesn't allow {rule} to be performed.")
            project = self._value("project_id") or self._value("tenant_id")
            return lambda server: project in (None, server.owner.project.id)
        return lambda server: server.owner.project == self.user.project

    def _alive(self, with_deleted: bool) -> Callable[[Server], bool]:
        """Deleted servers show with a time filter only; SOFT_DELETED ones when asked for."""
        deleted = self._value("deleted")
        soft = is_true(self._value("soft_deleted") or "")

        def test(server: Server) -> bool:
            if deleted is not None:
                return server.deleted == is_true(deleted)
            if server.vm_state == "soft-delete" and not soft:
                return with_deleted
            return with_deleted or not server.deleted

        return test

    def _by_status(self) -> Callable[[Server], bool]:
        """A status is turned into vm_states and task_states, which are then looked for."""
        vm_states, tasks = states_of(self.request.all("status"))
        if not vm_states:
            raise BadRequestError("Invalid status value")
        if "deleted" in vm_states and not self.user.is_admin:
            raise ForbiddenError("Only administrators may list deleted instances")
        if "default" in tasks:
            return lambda server: server.vm_state in vm_states
        return lambda server: server.vm_state in vm_states and server.task_state in tasks

    def _by_attribute(self) -> list[Callable[[Server], bool]]:
        attributes: dict[str, Callable[[Server], object]] = {
            "host": lambda server: server.host,
            "uuid": lambda server: server.id,
            "vm_state": lambda server: server.vm_state,
            "task_state": lambda server: server.task_state,
            "power_state": lambda server: str(server.power_state),
            "user_id": lambda server: server.owner.id,
            "locked": lambda server: str(server.locked_by is not None),
        }
        tests: list[Callable[[Server], bool]] = []
        for name, attribute in attributes.items():
            value = self._value(name)
            if value is not None:
                wanted = str(is_true(value)) if name == "locked" else value
                tests.append(lambda server, get=attribute, want=wanted: get(server) == want)  # type: ignore[misc]
        for name in ("name", "node"):  # regular expressions; an exact or partial name will do
            pattern = self._value(name)
            if pattern is not None:
                tests.append(lambda server, part=pattern: part in server.name)  # type: ignore[misc]
        return tests


@dataclass
class MigrationList:
    """GET /os-migrations."""

    state: State
    request: Request

    def rows(self) -> list[Migration]:
        """Return every migration that passes the filters.

        `host` wins over `source_compute`; rows never updated do not pass a time filter; those of
        deleted servers are not there.
        """
        only_known(self.request, MIGRATION_FILTERS)
        since = moment(self.request, "changes-since")
        before = moment(self.request, "changes-before")
        if since is not None and before is not None and before < since:
            raise BadRequestError(
                "The value of changes-since must be less than or equal to changes-before."
            )
        return [
            migration
            for migration in self._known()
            if not migration.deleted
            and self._matches(migration)
            and _within(migration.updated_at, since, before)
            and self._in_reach(migration)
        ]

    def _known(self) -> list[Migration]:
        server = self.request.one("instance_uuid")
        return self.state.migrations if server is None else self.state.moves_of.get(server, [])

    def page(self, page: Page) -> list[Migration]:
        """Return one page, newest first; the marker is a uuid."""
        known = (
            row for row in self.state.migrations if row.uuid == page.marker and not row.deleted
        )
        after = next(known, None)
        if page.marker is not None and after is None:
            raise BadRequestError(f"Marker {page.marker} could not be found.")
        return page.cut(self.rows(), lambda row: (-int(row.created_at), -row.id), after)

    def _matches(self, migration: Migration) -> bool:
        one = self.request.one
        host = one("host")
        if host is not None:
            if host not in (migration.source, migration.dest):
                return False
        elif one("source_compute") not in (None, migration.source):
            return False
        return (
            one("status") in (None, migration.status)
            and one("instance_uuid") in (None, migration.server)
            and one("migration_type") in (None, migration.kind)
            and one("user_id") in (None, migration.initiator.id)
            and one("project_id") in (None, migration.initiator.project.id)
        )

    def _in_reach(self, migration: Migration) -> bool:
        compute = self.state.computes.get(migration.source)
        return compute is None or compute.cell not in self.state.down_cells


def _within(updated: float | None, since: float | None, before: float | None) -> bool:
    if since is None and before is None:
        return True
    if updated is None:
        return False
    return (since is None or int(updated) >= since) and (before is None or int(updated) <= before)
