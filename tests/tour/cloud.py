"""The stand-in for Nova, as the tour's people use it."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.beds.sim.model import Cloud
from tests.beds.sim.records import Server
from tests.beds.sim.state import Config
from tests.beds.sim.states import status_of
from tests.demo.scene import ACTIONS, SERVERS, STUBBORN

HOST, AGGREGATE = "cmp2", "tour-rack-7"
SPEED = 3.0  # seconds in the cloud for each real one
ACTS = {"SHUTOFF": "os-stop", "PAUSED": "pause", "SUSPENDED": "suspend"}


def _cloud() -> Cloud:
    return Cloud(start=time.time(), speed=SPEED, config=Config(max_concurrent_live_migrations=2))


def status(server: Server) -> str:
    return status_of(server.vm_state, server.task_state)


@dataclass
class Racks:
    """Five compute hosts, and twelve servers on the one that is drained."""

    cloud: Cloud = field(default_factory=_cloud)
    servers: dict[str, Server] = field(default_factory=dict)  # by name
    was: dict[str, str] = field(default_factory=dict)  # status before, by name

    def boot(self) -> None:
        for wanted, names in SERVERS.items():
            for name in names:
                server = self.cloud.boot_active(name, HOST)
                if wanted in ACTS:
                    with self.cloud.hold():
                        demo = self.cloud.as_user("demo")
                        self.cloud.guests.act(demo, server.id, ACTS[wanted])
                    self.cloud.when(server, _shows(server, wanted))
                self.servers[name] = server
                self.was[name] = wanted
        with self.cloud.hold():
            aggregate = self.cloud.computes.add_aggregate(AGGREGATE)
            aggregate.hosts.append(HOST)
            refused = "check_can_live_migrate_destination"
            self.cloud.faults.set(refused, "fail:MigrationPreCheckError", server=STUBBORN)
            for slow in ("live_migration", "finish_migration"):
                self.cloud.faults.set(slow, "sleep:4", server="demo-*")

    def table(self, heading: str, moves: bool) -> list[str]:
        rows = [("SERVER", "WAS", "HOST", heading, "BY" if moves else "")]
        with self.cloud.hold():
            for name, server in self.servers.items():
                by = ", ".join(self._actions(server)) if moves else ""
                rows.append((name, self.was[name], str(server.host), status(server), by))
        return [f"  {a:14} {b:10} {c:6} {d:14} {e}".rstrip() for a, b, c, d, e in rows]

    def waiting(self) -> list[Server]:
        """Those that wait for a confirm."""
        with self.cloud.hold():
            return [each for each in self.servers.values() if status(each) == "VERIFY_RESIZE"]

    def hosts(self) -> list[str]:
        with self.cloud.hold():
            return [row.host for row in self.cloud.state.services.values() if row.is_compute]

    def host(self) -> str:
        """What Nova shows of the host."""
        with self.cloud.hold():
            service = self.cloud.service(HOST)
            if service is None:
                return "deleted"
            groups = self.cloud.state.aggregates.values()
            names = ", ".join(each.name for each in groups if HOST in each.hosts) or "none"
            return f"{'disabled' if service.disabled else 'enabled'}, in aggregates: {names}"

    def _actions(self, server: Server) -> list[str]:
        found = self.cloud.state.actions.get(server.id, [])
        return [ACTIONS[action.name] for action in found if action.name in ACTIONS]


def _shows(server: Server, wanted: str) -> Callable[[], bool]:
    return lambda: status(server) == wanted
