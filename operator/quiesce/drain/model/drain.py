"""One drain as one tick sees it."""

from dataclasses import dataclass, field, replace
from typing import Self

from quiesce.api.drain.record import Record
from quiesce.api.drain.spec import DrainSpec
from quiesce.drain.model.identity import DrainIdentity


@dataclass(frozen=True, slots=True)
class Drain:
    """`edited`: the spec has changed since the last report. `requested_at`: that annotation's
    value.
    """

    identity: DrainIdentity
    spec: DrainSpec
    record: Record = field(default_factory=Record)
    deleting: bool = False
    edited: bool = False
    requested_at: str | None = None

    @property
    def host(self) -> str:
        return self.spec.host

    @property
    def begun(self) -> bool:
        """How the host was found is saved: from here on OpenStack may be changed."""
        return self.record.begun

    def acknowledge(self, newest_migration: int) -> Self:
        """With the record as a new value of `quiesce.dev/requestedAt` makes it."""
        return replace(self, record=self.record.acknowledge(self.requested_at, newest_migration))
