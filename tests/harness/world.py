"""One cloud, one drain, other users, and an operator that can die at any moment: one process.

Time is virtual, the API server is a dictionary, the cloud is the stand-in (`tests/beds/sim`). How
its requests get there differs: over HTTP (`over_http`) for the faults tier, or by a call within
the process for the model's tier (`tests/model/world.py`), which makes thousands of histories.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import yaml

from quiesce.drain.limiter import MoveLimiter
from quiesce.drain.reconcile import Drains
from quiesce.drain.rest import Rests
from quiesce.openstack.session import Clouds
from quiesce.ops.clock import Clock
from quiesce.runtime.kinds import Context, Reconciler
from quiesce.runtime.reconciler import ResourceReconciler
from quiesce.settings import Settings
from tests.beds.sim.errors import ApiError, ServerGoneError
from tests.beds.sim.model import Cloud
from tests.beds.sim.records import Flavor, Server
from tests.beds.sim.simulator import Simulator
from tests.harness.inprocess import (
    KEY,
    Boundary,
    Json,
    Killed,
    MemoryEvents,
    MemorySecrets,
    MemoryStore,
    watched,
)

HOST = "cmp1"  # the one that is drained
RESTART = 3.0  # virtual seconds from a death to the next start
MOVES = ("migrate", "live-migration", "confirmResize", "revertResize")


def reconciler(
    settings: Settings,
    store: MemoryStore,
    secrets: MemorySecrets,
    events: MemoryEvents,
    clouds: Clouds,
    clock: Clock,
) -> Reconciler:
    """A new process of the operator: nothing is known. The one place that says how it is built."""
    context = Context(settings, store, secrets, events, {}, clouds)  # type: ignore[arg-type]
    rests = Rests(lambda: clock.now().timestamp())
    drains = Drains(context, MoveLimiter(settings.max_moves), clock, resting=rests)
    return watched(store, rests, ResourceReconciler(context, drains).reconcile)


@dataclass
class World:
    """`connect`: the connections to the cloud of a new process, none of which is open."""

    model: Cloud
    connect: Callable[[], Clouds]
    secrets: MemorySecrets = field(default_factory=lambda: MemorySecrets("{}"))
    boundary: Boundary = field(default_factory=Boundary)
    settings: Settings = field(
        default_factory=lambda: Settings(namespaces=(KEY.namespace,), listen=None)
    )
    events: MemoryEvents = field(default_factory=MemoryEvents)
    store: MemoryStore = field(init=False)
    reconcile: Reconciler = field(init=False)
    restarts: int = 0
    set_by: float = 0.0  # seconds by which the clock of the operator's machine was set
    ticked_at: float = 0.0  # when the last tick began
    moments: int = 0  # of the last tick

    def __post_init__(self) -> None:
        self.store = MemoryStore(self.boundary)
        self.start()

    # The operator

    def start(self) -> None:
        """A new process."""
        self.boundary.dead = False
        clock = Clock(self.wall, self.model.clock.now)
        self.reconcile = reconciler(
            self.settings, self.store, self.secrets, self.events, self.connect(), clock
        )

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.model.clock.now(), UTC)

    def wall(self) -> datetime:
        """The clock of the operator's machine."""
        return self.now() + timedelta(seconds=self.set_by)

    def die_in(self, moments: int) -> None:
        """Let it die at this moment from now on, 1 the next; 0: it lives."""
        self.boundary.fatal = len(self.boundary.names) + moments if moments else 0

    def tick(self) -> float:
        """One reconcile, then the time passes that it asked for. -> virtual seconds."""
        wait = self.reconcile_once() if KEY in self.store.objects else 5.0
        waited = max(0.2, wait)
        self.model.clock.advance(waited)
        return waited

    def reconcile_once(self) -> float:
        """-> seconds until the next one: what the operator asked for, or until it is started."""
        self.ticked_at, before = self.model.clock.now(), len(self.boundary.names)
        try:
            return self.reconcile(KEY) or 0.0
        except Killed:
            self.restarts += 1
            self.start()
            return RESTART
        finally:
            self.moments = len(self.boundary.names) - before

    def run(self, ticks: int) -> None:
        for _ in range(ticks):
            self.tick()

    def until(self, condition: Callable[[], bool], ticks: int = 400) -> None:
        """Tick until it holds. AssertionError with the status where it never does."""
        for _ in range(ticks):
            if condition():
                return
            self.tick()
        raise AssertionError(f"not within {ticks} ticks:\n{self.describe()}")

    def rest(self, ticks: int = 600) -> None:
        """Let the drain continue until nothing changes, also after its longest back-off."""
        # The slow retry twice, then the time that a move may take.
        unchanged, leaps = 0, [700, 700, 3700]
        for _ in range(ticks):
            before = self.snapshot()
            self.tick()
            unchanged = unchanged + 1 if self.snapshot() == before else 0
            if unchanged >= 4:
                if not leaps:
                    return
                unchanged = 0
                self.model.clock.advance(leaps.pop(0))
        raise AssertionError(f"no rest within {ticks} ticks:\n{self.describe()}")

    # What is there

    @property
    def status(self) -> Json:
        found = self.store.objects.get(KEY)
        return dict(found["status"]) if found else {}

    def condition(self, kind: str) -> Json:
        """{} where it does not apply."""
        return next((c for c in self.status.get("conditions") or () if c["type"] == kind), {})

    def is_true(self, kind: str) -> bool:
        return self.condition(kind).get("status") == "True"

    def problems(self) -> set[str]:
        """The reasons of all servers that need a person."""
        return {row["reason"] for row in self.status["problems"]}

    def snapshot(self) -> Any:
        """All that shows whether anything still happens."""
        state = self.model.state
        servers = [(s.id, s.host, s.vm_state, s.task_state) for s in state.servers.values()]
        return self.status, servers, [(m.id, m.status) for m in state.migrations]

    def describe(self) -> str:
        state = self.model.state
        servers = [
            f"{s.name}: {s.vm_state}/{s.task_state} on {s.host}" for s in state.servers.values()
        ]
        moves = [
            f"{m.id} {m.kind} of {m.server[:8]} {m.source}->{m.dest} {m.status}"
            for m in state.migrations
        ]
        return yaml.safe_dump({"status": self.status, "servers": servers, "migrations": moves})

    def actions(self, server_id: str, names: Iterable[str] = MOVES) -> list[str]:
        """Nova's action log of a server, oldest first."""
        return [a.name for a in self.model.state.actions.get(server_id, []) if a.name in names]

    # The drain's owner

    def apply(self, method: str = "Cold", **spec: Any) -> None:
        whole = {"host": HOST, **spec, "migration": {"method": method, **spec.get("migration", {})}}
        self.store.put(KEY, whole, self.now())

    def edit(self, change: Callable[[Json], None]) -> None:
        if KEY in self.store.objects:
            self.store.edit(KEY, change)

    def delete_drain(self) -> None:
        found = self.store.objects.get(KEY)
        if found and "deletionTimestamp" not in found["metadata"]:
            self.store.delete(KEY)

    # Other users

    def meanwhile(self, moment: int, act: Callable[[], None]) -> None:
        """Have something done at this moment of the next tick, 1 the first."""
        self.boundary.meanwhile[len(self.boundary.names) + moment] = act

    @contextmanager
    def trying(self) -> Iterator[None]:
        """What users ask for may be refused."""
        try:
            yield
        except (ApiError, ServerGoneError, KeyError):
            return

    def boot(
        self, name: str, host: str | None = HOST, state: str = "active", **wishes: Any
    ) -> Server:
        """A server in a state, after the time that this takes."""
        server = self.model.boot(name, host=host, **wishes)
        self.model.clock.advance(4)
        with self.trying():
            self.bring(server, state)
        return server

    def bring(self, server: Server, state: str) -> None:
        action = {
            "stopped": "os-stop",
            "paused": "pause",
            "suspended": "suspend",
            "shelved": "shelve",
            "rescued": "rescue",
        }
        if state in action:
            self.model.guests.act(self.model.as_user("demo"), server.id, action[state])
            self.model.clock.advance(2)
        elif state == "error":
            self.model.guests.reset_state(self.model.as_user("admin"), server.id, "error")
        elif state == "soft-deleted":
            self.model.soft_delete(server)

    def group(self, policy: str, *servers: Server) -> None:
        """Make servers members of one group, wherever they are: as if an admin had placed them."""
        made = self.model.add_group("group", policy)
        for server in servers:
            made.members.append(server.id)
            server.group = made.id

    def do(self, action: str, server: Server, user: str = "demo") -> None:
        """One of Nova's server actions by another user, refused or not."""
        actor, admin = self.model.as_user(user), self.model.as_user("admin")
        cloud = self.model
        with self.trying():
            match action:
                case "resize":
                    cloud.cold.resize(actor, server.id, self.other_flavor(server))
                case "confirm":
                    cloud.cold.confirm(actor, server.id)
                case "revert":
                    cloud.cold.revert(actor, server.id)
                case "migrate":
                    cloud.cold.migrate(admin, server.id)
                case "migrate here":
                    cloud.cold.migrate(admin, server.id, HOST)
                case "live-migrate":
                    cloud.live.migrate(admin, server.id)
                case "lock" | "unlock" | "unshelve" | "delete":
                    getattr(cloud.guests, action)(actor, server.id)
                case "reset to active":
                    cloud.guests.reset_state(admin, server.id, "active")
                case "soft-delete":
                    cloud.soft_delete(server)
                case _:
                    cloud.guests.act(actor, server.id, action)

    def other_flavor(self, server: Server) -> Flavor:
        return self.model.state.flavors["small" if server.flavor.name == "tiny" else "tiny"]

    def disable(self, reason: str | None) -> None:
        """Another user disables the service, or enables it (reason `""`)."""
        service = self.model.service(HOST)
        if service is not None:
            status = "enabled" if reason == "" else "disabled"
            self.model.computes.update(
                service.id, status=status, reason=reason or None, forced_down=None
            )


def over_http(sim: Simulator, boundary: Boundary | None = None, timeout: float = 5.0) -> World:
    """A world whose requests go to a stand-in that listens. `timeout`: real seconds of a request.

    The moments of its requests are counted where `boundary.watch` was called.
    """
    clouds_yaml = yaml.safe_dump({"clouds": {"openstack": sim.cloud_entry("quiesce")}})
    return World(
        sim.cloud,
        lambda: Clouds(timeout, sim.cloud.clock.now),
        MemorySecrets(clouds_yaml),
        boundary or Boundary(),
    )
