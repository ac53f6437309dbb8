"""What one process remembers of a drain from tick to tick. Speeds things up and spaces them out; losing it loses nothing."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from quiesce.drain.model.actions import Action, ConfirmMove, StartMove
from quiesce.drain.model.observation import Ending, HostTrouble, Refusal
from quiesce.openstack.records import Migration, Server

FORGET_UNKNOWN = timedelta(minutes=2)


@dataclass(slots=True)
class History:
    """Mutable, owned by the one worker that holds the drain's key. Field meanings: see Observation.

    `servers`: the host's list for a glance, as it was `listed` (None: it is void) and as calls have changed it since.
    """

    names: dict[str, str] = field(default_factory=dict)
    was: dict[str, str] = field(default_factory=dict)
    seen: dict[tuple[int, str], datetime] = field(default_factory=dict)
    held_since: dict[str, datetime] = field(default_factory=dict)
    idle_since: dict[str, datetime] = field(default_factory=dict)
    busy_since: dict[tuple[str, str], datetime] = field(default_factory=dict)
    endings: dict[int, Ending] = field(default_factory=dict)
    unknown: dict[str, datetime] = field(default_factory=dict)
    refusals: dict[str, Refusal] = field(default_factory=dict)
    told_to_end: dict[int, datetime] = field(default_factory=dict)
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

        Whatever else changes the list, and a call that is not accepted, makes it void (`forget_list`).
        """
        tasks = {
            a.server_id: "migrating" if a.how == "live" else "resize_prep"
            for a in actions
            if isinstance(a, StartMove)
        }
        self.servers = tuple(
            replace(s, task_state=tasks.get(s.id, s.task_state)) for s in self.servers
        )
        if not all(isinstance(a, StartMove | ConfirmMove) for a in actions):
            self.forget_list()

    def forget_list(self) -> None:
        """A call did not go as expected: the next look reads the host's servers anew."""
        self.listed = None

    def refuse(self, key: str, call: str, status: int, text: str, now: datetime) -> None:
        """Nova said no to `call` for `key`, as in Observation.refusals; the same call again counts up."""
        self.forget_list()
        before = self.refusals.get(key)
        count = before.count + 1 if before and before.call == call else 1
        self.refusals[key] = Refusal(call, status, text, count, now)

    def unanswered(self, server_id: str, now: datetime) -> None:
        self.forget_list()
        self.unknown[server_id] = now

    def fail_on_host(
        self, reason: str, text: str, now: datetime, *, person: bool, starting: bool = False
    ) -> None:
        """See HostTrouble. Starting is counted by itself: it is given up some time, whatever was before."""
        before = self.host_trouble
        count = before.count + 1 if before and before.starting == starting else 1
        self.host_trouble = HostTrouble(reason, text, person, count, now, starting)

    def look(self, migrations: tuple[Migration, ...], now: datetime) -> None:
        """Note when each unfinished migration was first seen in its status, and forget those that are gone."""
        present = {(m.id, m.status) for m in migrations if not m.terminal}
        self.seen = {key: self.seen.get(key, now) for key in present}
        self.unknown = {key: at for key, at in self.unknown.items() if now - at < FORGET_UNKNOWN}
