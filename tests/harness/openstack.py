"""The real cloud bed for tests and the demo: its users, servers, hosts and computes."""

import os
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import openstack.config
import openstack.connection
import yaml

BED = Path(__file__).parents[1] / "beds" / "cloud" / "cloud"
MICROVERSION = "2.96"

Json = dict[str, Any]
T = TypeVar("T")


def until(what: str, look: Callable[[], T | None], timeout: float = 120.0, pause: float = 0.2) -> T:
    """The first true value of `look`.

    Raises TimeoutError that names what was waited for and the last value.
    """
    deadline = time.monotonic() + timeout
    while True:
        seen = look()
        if seen:
            return seen
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout:.0f} s for {what}; last seen: {seen!r}")
        time.sleep(pause)


def bed_environment() -> dict[str, str]:
    """What `cloud env` prints, as variables. Raises CalledProcessError where the bed is not up."""
    printed = subprocess.run([BED, "env"], check=True, capture_output=True, text=True).stdout
    words = [
        word
        for line in printed.splitlines()
        for word in line.removeprefix("export ").split()
        if "=" in word
    ]
    return dict(word.split("=", 1) for word in words)


@dataclass
class Person:
    """One user of the cloud, by an entry of the bed's clouds.yaml."""

    config: Json
    connection: openstack.connection.Connection = field(init=False)

    def __post_init__(self) -> None:
        region = openstack.config.OpenStackConfig(
            load_yaml_config=False, load_envvars=False
        ).get_one(**self.config)
        self.connection = openstack.connection.Connection(config=region)

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        service: str = "compute",
        microversion: str = MICROVERSION,
    ) -> tuple[int, Any]:
        """(HTTP status, JSON body or None)."""
        adapter = getattr(self.connection, service)
        options: Json = {"raise_exc": False}
        if service == "compute":
            options["microversion"] = microversion
        if service == "placement":
            options["headers"] = {"OpenStack-API-Version": "placement 1.35"}
        if body is not None:
            options["json"] = body
        answer = adapter.request(path, method, **options)
        return answer.status_code, answer.json() if answer.content else None

    def get(self, path: str, service: str = "compute") -> Any:
        status, body = self.ask("GET", path, service=service)
        assert status == 200, (path, status, body)
        return body

    def action(self, server_id: str, action: str, argument: Any = None) -> None:
        """Raises AssertionError with Nova's message where it refuses."""
        status, answer = self.ask("POST", f"/servers/{server_id}/action", {action: argument})
        assert status < 300, (action, status, answer)


@dataclass
class Lab:
    """The cloud: `admin`, `demo` (a tenant), and the credentials of the operator's own user.

    `environment`: for the command of the bed, where it is not the cloud of this process.
    """

    entries: Mapping[str, Json]
    environment: Mapping[str, str] = field(default_factory=dict)
    admin: Person = field(init=False)
    demo: Person = field(init=False)
    _ids: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.admin, self.demo = Person(self.entries["lab"]), Person(self.entries["lab-demo"])

    @classmethod
    def of_bed(cls) -> "Lab":
        path = bed_environment()["OS_CLIENT_CONFIG_FILE"]
        return cls(yaml.safe_load(Path(path).read_text())["clouds"])

    @property
    def operator_clouds_yaml(self) -> str:
        """A clouds.yaml with one cloud named `openstack`: what a user puts into the Secret."""
        return yaml.safe_dump({"clouds": {"openstack": self.entries["operator"]}})

    def bed(self, *words: str) -> None:
        """The bed's own command. Raises CalledProcessError where it fails."""
        subprocess.run(
            [BED, *words], check=True, capture_output=True, env=os.environ | self.environment
        )

    # Servers

    def boot(
        self,
        host: str | None,
        names: Iterable[str],
        state: str = "ACTIVE",
        person: Person | None = None,
        **extra: Any,
    ) -> list[str]:
        """Boot servers at once and bring them to a status; their IDs, in order.

        Only the admin (the default) may name a host.
        """
        wanted = list(names)
        with ThreadPoolExecutor(4) as pool:
            ids = list(pool.map(lambda name: self.create(host, name, person, **extra), wanted))
        self.wait_all(ids, "ACTIVE")
        if state != "ACTIVE":
            self.bring(ids, state)
        return ids

    def create(
        self, host: str | None, name: str, person: Person | None = None, **extra: Any
    ) -> str:
        """Ask for one server, and do not wait for it; its ID.

        `flavor` by name, `hints` for the scheduler, others as in the API.
        """
        hints = extra.pop("hints", None)
        server = {
            "name": name,
            "imageRef": self.image("tiny"),
            "flavorRef": self.flavor(extra.pop("flavor", "tiny")),
            "networks": "none",
        } | extra
        if host:
            server["availability_zone"] = f"nova:{host}"
        body: Json = {"server": server} | ({"os:scheduler_hints": hints} if hints else {})
        status, answer = (person or self.admin).ask("POST", "/servers", body)
        assert status == 202, answer
        return str(answer["server"]["id"])

    def bring(self, ids: Iterable[str], state: str) -> None:
        """From ACTIVE to another status, by the action that a person would use."""
        verbs = {
            "SHUTOFF": ("os-stop", None),
            "PAUSED": ("pause", None),
            "SUSPENDED": ("suspend", None),
            "SHELVED": ("shelve", None),
            "RESCUE": ("rescue", {}),
            "ERROR": ("os-resetState", {"state": "error"}),
        }
        verb, argument = verbs[state]
        ids = list(ids)
        for server_id in ids:
            self.admin.action(server_id, verb, argument)
        self.wait_all(ids, state)

    def image(self, name: str) -> str:
        if name not in self._ids:
            self._ids[name] = self.admin.connection.image.find_image(name, ignore_missing=False).id
        return self._ids[name]

    def flavor(self, name: str) -> str:
        if f"flavor {name}" not in self._ids:
            self._ids[f"flavor {name}"] = self.admin.connection.compute.find_flavor(
                name, ignore_missing=False
            ).id
        return self._ids[f"flavor {name}"]

    def server(self, server_id: str) -> Json | None:
        status, body = self.admin.ask("GET", f"/servers/{server_id}")
        assert status in (200, 404), (status, body)
        return dict(body["server"]) if status == 200 else None

    def wait_all(self, ids: Iterable[str], status: str, timeout: float = 300.0) -> None:
        """Wait until all these servers are in a status without a task.

        Raises AssertionError with Nova's message where one fails.
        """
        wanted = set(ids)

        def look() -> bool:
            found = {s["id"]: s for s in self.servers() if s["id"] in wanted}
            failed = {
                s["id"]: s.get("fault") for s in found.values() if s["status"] == "ERROR" != status
            }
            assert not failed, failed
            right = {
                s["id"]
                for s in found.values()
                if s["status"] == status and s["OS-EXT-STS:task_state"] is None
            }
            return right == wanted

        until(f"{len(wanted)} servers in {status}", look, timeout, pause=0.5)

    def wait_status(self, server_id: str, status: str, timeout: float = 120.0) -> Json:
        def look() -> Json | None:
            server = self.server(server_id)
            assert server is not None, f"server {server_id} is gone"
            right = server["status"] == status and server["OS-EXT-STS:task_state"] is None
            assert status == "ERROR" or server["status"] != "ERROR", server.get("fault")
            return server if right else None

        found = until(f"server {server_id} in {status}", look, timeout)
        assert found
        return found

    def host_of(self, server_id: str) -> str | None:
        server = self.server(server_id)
        return server["OS-EXT-SRV-ATTR:host"] if server else None

    def servers(self) -> list[Json]:
        """Every server of the cloud, soft-deleted ones included."""
        return list(self.admin.get("/servers/detail?all_tenants=1&soft_deleted=1")["servers"])

    def servers_on(self, host: str) -> list[Json]:
        return list(self.admin.get(f"/servers/detail?all_tenants=1&host={host}")["servers"])

    def delete(self, ids: Iterable[str]) -> None:
        ids = list(ids)
        for server_id in ids:
            self.admin.ask("DELETE", f"/servers/{server_id}")
        remaining = set(ids)
        until(
            f"servers deleted: {ids}",
            lambda: not remaining & {s["id"] for s in self.servers()},
            timeout=300.0,
            pause=0.5,
        )

    def actions(self, server_id: str) -> list[str]:
        """What Nova's action log says was done with a server, oldest first."""
        log = self.admin.get(f"/servers/{server_id}/os-instance-actions")["instanceActions"]
        return [row["action"] for row in reversed(log)]

    # Hosts

    def service(self, host: str) -> Json | None:
        found = self.admin.get(f"/os-services?binary=nova-compute&host={host}")["services"]
        return dict(found[0]) if found else None

    def set_service(self, host: str, status: str, reason: str | None = None) -> None:
        service = self.service(host)
        assert service
        body = {"status": status} | ({"disabled_reason": reason} if reason else {})
        answer, text = self.admin.ask("PUT", f"/os-services/{service['id']}", body)
        assert answer == 200, text

    def migrations(self, host: str) -> list[Json]:
        return list(self.admin.get(f"/os-migrations?host={host}")["migrations"])

    def provider(self, host: str) -> Json | None:
        found = self.admin.get(f"/resource_providers?name={host}", service="placement")[
            "resource_providers"
        ]
        return dict(found[0]) if found else None

    def holders(self, host: str) -> list[str]:
        """The consumers that hold anything on a host in Placement, sorted."""
        provider = self.provider(host)
        if provider is None:
            return []
        body = self.admin.get(
            f"/resource_providers/{provider['uuid']}/allocations", service="placement"
        )
        return sorted(body["allocations"])

    def drop_allocations(self, consumer: str) -> None:
        self.admin.ask("DELETE", f"/allocations/{consumer}", service="placement")

    def allocations(self, server_id: str) -> Json:
        """What a server holds in Placement, by resource provider."""
        return dict(self.admin.get(f"/allocations/{server_id}", service="placement")["allocations"])

    def stop_compute(self, *hosts: str) -> None:
        self.bed("compute", "stop", *hosts)

    def kill_compute(self, *hosts: str) -> None:
        self.bed("compute", "kill", *hosts)

    def seem_alive(self, *hosts: str) -> None:
        """Have Nova take these computes for alive for one more service_down_time, dead or not."""
        names = ", ".join(f"'{host}'" for host in hosts)
        self.in_cell(
            "UPDATE services SET last_seen_up=UTC_TIMESTAMP()"
            f" WHERE `binary`='nova-compute' AND host IN ({names});"
        )

    def start_compute(self, *hosts: str) -> None:
        """Start them and wait until Nova lists them as up and mapped."""
        self.bed("compute", "start", *hosts)
        for host in hosts:
            until(f"nova-compute on {host} up", partial(self.is_up, host))

    def tidy(self, hosts: Iterable[str]) -> None:
        """As a fresh cloud: no faults, servers or aggregates, and these hosts up and enabled."""
        hosts = list(hosts)
        self.clear_faults()
        self.bring_up(hosts)
        self.wipe()
        for consumer in {consumer for host in hosts for consumer in self.holders(host)}:
            self.drop_allocations(consumer)  # of failed moves: Nova forgets it
        for aggregate in self.admin.get("/os-aggregates")["aggregates"]:
            self.drop_aggregate(aggregate["id"])
        for host in hosts:
            if (service := self.service(host)) and service["status"] != "enabled":
                self.set_service(host, "enabled")

    def bring_up(self, hosts: Iterable[str]) -> None:
        """All these hosts are up and listed.

        A story may have left one with nova-compute stopped and its service deleted.
        """
        if missing := [host for host in hosts if not self.is_up(host)]:
            self.start_compute(*missing)
        # Rows of deleted services make Nova refuse cold migrations from a host that came back (a
        # known limit of Nova).
        self.bed("purge-deleted")

    def is_up(self, host: str) -> bool:
        service = self.service(host)
        known = {h["hypervisor_hostname"] for h in self.admin.get("/os-hypervisors")["hypervisors"]}
        return bool(service and service["state"] == "up" and host in known)

    def fault(self, scope: str, **operations: str) -> None:
        """Make the fake driver fail, e.g. with live_migration="sleep:5,fail".

        `scope`: `all`, `host:HOST` or `server:NAME_GLOB`.
        """
        words = [f"{operation}={what}" for operation, what in operations.items()]
        self.bed("faults", "set", scope, *words)

    def clear_faults(self, *scopes: str) -> None:
        """Take back the faults of these scopes, as given to `fault`; without any: all."""
        for scope in scopes or ("",):
            self.bed("faults", "clear", *filter(None, [scope]))

    def in_cell(self, statement: str) -> None:
        """What a database administrator does in the database of Nova's cell."""
        self.bed("sql", statement)

    def soft_delete(self, server_id: str) -> None:
        """The state that a delete leaves for [compute]reclaim_instance_interval.

        That is 0 on this bed, so that deletes are quick.
        """
        self.in_cell(f"UPDATE instances SET vm_state='soft-delete' WHERE uuid='{server_id}';")

    def wipe(self) -> None:
        """Delete every server of the cloud."""
        self.delete(server["id"] for server in self.servers())

    def aggregate(self, name: str, *hosts: str) -> int:
        """A new aggregate with these hosts; its id."""
        status, body = self.admin.ask("POST", "/os-aggregates", {"aggregate": {"name": name}})
        assert status == 200, body
        for host in hosts:
            status, answer = self.admin.ask(
                "POST",
                f"/os-aggregates/{body['aggregate']['id']}/action",
                {"add_host": {"host": host}},
            )
            assert status == 200, answer
        return int(body["aggregate"]["id"])

    def aggregate_hosts(self, aggregate_id: int) -> list[str]:
        return list(self.admin.get(f"/os-aggregates/{aggregate_id}")["aggregate"]["hosts"])

    def drop_aggregate(self, aggregate_id: int) -> None:
        for host in self.aggregate_hosts(aggregate_id):
            self.admin.ask(
                "POST", f"/os-aggregates/{aggregate_id}/action", {"remove_host": {"host": host}}
            )
        self.admin.ask("DELETE", f"/os-aggregates/{aggregate_id}")


def silence_environment() -> None:
    """No OS_* variable of the person who runs the tests may reach them."""
    for name in [name for name in os.environ if name.startswith("OS_")]:
        del os.environ[name]
