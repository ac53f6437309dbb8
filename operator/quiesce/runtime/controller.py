"""One kind of resource: its queue, workers and relist. What a tick does is not known here."""

import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from logging import ERROR, WARNING

from quiesce.api.backoff import Backoff
from quiesce.kube.errors import KubeError, KubeRejected
from quiesce.kube.resource import Key, Resource
from quiesce.kube.store import Store
from quiesce.ops import metrics
from quiesce.ops.leadership import NotLeading
from quiesce.ops.logging import fields, get_logger
from quiesce.runtime.incident import reference
from quiesce.runtime.kinds import Reconciler
from quiesce.runtime.shard import Shard, Step
from quiesce.runtime.turn import Postponed, turn
from quiesce.runtime.wakeups import WakeUps
from quiesce.runtime.workqueue import WorkQueue

RELIST_SECONDS = 60.0
"""How often all resources are listed, in case the watch misses a change."""
_RELISTS_MISSED = 3
"""After this many without success /healthz fails."""
_TICK_LIMIT_SECONDS = 600.0
"""A worker that spends longer than this in one tick is stuck: /healthz fails."""
_HEARTBEAT_SECONDS = 5.0
"""How long a worker waits for a key before it shows that it is alive."""
BACKOFF = Backoff(first=1.0, longest=60.0, spread=0.2)
"""Of a tick that raised."""

log = get_logger(__name__)


class Controller:
    """relist() once, then start(); stop() lets ticks in progress end."""

    def __init__(
        self,
        name: str,
        store: Store,
        reconcile: Reconciler,
        clock: Callable[[], float] = time.monotonic,
        shard: Shard | None = None,
        on_news: Sequence[Callable[[Resource], None]] = (),
        on_seen: Sequence[Callable[[Resource, bool], None]] = (),
    ) -> None:
        """`name`: of the kind, for logs and metrics. `shard`: all resources are listed and watched,
        but only those that concern it are queued. `on_news`: called at once with each of them
        that is new or changed; `on_seen`: with each that is queued, as often as it is listed or
        watched, and whether it is gone.
        """
        self.name, self._shard = name, shard or Shard()
        self._store = store
        self._reconcile, self._on_news, self._on_seen = reconcile, on_news, on_seen
        self._clock = clock
        self._queue: WorkQueue[Key] = WorkQueue(
            namespace_of=lambda key: key.namespace, waited=partial(metrics.queue_wait, name)
        )
        self._wakeups = WakeUps()
        self._workers: list[_Worker] = []
        self._failures: dict[Key, tuple[int, str]] = {}  # how often in a row, and how the last time
        self._stopping = threading.Event()
        self._relisted = clock()
        metrics.queue_depth(name, self._queue.due)

    def relist(self) -> int:
        """Queues what is new, changed or not queued; how many there are. Raises KubeError."""
        resources = [each for each in self._store.list() if self._shard.concerns(each)]
        for resource in resources:
            self._see(resource, gone=False)
            news = self._wakeups.is_news(resource)
            if news or resource.key not in self._queue:
                self._add(resource, news)
        self._wakeups.forget_all_but(resource.key for resource in resources)
        self._relisted = self._clock()
        return len(resources)

    def on_event(self, resource: Resource, gone: bool) -> None:
        """From the watch: queues it, unless only what we write ourselves has changed."""
        concerned = self._shard.concerns(resource)
        if not concerned and resource.key not in self._queue:
            self._wakeups.is_news(resource, gone=True)  # it is news once its labels are ours
            return
        self._see(resource, gone=gone)
        news = self._wakeups.is_news(resource, gone)
        if news or not concerned or self._shard.step(resource) is Step.HAND_OVER:
            self._add(resource, news and not gone)

    def _see(self, resource: Resource, *, gone: bool) -> None:
        for call in self._on_seen:
            call(resource, gone)

    def _add(self, resource: Resource, news: bool) -> None:
        for call in self._on_news if news else ():
            call(resource)
        self._queue.add(resource.key, news=news)

    def start(self, workers: int) -> None:
        self._relisted = self._clock()
        self._queue.share_among(workers)
        for number in range(workers):
            worker = _Worker(f"{self.name}-{number}", self._work, self._clock())
            self._workers.append(worker)
            worker.start()
        threading.Thread(
            target=self._relist_for_ever, name=f"{self.name}-relist", daemon=True
        ).start()

    def stop(self) -> None:
        """Begins no more ticks. Does not wait."""
        self._stopping.set()
        self._queue.close()

    def join(self, timeout: float) -> list[Key]:
        """Waits up to `timeout` seconds for ticks in progress; the keys of those still running."""
        deadline = time.monotonic() + timeout
        for worker in self._workers:
            worker.join(max(0.0, deadline - time.monotonic()))
        return [worker.key for worker in self._workers if worker.is_alive() and worker.key]

    def failing(self) -> list[str]:
        """What /healthz reports, a line each; nothing: healthy."""
        now = self._clock()
        silent = now - self._relisted
        late = (
            [f"{self.name}: not listed for {silent:.0f}s"]
            if silent > _RELISTS_MISSED * RELIST_SECONDS
            else []
        )
        return late + [
            wrong for worker in self._workers if (wrong := self._wrong_with(worker, now))
        ]

    def _wrong_with(self, worker: "_Worker", now: float) -> str | None:
        if not worker.is_alive():
            return f"{worker.name}: dead"
        if now - worker.beat > _TICK_LIMIT_SECONDS:
            return f"{worker.name}: {now - worker.beat:.0f}s in one tick of {worker.key}"
        return None

    def _relist_for_ever(self) -> None:
        while not self._stopping.wait(RELIST_SECONDS):
            try:
                self.relist()
            except KubeError as error:
                log.warning("listing failed: %s", error, extra={"kind": self.name})
            except Exception:
                log.exception("listing failed: unexpected error", extra={"kind": self.name})

    def _work(self, worker: "_Worker") -> None:
        while not self._stopping.is_set():
            worker.beat = self._clock()
            key = self._queue.get(_HEARTBEAT_SECONDS)
            if key is None:
                continue
            worker.key, worker.beat = key, self._clock()
            try:
                with fields(**{self.name: str(key)}):
                    delay = self._tick(key)
            except BaseException:  # noqa: BLE001 - not even a log that cannot be written ends it
                delay = RELIST_SECONDS
            self._queue.done(key, delay)
            worker.key = None

    def _tick(self, key: Key) -> float | None:
        """Never raises: a failing tick is retried with back-off and holds up no other resource.

        Nor does one that ends its thread, such as SystemExit: in a thread it means nothing else.
        """
        started, outcome = time.monotonic(), "ok"
        try:
            with turn(partial(self._queue.join, key)):
                delay = self._reconcile(key)
            self._failures.pop(key, None)
        except NotLeading:  # the process is ending
            return RELIST_SECONDS
        except Postponed:  # the queue knows its cloud now, and hands it out in its turn
            return 0.0
        except BaseException as error:  # noqa: BLE001 - whatever it is, only this resource waits
            outcome = "retry" if isinstance(error, KubeError) else "bug"
            delay = self._failed(key, error)
        metrics.tick(self.name, outcome, time.monotonic() - started)
        return delay

    def _failed(self, key: Key, error: BaseException) -> float:
        """Logs it; the seconds until the next try."""
        text = f"{type(error).__name__}: {_said(error)} (reference {reference(error)})"
        count, before = self._failures.get(key, (0, ""))
        self._failures[key] = count + 1, text
        delay = BACKOFF.delay(count + 1, str(key))
        if isinstance(error, KubeError):
            level = ERROR if isinstance(error, KubeRejected) else WARNING
            log.log(level, "%s; retrying in %.0fs", error, delay)
        else:  # the traceback is the same as long as the text is
            log.error("unexpected %s; retrying in %.0fs", text, delay, exc_info=text != before)
        return delay


def _said(error: BaseException) -> str:
    """Its text; none, where making it fails in its turn."""
    try:
        return str(error)
    except Exception:  # noqa: BLE001
        return ""


class _Worker(threading.Thread):
    def __init__(self, name: str, work: Callable[["_Worker"], None], now: float) -> None:
        super().__init__(name=name, target=work, args=[self], daemon=True)
        self.beat = now
        self.key: Key | None = None
