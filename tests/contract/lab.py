"""One cloud to check beliefs on: the stand-in or a real Nova, by the same calls."""

import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import requests
from openstack.connection import Connection
from tests.contract.changes import Change, Version, numbers

VERSIONS = {
    "compute": "2.96",
    "placement": "1.39",
}  # spoken unless a cloud is older, which is then spoken to in its newest
ENDED = ("confirmed", "reverted", "completed", "error", "failed", "cancelled")
Json = dict[str, Any]
Value = TypeVar("Value")


@dataclass(frozen=True)
class Answer:
    """What a service answered; `message` is its refusal in words."""

    status: int
    body: Any
    request_id: str

    @property
    def message(self) -> str:
        """Return the text of a refusal, of whichever service."""
        if not isinstance(self.body, dict) or not self.body:
            return ""
        content = next(iter(self.body.values()))
        first = content[0] if isinstance(content, list) else content
        return (
            str(first.get("message") or first.get("detail", "")) if isinstance(first, dict) else ""
        )


@dataclass(frozen=True)
class Sight:
    """What a server and its newest migration show at one moment."""

    status: str
    task: str | None
    host: str | None
    migration: str | None
    dest: str | None


def different(values: Iterable[str | None]) -> list[str | None]:
    """Return values without repetitions in a row."""
    result: list[str | None] = []
    for value in values:
        if not result or result[-1] != value:
            result.append(value)
    return result


def in_order(seen: Sequence[str | None], expected: Sequence[str | None]) -> bool:
    """Tell whether all that was seen is expected, and in this order; steps may go unseen."""
    rest = iter(expected)
    return all(any(value == step for step in rest) for value in seen)


class Lab(ABC):
    """A cloud with at least two computes that nobody else uses: `source` and `spare`.

    `api` sends one request as it is; what it answers is never raised. Users: `operator` and `lab`
    are admins of one project, `lab-demo` is a member of another. version: Nova's.
    """

    name: str
    source: str
    spare: str

    def __init__(self, version: Version) -> None:
        self.version = version
        self._connections: dict[str, Connection] = {}
        self._newest: dict[str, Version] = {}
        self._image = ""
        self._network = ""
        self._flavors: dict[str, str] = {}
        self._mine: set[str] = set()
        self._ready: list[str] = []
        self.prefix = f"contract-{secrets.token_hex(3)}"

    # Time

    @abstractmethod
    def pause(self, seconds: float) -> None:
        """Let time pass in the cloud."""

    @abstractmethod
    def clock(self) -> float:
        """Return the seconds that passed in the cloud since some moment."""

    def wait(
        self, what: str, look: Callable[[], Value | None], within: float = 90.0, every: float = 0.25
    ) -> Value:
        """Look until there is something to see; AssertionError with `what` if there never is."""
        end = self.clock() + within
        while True:
            seen = look()
            if seen:
                return seen
            assert self.clock() < end, f"{what}: not within {within} s"
            self.pause(every)

    # Requests

    def connection(self, user: str) -> Connection:
        if user not in self._connections:
            self._connections[user] = self.connect(user)
        return self._connections[user]

    @abstractmethod
    def connect(self, user: str) -> Connection:
        """Return a new connection for a user."""

    def api(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        service: str = "compute",
        user: str = "operator",
        version: str | None = None,
    ) -> Answer:
        adapter = getattr(self.connection(user), service)
        wanted = version or (
            self.spoken(service, VERSIONS[service]) if service in VERSIONS else None
        )
        answer: requests.Response = adapter.request(
            path, method, json=body, microversion=wanted, raise_exc=False, redirect=False
        )
        content = answer.json() if answer.content.startswith((b"{", b"[")) else None
        request_id = answer.headers.get("x-openstack-request-id", "")
        return Answer(answer.status_code, content, request_id)

    def has(self, change: Change) -> bool:
        """Return whether the cloud's Nova has a change."""
        return change.is_in(self.version)

    def speaks(self, version: str, service: str = "compute") -> bool:
        """Return whether the cloud has a microversion."""
        return numbers(version) <= self.newest(service)

    @property
    def after_evacuation(self) -> str:
        """The status of a server that ran: since microversion 2.95 it is left stopped."""
        return "SHUTOFF" if self.speaks("2.95") else "ACTIVE"

    def spoken(self, service: str, version: str) -> str:
        """Return a microversion, or the newest one of a cloud that does not have it."""
        return ".".join(map(str, min(numbers(version), self.newest(service))))

    def newest(self, service: str) -> Version:
        if service not in self._newest:
            self._newest[service] = (
                getattr(self.connection("operator"), service).get_endpoint_data().max_microversion
            )
        return self._newest[service]

    def get(self, path: str, key: str = "", **options: Any) -> Any:
        """Return the body of a GET, or what it has under a key; AssertionError unless it is 200."""
        answer = self.api("GET", path, **options)
        assert answer.status == 200, f"GET {path}: {answer.status} {answer.message}"
        return answer.body[key] if key else answer.body

    def act(
        self, server: str, action: str, argument: Any = None, *, user: str = "operator"
    ) -> Answer:
        return self.api("POST", f"/servers/{server}/action", {action: argument}, user=user)

    def migrate(self, server: str, host: str | None = None) -> Answer:
        """Ask for a cold migration, to the spare host unless said otherwise."""
        return self.act(server, "migrate", {"host": host or self.spare})

    def migrate_live(self, server: str, host: str | None = None) -> Answer:
        return self.act(
            server, "os-migrateLive", {"host": host or self.spare, "block_migration": "auto"}
        )

    # Servers

    def boot(
        self, *, metadata: Json | None = None, group: str = "", host: str = "", flavor: str = "tiny"
    ) -> str:
        """Ask for a server on `source`, or another host, and return its id."""
        self._look_up()
        server = {
            "name": f"{self.prefix}-{secrets.token_hex(3)}",
            "imageRef": self._image,
            "flavorRef": self._flavors[flavor],
            "networks": [{"uuid": self._network}],
            "host": host or self.source,
            "metadata": metadata or {},
        }
        body: Json = {"server": server}
        if group:
            body["os:scheduler_hints"] = {"group": group}
        answer = self.api("POST", "/servers", body)
        assert answer.status == 202, f"boot: {answer.status} {answer.message}"
        identity = str(answer.body["server"]["id"])
        self._mine.add(identity)
        return identity

    @abstractmethod
    def find_image(self) -> str:
        """Return the id of an image to boot from."""

    def _look_up(self) -> None:
        if not self._image:
            self._image = self.find_image()
            self._network = self.get("/networks?name=lab-net", "networks", service="network")[0][
                "id"
            ]
            self._flavors = {
                row["name"]: row["id"] for row in self.get("/flavors/detail", "flavors")
            }

    def flavor(self, name: str) -> str:
        self._look_up()
        return self._flavors[name]

    def active(self, **wishes: Any) -> str:
        """Boot a server and wait until it runs."""
        identity = self.boot(**wishes)
        self.settled(identity, "ACTIVE")
        return identity

    def many(self, wishes: Iterable[Json]) -> list[str]:
        """Boot servers together and wait until all run."""
        servers = [self.boot(**wish) for wish in wishes]
        for server in servers:
            self.settled(server, "ACTIVE")
        return servers

    def server(self) -> str:
        """Return a running server from a small stock, ordering the next one already."""
        while len(self._ready) < 4:
            self._ready.append(self.boot())
        identity = self._ready.pop(0)
        self.settled(identity, "ACTIVE")
        return identity

    def show(self, server: str) -> Json:
        shown: Json = self.get(
            f"/servers/{server}", "server", version=self.spoken("compute", "2.100")
        )
        return shown

    def settled(self, server: str, *statuses: str) -> Json:
        """Wait until a server has one of the statuses, and no task."""

        def look() -> Json | None:
            shown = self.show(server)
            calm = shown["OS-EXT-STS:task_state"] is None
            assert "ERROR" in statuses or shown["status"] != "ERROR", (
                f"{server}: {shown.get('fault')}"
            )
            return shown if calm and shown["status"] in statuses else None

        return self.wait(f"server {server} being {' or '.join(statuses)}", look)

    def delete(self, server: str) -> None:
        """Delete a server and wait until it is gone."""
        self.api("DELETE", f"/servers/{server}")
        self.wait(
            f"server {server} gone", lambda: self.api("GET", f"/servers/{server}").status == 404
        )
        self._mine.discard(server)

    @contextmanager
    def case(self) -> Iterator[None]:
        """Delete, in the end, the servers made meanwhile; do not wait for it."""
        before = set(self._mine)
        yield
        for server in self._mine - before - set(self._ready):
            self.api("DELETE", f"/servers/{server}")

    def leave(self) -> None:
        """Delete every server made here and wait until all are gone."""
        self._ready = []
        for server in self._mine:
            self.api("DELETE", f"/servers/{server}")
        for server in list(self._mine):
            self.delete(server)
        for host in (self.source, self.spare):
            self._free_leaks(host)

    def _free_leaks(self, host: str) -> None:
        """Release what failed moves left behind: nobody else does, and it would outlive the
        service.
        """
        if self.provider(host) is None:
            return
        servers = {row["id"] for row in self.get("/servers?all_tenants=1", "servers")}
        moves = {row["uuid"] for row in self.get(f"/os-migrations?host={host}", "migrations")}
        for consumer in set(self.held(host)) - servers - moves:
            self.api("DELETE", f"/allocations/{consumer}", service="placement")

    # Migrations

    def migrations(self, server: str) -> list[Json]:
        rows: list[Json] = self.get(f"/os-migrations?instance_uuid={server}", "migrations")
        return rows

    def migration(self, server: str) -> Json:
        """Return the newest migration of a server, waiting for there to be one."""
        return self.wait(
            f"a migration of {server}", lambda: next(iter(self.migrations(server)), None)
        )

    def until(self, server: str, *statuses: str, within: float = 90.0) -> Json:
        """Wait until the newest migration of a server has one of the statuses."""

        def look() -> Json | None:
            row = next(iter(self.migrations(server)), None)
            return row if row and row["status"] in statuses else None

        return self.wait(f"migration of {server} being {' or '.join(statuses)}", look, within)

    def sight(self, server: str) -> Sight:
        shown = self.show(server)
        rows = self.migrations(server)
        row = rows[0] if rows else {"status": None, "dest_compute": None}
        return Sight(
            shown["status"],
            shown["OS-EXT-STS:task_state"],
            shown["OS-EXT-SRV-ATTR:host"],
            row["status"],
            row["dest_compute"],
        )

    def watch(self, server: str, ended: Callable[[Sight], bool]) -> list[Sight]:
        """Return the different sights of a server until one of them is the end."""
        seen: list[Sight] = []

        def look() -> bool:
            sight = self.sight(server)
            if not seen or seen[-1] != sight:
                seen.append(sight)
            return ended(sight)

        self.wait(f"the end of the move of {server}", look, every=0.05)
        return seen

    def event(self, server: str, request_id: str) -> tuple[str | None, dict[str, Json]]:
        """Return the message of an instance action and its events by name."""
        action = self.get(f"/servers/{server}/os-instance-actions/{request_id}", "instanceAction")
        return action["message"], {event["event"]: event for event in action["events"]}

    # Hosts

    def service(self, host: str) -> Json | None:
        rows = self.get(f"/os-services?binary=nova-compute&host={host}", "services")
        return rows[0] if rows else None

    def provider(self, host: str) -> str | None:
        rows = self.get(
            f"/resource_providers?name={host}", "resource_providers", service="placement"
        )
        return rows[0]["uuid"] if rows else None

    def barred(self, host: str) -> bool:
        """Return whether Placement knows that a host is disabled."""
        path = f"/resource_providers/{self.provider(host)}/traits"
        return "COMPUTE_STATUS_DISABLED" in self.get(path, "traits", service="placement")

    def held(self, host: str) -> dict[str, Json]:
        """Return what is allocated on a host, by consumer."""
        path = f"/resource_providers/{self.provider(host)}/allocations"
        held: dict[str, Json] = self.get(path, "allocations", service="placement")
        return held

    @abstractmethod
    def kill_compute(self, host: str) -> None:
        """End nova-compute of a host at once."""

    @abstractmethod
    def start_compute(self, host: str) -> None:
        """Start nova-compute of a host and wait until it is up and mapped."""

    @abstractmethod
    def set_extra_specs(self, server: str, specs: dict[str, str]) -> None:
        """Change the flavor that a server without extra specs keeps for itself."""

    @abstractmethod
    def close(self) -> None:
        """End what this has started, unless it is meant to stay."""

    @abstractmethod
    def forget_deleted_services(self) -> None:
        """Drop the rows of deleted services, which would make cold migrations fail later on."""
