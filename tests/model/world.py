"""One cloud, one drain, people, and an operator that can die at any moment."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from unittest import mock

import yaml

from quiesce.openstack.cloud import Cloud
from quiesce.settings import Settings
from tests.beds.sim.errors import ApiError, ServerGoneError
from tests.beds.sim.model import Cloud as Model
from tests.beds.sim.records import Flavor, Server
from tests.beds.sim.simulator import CloudApplication
from tests.beds.sim.web import Request, Response
from tests.harness.inprocess import (
    KEY,
    Boundary,
    MemoryEvents,
    MemorySecrets,
    MemoryStore,
    make_drains,
)
from tests.model.nova import Fault, InProcess
from tests.model.watch import HOST, Watch

HOSTS = (HOST, "cmp2", "cmp3")


class Killed(BaseException):
    """kill -9 of the operator."""


class OneAfterTheOther:
    """Stands for the thread pool, so that every history is the same again."""

    def __init__(self, max_workers: int) -> None:
        pass

    def __enter__(self) -> "OneAfterTheOther":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def map(self, work: Callable[..., Any], *items: Iterable[Any]) -> Iterator[Any]:
        return iter([work(*each) for each in zip(*items, strict=False)])


@dataclass
class OneCloud:
    """Stands for the connections: whatever the Secret, it is this cloud."""

    cloud: Cloud

    def get(self, *_: Any) -> Cloud:
        return self.cloud

    def forget(self, *_: Any) -> None:
        pass


@dataclass
class World:
    """`kill_in`: moments (half requests and writes of status) until the operator dies; 0: it does not.

    `meanwhile`: what people do within the next tick, by the number of the moment.
    """

    model: Model = field(default_factory=lambda: Model(HOSTS, seed=1))
    spec: dict[str, Any] = field(default_factory=dict)
    kill_in: int = 0
    meanwhile: dict[int, Callable[[], None]] = field(default_factory=dict)
    restarts: int = 0
    looked_at: float = 0.0  # when the last tick began
    lossy: bool = False  # the answer to every write is lost
    broken: dict[str, Fault] = field(
        default_factory=dict
    )  # path -> what goes wrong with each request to it
    absent: tuple[str, ...] = ()  # services that the cloud does not have

    def __post_init__(self) -> None:
        self.application = CloudApplication(self.model)
        self.watch = Watch(self.model)
        self.faults: list[
            Fault | None
        ] = []  # what goes wrong with the next requests, one after the other
        self.store = MemoryStore(Boundary())
        self.store.boundary.cross = self.moment  # type: ignore[method-assign]
        self.events = MemoryEvents()
        self.moments = 0
        self.acted = False
        self.model.clock.advance(30)
        self.start()

    # The operator

    def start(self) -> None:
        """A new process: an empty memory."""
        clock = self.model.clock
        api = InProcess(self.model, self.application, self, self.fault)
        api.absent = self.absent
        cloud = Cloud(api, clock.now)
        self.watch.awaited.clear()
        self.drains = make_drains(
            Settings(listen=None),
            self.store,
            MemorySecrets("{}"),
            self.events,
            OneCloud(cloud),
            self.now,
        )

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.model.clock.now(), UTC)

    def moment(self, name: str) -> None:
        self.moments += 1
        if (act := self.meanwhile.pop(self.moments, None)) is not None:
            self.acted = True
            act()
        if self.kill_in:
            self.kill_in -= 1
            if not self.kill_in:
                raise Killed(name)

    def fault(self, method: str, path: str) -> Fault | None:
        if self.lossy and method != "GET":
            return "reset"
        if path in self.broken:
            return self.broken[path]
        return self.faults.pop(0) if self.faults else None

    def before(self, request: Request) -> None:
        self.watch.before(request)

    def after(self, request: Request, response: Response) -> None:
        self.watch.after(request, response)

    def sent(self, request: Request, *, answered: bool) -> None:
        self.watch.sent(request, answered=answered)

    def apply(self, method: str = "Cold", **spec: Any) -> None:
        whole = {"host": HOST, **spec, "migration": {"method": method, **spec.get("migration", {})}}
        self.store.put(KEY, whole, self.now())
        self.watch.drain = self.store.objects[KEY]

    def tick(self) -> float:
        """One look at the drain, then the time passes that it asked for. -> virtual seconds that it asked for."""
        if KEY not in self.store.objects:
            self.model.clock.advance(5)
            return 5.0
        before = dict(self.status)
        self.watch.tick_begins()
        self.moments, self.acted, self.looked_at = 0, False, self.model.clock.now()
        try:
            with mock.patch("quiesce.drain.act.actions.ThreadPoolExecutor", OneAfterTheOther):
                wait = self.drains.reconcile(KEY) or 0.0
        except Killed:
            self.restarts += 1
            self.acted = True
            self.start()
            wait = 3.0
        self.meanwhile.clear()
        if KEY in self.store.objects and not self.acted and self.status != before:
            self.watch.written(before)
        self.model.clock.advance(max(0.2, wait))
        return wait

    def run(self, ticks: int) -> None:
        for _ in range(ticks):
            self.tick()

    def until(self, condition: Callable[[], bool], ticks: int = 400) -> None:
        """Tick until it holds. AssertionError with the status where it never does."""
        for _ in range(ticks):
            if condition():
                return
            self.tick()
        raise AssertionError(f"not within {ticks} ticks:\n{self.story()}")

    def rest(self, ticks: int = 600) -> None:
        """Let the drain go on until nothing changes any more, waiting out its longest back-off."""
        quiet, leaps = (
            0,
            [700, 700, 3700],
        )  # the slow retry twice, then the time that a move may take
        for _ in range(ticks):
            before = self.picture()
            self.tick()
            quiet = quiet + 1 if self.picture() == before else 0
            if quiet >= 4:
                if not leaps:
                    return
                quiet = 0
                self.model.clock.advance(leaps.pop(0))
        raise AssertionError(f"no rest within {ticks} ticks:\n{self.story()}")

    def picture(self) -> Any:
        """All that shows whether anything still happens."""
        servers = [
            (s.id, s.host, s.vm_state, s.task_state) for s in self.model.state.servers.values()
        ]
        return self.status, servers, [(m.id, m.status) for m in self.model.state.migrations]

    # What is there

    @property
    def status(self) -> dict[str, Any]:
        found = self.store.objects.get(KEY)
        return dict(found["status"]) if found else {}

    def condition(self, kind: str) -> str:
        return str(self.watch.condition(kind).get("status", ""))

    def story(self) -> str:
        servers = [
            f"{s.name}: {s.vm_state}/{s.task_state} on {s.host}"
            for s in self.model.state.servers.values()
        ]
        moves = [
            f"{m.id} {m.kind} of {m.server[:8]} {m.source}->{m.dest} {m.status}"
            for m in self.model.state.migrations
        ]
        return yaml.safe_dump({"status": self.status, "servers": servers, "migrations": moves})

    # People

    @contextmanager
    def trying(self) -> Iterator[None]:
        """What people ask for may be refused."""
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
        """Make servers, wherever they are, members of one group: they may have been put together by an admin."""
        made = self.model.add_group("group", policy)
        for server in servers:
            made.members.append(server.id)
            server.group = made.id

    def do(self, action: str, server: Server, who: str = "demo") -> None:
        """One of Nova's server actions by somebody, refused or not."""
        user, cloud = self.model.as_user(who), self.model
        with self.trying():
            match action:
                case "resize":
                    cloud.cold.resize(user, server.id, self.other_flavor(server))
                case "confirm":
                    cloud.cold.confirm(user, server.id)
                case "revert":
                    cloud.cold.revert(user, server.id)
                case "migrate":
                    cloud.cold.migrate(cloud.as_user("admin"), server.id)
                case "migrate here":
                    cloud.cold.migrate(cloud.as_user("admin"), server.id, HOST)
                case "live-migrate":
                    cloud.live.migrate(cloud.as_user("admin"), server.id)
                case "lock" | "unlock" | "unshelve" | "delete":
                    getattr(cloud.guests, action)(user, server.id)
                case "reset to active":
                    cloud.guests.reset_state(cloud.as_user("admin"), server.id, "active")
                case "soft-delete":
                    cloud.soft_delete(server)
                case _:
                    cloud.guests.act(user, server.id, action)

    def other_flavor(self, server: Server) -> Flavor:
        return self.model.state.flavors["small" if server.flavor.name == "tiny" else "tiny"]

    def edit(self, change: Callable[[dict[str, Any]], None]) -> None:
        if KEY in self.store.objects:
            self.store.edit(KEY, change)

    def delete_drain(self) -> None:
        if (
            KEY in self.store.objects
            and "deletionTimestamp" not in self.store.objects[KEY]["metadata"]
        ):
            self.store.delete(KEY)

    def disable(self, reason: str | None) -> None:
        """Somebody disables the service, or enables it (reason `""`)."""
        service = self.model.service(HOST)
        if service is not None:
            status = "enabled" if reason == "" else "disabled"
            self.model.computes.update(
                service.id, status=status, reason=reason or None, forced_down=None
            )
