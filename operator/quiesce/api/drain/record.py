"""The few facts in a drain's status that cannot be derived again: what was found before the first write.

Everything else in the status is a report and never read back, except what Nova forgets: how
a server was (`was`) before its move, which the check before a confirm needs, and how many
have moved, since the migrations of a deleted server are listed no more.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

REQUEST_LENGTH = 256  # of status.lastHandledRequestedAt


@dataclass(frozen=True, slots=True)
class Record:
    """What the status remembers. `found_status` None: nothing has been written to OpenStack yet.

    `found_migration`: the highest id of a migration that touched the host when the drain
    began. Migrations above it are of this drain's time, whatever the clocks say.
    `rows`: the rows of `moving` and `problems` as last written, by server id.
    """

    started: str | None = None
    found_status: str | None = None
    found_reason: str | None = None
    found_aggregates: tuple[int, ...] = ()
    node: str | None = None
    address: str | None = None
    found_migration: int = 0
    attempts_from: int = 0
    handled_request: str | None = None
    found_id: str | None = None
    found_unit: str | None = None
    rows: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    moved: int = 0
    offloaded: int = 0
    drained_since: str | None = None
    completed: str | None = None
    proven: bool = False

    def was(self, server_id: str) -> str | None:
        """The server's status before its move began (ACTIVE, SHUTOFF, …), if it was written down."""
        found = self.rows.get(server_id, {}).get("was")
        return str(found) if found else None

    def acknowledge(self, requested_at: str | None, newest_migration: int) -> Self:
        """`quiesce.dev/requestedAt` has a new value: failures count anew from here on."""
        requested_at = (requested_at or "")[:REQUEST_LENGTH]
        if not requested_at or requested_at == self.handled_request:
            return self
        return replace(self, handled_request=requested_at, attempts_from=newest_migration)

    @property
    def begun(self) -> bool:
        """The host's own state is saved: from here on OpenStack may be changed."""
        return self.found_status is not None

    @classmethod
    def read(cls, status: Mapping[str, Any]) -> Self:
        """From the status of a resource as JSON; an empty status is an empty memory."""
        service, progress = status.get("service") or {}, status.get("progress") or {}
        rows = [*(status.get("moving") or ()), *(status.get("problems") or ())]
        conditions = {c["type"]: c["status"] for c in status.get("conditions") or ()}
        return cls(
            started=status.get("startTime"),
            found_status=service.get("foundStatus"),
            found_reason=service.get("foundReason"),
            found_aggregates=tuple(row["id"] for row in status.get("foundAggregates") or ()),
            node=service.get("node"),
            address=service.get("address"),
            found_migration=status.get("foundMigration") or 0,
            attempts_from=status.get("attemptsFrom") or status.get("foundMigration") or 0,
            handled_request=status.get("lastHandledRequestedAt"),
            found_id=service.get("foundId"),
            found_unit=service.get("foundUnit"),
            rows={row["id"]: row for row in rows},
            moved=progress.get("moved") or 0,
            offloaded=progress.get("offloaded") or 0,
            drained_since=status.get("drainedTime"),
            completed=status.get("completionTime"),
            proven=conditions.get("Drained") == "True",
        )
