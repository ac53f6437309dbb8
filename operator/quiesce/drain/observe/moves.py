"""The host's migrations: which there are, where their servers are, why some failed, and how far
live ones are.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice

from quiesce.api.drain.record import Record
from quiesce.api.errors import CloudUnreachable
from quiesce.drain.model.drain import Drain
from quiesce.drain.model.history import (
    CAUSE_UNREAD,
    CUT_OFF,
    Cause,
    ForeignConfirm,
    History,
)
from quiesce.drain.model.migrations import (
    STALE_AFTER,
    own_of_host,
)
from quiesce.drain.model.observation import Observation
from quiesce.openstack.cloud import Cloud
from quiesce.openstack.errors import NotFound
from quiesce.openstack.records import FAILED, Migration, Server

# How old the last full list of the host's migrations may be. In between only those of this drain's
# time are read.
FULL_LIST_EVERY = timedelta(seconds=30)
# How long Nova may take to write down why a move failed. A step whose nova-compute died in it never
# ends.
CAUSE_WITHIN = timedelta(seconds=30)
PROGRESS_WITHIN = timedelta(minutes=2)
# How often the progress of a live migration is read to be shown: each time is a request, and a
# write of the status.
SHOWN_EVERY = timedelta(seconds=60)
_MOST_SHOWN = 10  # in one reconciliation
LONGEST_PROGRESS = 3  # times migration.timeout: then also one that makes progress is late
CAUSE_LENGTH = 1024
# Servers that cannot be read one by one: with more of them it is no longer a matter of theirs, and
# each may have taken the whole time that a request may take.
_MOST_UNREAD = 5
_HEALTHY = ("ACTIVE", "SHUTOFF", "PAUSED", "SUSPENDED", "SHELVED", "SHELVED_OFFLOADED")


def read_migrations(cloud: Cloud, drain: Drain, observation: Observation) -> Observation:
    """All of this drain's time, and of older ones what still matters. Newest first."""
    history, since = observation.history, drain.record.found_migration
    last, asked = history.full_list, cloud.clock()
    due = last is None or observation.now - last >= FULL_LIST_EVERY
    if not (due or not drain.begun or not observation.servers):
        if _is_unchanged(cloud, drain, observation):
            return replace(observation, migrations=history.records, unchanged=True)
        found = (*cloud.migrations(drain.host, above=since), *history.older)
        history = history.note_records(found, asked)
        return replace(observation, migrations=found, history=history)
    found = cloud.migrations(drain.host)
    older = tuple(_older(found, drain.record, observation))
    if drain.begun:
        found = (*(m for m in found if m.id > since), *older)
    # Which older ones matter is known only by what is recorded: after that all are listed again.
    listed = observation.now if drain.begun else None
    history = history.list_migrations(older, listed).note_records(found, asked)
    return replace(observation, migrations=found, history=history)


def _older(
    found: Iterable[Migration], record: Record, observation: Observation
) -> Iterator[Migration]:
    """Those that are not ended, or have failed since the drain began; and of a server on the host
    the newest ones, back to the last by which it went anywhere: it may say that the server has
    left.
    """
    unsettled = {server.id for server in observation.servers}
    for m in found:
        matters = not m.terminal or (m.status in FAILED and record.in_its_time(m.id))
        if m.id <= record.found_migration and (m.server_id in unsettled or matters):
            yield m
        if m.terminal and (m.status not in FAILED or m.source != observation.host):
            unsettled.discard(m.server_id)


def _is_unchanged(cloud: Cloud, drain: Drain, observation: Observation) -> bool:
    """Of a poll: whether no record has changed since they were last read. Not asked where one is
    finished: that may have to be confirmed, for which it is read again.
    """
    history = observation.history
    finished = any(m.status == "finished" for m in history.records)
    if observation.whole or drain.edited or finished or history.asked is None:
        return False
    return cloud.no_migration_changed(drain.host, history.asked)


def read_ended(cloud: Cloud, drain: Drain, observation: Observation) -> Observation:
    """Of our moves that have ended since the last reconciliation: live ones that completed, and who
    confirmed the others.
    """
    own = own_of_host(drain, observation)
    completed = [m.id for m in own if m.live and m.status == "completed"]
    history = observation.history.note_completed(completed)
    return _read_confirms(cloud, drain, replace(observation, history=history))


def _read_confirms(cloud: Cloud, drain: Drain, observation: Observation) -> Observation:
    """Who confirmed those of our moves that have been confirmed since the last reconciliation, and
    not by a call of this process. Nova does by itself with resize_confirm_window, in an action
    without a user (compute/manager.py _poll_unconfirmed_resizes). What cannot be read is read again
    in the next reconciliation.
    """
    history = observation.history
    ended = {m.id for m in history.ended(observation.migrations)} | history.unread_confirms
    unread: set[int] = set()
    for m in own_of_host(drain, observation):
        sent = m.id in history.confirms or m.live or m.status != "confirmed"
        if sent or m.id not in ended:
            continue
        if len(unread) >= _MOST_UNREAD:
            unread.add(m.id)
            continue
        try:
            found = cloud.last_confirm(m.server_id, m.created)
        except CloudUnreachable:
            unread.add(m.id)
            continue
        if found is not None and found.user_id != observation.user_id:
            by_nova = found.user_id is None
            history = history.note_foreign_confirm(ForeignConfirm(m.id, m.server_id, by_nova))
    return replace(observation, history=history.note_unread_confirms(unread))


def read_elsewhere(cloud: Cloud, drain: Drain, observation: Observation) -> Observation:
    """Servers that left but whose migration still matters: those to verify together, the few in
    trouble one by one.
    """
    here, history = {server.id for server in observation.servers}, observation.history
    newest: dict[str, Migration] = {}
    for m in observation.migrations:
        if m.server_id not in newest or newest[m.server_id].terminal > m.terminal:
            newest[m.server_id] = m
    left = [
        m
        for m in newest.values()
        if m.server_id not in here or _has_left_since(m, observation, history)
    ]
    arrived = {m.server_id for m in left if m.status == "finished"}
    if not observation.whole:  # an older list has those that left since
        arrived |= {
            m.server_id
            for m in newest.values()
            if m.status == "finished" and m.source == observation.host
        }
    found: dict[str, Server | None] = dict(observation.elsewhere)
    if arrived - found.keys():
        waiting = cloud.to_verify(arrived)
        found = {
            server_id: waiting.get(server_id)
            for server_id in arrived
            if server_id not in here or server_id in waiting
        }
    observation = replace(observation, elsewhere=found)
    for m in left:
        known = observation.elsewhere.get(m.server_id)
        if known is None and _needs_read(m, drain, observation, observation.history):
            observation = _read_one_that_left(cloud, observation, m, listed=m.server_id in here)
    return observation


def _read_one_that_left(
    cloud: Cloud, observation: Observation, m: Migration, *, listed: bool
) -> Observation:
    """`listed`: an older list has it on the host; where it still is, all are listed again."""
    unread = dict(observation.unreadable)
    try:
        server = cloud.server(m.server_id)
    except CloudUnreachable as error:
        unread[m.server_id] = str(error)
        if len(unread) >= _MOST_UNREAD:
            raise
        return replace(observation, unreadable=unread)
    unread.pop(m.server_id, None)
    observation, history = replace(observation, unreadable=unread), observation.history
    is_here = server is not None and server.host == observation.host
    if listed and (server is None or is_here):
        return observation
    if not is_here:
        history = _note_health(history, m, server)
    elsewhere = {**observation.elsewhere, m.server_id: server}
    return replace(observation, elsewhere=elsewhere, history=history)


def _has_left_since(m: Migration, observation: Observation, history: History) -> bool:
    """Live, since the list of a poll: by its record, which has to be seen of its server too."""
    return not observation.whole and m.source == observation.host and m.id in history.arrived


def _note_health(history: History, m: Migration, server: Server | None) -> History:
    """A server that is read no more: it is gone, or well."""
    if m.status in FAILED and (server is None or is_healthy(server)):
        return history.note_healthy(m.id)
    if server is None or (server.status != "ERROR" and not server.partial):
        return history.note_well(m.id)
    return history


def _needs_read(m: Migration, drain: Drain, observation: Observation, history: History) -> bool:
    if m.status in FAILED:
        return drain.record.in_its_time(m.id) and m.id not in history.healthy
    if m.id in history.arrived:
        return True
    lasts = observation.now - history.first_seen.get((m.id, m.status), observation.now)
    unnamed = m.status != "finished" and m.server_id not in history.names
    return not m.terminal and (lasts > STALE_AFTER or unnamed)


def is_healthy(server: Server) -> bool:
    return server.task_state is None and server.status in _HEALTHY


def read_causes(cloud: Cloud, drain: Drain, observation: Observation) -> Observation:
    """Why our tries failed, as far as that is not known yet."""
    history = observation.history
    for m in own_of_host(drain, observation):
        before = history.causes.get(m.id)
        counts = m.id > drain.record.attempts_from or m.server_id in observation.elsewhere
        if m.status in FAILED and counts and (before is None or not before.final):
            history = history.note_cause(m.id, read_cause(cloud, m, before, observation.now))
    return replace(observation, history=history)


def read_cause(cloud: Cloud, m: Migration, before: Cause | None, now: datetime) -> Cause:
    """Nova sets the migration to error within the very step whose event then gets the cause: until
    that has ended it may come. Where no step of a cold move has failed, that of its confirm may.
    """
    since = before.first_seen if before else now
    kinds = ("live-migration",) if m.live else ("migrate", "resize")
    try:
        found = cloud.action_events(m.server_id, kinds, m.created)
        if not m.live and m.status == "error" and found and not (found.failed_event or found.open):
            found = cloud.confirm_events(m.server_id, m.created) or found
    except NotFound:  # deleted meanwhile
        found = None
    except CloudUnreachable as error:
        return Cause(f"{CAUSE_UNREAD}: {error}"[:CAUSE_LENGTH], since, final=False)
    event = (found.failed_event if found else None) or ""
    text = ((found.details if found else None) or event)[:CAUSE_LENGTH]
    final = found is None or not found.open or now - since >= CAUSE_WITHIN
    none = CUT_OFF if found is not None and found.open and final else "Nova gives no cause"
    return Cause(text or f"{none} (migration {m.id} is {m.status})", since, final, event)


def read_progress(cloud: Cloud, drain: Drain, observation: Observation) -> Observation:
    """How far live migrations are, now and then; and of those over their time, which still make
    progress: slow, not stuck. The first read gives these time to show it, and there is an end to it
    all the same.
    """
    observation = _read_copied(cloud, observation)
    now, history = observation.now, observation.history
    timeout = timedelta(seconds=drain.spec.migration.timeout)
    moving: set[int] = set()
    for m in observation.migrations:
        since = history.first_seen.get((m.id, "running"))
        if not m.live or m.status != "running" or since is None or now - since < timeout:
            continue
        endless = now - since >= LONGEST_PROGRESS * timeout
        try:
            progress = cloud.live_progress(m.server_id, m.id)
        except CloudUnreachable:
            moving |= set() if endless else {m.id}  # nothing is known against it
            continue
        if progress is None:
            continue
        history = history.note_progress(progress, m.id, now)
        _, at = history.least_left[m.id]
        if now - at < PROGRESS_WITHIN and progress.remaining > 0 and not endless:
            moving.add(m.id)
    return replace(observation, progressing=frozenset(moving), history=history)


def _read_copied(cloud: Cloud, observation: Observation) -> Observation:
    """What the status shows of them: nothing is decided by it."""
    now, history = observation.now, observation.history
    running = {
        m.id: m
        for m in observation.migrations
        if m.live and m.status == "running" and m.source == observation.host
    }
    known = {id_: copied for id_, copied in history.copied.items() if id_ in running}
    if len(known) != len(history.copied):
        history = replace(history, copied=known)
    due = (m for m in running.values() if now - _shown_at(history, m, now) >= SHOWN_EVERY)
    for m in islice(due, _MOST_SHOWN):
        try:
            progress = cloud.live_progress(m.server_id, m.id)
        except CloudUnreachable:
            progress = None
        history = history.note_copied(progress, m.id, now)
    return observation if history is observation.history else replace(observation, history=history)


def _shown_at(history: History, m: Migration, now: datetime) -> datetime:
    """When its progress was read last; it begins to run with nothing to show."""
    copied = history.copied.get(m.id)
    return copied.at if copied else history.first_seen.get((m.id, "running"), now)
