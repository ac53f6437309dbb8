"""What a kind of resource brings along to be looked after by the operator."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from quiesce.kube.events import Events
from quiesce.kube.resource import Key
from quiesce.kube.secrets import Secrets
from quiesce.kube.store import Store
from quiesce.openstack.session import Clouds
from quiesce.settings import Settings

Reconciler = Callable[[Key], float | None]
"""One tick: looks at one resource and does what is next. -> seconds until to look again; None: forget the key."""


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


@dataclass(frozen=True)
class Kind:
    """`required` False: where its CRD is not installed the kind is off, and the operator runs all the same."""

    plural: str
    finalizer: str
    make: Callable[[Context], Reconciler]
    required: bool = True

    @property
    def name(self) -> str:
        """The kind's name in logs and metrics: `quiesce.dev/drain` -> `drain`."""
        return self.finalizer.rpartition("/")[2]
