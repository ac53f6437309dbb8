"""What one process remembers of a drain from tick to tick. Speeds things up and spaces them out; losing it loses nothing."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from quiesce.drain.actions import Action, ConfirmMove, StartMove
from quiesce.drain.observation import Ending, HostTrouble, Refusal
from quiesce.nova.records import Migration, Server

FORGET_UNKNOWN = timedelta(minutes=2)


@dataclass(slots=True)
class Notes:
    """Mutable, owned by the one worker that holds the drain's key. Field meanings: see Observation."""

    names: dict[str, str] = field(default_factory=dict)
    was: dict[str, str] = field(default_factory=dict)
    seen: dict[tuple[int, str], datetime] = field(default_factory=dict)
    held_since: dict[str, datetime] = field(default_factory=dict)
    idle_since: dict[str, datetime] = field(default_factory=dict)
    endings: dict[int, Ending] = field(default_factory=dict)
    unknown: dict[str, datetime] = field(default_factory=dict)
    refusals: dict[str, Refusal] = field(default_factory=dict)
    service_refusal: Refusal | None = None
    clean_since: datetime | None = None
    stopped_at: datetime | None = None
    started_again: datetime | None = None
    host_trouble: HostTrouble | None = None
    planned: datetime | None = None
    swept: datetime | None = None
    servers: tuple[Server, ...] = ()
    listed: datetime | None = None
    older_open: tuple[Migration, ...] = ()
    processed: dict[int, tuple[int, datetime]] = field(default_factory=dict)
    healthy: set[int] = field(default_factory=set)
    tries_unreached: int = 0

    def expect(self, actions: Sequence[Action]) -> None:
        """What these calls make of the list of servers: a server whose move is asked for is in Nova's hand from now on.

        Whatever else changes the list, and a call that is not accepted (see `refuse`), makes it void.
        """
        tasks = {a.server_id: "migrating" if a.how == "live" else "resize_prep" for a in actions if isinstance(a, StartMove)}
        self.servers = tuple(replace(s, task_state=tasks.get(s.id, s.task_state)) for s in self.servers)
        if not all(isinstance(a, StartMove | ConfirmMove) for a in actions):
            self.listed = None

    def refuse(self, key: str, call: str, status: int, text: str, now: datetime) -> None:
        """Nova said no to `call` for the server `key`; the same call again counts up."""
        self.listed = None
        before = self.refusals.get(key)
        count = before.count + 1 if before and before.call == call else 1
        self.refusals[key] = Refusal(call, status, text, count, now)

    def unanswered(self, server_id: str, now: datetime) -> None:
        self.listed = None
        self.unknown[server_id] = now

    def fail_on_host(self, reason: str, text: str, now: datetime, *, person: bool) -> None:
        count = self.host_trouble.count + 1 if self.host_trouble else 1
        self.host_trouble = HostTrouble(reason, text, person, count, now)

    def look(self, migrations: tuple[Migration, ...], now: datetime) -> None:
        """Note when each unfinished migration was first seen in its status, and forget those that are gone."""
        present = {(m.id, m.status) for m in migrations if not m.terminal}
        self.seen = {key: self.seen.get(key, now) for key in present}
        self.unknown = {key: at for key, at in self.unknown.items() if now - at < FORGET_UNKNOWN}
