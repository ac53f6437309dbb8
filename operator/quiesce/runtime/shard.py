"""Which resources are this operator's, where label selectors divide them among several.

Labels can change at any time, so they say who *should* work on a resource; who *does* stands on it
as a finalizer with the name of a Lease, the mark. It is written with the resource's version, so one
only of two can set it; a shard works only under its own mark, and one that is no longer selected is
handed over between two ticks. Operators without a selector set no mark.
"""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

from quiesce.api.annotations import SHARD_MARK
from quiesce.api.selector import Selector
from quiesce.kube.errors import KubeError
from quiesce.kube.lease import Leases
from quiesce.kube.resource import Key, Resource
from quiesce.ops.leadership import uptime
from quiesce.runtime.election.rule import Seen, see

log = logging.getLogger(__name__)


class Step(Enum):
    WORK = auto()
    MARK = auto()
    """Nobody's: set our mark."""
    WAIT = auto()
    """Another shard's, as long as that is at work."""
    HAND_OVER = auto()
    """Ours, and selected by another."""
    LEAVE = auto()
    """Neither ours nor selected."""


def marks(finalizers: Sequence[str]) -> tuple[str, ...]:
    return tuple(name for name in finalizers if name.startswith(SHARD_MARK))


def step(
    finalizers: Sequence[str],
    labels: Mapping[str, str],
    selector: Selector,
    mark: str | None,
    *,
    deleting: bool,
) -> Step:
    """PURE. `mark` None: ours sets none.

    The API server takes no new finalizer for one that is being deleted: such a one stays with the
    shard whose mark it has, and without a mark it is of the shard that selects it.
    """
    ours, others = mark in finalizers, any(name != mark for name in marks(finalizers))
    selected = selector.matches(labels)
    if ours:
        return Step.WORK if selected or deleting else Step.HAND_OVER
    if not selected:
        return Step.LEAVE
    if others:
        return Step.WAIT
    return Step.WORK if mark is None or deleting else Step.MARK


@dataclass
class Shard:
    """Safe to use from many threads. The default: everything, and no marks."""

    selector: Selector = field(default_factory=Selector)
    mark: str | None = None
    leases: Leases | None = None
    clock: Callable[[], float] = uptime
    _seen: dict[str, Seen] = field(default_factory=dict)
    _waiting: dict[Key, str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def divided(self) -> bool:
        """Whether others work on resources of the same namespaces."""
        return self.mark is not None

    def concerns(self, resource: Resource) -> bool:
        """Whether its changes call for a tick here."""
        return self.mark in resource.finalizers or self.selector.matches(resource.labels)

    def step(self, resource: Resource) -> Step:
        found = step(
            resource.finalizers,
            resource.labels,
            self.selector,
            self.mark,
            deleting=resource.deleting,
        )
        if found is not Step.WAIT:
            self._waiting.pop(resource.key, None)
        return found

    def others_are_gone(self, resource: Resource) -> bool:
        """Whether nobody holds the Leases that its marks name. Raises KubeError."""
        names = [name for name in marks(resource.finalizers) if name != self.mark]
        busy = [found for name in names if (found := self._in_use(name.removeprefix(SHARD_MARK)))]
        if busy and self._waiting.get(resource.key) != busy[0]:
            self._waiting[resource.key] = busy[0]
            log.info("%s waits until another shard hands it over: %s", resource.key, busy[0])
        return not busy

    def _in_use(self, lease: str) -> str:
        """Why it counts as held; empty: it is free, or was not renewed for long enough."""
        try:
            found = self.leases.get(lease) if self.leases is not None else None
        except KubeError as error:
            return f"Lease {lease} cannot be read: {error}"
        if found is None:
            return (
                f"its Lease {lease} is not here. If that operator no longer exists, remove the "
                f"finalizer {SHARD_MARK}{lease} from the resource (kubectl edit)"
            )
        with self._lock:
            now = self.clock()
            seen = self._seen[lease] = see(self._seen.get(lease), found, now)
        return f"Lease {found.id} is held" if seen.held(now) else ""
