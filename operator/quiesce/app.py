"""The wiring of one process: API server, kinds, queues, workers, health, signals, exit code."""

import gc
import os
import signal
import sys
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from threading import Event
from types import FrameType
from typing import NoReturn

from quiesce import __version__
from quiesce.api.annotations import DRAIN_FINALIZER, GROUP, KEYRING_FINALIZER, SHARD_MARK
from quiesce.drain.reconcile import make_reconciler as make_drain_reconciler
from quiesce.exits import Exit
from quiesce.keyring.reconcile import make_reconciler as make_keyring_reconciler
from quiesce.kube.client import Cluster, NoCluster, connect, served_plurals
from quiesce.kube.errors import KubeError, KubeForbidden
from quiesce.kube.events import Events
from quiesce.kube.lease import Leases
from quiesce.kube.secrets import Secrets
from quiesce.kube.store import Store
from quiesce.kube.watch import WatchLost, watch
from quiesce.openstack.session import Clouds
from quiesce.ops import metrics
from quiesce.ops.health import HealthServer
from quiesce.ops.identity import IDENTITY
from quiesce.ops.leadership import Fence, install
from quiesce.ops.logging import get_logger, set_up
from quiesce.runtime.controller import BACKOFF, Controller
from quiesce.runtime.election import Elector, Scope
from quiesce.runtime.kinds import Context, Kind, Reconciler
from quiesce.runtime.shard import Shard
from quiesce.settings import Settings

__all__ = ["KINDS", "Context", "Kind", "Reconciler", "run"]

KINDS = (
    Kind("ComputeNodeDrains", DRAIN_FINALIZER, make_drain_reconciler),
    Kind("MigrationKeyrings", KEYRING_FINALIZER, make_keyring_reconciler, required=False),
)
_STOP_SECONDS = 30.0
"""How long ticks in progress may take to end after SIGTERM; with a Lease, calls in progress."""
_TICKS_SECONDS = 1.0
"""With a Lease, ticks get no longer than that: what they have not begun, the next leader does."""
_LOST_SECONDS = 3.0
"""How long the process may take to end once its Lease is lost: nothing is waited for."""
_STOOD_BY_SECONDS = 1.0
"""So long after its first list a process that begins to lead has not stood by."""
_LIST_TRIES = 5
"""Of one that begins to lead, within a quarter of a minute; then another process may."""
_NEW_OBJECTS = 10_000
"""So many more than before, and Python looks for cycles among them; by itself every 700 (3.11), and
one answer of a cloud has more.
"""

log = get_logger(__name__)


class _Failed(Exception):
    """Ends the process with this code; the text says why."""

    def __init__(self, code: Exit, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass
class _State:
    """What the probes ask about."""

    controllers: dict[str, Controller] = field(default_factory=dict)
    listed: bool = False
    elector: Elector | None = None

    def healthz(self) -> list[str]:
        found = self.elector.dead() if self.elector else []
        for controller in list(self.controllers.values()):
            found += controller.failing()
        return found

    def readyz(self) -> list[str]:
        """One that stands by is ready: it could take over at once."""
        if not self.listed:
            return ["resources are not listed yet"]
        return self.elector.failing() if self.elector else []


def run(settings: Settings, kinds: Sequence[Kind] = KINDS) -> int:
    """Runs until SIGTERM or SIGINT, or until it cannot go on; the exit code.

    To be called in the main thread.
    """
    set_up(settings.log_format, settings.log_level)
    state = _State()
    try:
        with _ending_on_signals(), _health(settings, state):
            _work(settings, kinds, state)
    except _Failed as failure:
        log.critical("%s", failure)
        return failure.code
    except Exception:
        log.exception("unexpected error: this is a defect of the operator")
        return Exit.BUG
    return Exit.OK


def _work(settings: Settings, kinds: Sequence[Kind], state: _State) -> None:
    cluster = _connect(settings, connections=settings.workers * len(kinds) + 4)
    served = _served(cluster, kinds)
    namespaces = None if settings.all_namespaces else settings.namespaces or (cluster.namespace,)
    scope = Scope(None if namespaces is None else frozenset(namespaces), settings.selector)
    leases, name = _lease(settings, cluster, scope)
    shard = Shard(settings.selector, f"{SHARD_MARK}{name}" if settings.selector else None, leases)
    make = partial(_controllers, settings, cluster, namespaces=namespaces, shard=shard)
    controllers = make(served)
    where = "all namespaces" if namespaces is None else f"namespace {', '.join(namespaces)}"
    on = [kind for kind in served if _may_list(kind, controllers[kind.plural], where)]
    log.info(
        "quiesce %s (%s) watches %s in %s at %s (%s)",
        __version__,
        IDENTITY,
        " and ".join(kind.title for kind in on),
        f"{scope}",
        cluster.server,
        cluster.found,
    )
    state.listed, began = True, time.monotonic()
    _spare_collections()
    with _leading(settings, leases, name, scope, state) as give_up:
        if time.monotonic() - began > _STOOD_BY_SECONDS:
            controllers = make(served)
            _list_again([controllers[kind.plural] for kind in on])
        running = {kind.plural: controllers[kind.plural] for kind in on}
        try:
            for controller in running.values():
                controller.start(settings.workers)
            state.controllers.update(running)
            watch(
                {plural: controller.on_event for plural, controller in running.items()},
                namespaces,
                cluster.login,
            )
        except WatchLost as error:
            raise _Failed(
                Exit.WATCH_LOST,
                f"lost the watch on {cluster.server}: {error}; restart the operator",
            ) from error
        finally:
            _stop(running.values(), give_up)


def _spare_collections() -> None:
    """What the imports have made is never garbage. To look through it takes 30 to 60 ms, in which
    no thread goes on.
    """
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS)


def _lease(settings: Settings, cluster: Cluster, scope: Scope) -> tuple[Leases, str]:
    """By default beside the pod. Outside a cluster, where an operator that watches the same has its
    Lease already, so that one that is run by hand and the pods have one; else where its work is, so
    that two people who run it by hand for the same namespace have the same one.
    """
    named = settings.lease
    name = (named and named.name) or scope.lease_name
    beside = cluster.inside or scope.namespaces is None
    namespace = cluster.namespace if beside else min(scope.namespaces or ())
    if named and named.namespace:
        namespace = named.namespace
    elif not cluster.inside:
        namespace = _where_it_is(Leases(cluster.lease_client, namespace), name) or namespace
    return Leases(cluster.lease_client, namespace), name


def _where_it_is(leases: Leases, name: str) -> str | None:
    """The namespace of a Lease of that name, as far as we may know. One in another namespace than
    by default is that of pods.
    """
    try:
        found = {each.namespace for each in leases.list(everywhere=True) if each.name == name}
    except KubeError:
        return None
    return min(found, key=lambda each: (each == leases.namespace, each), default=None)


@contextmanager
def _leading(
    settings: Settings, leases: Leases, name: str, scope: Scope, state: _State
) -> Iterator[Callable[[], float]]:
    """Waits until this process leads; releases the Lease at the end.

    Yields what is to be called when no more ticks begin: -> the seconds that they have to end.
    """
    if settings.lease is None:
        metrics.leader("", leads=True)
        yield lambda: _STOP_SECONDS
        return
    ended, fence = Event(), Fence()
    elector = Elector(leases, name, scope, fence, lambda: _end_process(ended, elector.lost))
    state.elector = elector
    install(fence)
    elector.start()
    try:
        elector.wait()
        yield lambda: 0.0 if elector.lost else _TICKS_SECONDS
    finally:
        elector.stop(0.0 if elector.lost else _STOP_SECONDS)
        ended.set()
        if elector.lost:
            raise _Failed(Exit.LEASE_LOST, elector.lost)


def _end_process(ended: Event, why: str | None) -> None:
    """The main thread ends as after a signal; where it does not in time, it is not asked again.

    Nothing depends on how soon: no call can begin any more.
    """
    os.kill(os.getpid(), signal.SIGTERM)
    if not ended.wait(_LOST_SECONDS):
        log.critical("%s; the process is ended at once", why)
        os._exit(Exit.LEASE_LOST)


def _may_list(kind: Kind, controller: Controller, where: str) -> bool:
    """Lists it for the first time. An optional kind that may not be listed is off."""
    try:
        found = controller.relist()
    except KubeForbidden as error:
        if kind.required:
            raise _Failed(Exit.NO_API, f"cannot list {kind.plural} in {where}: {error}") from error
        log.warning(
            "%s are off until the next start: no permission to list them: %s",
            kind.title,
            error,
        )
        return False
    except KubeError as error:
        raise _Failed(Exit.NO_API, f"cannot list {kind.plural} in {where}: {error}") from error
    log.info("%s found: %d", kind.title, found)
    return True


def _list_again(controllers: Collection[Controller]) -> None:
    """One that stood by listed long ago, and begins as a new process does: what is in flight now
    counts before anything else begins. Without a list no tick could read its resource either.
    """
    for controller in controllers:
        for tried in range(1, _LIST_TRIES + 1):
            try:
                controller.relist()
                break
            except KubeError as error:
                text = f"cannot list {controller.name} resources: {error}"
                if tried == _LIST_TRIES:
                    raise _Failed(Exit.NO_API, text) from error
                delay = BACKOFF.delay(tried, controller.name)
                log.warning("%s; retrying in %.0fs", text, delay)
                time.sleep(delay)


def _connect(settings: Settings, connections: int) -> Cluster:
    try:
        return connect(settings.context, connections)
    except NoCluster as error:
        raise _Failed(Exit.NO_API, str(error)) from error


def _served(cluster: Cluster, kinds: Sequence[Kind]) -> list[Kind]:
    """Those whose CRD is installed. kopf would wait for the others forever, in silence."""
    try:
        plurals = served_plurals(cluster.client)
    except KubeError as error:
        raise _Failed(
            Exit.NO_API, f"API server {cluster.server} ({cluster.found}): {error}"
        ) from error
    missing = [kind for kind in kinds if kind.plural not in plurals]
    for kind in missing:
        name = f"{kind.plural}.{GROUP}"
        if kind.required:
            raise _Failed(
                Exit.NO_CRD,
                f"CRD {name} is not installed at {cluster.server}: kubectl apply -k crds",
            )
        log.info("CRD %s is not installed: %s are off until the next start", name, kind.title)
    return [kind for kind in kinds if kind not in missing]


def _controllers(
    settings: Settings,
    cluster: Cluster,
    kinds: Sequence[Kind],
    *,
    namespaces: Sequence[str] | None,
    shard: Shard,
) -> dict[str, Controller]:
    stores = {
        kind.plural: Store(cluster.client, kind.plural, namespaces, kind.finalizer, shard.mark)
        for kind in kinds
    }
    secrets, events, clouds = Secrets(cluster.client), Events(cluster.client), Clouds()
    made = {}
    for kind in kinds:
        context = Context(settings, stores[kind.plural], secrets, events, stores, clouds, shard)
        reconcile = kind.make(context)
        made[kind.plural] = Controller(
            kind.name,
            context.store,
            reconcile,
            shard=shard,
            on_news=context.on_news,
            on_seen=context.on_seen,
        )
    return made


def _stop(controllers: Collection[Controller], give_up: Callable[[], float]) -> None:
    """`give_up`: called when no more ticks begin; -> seconds until they have ended."""
    log.info("stopping: waiting for ticks in progress")
    for controller in controllers:
        controller.stop()
    deadline = time.monotonic() + give_up()
    for controller in controllers:
        for key in controller.join(deadline - time.monotonic()):
            log.warning(
                "stopped in the middle of a tick; the next start continues it",
                extra={controller.name: key},
            )
    log.info("stopped")


@contextmanager
def _health(settings: Settings, state: _State) -> Iterator[None]:
    """/healthz from the first moment, so that a slow start is not taken for a dead process."""
    if settings.listen is None:
        yield
        return

    try:
        server = HealthServer(*settings.listen, state.healthz, state.readyz, metrics.REGISTRY)
    except OSError as error:
        raise _Failed(
            Exit.USAGE,
            f"--listen {settings.listen}: {error.strerror or error}; set another address, or none",
        ) from error
    server.start()
    try:
        yield
    finally:
        server.stop()


@contextmanager
def _ending_on_signals() -> Iterator[None]:
    """Until kopf handles signals, and for process 1, which the kernel does not end by default."""

    def end(_number: int, _frame: FrameType | None) -> NoReturn:
        sys.exit(Exit.OK)

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
