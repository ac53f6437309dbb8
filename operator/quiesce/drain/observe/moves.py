"""The host's migrations: which there are, where their servers are, why some failed, and how far
live ones are.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from quiesce.drain.model.drain import Drain
from quiesce.drain.model.history import Cause, History
from quiesce.drain.model.migrations import STALE_AFTER, own_migrations
from quiesce.drain.model.observation import Observation
from quiesce.openstack.cloud import Cloud
from quiesce.openstack.records import FAILED, Migration, Server

# How old the last full list of the host's migrations may be. In between only those of this drain's
# time are read.
FULL_LIST_EVERY = timedelta(seconds=30)
# How long Nova may take to write down why a move failed. A step whose nova-compute died in it never
# ends.
CAUSE_WITHIN = timedelta(seconds=30)
PROGRESS_WITHIN = timedelta(minutes=2)
_HEALTHY = ("ACTIVE", "SHUTOFF", "PAUSED", "SUSPENDED", "SHELVED", "SHELVED_OFFLOADED")


def read_migrations(cloud: Cloud, drain: Drain, observation: Observation) -> Observation:
    """All of this drain's time, and whatever older one is not ended. Newest first."""
    history, since = observation.history, drain.record.found_migration
    last = history.full_list
    due = last is None or observation.now - last >= FULL_LIST_EVERY
    if not (due or not drain.begun or not observation.servers):
        recent = cloud.migrations(drain.host, above=since)
        return replace(observation, migrations=(*recent, *history.older_open))
    found = cloud.migrations(drain.host)
    older = tuple(m for m in found if m.id <= since and not m.terminal)
    if drain.begun:
        found = (*(m for m in found if m.id > since), *older)
    history = history.list_migrations(older, observation.now)
    return replace(observation, migrations=found, history=history)


def read_elsewhere(cloud: Cloud, drain: Drain, observation: Observation) -> Observation:
    """Servers that left but whose migration still matters: those to verify in one request, the few
    in trouble one by one.
    """
    here = {server.id for server in observation.servers}
    newest: dict[str, Migration] = {}
    for m in observation.migrations:
        if m.server_id not in newest or newest[m.server_id].terminal > m.terminal:
            newest[m.server_id] = m
    left = [m for m in newest.values() if m.server_id not in here]
    arrived = {m.server_id for m in left if m.status == "finished"}
    if not observation.whole:  # an older list has those that left since
        arrived |= {
            m.server_id
            for m in newest.values()
            if m.status == "finished" and m.source == observation.host
        }
    found: dict[str, Server | None] = dict(observation.elsewhere)
    if arrived - found.keys():
        waiting = {server.id: server for server in cloud.servers_to_verify()}
        found = {
            server_id: waiting.get(server_id)
            for server_id in arrived
            if server_id not in here or server_id in waiting
        }
    history = observation.history
    for m in left:
        if found.get(m.server_id) is None and _needs_read(m, drain, observation, history):
            found[m.server_id] = server = cloud.server(m.server_id)
            if m.status in FAILED and (server is None or _is_healthy(server)):
                history = history.note_healthy(m.id)
    return replace(observation, elsewhere=found, history=history)


def _needs_read(m: Migration, drain: Drain, observation: Observation, history: History) -> bool:
    if m.status in FAILED:
        return m.id > drain.record.found_migration and m.id not in history.healthy
    lasts = observation.now - history.first_seen.get((m.id, m.status), observation.now)
    unnamed = m.status != "finished" and m.server_id not in history.names
    return not m.terminal and (lasts > STALE_AFTER or unnamed)


def _is_healthy(server: Server) -> bool:
    return server.task_state is None and server.status in _HEALTHY


def read_causes(cloud: Cloud, drain: Drain, observation: Observation) -> Observation:
    """Why our tries failed, as far as that is not known yet."""
    history = observation.history
    for server in observation.servers:
        for m in own_migrations(server.id, drain, observation):
            before = history.causes.get(m.id)
            counts = m.status in FAILED and m.id > drain.record.attempts_from
            if counts and (before is None or not before.final):
                history = history.note_cause(m.id, read_cause(cloud, m, before, observation.now))
    return replace(observation, history=history)


def read_cause(cloud: Cloud, m: Migration, before: Cause | None, now: datetime) -> Cause:
    """Nova sets the migration to error within the very step whose event then gets the cause: until
    that has ended it may come.
    """
    since = before.first_seen if before else now
    kinds = ("live-migration",) if m.live else ("migrate", "resize")
    found = cloud.action_events(m.server_id, kinds, m.created)
    text = (found.details or found.failed_event) if found else None
    final = found is None or not found.open or now - since >= CAUSE_WITHIN
    return Cause(text or f"Nova gives no cause (migration {m.id} is {m.status})", since, final)


def read_progress(cloud: Cloud, drain: Drain, observation: Observation) -> Observation:
    """Live migrations over their time whose counters still grow: slow, not stuck. The first read
    gives them time to show it.
    """
    now, history = observation.now, observation.history
    timeout = timedelta(seconds=drain.spec.migration.timeout)
    late = [
        m
        for m in observation.migrations
        if m.live and m.status == "running" and now - m.created >= timeout
    ]
    moving = set()
    for m in late:
        progress = cloud.live_progress(m.server_id)
        if progress is None:
            continue
        history = history.note_progress(progress, m.id, now)
        _, at = history.copied.get(m.id, (-1, now))
        if now - at < PROGRESS_WITHIN and progress.remaining > 0:
            moving.add(m.id)
    return replace(observation, progressing=frozenset(moving), history=history)
