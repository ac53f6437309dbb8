"""The world of the model: no network, requests that fail on demand, and watched promises."""

from collections.abc import Callable, Iterable, Iterator
from types import SimpleNamespace
from typing import Any, cast
from unittest import mock

from quiesce.openstack.cloud import Cloud
from quiesce.openstack.session import Clouds
from tests.beds.sim.model import Cloud as Model
from tests.beds.sim.simulator import CloudApplication
from tests.harness import world
from tests.harness.inprocess import KEY
from tests.harness.world import HOST
from tests.model.nova import Fault, InProcess
from tests.model.watch import Watch

HOSTS = (HOST, "cmp2", "cmp3")


class OneAfterTheOther:
    """Stands for the thread pool, so that every history is the same each time."""

    def __init__(self, max_workers: int) -> None:
        pass

    def __enter__(self) -> "OneAfterTheOther":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def map(self, work: Callable[..., Any], *items: Iterable[Any]) -> Iterator[Any]:
        return iter([work(*each) for each in zip(*items, strict=False)])


class OneCloud:
    """Stands for the connections: whatever the Secret, it is this cloud."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud

    def get(self, *_: Any) -> Cloud:
        return self.cloud

    def forget(self, *_: Any) -> None:
        pass


class World(world.World):
    """Every request and every status is checked against the promises of docs/safety.md.

    `faults`: what goes wrong with the next requests, one after the other. `broken`: what goes
    wrong with each request to a path. `lossy`: the answer to every write is lost. `hidden`: paths;
    the next GET of each is answered without the rows of any cell, and with 200, as Nova does after
    any exception in a cell (compute/multi_cell_list.py query_wrapper). `shares`: a poll goes by the
    changes of the whole cloud, as beside other drains.
    """

    shares = False

    def __init__(
        self,
        model: Model | None = None,
        absent: tuple[str, ...] = (),
        excuse: str = "injected",
    ) -> None:
        """`absent`: services that the cloud does not have.

        `excuse`: the text of an error that Nova answers with.
        """
        self.absent, self.excuse = absent, excuse
        self.faults: list[Fault | None] = []
        self.broken: dict[str, Fault] = {}
        self.hidden: list[str] = []
        self.lossy = False
        model = model or Model(HOSTS, seed=1)
        self.application = CloudApplication(model)
        self.watch = Watch(model)
        model.clock.advance(30)
        super().__init__(model, self.connected)

    def connected(self) -> Clouds:
        """The connections of a new process. What an earlier one waited for is forgotten."""
        self.watch.awaited.clear()
        api = InProcess(self.model, self.application, self.boundary, self.watch, self.fault)
        api.absent, api.excuse, api.hidden = self.absent, self.excuse, self.hidden
        return cast(Clouds, OneCloud(Cloud(api, self.model.clock.now)))

    def fault(self, method: str, path: str) -> Fault | None:
        if self.lossy and method != "GET":
            return "reset"
        if path in self.broken:
            return self.broken[path]
        return self.faults.pop(0) if self.faults else None

    def apply(self, method: str = "Cold", **spec: Any) -> None:
        super().apply(method, **spec)
        self.watch.drain = self.store.objects[KEY]

    def reconcile_once(self) -> float:
        before, restarts, acts = self.status, self.restarts, len(self.boundary.meanwhile)
        self.watch.tick_begins()
        clock = SimpleNamespace(monotonic=self.model.clock.now)  # not a busy machine's
        with (
            mock.patch("quiesce.drain.reconcile.time", clock),
            mock.patch("quiesce.drain.act.actions.time", clock),
            mock.patch("quiesce.openstack.side_by_side.ThreadPoolExecutor", OneAfterTheOther),
            mock.patch("quiesce.openstack.changes.SHARED_BY", 1 if self.shares else 3),
        ):
            wait = super().reconcile_once()
        disturbed = self.restarts > restarts or len(self.boundary.meanwhile) < acts
        self.boundary.meanwhile.clear()
        if KEY in self.store.objects and not disturbed and self.status != before:
            self.watch.written(before)
        return wait
