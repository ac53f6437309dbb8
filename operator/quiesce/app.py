"""The wiring of one process: API server, kinds, queues, workers, health, signals, exit code. No
domain word here.
"""

import signal
import sys
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from quiesce import __version__
from quiesce.api.annotations import GROUP
from quiesce.drain.reconcile import make_reconciler as make_drain_reconciler
from quiesce.exits import Exit
from quiesce.keyring.reconcile import make_reconciler as make_keyring_reconciler
from quiesce.kube.client import Cluster, NoCluster, connect, served_plurals
from quiesce.kube.errors import KubeError, KubeForbidden
from quiesce.kube.events import Events
from quiesce.kube.secrets import Secrets
from quiesce.kube.store import Store
from quiesce.kube.watch import WatchLost, watch
from quiesce.openstack.session import Clouds
from quiesce.ops import metrics
from quiesce.ops.health import HealthServer
from quiesce.ops.logging import get_logger, set_up
from quiesce.runtime.controller import Controller
from quiesce.runtime.kinds import Context, Kind, Reconciler
from quiesce.settings import Settings

__all__ = ["KINDS", "Context", "Kind", "Reconciler", "run"]

KINDS = (
    Kind("computenodedrains", f"{GROUP}/drain", make_drain_reconciler),
    Kind("migrationkeyrings", f"{GROUP}/keyring", make_keyring_reconciler, required=False),
)
STOP_SECONDS = 30.0
"""How long ticks in work may take to end after SIGTERM."""

log = get_logger(__name__)


class _Failed(Exception):
    """Ends the process with this code; the text says why."""

    def __init__(self, code: Exit, text: str) -> None:
        super().__init__(text)
        self.code = code


def run(settings: Settings, kinds: Sequence[Kind] = KINDS) -> int:
    """Runs until SIGTERM or SIGINT, or until it cannot go on; the exit code. Belongs in the main
    thread.
    """
    set_up(settings.log_format, settings.log_level)
    controllers: dict[str, Controller] = {}
    try:
        with _ending_on_signals(), _health(settings, controllers):
            _work(settings, kinds, controllers)
    except _Failed as failure:
        log.critical("%s", failure)
        return failure.code
    except Exception:
        log.exception("unexpected: this is a bug")
        return Exit.BUG
    return Exit.OK


def _work(settings: Settings, kinds: Sequence[Kind], controllers: dict[str, Controller]) -> None:
    cluster = _connect(settings, connections=settings.workers * len(kinds) + 4)
    served = _served(cluster, kinds)
    namespaces = None if settings.all_namespaces else settings.namespaces or (cluster.namespace,)
    made = _controllers(settings, cluster, served, namespaces)
    where = "all namespaces" if namespaces is None else f"namespace {', '.join(namespaces)}"
    log.info(
        "quiesce %s looks after %s at %s (%s)", __version__, where, cluster.server, cluster.found
    )
    made = {
        kind.plural: made[kind.plural]
        for kind in served
        if _may_list(kind, made[kind.plural], where)
    }
    controllers.update(made)
    try:
        for controller in made.values():
            controller.start(settings.workers)
        watch(
            {plural: controller.on_event for plural, controller in made.items()},
            namespaces,
            cluster.login,
        )
    except WatchLost as error:
        raise _Failed(
            Exit.WATCH_LOST, f"the watch on {cluster.server} is lost: {error}; start again"
        ) from error
    finally:
        _stop(made.values())


def _may_list(kind: Kind, controller: Controller, where: str) -> bool:
    """Lists it for the first time. A kind that is not required, and for which there is no right, is
    off.
    """
    try:
        found = controller.relist()
    except KubeForbidden as error:
        if kind.required:
            raise _Failed(Exit.NO_API, f"cannot list {kind.plural} in {where}: {error}") from error
        log.warning(
            "%s are off until the next start, for the right to list them is missing: %s",
            kind.plural,
            error,
        )
        return False
    except KubeError as error:
        raise _Failed(Exit.NO_API, f"cannot list {kind.plural} in {where}: {error}") from error
    log.info("%s to look after: %d", kind.plural, found)
    return True


def _connect(settings: Settings, connections: int) -> Cluster:
    try:
        return connect(settings.context, connections)
    except NoCluster as error:
        raise _Failed(Exit.NO_API, str(error)) from error


def _served(cluster: Cluster, kinds: Sequence[Kind]) -> list[Kind]:
    """Those whose CRD is installed. kopf would wait for the others for ever and say nothing."""
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
        log.info("CRD %s is not installed: that kind is off until the next start", name)
    return [kind for kind in kinds if kind not in missing]


def _controllers(
    settings: Settings, cluster: Cluster, kinds: Sequence[Kind], namespaces: Sequence[str] | None
) -> dict[str, Controller]:
    stores = {
        kind.plural: Store(cluster.client, kind.plural, namespaces, kind.finalizer)
        for kind in kinds
    }
    secrets, events, clouds = Secrets(cluster.client), Events(cluster.client), Clouds()
    made = {}
    for kind in kinds:
        context = Context(settings, stores[kind.plural], secrets, events, stores, clouds)
        made[kind.plural] = Controller(kind.name, context.store, kind.make(context))
    return made


def _stop(controllers: Collection[Controller]) -> None:
    log.info("stopping: no new look is begun")
    for controller in controllers:
        controller.stop()
    give_up = time.monotonic() + STOP_SECONDS
    for controller in controllers:
        for key in controller.join(give_up - time.monotonic()):
            log.warning(
                "left in the middle of a look; the next start takes it up",
                extra={controller.name: key},
            )
    log.info("stopped")


@contextmanager
def _health(settings: Settings, controllers: dict[str, Controller]) -> Iterator[None]:
    """/healthz from the first moment on, so that a slow start is not taken for a dead process."""
    if settings.listen is None:
        yield
        return

    def healthz() -> list[str]:
        return [
            wrong for controller in list(controllers.values()) for wrong in controller.failing()
        ]

    def readyz() -> list[str]:
        return [] if controllers else ["the resources are not listed yet"]

    try:
        server = HealthServer(*settings.listen, healthz, readyz, metrics.REGISTRY)
    except OSError as error:
        text = f"--listen {settings.listen}: {error.strerror or error}; choose another address, or none"
        raise _Failed(Exit.USAGE, text) from error
    server.start()
    try:
        yield
    finally:
        server.stop()


@contextmanager
def _ending_on_signals() -> Iterator[None]:
    """Until kopf takes the signals over, and for a process 1, which the kernel does not end by
    default.
    """

    def end(_number: int, _frame: FrameType | None) -> NoReturn:
        sys.exit(Exit.OK)

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
