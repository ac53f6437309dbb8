"""Two drains for one host of one cloud: the one that has begun works, else the older one.

Anyone who may create drains can name any host. So a drain counts only once it has begun, or once
its credentials have worked in this very cloud: one that could never drain the host keeps nobody
off.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from quiesce.api.errors import HostTaken
from quiesce.api.text import count, some


@dataclass(frozen=True, slots=True)
class Claim:
    """A drain's claim on a host: the older one counts, of two of the same second that with the
    lower uid.

    `cloud`: a digest of what tells its cloud from others; None: its credentials were not proven.
    `asking`: it has a cloud, has not begun, and has not yielded: it may begin at any moment.
    """

    created: datetime
    uid: str
    namespace: str
    name: str
    host: str
    cloud: str | None = None
    begun: bool = False
    asking: bool = False

    @property
    def rank(self) -> tuple[datetime, str]:
        return (self.created, self.uid)

    def keeps_off(self, other: "Claim", *, divided: bool = False) -> bool:
        """One that has begun before its cloud was recorded is taken to be of the same cloud.

        `divided`: other processes give hosts to drains as well. Then one that asks keeps off even
        an older one, for it may be about to begin there: each has stored that it asks before it
        reads the others, so of two at least one yields; and the older one is not kept off for long.
        """
        if self.uid == other.uid or self.host != other.host:
            return False
        if self.begun:
            return self.cloud in (None, other.cloud)
        first = self.rank < other.rank or (divided and self.asking)
        return self.cloud == other.cloud and first

    def seen_from(self, other: "Claim") -> str:
        """What a reader of `other`, who may not see other namespaces, is told of it."""
        if self.namespace != other.namespace:
            return "a ComputeNodeDrain in another namespace"
        created = f"{self.created:%Y-%m-%dT%H:%M:%SZ}"
        return f"ComputeNodeDrain {self.namespace}/{self.name} (created {created})"


def refuse_second(mine: Claim, others: Iterable[Claim], *, divided: bool = False) -> None:
    """Raises HostTaken where another drain keeps `mine` off the host, even one that is being
    deleted: it still restores the host. `mine.cloud` is not None.
    """
    found = (other for other in others if other.keeps_off(mine, divided=divided))
    rivals = sorted(found, key=lambda o: (not o.begun, o.rank))
    if rivals:
        raise HostTaken(
            f"host {mine.host} is already being drained by {rivals[0].seen_from(mine)}; this one "
            "starts when that one is deleted"
        )


def ignored(mine: Claim, others: Iterable[Claim]) -> str | None:
    """Which older drains of the same host do not count, for the log; None: there are none."""
    found = [
        f"{o.namespace}/{o.name}"
        for o in others
        if o.host == mine.host and o.rank < mine.rank and o.cloud is None and not o.begun
    ]
    if not found:
        return None
    return (
        f"{count(len(found), 'older drain')} of host {mine.host} not regarded: not begun, and no "
        f"credentials that have worked in this cloud: {some(found)}"
    )
