"""What one process remembers of a drain from tick to tick: frozen, and advanced by pure functions.

It spaces calls out and saves requests. It is never needed for safety, and losing it (a restart)
loses nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Self

from quiesce.api.text import with_remedy
from quiesce.drain.model.actions import Action, ConfirmMove, StartMove
from quiesce.openstack.records import (
    TERMINAL,
    WAITING,
    LiveProgress,
    Migration,
    Server,
    cheaper_one_by_one,
)

_FORGET_UNANSWERED = timedelta(minutes=2)
SILENT_FOR_A_WHILE = timedelta(minutes=1)
"""A hypervisor that did not answer for a guest is not asked for it again before that."""
# Nova's words for what it never does with a server of this kind, whatever the status: 400 since
# Xena, 403 and 409 before, 409 for shares to this day (nova/exception.py *NotSupported*,
# ForbiddenWith*, api/openstack/compute/migrate_server.py; read at 21.2.4, 29.4.0 and 34.0.0).
_NEVER = ("not supported", "forbidden with", "not yet supported", "requires all compute services")
# And for what passes, or is about something else than the kind of server.
_NOT_NOW = ("while it is in", "invalid state", "is locked", "not ready", "unavailable", "policy")
# What a proxy says, or a server before Nova itself: nothing about the server.
_BARE = ("", "bad request", "conflict", "forbidden")
ENDINGS = ("abort", "force_complete")
"""Calls for a server that is busy: their refusals count while it is, all others until it is."""
_NEVER_AFTER = 6  # refusals in a row with the same call: four to five minutes of back-off
NO_ANSWER = 0  # as the status of a Refusal
_SOME = 3  # calls in a row without an answer: then it is worth a message
_BY_METHOD = {"live": "migrating", "cold": "resize_prep"}  # the task that Nova sets first


# How the texts of such a Cause begin.
CAUSE_UNREAD = "its cause cannot be read"
CONFIRM_EVENT = "compute_confirm_resize"
CUT_OFF = "its last step never ended, as where nova-compute was restarted"


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a migration failed, as Nova's message says; `first_seen` is when this process first saw
    the failure.

    `final` False: Nova has not written the cause down yet. `event`: the step that failed, such as
    compute_finish_resize, or compute_confirm_resize where the move itself went well; empty: not
    known.
    """

    text: str
    first_seen: datetime
    final: bool = True
    event: str = ""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Nova refused a call for a server or the host: which, with which message, how often in a row,
    when last.
    """

    call: str
    status: int
    text: str
    count: int
    at: datetime

    @property
    def is_told(self) -> bool:
        """Whether it is more than an answer that was lost once."""
        return self.status != NO_ANSWER or self.count >= _SOME

    @property
    def is_final(self) -> bool:
        """Whether asking again is in vain: by Nova's message, else by its status, else because it
        was asked often enough.
        """
        text = self.text.lower()
        if text in _BARE:
            return False
        if any(words in text for words in _NEVER) or self.status == 400:
            return True
        passes = any(words in text for words in _NOT_NOW) or self.status == 403
        return not passes and self.count >= _NEVER_AFTER


@dataclass(frozen=True, slots=True)
class ForeignConfirm:
    """A move of ours that was confirmed by another user, or (`by_nova`) by Nova itself, because of
    its resize_confirm_window.
    """

    migration_id: int
    server_id: str
    by_nova: bool


@dataclass(frozen=True, slots=True)
class Copied:
    """How far a live migration was when its counters were read for the status. `rate`: bytes a
    second since they were read before. None: not known.
    """

    at: datetime
    percent: int | None = None
    rate: int | None = None
    processed: int | None = None


@dataclass(frozen=True, slots=True)
class HostFailure:
    """nova-compute could not be read, stopped or (`starting`) started over SSH; `person`: waiting
    does not help. `remedies`: what a person can do, each a sentence or a command.
    """

    reason: str
    text: str
    person: bool
    count: int
    at: datetime
    starting: bool = False
    remedies: tuple[str, ...] = ()

    @property
    def whole(self) -> str:
        """What is wrong, and all that can be done about it: the status has no rows for the host."""
        return with_remedy(self.text, [". ".join(self.remedies)])


@dataclass(frozen=True, slots=True)
class History:
    """All times are when this process saw it first, or did it last.

    `names`: of servers that are here, or of which there is a migration. `requests`: by server ID,
    Nova's ID of the last request for it that was accepted. `first_seen`: of a migration in its
    present status, by (ID, status). `held_since`: of a consumer that holds something on a host that
    is else empty. `idle_since`: of a server that stands idle with an open migration. `busy_since`:
    of a task on the host, by (server ID, task). `causes`: of failed migrations. `unanswered`: calls
    for a server whose answer
    never came. `refusals`: by server ID, or by the description of a call for the host.
    `never_live`: by server ID, the refusal by which Nova told that it never live-migrates it.
    `began_to_run`: live migrations that were seen beyond their wait for a turn.
    `told_to_end`: live migrations that were aborted or forced. `tries`: when they began, by server
    ID and the time that the record gives for it. `confirms`: migrations that this
    process has asked Nova to confirm; `foreign_confirms`: those of ours that it did not, and who
    did; `unread_confirms`: those of ours of which that could not be read yet. `unheard`: by server
    ID, when its hypervisor was asked last of its guest and did not answer. `least_left`: bytes
    of a live migration and when so few were left first; `copied`: how far it is. `healthy`: failed
    migrations whose server is healthy; `found_off`: those after which its hypervisor had the guest
    as off.
    `completed`: live migrations of ours, None before they were read; `arrived`: those among them
    that completed since then, and whose server was not seen well yet. `missed`: servers that the
    last lists lacked, and since when, see `model.missing`. `servers`, `listed`: the
    host's servers as last listed; `listed` None: the list is void. `full_list`, `older`: when all
    migrations of the host were last listed, and which of those from before the drain mattered
    then. `records`, `asked`: its migrations as last read, and when they were asked for, in the
    seconds of `Cloud.clock`; None: they are void. `report`: when
    the service's row was last written, as Nova shows it, and since when that is shown.
    """

    names: Mapping[str, str] = field(default_factory=dict)
    requests: Mapping[str, str] = field(default_factory=dict)
    first_seen: Mapping[tuple[int, str], datetime] = field(default_factory=dict)
    held_since: Mapping[str, datetime] = field(default_factory=dict)
    idle_since: Mapping[str, datetime] = field(default_factory=dict)
    busy_since: Mapping[tuple[str, str], datetime] = field(default_factory=dict)
    causes: Mapping[int, Cause] = field(default_factory=dict)
    unanswered: Mapping[str, datetime] = field(default_factory=dict)
    refusals: Mapping[str, Refusal] = field(default_factory=dict)
    never_live: Mapping[str, Refusal] = field(default_factory=dict)
    began_to_run: Mapping[int, datetime] = field(default_factory=dict)
    told_to_end: Mapping[int, datetime] = field(default_factory=dict)
    tries: Mapping[tuple[str, str], datetime] = field(default_factory=dict)
    least_left: Mapping[int, tuple[int, datetime]] = field(default_factory=dict)
    copied: Mapping[int, Copied] = field(default_factory=dict)
    confirms: frozenset[int] = frozenset()
    foreign_confirms: tuple[ForeignConfirm, ...] = ()
    unread_confirms: frozenset[int] = frozenset()
    unheard: Mapping[str, datetime] = field(default_factory=dict)
    healthy: frozenset[int] = frozenset()
    found_off: frozenset[int] = frozenset()
    completed: frozenset[int] | None = None
    arrived: frozenset[int] = frozenset()
    missed: Mapping[str, datetime] = field(default_factory=dict)
    servers: tuple[Server, ...] = ()
    listed: datetime | None = None
    full_list: datetime | None = None
    older: tuple[Migration, ...] = ()
    records: tuple[Migration, ...] = ()
    asked: float | None = None
    planned: datetime | None = None
    report: tuple[str, datetime] | None = None
    clean_since: datetime | None = None
    stopped_at: datetime | None = None
    started_at: datetime | None = None
    host_failure: HostFailure | None = None

    # What was observed

    def observe(
        self, servers: Iterable[Server], migrations: Iterable[Migration], now: datetime
    ) -> Self:
        """The host's servers and migrations were read: since when each is as it is."""
        present, listed = tuple(servers), tuple(migrations)
        here = {s.id for s in present}
        matter = {m.server_id for m in listed}
        open_ = {(m.id, m.status) for m in listed if not m.terminal or m.server_id in here}
        busy = {(s.id, s.task_state) for s in present if s.task_state}
        taken = {server_id for server_id, _ in busy}
        ids = {m.id for m in listed}
        ran = {id_: at for id_, at in self.began_to_run.items() if id_ in ids}
        run = {m.id for m in listed if m.live and not m.terminal and m.status not in WAITING}
        return replace(
            self,
            names={
                **{id_: name for id_, name in self.names.items() if id_ in matter},
                **{s.id: s.name for s in present},
            },
            first_seen={key: self.first_seen.get(key, now) for key in open_},
            busy_since={key: self.busy_since.get(key, now) for key in busy},
            began_to_run={**dict.fromkeys(run, now), **ran},
            unanswered={
                k: at for k, at in self.unanswered.items() if now - at < _FORGET_UNANSWERED
            },
            refusals={
                key: refusal
                for key, refusal in self.refusals.items()
                if (key in taken) == (refusal.call in ENDINGS)
            },
        )

    def observe_elsewhere(
        self,
        here: Iterable[Server],
        elsewhere: Mapping[str, Server | None],
        migrations: Iterable[Migration],
        now: datetime,
    ) -> Self:
        """Where servers that left are: since when any server stands idle although a migration of it
        is open.
        """
        away = [server for server in elsewhere.values() if server]
        open_ = {m.server_id for m in migrations if not m.terminal}
        idle = {s.id for s in (*here, *away) if s.idle and s.id in open_}
        return replace(
            self,
            names={**self.names, **{s.id: s.name for s in away}},
            idle_since={key: self.idle_since.get(key, now) for key in idle},
        )

    def list_servers(self, servers: tuple[Server, ...], now: datetime | None) -> Self:
        """The host's servers as they are now known; `now`: they were listed now, None: as
        before.
        """
        return replace(self, servers=servers, listed=now or self.listed)

    def list_migrations(self, older: tuple[Migration, ...], now: datetime | None) -> Self:
        """`now` None: the list is void."""
        return replace(self, older=older, full_list=now)

    def without_lists(self) -> Self:
        """Without the host's servers and migrations: they are read again."""
        return replace(
            self, servers=(), listed=None, older=(), full_list=None, records=(), asked=None
        )

    def note_records(self, records: tuple[Migration, ...], asked: float) -> Self:
        return replace(self, records=records, asked=asked)

    def miss(self, missed: Mapping[str, datetime]) -> Self:
        return replace(self, missed=missed)

    def ended(self, migrations: Iterable[Migration]) -> tuple[Migration, ...]:
        """Those that were seen open before and have ended since."""
        before = {
            migration_id for migration_id, status in self.first_seen if status not in TERMINAL
        }
        return tuple(m for m in migrations if m.terminal and m.id in before)

    def note_foreign_confirm(self, found: ForeignConfirm) -> Self:
        return replace(self, foreign_confirms=(*self.foreign_confirms, found))

    def note_unread_confirms(self, migration_ids: Iterable[int]) -> Self:
        return replace(self, unread_confirms=frozenset(migration_ids))

    def note_healthy(self, migration_id: int) -> Self:
        return replace(self, healthy=self.healthy | {migration_id})

    def note_unheard(
        self, unanswered: Mapping[str, datetime], answered: Iterable[str], now: datetime
    ) -> Self:
        before = {
            id_: at
            for id_, at in self.unheard.items()
            if id_ not in set(answered) and now - at < _FORGET_UNANSWERED
        }
        return replace(self, unheard={**before, **unanswered})

    def note_off(self, migration_id: int) -> Self:
        return replace(self, found_off=self.found_off | {migration_id})

    def note_completed(self, migration_ids: Iterable[int]) -> Self:
        completed = frozenset(migration_ids)
        new = completed - (completed if self.completed is None else self.completed)
        return replace(self, completed=completed, arrived=self.arrived | new)

    def note_well(self, migration_id: int) -> Self:
        return replace(self, arrived=self.arrived - {migration_id})

    def note_cause(self, migration_id: int, cause: Cause) -> Self:
        return replace(self, causes={**self.causes, migration_id: cause})

    def note_progress(self, progress: LiveProgress, migration_id: int, now: datetime) -> Self:
        """The counters of a live migration were read: when less was left than ever before.

        What was processed proves nothing: it grows as long as the guest writes to its memory.
        """
        before = self.least_left.get(migration_id)
        if before is not None and progress.remaining >= before[0]:
            return self
        least = {**self.least_left, migration_id: (progress.remaining, now)}
        return replace(self, least_left=least)

    def note_copied(self, progress: LiveProgress | None, migration_id: int, now: datetime) -> Self:
        """Its counters were read, or (None) are not available."""
        found = Copied(now)
        if progress is not None:
            before = self.copied.get(migration_id)
            rate = None
            if before is not None and before.processed is not None and now > before.at:
                grown = progress.processed - before.processed
                rate = max(0, round(grown / (now - before.at).total_seconds()))
            found = Copied(now, progress.percent, rate, progress.processed)
        return replace(self, copied={**self.copied, migration_id: found})

    def note_consumers(self, consumers: Iterable[str], now: datetime) -> Self:
        return replace(self, held_since={c: self.held_since.get(c, now) for c in consumers})

    def note_report(self, reported: str, now: datetime) -> Self:
        """The service was read, whose row was last written then."""
        if self.report is not None and self.report[0] == reported:
            return self
        return replace(self, report=(reported, now))

    def note_plan(self, now: datetime) -> Self:
        return replace(self, planned=now)

    def note_tries(self, tries: Mapping[tuple[str, str], datetime]) -> Self:
        """Those of the record, and no others."""
        return replace(self, tries=tries)

    def note_proof(self, clean: bool, now: datetime) -> Self:
        """The proof was weighed: since when nothing speaks against it."""
        return replace(self, clean_since=(self.clean_since or now) if clean else None)

    # What was done

    def expect(self, actions: Sequence[Action], *, more: bool) -> Self:
        """Before the calls go out: Nova works on every server whose move is asked for.

        Whatever else changes the list of servers, and a call that is not accepted, makes it void.
        So do confirms that free slots for `more` moves than are worth reading one by one. So does
        any call with the migrations: Nova's own record of it is not among its changes.
        """
        tasks = {a.server_id: _BY_METHOD[a.method] for a in actions if isinstance(a, StartMove)}
        servers = tuple(replace(s, task_state=tasks.get(s.id, s.task_state)) for s in self.servers)
        known = all(isinstance(a, StartMove | ConfirmMove) for a in actions)
        confirmed = {a.migration_id for a in actions if isinstance(a, ConfirmMove)}
        confirms = self.confirms | confirmed
        by_list = more and not cheaper_one_by_one(len(confirmed), len(servers))
        listed = self.listed if known and not by_list else None
        asked = None if actions else self.asked
        return replace(self, servers=servers, listed=listed, confirms=confirms, asked=asked)

    def void_list(self) -> Self:
        """A call did not go as expected: the host's servers are listed again before anything is
        decided.
        """
        return replace(self, listed=None)

    def accept(self, key: str, request_id: str | None = None) -> Self:
        """A call for `key` was accepted."""
        return replace(
            self,
            refusals={k: r for k, r in self.refusals.items() if k != key},
            requests={**self.requests, key: request_id} if request_id else self.requests,
        )

    def refuse(self, key: str, call: str, status: int, text: str, now: datetime) -> Self:
        """Nova refused `call` for `key`; the same call again counts up."""
        before = self.refusals.get(key)
        count = before.count + 1 if before and before.call == call else 1
        refusal = Refusal(call, status, text, count, now)
        never = {key: refusal} if call == "os-migrateLive" and refusal.is_final else {}
        return replace(
            self.void_list(),
            refusals={**self.refusals, key: refusal},
            never_live={**self.never_live, **never},
        )

    def miss_answer(self, server_id: str, now: datetime) -> Self:
        return replace(self.void_list(), unanswered={**self.unanswered, server_id: now})

    def miss_host_answer(self, call: str, text: str, now: datetime) -> Self:
        """A call for the host had no answer that says what became of it. What it was about is read
        again before it is repeated, with increasing delays.
        """
        return self.refuse(call, call, NO_ANSWER, f"no answer that counts: {text}", now)

    def tell_to_end(self, migration_id: int, now: datetime) -> Self:
        return replace(self, told_to_end={**self.told_to_end, migration_id: now})

    def stop_compute(self, now: datetime) -> Self:
        return replace(self, stopped_at=now, host_failure=None)

    def start_compute(self, now: datetime) -> Self:
        return replace(self, started_at=now, host_failure=None)

    def reach_host(self) -> Self:
        return replace(self, host_failure=None)

    def fail_on_host(
        self,
        reason: str,
        text: str,
        now: datetime,
        *,
        person: bool,
        starting: bool = False,
        remedies: tuple[str, ...] = (),
    ) -> Self:
        """Starting is counted by itself: it ends some time, whatever failed before."""
        before = self.host_failure
        count = before.count + 1 if before and before.starting == starting else 1
        failure = HostFailure(reason, text, person, count, now, starting, remedies)
        return replace(self, host_failure=failure)

    def interrupt(self) -> Self:
        """A tick could not observe: the proof begins again."""
        return replace(self, clean_since=None)
