"""PURE. Two drains for one host of one cloud: the older one works, the other one waits."""

from collections.abc import Callable, Iterable

from quiesce.api.errors import HostTaken
from quiesce.kube.resource import Resource


def refuse_second(
    mine: Resource, all_drains: Iterable[Resource], same_cloud: Callable[[Resource], bool]
) -> None:
    """Raises HostTaken where an older drain of the host exists, even one being deleted: it still gives the host back."""
    older = [
        other
        for other in all_drains
        if other.uid != mine.uid
        and other.spec.get("host") == mine.spec.get("host")
        and (other.created, other.uid) < (mine.created, mine.uid)
        and same_cloud(other)
    ]
    if older:
        first = min(older, key=lambda other: (other.created, other.uid))
        raise HostTaken(
            f"host {mine.spec.get('host')} is already being drained by ComputeNodeDrain {first.key} "
            f"(created {first.created:%Y-%m-%dT%H:%M:%SZ}); this one starts when that one is deleted"
        )
