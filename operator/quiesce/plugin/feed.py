"""Drains as they change: listed, then watched, then listed again where the watch was cut."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any, Protocol, Self

from quiesce.kube.errors import KubeExpired, KubeUnavailable

Json = dict[str, Any]

_PAUSES = (1.0, 2.0, 5.0, 10.0)  # seconds between attempts while the API server does not answer


class Source(Protocol):
    """What is read: quiesce.plugin.cluster.Cluster."""

    def list(self, namespace: str | None, name: str | None) -> tuple[list[Json], str]: ...

    def watch(
        self, namespace: str | None, name: str | None, version: str
    ) -> Iterator[tuple[str, Json]]: ...


@dataclass(frozen=True, slots=True)
class News:
    """All drains as they are known now, by namespace and name. `silence`: why nothing newer is
    known; empty while the watch stands.
    """

    drains: tuple[Json, ...]
    silence: str = ""


class Feed:
    """Reads in a thread of its own, so that who waits for it can be interrupted.

    with Feed(cluster, "openstack", "compute-07") as feed:
        news = feed.next(timeout=1.0)   # None: nothing new in that time
    """

    def __init__(
        self,
        source: Source,
        namespace: str | None,
        name: str | None = None,
        pauses: tuple[float, ...] = _PAUSES,
    ) -> None:
        self._source, self._namespace, self._name = source, namespace, name
        self._pauses = pauses
        self._news: SimpleQueue[News | Exception] = SimpleQueue()
        self._known: dict[tuple[str, str], Json] = {}
        self._ended = threading.Event()

    def __enter__(self) -> Self:
        threading.Thread(target=self._run, daemon=True, name="feed").start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()

    def next(self, timeout: float) -> News | None:
        """The newest state; older ones that nobody has waited for are left out.

        Raises KubeError where there will be no more: it is not allowed, or there is no such kind.
        """
        try:
            newest = self._news.get(timeout=timeout)
            while not self._news.empty():
                newest = self._news.get()
        except Empty:
            return None
        if isinstance(newest, Exception):
            raise newest
        return newest

    def _run(self) -> None:
        try:
            self._follow_until_ended()
        except Exception as error:  # noqa: BLE001 -- raised where the news are waited for
            self._news.put(error)

    def _follow_until_ended(self) -> None:
        failures = 0
        while not self._ended.is_set():
            try:
                listed, version = self._source.list(self._namespace, self._name)
                failures = 0
                self._known = {_key(each): each for each in listed}
                self._put()
                self._watch(version)  # the API server ends it every few minutes
            except KubeExpired:
                continue
            except KubeUnavailable as error:
                self._put(silence=str(error))
            self._ended.wait(self._pauses[min(failures, len(self._pauses) - 1)])
            failures += 1

    def _watch(self, version: str) -> None:
        for kind, each in self._source.watch(self._namespace, self._name, version):
            if self._ended.is_set():
                return
            if kind == "DELETED":
                self._known.pop(_key(each), None)
            elif kind in ("ADDED", "MODIFIED"):
                self._known[_key(each)] = each
            else:  # a bookmark
                continue
            self._put()

    def _put(self, silence: str = "") -> None:
        drains = tuple(each for _, each in sorted(self._known.items()))
        self._news.put(News(drains, silence))


def _key(drain: Json) -> tuple[str, str]:
    metadata = drain["metadata"]
    return metadata.get("namespace") or "", metadata["name"]
