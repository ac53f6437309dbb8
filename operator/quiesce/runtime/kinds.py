"""What a kind of resource supplies, and what it is given. How to add one: `runtime.reconciler`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from quiesce.api.errors import Problem
from quiesce.api.events import Event
from quiesce.kube.events import Events
from quiesce.kube.resource import Key, Resource
from quiesce.kube.secrets import Secrets
from quiesce.kube.store import Store
from quiesce.openstack.session import Clouds
from quiesce.runtime.shard import Shard
from quiesce.settings import Settings

Reconciler = Callable[[Key], float | None]
"""One tick of one resource. -> seconds until the next one; None: not before an event."""


@dataclass(frozen=True)
class Context:
    """What a reconciler is built from."""

    settings: Settings
    store: Store
    secrets: Secrets
    events: Events
    stores: Mapping[str, Store]
    """Of all kinds that are on, by plural."""
    clouds: Clouds = field(default_factory=Clouds)
    """The connections to OpenStack: one set for all kinds."""
    shard: Shard = field(default_factory=Shard)
    on_news: list[Callable[[Resource], None]] = field(default_factory=list)
    """Told of each resource that is new or changed, before a tick of it begins."""
    on_seen: list[Callable[[Resource, bool], None]] = field(default_factory=list)
    """Told of each resource as often as the watch or a list shows it, and whether it is gone."""


@dataclass(frozen=True)
class Kind:
    """`required` False: where its CRD is not installed the kind is off; the operator still runs."""

    title: str
    """The plural, for people: `ComputeNodeDrains`."""
    finalizer: str
    make: Callable[[Context], Reconciler]
    required: bool = True

    @property
    def plural(self) -> str:
        """As in the API: `computenodedrains`."""
        return self.title.lower()

    @property
    def name(self) -> str:
        """In logs and metrics: `quiesce.dev/drain` -> `drain`."""
        return self.finalizer.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Released:
    """Nothing is left to undo for a deleted resource: its finalizer is removed after `events`."""

    events: tuple[Event, ...] = ()


class Actuator(Protocol):
    """What one kind supplies to the skeleton. Each method may raise Problem and KubeError."""

    @property
    def finalizer(self) -> str: ...

    def nothing_to_undo(self, resource: Resource) -> bool:
        """Of a resource that is being deleted: may it go without a tick?"""
        ...

    def left_behind(self, resource: Resource) -> str:
        """What stays on hosts or in the cloud if nobody undoes it, and how a person does; empty:
        nothing.
        """
        ...

    def release_events(self, resource: Resource, *, abandoned: bool) -> Sequence[Event]:
        """For one that is released without a tick. `abandoned`: a person requested that."""
        ...

    def secrets_of(self, resource: Resource) -> Sequence[str]:
        """Names of the Secrets that may have been made for it: they go with it, after all else."""
        ...

    def rests(self, key: Key) -> float | None:
        """Before it is read: seconds until the next tick, where it is known without any read that
        there is nothing to do in this one.
        """
        ...

    def tick(self, resource: Resource) -> float | Released:
        """Observe, decide, report, act. Its finalizer is stored; it may be in deletion.

        -> seconds until the next tick; Released: everything is undone (only in deletion).
        """
        ...

    def report_problem(self, resource: Resource, problem: Problem) -> None:
        """Writes the problem into the status, by `publish`. `resource` is as last written."""
        ...

    def at_rest(self, uid: str) -> bool:
        """Between two ticks: whether nothing of them goes on, in other threads."""
        ...

    def forget(self, key: Key, uid: str) -> None:
        """It is gone, or another shard's: drops what was remembered of it, and its metrics."""
        ...
