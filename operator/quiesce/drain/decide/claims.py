"""Two drains for one host of one cloud: the older one works, the other one waits."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from quiesce.api.errors import HostTaken


@dataclass(frozen=True, slots=True)
class Claim:
    """A drain's claim on a host: the older one counts, of two of the same second that with the
    lower uid.
    """

    created: datetime
    uid: str
    name: str
    host: str

    @property
    def rank(self) -> tuple[datetime, str]:
        return (self.created, self.uid)


def refuse_second(
    mine: Claim, others: Iterable[Claim], shares_cloud: Callable[[Claim], bool]
) -> None:
    """Raises HostTaken where an older claim on the host exists, even of a drain being deleted: it
    still restores the host.

    `shares_cloud`: whether another claim is on a host of the same cloud; asked of older ones only.
    """
    older = sorted(
        (other for other in others if other.host == mine.host and other.rank < mine.rank),
        key=lambda other: other.rank,
    )
    first = next((other for other in older if other.uid != mine.uid and shares_cloud(other)), None)
    if first is not None:
        raise HostTaken(
            f"host {mine.host} is already being drained by ComputeNodeDrain {first.name} "
            f"(created {first.created:%Y-%m-%dT%H:%M:%SZ}); this one starts when that one is "
            "deleted"
        )
