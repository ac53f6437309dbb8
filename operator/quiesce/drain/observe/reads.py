"""Nova's, Placement's and Neutron's answers -> one Observation. Complete, or an error that says what could not be read."""

from dataclasses import replace
from datetime import datetime, timedelta

from quiesce.api.drain.record import Record
from quiesce.api.drain.spec import AfterDrain, DrainSpec, Mode, WhileRunning
from quiesce.drain.decide import proof
from quiesce.drain.decide.failures import back_off
from quiesce.drain.decide.goals import own_migrations
from quiesce.drain.decide.plan import shape_of
from quiesce.drain.decide.rules import STALE_AFTER
from quiesce.drain.host_access import HostCompute
from quiesce.drain.model.history import History
from quiesce.drain.model.observation import Ending, Observation, ProofReads
from quiesce.drain.observe.tcp import unreachable
from quiesce.openstack.cloud import Cloud
from quiesce.openstack.errors import NotInCatalog
from quiesce.openstack.records import FAILED, Migration, Server
from quiesce.ops import metrics
from quiesce.ssh.errors import SSHError

# How old the last complete list of the host's migrations may be. In between only those of this drain's time are read.
SWEEP_EVERY = timedelta(seconds=30)
# How old the host's list of servers may be in a glance.
LIST_AGE = timedelta(seconds=10)
# How long Nova may take to write down why a move failed. A step whose nova-compute died in it never ends.
CAUSE_WITHIN = timedelta(seconds=30)
PROGRESS_WITHIN = timedelta(minutes=2)
MOST_MEMBERS = 50  # members of server groups that a plan looks up: it is a plausibility


def observe(
    cloud: Cloud,
    spec: DrainSpec,
    memory: Record,
    notes: History,
    now: datetime,
    *,
    deleting: bool = False,
    planning: bool = False,
    compute: HostCompute | None = None,
) -> Observation:
    """One look; with `planning` also at what placement offers the servers elsewhere. `compute`: for Stop.

    Raises CloudUnreachable, BadCredentials, NotAllowed; an incomplete look is never returned.
    """
    services = cloud.services(fresh=deleting or not memory.begun)
    service = next((s for s in services if s.host == spec.host), None)
    seen = Observation(now, spec.host, cloud.user_id, service, services, node=memory.node)
    if service is None and not memory.begun:
        return seen
    if not (memory.begun or planning or deleting or spec.suspend or spec.mode is Mode.PLAN):
        return with_notes(look_before_the_first_write(cloud, spec, memory, notes, seen), notes)
    seen = replace(seen, servers=cloud.servers_on(spec.host))
    seen = replace(seen, migrations=migrations(cloud, spec.host, memory, notes, seen))
    notes.listed = now
    seen = look_closer(cloud, spec, memory, notes, seen)
    if planning:
        seen = look_for_room(cloud, notes, seen)
    if not memory.begun or (deleting and service is not None and service.id != memory.found_id):
        seen = replace(seen, aggregates=cloud.aggregates())
    if not memory.begun:
        return with_notes(with_hypervisor(cloud, seen), notes)
    if not deleting and proof.worth_reading(seen):
        seen = read_proof(cloud, memory, notes, seen)
        if compute is not None and wants_unit(spec, memory, notes, seen):
            seen = look_at_unit(compute, notes, seen)
    return with_notes(seen, notes)


def look_before_the_first_write(
    cloud: Cloud, spec: DrainSpec, memory: Record, notes: History, seen: Observation
) -> Observation:
    """What is saved before the service is disabled, and no more: a host with many servers is disabled as soon as any other."""
    found = migrations(cloud, spec.host, memory, notes, seen)
    return with_hypervisor(
        cloud, replace(seen, migrations=found, aggregates=cloud.aggregates(), whole=False)
    )


def with_hypervisor(cloud: Cloud, seen: Observation) -> Observation:
    """What names the host in placement, and where it is reached: Nova forgets both with the service."""
    found = next((h for h in cloud.hypervisors() if h.host == seen.host), None)
    node, address = (
        (found.hypervisor_hostname, found.host_ip or None) if found else (seen.host, None)
    )
    return replace(seen, node=node, address=address)


def glance(
    cloud: Cloud, spec: DrainSpec, memory: Record, notes: History, now: datetime
) -> Observation | None:
    """A look at the moves alone, with the host's servers as listed up to LIST_AGE ago; None: there is no such list.

    Enough to confirm what has moved, never to start a move or to call the host empty: see
    `decide.suffices` and `complete`.
    """
    if (
        not memory.begun
        or not notes.servers
        or notes.listed is None
        or now - notes.listed >= LIST_AGE
    ):
        return None
    services = cloud.services()
    service = next((s for s in services if s.host == spec.host), None)
    seen = Observation(
        now,
        spec.host,
        cloud.user_id,
        service,
        services,
        node=memory.node,
        servers=notes.servers,
        whole=False,
    )
    seen = replace(seen, migrations=migrations(cloud, spec.host, memory, notes, seen))
    return with_notes(look_closer(cloud, spec, memory, notes, seen), notes)


def complete(
    cloud: Cloud, spec: DrainSpec, memory: Record, notes: History, glanced: Observation
) -> Observation:
    """A glance with the host's servers read anew."""
    servers = cloud.servers_on(spec.host)
    here = {server.id for server in servers}
    away = {
        server_id: server
        for server_id, server in glanced.elsewhere.items()
        if server_id not in here
    }
    notes.listed = glanced.now
    seen = replace(glanced, servers=servers, elsewhere=away, whole=True)
    return with_notes(look_closer(cloud, spec, memory, notes, seen), notes)


def migrations(
    cloud: Cloud, host: str, memory: Record, notes: History, seen: Observation
) -> tuple[Migration, ...]:
    """All of this drain's time, and whatever older one is not ended. Newest first."""
    due = (
        notes.swept is None
        or seen.now - notes.swept >= SWEEP_EVERY
        or not memory.begun
        or not seen.servers
    )
    if not due:
        recent = cloud.migrations(host, above=memory.found_migration)
        return (*recent, *notes.older_open)
    found = cloud.migrations(host)
    notes.swept = seen.now
    notes.older_open = tuple(m for m in found if m.id <= memory.found_migration and not m.terminal)
    if not memory.begun:
        return found
    return (*(m for m in found if m.id > memory.found_migration), *notes.older_open)


def remember(notes: History, seen: Observation) -> None:
    was_open = {migration_id for migration_id, _ in notes.seen}
    for m in seen.migrations:
        if m.terminal and m.id in was_open:
            metrics.move_finished("live" if m.live else "cold", m.status)
    notes.look(seen.migrations, seen.now)
    notes.names |= {server.id: server.name for server in seen.servers}
    for server in seen.servers:
        if server.task_state is not None:
            notes.refusals.pop(server.id, None)


def note_rest(notes: History, seen: Observation) -> None:
    """Since when servers stand idle, here or elsewhere, although a migration of them is open; and since when others are busy."""
    busy = {(server.id, server.task_state) for server in seen.servers if server.task_state}
    notes.busy_since = {key: notes.busy_since.get(key, seen.now) for key in busy}
    unfinished = {m.server_id for m in seen.migrations if not m.terminal}
    known = (*seen.servers, *(server for server in seen.elsewhere.values() if server))
    idle = {server.id for server in known if server.idle and server.id in unfinished}
    notes.idle_since = {server_id: notes.idle_since.get(server_id, seen.now) for server_id in idle}


def elsewhere(
    cloud: Cloud, memory: Record, notes: History, seen: Observation
) -> dict[str, Server | None]:
    """Servers that left but whose migration still matters: those to verify in one request, the few in trouble one by one."""
    here = {server.id for server in seen.servers}
    newest: dict[str, Migration] = {}
    for m in seen.migrations:
        if m.server_id not in newest or newest[m.server_id].terminal > m.terminal:
            newest[m.server_id] = m
    left = [m for m in newest.values() if m.server_id not in here]
    arrived = {m.server_id for m in left if m.status == "finished"}
    if not seen.whole:  # an older list has those that left since
        arrived |= {
            m.server_id for m in newest.values() if m.status == "finished" and m.source == seen.host
        }
    found: dict[str, Server | None] = dict(seen.elsewhere)
    if arrived - found.keys():
        waiting = {server.id: server for server in cloud.servers_to_verify()}
        found = {
            server_id: waiting.get(server_id)
            for server_id in arrived
            if server_id not in here or server_id in waiting
        }
    for m in left:
        if found.get(m.server_id) is None and needs_a_look(m, memory, notes, seen):
            found[m.server_id] = server = cloud.server(m.server_id)
            if m.status in FAILED and (server is None or healthy(server)):
                notes.healthy.add(m.id)
    notes.names |= {server.id: server.name for server in found.values() if server}
    return found


def needs_a_look(m: Migration, memory: Record, notes: History, seen: Observation) -> bool:
    if m.status in FAILED:
        return m.id > memory.found_migration and m.id not in notes.healthy
    lasts = seen.now - notes.seen.get((m.id, m.status), seen.now)
    return not m.terminal and (
        lasts > STALE_AFTER or (m.status != "finished" and m.server_id not in notes.names)
    )


def healthy(server: Server) -> bool:
    return server.task_state is None and server.status in (
        "ACTIVE",
        "SHUTOFF",
        "PAUSED",
        "SUSPENDED",
        "SHELVED",
        "SHELVED_OFFLOADED",
    )


def look_closer(
    cloud: Cloud, spec: DrainSpec, memory: Record, notes: History, seen: Observation
) -> Observation:
    """What only some servers need: where those are that left, server groups, causes of failures, checks, live progress."""
    remember(notes, seen)
    seen = replace(seen, elsewhere=elsewhere(cloud, memory, notes, seen))
    note_rest(notes, seen)
    left = {server.id for server in seen.elsewhere.values() if server and server.host != seen.host}
    seen = replace(seen, servers=tuple(server for server in seen.servers if server.id not in left))
    notes.servers = seen.servers
    if seen.servers:
        seen = replace(seen, groups=cloud.groups())
    for server in seen.servers:
        for m in own_migrations(server.id, memory, seen):
            before = notes.endings.get(m.id)
            if (
                m.status in FAILED
                and m.id > memory.attempts_from
                and (before is None or not before.final)
            ):
                notes.endings[m.id] = ending(cloud, m, before, seen.now)
    verify = [
        s
        for s in seen.elsewhere.values()
        if s is not None and s.status == "VERIFY_RESIZE" and s.task_state is None
    ]
    checks = spec.confirmation.checks
    if verify and checks.ports and not seen.ports:
        try:
            seen = replace(seen, ports=cloud.ports(server.id for server in verify))
        except NotInCatalog:
            seen = replace(seen, ports=None)
    if verify and checks.tcp_port:
        seen = replace(seen, unreachable=unreachable(verify, checks.tcp_port))
    return replace(seen, progressing=progressing(cloud, spec, notes, seen))


def look_for_room(cloud: Cloud, notes: History, seen: Observation) -> Observation:
    """What the plan needs. Of server groups only those with a member here, and of their members only those elsewhere."""
    notes.planned = seen.now
    here = {server.id for server in seen.servers}
    others = {member for g in seen.groups if g.members & here for member in g.members - here}
    found = {member: cloud.server(member) for member in sorted(others)[:MOST_MEMBERS]}
    members = {member: server.host for member, server in found.items() if server and server.host}
    seen = replace(seen, planning=True, members=members)
    try:
        return replace(seen, rooms=cloud.rooms({shape_of(server) for server in seen.servers}))
    except NotInCatalog:
        return seen


def ending(cloud: Cloud, m: Migration, before: Ending | None, now: datetime) -> Ending:
    """Nova sets the migration to error within the very step whose event then gets the cause: until that has ended it may come."""
    since = before.seen if before else now
    kinds = ("live-migration",) if m.live else ("migrate", "resize")
    found = cloud.action_events(m.server_id, kinds, m.created)
    text = (found.details or found.failed_event) if found else None
    final = found is None or not found.open or now - since >= CAUSE_WITHIN
    return Ending(text or f"Nova gives no cause (migration {m.id} is {m.status})", since, final)


def progressing(cloud: Cloud, spec: DrainSpec, notes: History, seen: Observation) -> frozenset[int]:
    """Live migrations over their time whose counters still grow: slow, not stuck. The first look gives them time to show it."""
    late = [
        m for m in seen.migrations
        if m.live and m.status == "running" and seen.now - m.created >= timedelta(seconds=spec.migration.timeout)
    ]  # fmt: skip
    moving = set()
    for m in late:
        progress = cloud.live_progress(m.server_id)
        if progress is None:
            continue
        before, at = notes.processed.get(m.id, (-1, seen.now))
        if progress.processed > before:
            at = seen.now
            notes.processed[m.id] = (progress.processed, at)
        if seen.now - at < PROGRESS_WITHIN and progress.remaining > 0:
            moving.add(m.id)
    return frozenset(moving)


def read_proof(cloud: Cloud, memory: Record, notes: History, seen: Observation) -> Observation:
    """The dear reads of the proof: the service anew, and what placement still holds. The migrations were swept in this tick."""
    services = cloud.services(fresh=True)
    service = next((s for s in services if s.host == seen.host), None)
    try:
        held = cloud.allocations(memory.node or seen.host)
    except NotInCatalog as error:
        reads = ProofReads(unproven=(str(error),))
    else:
        reads = ProofReads(frozenset(held or ()), held is not None)
        notes.held_since = {
            consumer: notes.held_since.get(consumer, seen.now) for consumer in held or ()
        }
    return replace(seen, services=services, service=service, proof=reads)


def wants_unit(spec: DrainSpec, memory: Record, notes: History, seen: Observation) -> bool:
    """Before nova-compute is stopped for the first time, how it was found is written down."""
    stops = (
        spec.service.while_running is WhileRunning.STOP
        and spec.service.after_drain is AfterDrain.DELETE
    )
    running = seen.service is not None and seen.service.state == "up"
    trouble = notes.host_trouble
    rested = trouble is None or seen.now >= trouble.at + back_off(trouble.count, seen.host)
    return stops and running and memory.found_unit is None and rested


def look_at_unit(compute: HostCompute, notes: History, seen: Observation) -> Observation:
    try:
        unit = compute.look()
    except SSHError as error:
        notes.fail_on_host(error.reason, str(error), seen.now, person=error.person)
        return seen
    notes.host_trouble = None
    return replace(seen, unit=unit.text)


def with_notes(seen: Observation, notes: History) -> Observation:
    return replace(
        seen,
        names=dict(notes.names),
        was=dict(notes.was),
        seen=dict(notes.seen),
        held_since=dict(notes.held_since),
        idle_since=dict(notes.idle_since),
        busy_since=dict(notes.busy_since),
        endings=dict(notes.endings),
        unknown=dict(notes.unknown),
        refusals=dict(notes.refusals),
        told_to_end=dict(notes.told_to_end),
        clean_since=notes.clean_since,
        stopped_at=notes.stopped_at,
        started_again=notes.started_again,
        host_trouble=notes.host_trouble,
    )
