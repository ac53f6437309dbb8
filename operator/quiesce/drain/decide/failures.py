"""What a failed or endless move means for the guest, and what a person can do about it."""

from datetime import datetime, timedelta

from quiesce.api import durations
from quiesce.api.drain.reasons import ServerReason, Stage
from quiesce.api.drain.record import Record
from quiesce.api.drain.spec import DrainSpec, Method, OnLiveTimeout
from quiesce.api.text import count
from quiesce.drain.decide import causes
from quiesce.drain.decide.kinds import has_pci_alias
from quiesce.drain.decide.obstacles import cold_obstacle
from quiesce.drain.decide.refusals import ROLE, stop_or_restart
from quiesce.drain.decide.remedies import (
    HARD_REBOOT,
    RESET_STATE,
    correct_host,
    for_server,
    new_tries,
)
from quiesce.drain.model.drain import Drain
from quiesce.drain.model.history import ENDINGS
from quiesce.drain.model.migrations import confirm_failed
from quiesce.drain.model.observation import Observation
from quiesce.drain.model.verdict import Abort, Blocked, Follow, ForceComplete
from quiesce.openstack.records import (
    FAILED,
    PAUSED,
    RUNNING,
    WAITING,
    Migration,
    Server,
)

# Where only the scheduler refused, the guest was never touched: it is tried again at this pace, so
# that a drain continues by itself when there is capacity again.
SLOW_RETRY = timedelta(minutes=10)
# Nova takes its time to abort or force a live migration, and shows nothing of it meanwhile.
_TOLD_AGAIN = timedelta(minutes=1)
# How long Nova may prepare a live migration (its long_rpc_timeout is 30 minutes), and how soon the
# next one of a host begins after the last.
_NEVER_BEGINS = timedelta(hours=1)
_TURN_WITHIN = timedelta(minutes=10)
_RUNS = (RUNNING, PAUSED)  # power states of a guest that is there
_NO_HOST = frozenset(
    {
        ServerReason.NO_CAPACITY,
        ServerReason.NO_VALID_HOST_BY_GROUP,
        ServerReason.NO_VALID_HOST_BY_ZONE,
    }
)

_SEES_NO_PORT = (
    "If the port is there, allow the operator's user the ports of all projects in Neutron's policy "
    "(get_port, context_with_global_access): Nova asks for it as that user"
)
_SEE_FIRST = (
    "First have its hypervisor answer, which tells whether the guest runs: check libvirtd and "
    "nova-compute on {} (virsh list)"
)
_CHECK_BOTH = "Check nova-compute's log on both hosts"
_RESTART = "Use migration.method: LiveThenCold, which restarts the guest"
REMEDIES: dict[ServerReason, tuple[str, ...]] = {
    ServerReason.SSH_PATH_BROKEN: causes.SSH_REMEDIES,
    ServerReason.DESTINATION_NOT_WRITABLE: (
        "On the destination, let the nova user write to its instances directory",
    ),
    ServerReason.NO_VALID_HOST_BY_GROUP: (
        "Add hosts, or change its server group: the group allows no other host",
    ),
    ServerReason.NO_VALID_HOST_BY_ZONE: (
        "Add capacity to its availability zone: no other host there can take it",
    ),
    ServerReason.NO_CAPACITY: ("Add or enable capacity: no other host can take it",),
    ServerReason.LIVE_MIGRATION_FAILED: (_CHECK_BOTH, _RESTART),
    ServerReason.MIGRATION_FAILED: (_CHECK_BOTH,),
}


def reason_of(text: str, server: Server, observation: Observation, *, live: bool) -> ServerReason:
    """The reason for a move that failed and left the guest as it was."""
    if causes.is_ssh(text):
        return ServerReason.SSH_PATH_BROKEN
    if causes.is_mkdir(text):
        return ServerReason.DESTINATION_NOT_WRITABLE
    if causes.is_no_host(text):
        if any(server.id in g.members for g in observation.groups):
            return ServerReason.NO_VALID_HOST_BY_GROUP
        zoned = server.zone_pinned is not None
        return ServerReason.NO_VALID_HOST_BY_ZONE if zoned else ServerReason.NO_CAPACITY
    return ServerReason.LIVE_MIGRATION_FAILED if live else ServerReason.MIGRATION_FAILED


def exhausted(
    drain: Drain, server: Server, failed: tuple[Migration, ...], observation: Observation
) -> Blocked:
    """All tries are spent. `failed`: newest first."""
    last, tries = failed[0], count(len(failed), "time")
    cause = observation.history.causes.get(last.id)
    text = (cause.text if cause else last.status).rstrip(".")
    if last.status == "reverted":
        return Blocked(
            ServerReason.REVERTED,
            f"moved and rolled back {tries}; last try: {text}",
            ("Check why its checks fail on the other hosts", new_tries(drain)),
        )
    reason = reason_of(text, server, observation, live=last.live)
    left = causes.left_over(text, server.id)
    remedies = (
        *(_remove(left, server, last) if left else ()),
        *((_SEES_NO_PORT,) if causes.is_hidden_port(text) else ()),
        *_remedies(reason, drain.spec, server, live=last.live),
        new_tries(drain),
    )
    if reason in _NO_HOST and cause is not None:
        return Blocked(
            reason,
            f"tried {tries}, no host takes it, and the guest is as it was: {text}; "
            "tried again every 10 minutes",
            remedies,
            until=cause.first_seen + SLOW_RETRY,
        )
    return Blocked(
        reason, f"tried {tries} and failed, and the guest is as it was: {text}", remedies
    )


def _remove(path: str, server: Server, last: Migration) -> tuple[str, ...]:
    return (
        f"On {last.dest or 'the destination'}, remove what an earlier try left, once virsh "
        f"domstate {server.id} has found no domain there: rm -r {path}",
    )


def _remedies(
    reason: ServerReason, spec: DrainSpec, server: Server, *, live: bool
) -> tuple[str, ...]:
    """A paused server is never cold-migrated (nova/compute/api.py resize), and one that only live
    migration brings away in one piece is not under LiveThenCold either.
    """
    if live and reason in _NO_HOST and has_pci_alias(server):
        return (
            *REMEDIES[reason],
            "Its flavor passes a PCI device through: if the alias is not live_migratable, Nova "
            "finds no host for a live migration",
            *stop_or_restart(server, spec.migration.method),
        )
    if reason is not ServerReason.LIVE_MIGRATION_FAILED:
        return REMEDIES[reason]
    if server.status == "PAUSED":
        unpause = for_server(server, "openstack server unpause {id}")
        restart = () if spec.migration.method is Method.LIVE_THEN_COLD else (_RESTART,)
        return (_CHECK_BOTH, *unpause, *restart)
    obstacle = cold_obstacle(server, spec)
    if obstacle is not None:
        return (_CHECK_BOTH, *(obstacle.remedies if isinstance(obstacle, Blocked) else ()))
    return REMEDIES[reason]


def error_on_source(
    server: Server, last: Migration | None, own: tuple[Migration, ...], observation: Observation
) -> Blocked | None:
    """In ERROR here after its `last` move. A live one of anyone's has left the guest alone; a
    cold one of ours failed after the guest was shut down, or before it was touched.

    A live migration that breaks off leaves no fault: with one, something else has failed since.
    """
    if last is None or last.status not in FAILED or last.status == "reverted":
        return None
    if last not in own and (server.fault or last.source != observation.host):
        return None
    runs = observation.running.get(server.id)
    if last.live:
        return _live_error_on_source(server, runs=bool(runs))
    if last not in own:
        return None
    text = _why(server, last, observation)
    if runs:
        return Blocked(
            ServerReason.SOURCE_FAILED,
            f"its cold migration failed, and its guest runs here: {text.rstrip('.')}",
            (f"Without a reboot: {RESET_STATE.format(id=server.id)}",),
        )
    if causes.is_copy(text):
        text = (
            f"the copy to {last.dest or 'the destination'} failed (disk full there? network?); "
            f"nova-compute's log on {last.source} has scp's message"
        )
    return Blocked(
        ServerReason.SOURCE_FAILED,
        f"its cold migration failed on this host and the guest may be OFF: {text.rstrip('.')}. Its "
        "disk is here",
        (
            *((_SEE_FIRST.format(last.source),) if server.id in observation.silent else ()),
            *for_server(server, RESET_STATE, HARD_REBOOT),
        ),
        urgent=True,
    )


def _live_error_on_source(server: Server, *, runs: bool) -> Blocked:
    if server.power_state not in _RUNS and not runs:
        return Blocked(
            ServerReason.LIVE_FAILED_IN_ERROR,
            "its live migration broke off, Nova set it to ERROR, and its guest does not run; its "
            "disk is here",
            for_server(server, RESET_STATE, HARD_REBOOT),
            urgent=True,
        )
    return Blocked(
        ServerReason.LIVE_FAILED_IN_ERROR,
        "its live migration broke off and Nova set it to ERROR; the guest "
        f"{'runs' if runs else 'most likely runs'} on here as before",
        (f"Without a reboot: {RESET_STATE.format(id=server.id)}",),
    )


def is_elsewhere(server: Server, migration: Migration, host: str) -> Blocked:
    """Nova has it on `host`, and its guest may run where the `migration` took it."""
    there = migration.dest
    return Blocked(
        ServerReason.HOST_UNCERTAIN,
        f"its {migration.type} {migration.id} to {there} broke off, Nova lists it here, and it is "
        f"not seen to run here: the guest may run on {there}",
        (
            "Do not reset its state, start, stop, reboot or migrate it: its guest could run twice",
            f"Look for its guest on both hosts: virsh list --all on {host} and on {there}, or "
            f"virsh domstate {server.id} there",
            *correct_host(server, migration),
            f"If it runs on {host}, the drain goes on once nova-compute there answers that it does "
            f"(openstack server show --diagnostics {server.id})",
            "If it runs on neither, find out which host has its whole disk before it is started",
        ),
        urgent=True,
    )


def _why(server: Server, migration: Migration, observation: Observation) -> str:
    """Nova's message about the move; where it has none, as of a confirm that failed, the fault."""
    cause = observation.history.causes.get(migration.id)
    if cause is not None and not cause.text.startswith(causes.UNKNOWN):
        return causes.in_one_line(cause.text)
    return causes.in_one_line(server.fault or causes.UNKNOWN)


def error_on_destination(server: Server, migration: Migration, observation: Observation) -> Blocked:
    """In ERROR elsewhere after our move: nothing in Nova counts the copy on this host any more.

    `server.fault` is whatever failed last, also its console: Nova's message about the
    move itself goes first.
    """
    there = server.host or migration.dest
    if migration.live and server.power_state not in _RUNS:
        return _died_in_live_migration(server, migration)
    if migration.live:
        return Blocked(
            ServerReason.DESTINATION_FAILED,
            f"its live migration to {there} ended in ERROR there; the guest most likely runs there",
            (f"Without a reboot: {RESET_STATE.format(id=server.id)}",),
        )
    text = _why(server, migration, observation).rstrip(".")
    if confirm_failed(observation, migration) and observation.running.get(server.id):
        source = migration.source
        return Blocked(
            ServerReason.DESTINATION_FAILED,
            f"moved to {there} and runs there, but its confirm failed on {source} ({text})",
            (
                f"Without a reboot: {RESET_STATE.format(id=server.id)}",
                f"Then see what is left of it on {source}: its domain, and {server.id}_resize in "
                "Nova's instances directory",
            ),
        )
    return Blocked(
        ServerReason.DESTINATION_FAILED,
        f"moved to {there} and failed there ({text}); the full copy of its disk on "
        f"{migration.source} may be the only good one",
        (
            f"Keep {migration.source} and its disks until the server is healthy",
            *for_server(server, HARD_REBOOT),
        ),
        urgent=True,
    )


def _died_in_live_migration(server: Server, migration: Migration) -> Blocked:
    """Nova takes a live migration for completed when its guest is gone on the source, also where
    it died there in the middle (virt/libvirt/migration.py find_job_type), and removes its disk.
    """
    there, source = server.host, migration.source
    return Blocked(
        ServerReason.DESTINATION_FAILED,
        f"its live migration to {there} ended in ERROR, and it does not run there: if it died on "
        f"{source} in the middle, Nova has removed its disk there, and the copy on {there} is not "
        "whole",
        (
            f"See on {there} whether its disk is whole (qemu-img info), before anything starts it; "
            "on shared storage and on volumes it is",
            *for_server(server, HARD_REBOOT),
            "If it is not whole, restore it from a backup",
        ),
        urgent=True,
    )


def overdue(
    drain: Drain, observation: Observation, migration: Migration
) -> Abort | ForceComplete | Follow | Blocked | None:
    """What to do about our own move that takes longer than `migration.timeout`; None: it is in
    time, or makes progress.
    """
    history, timeout = observation.history, drain.spec.migration.timeout
    began = _began(drain.record, observation, migration)
    if migration.live and migration.status in WAITING:
        return _waits_in_vain(observation, migration)
    if migration.live or migration.status in ("confirming", "reverting"):
        # Since it runs; or maybe hours after the move: a decision.
        began = history.first_seen.get((migration.id, migration.status), observation.now)
    late = observation.now - began >= timedelta(seconds=timeout)
    if not late or migration.id in observation.progressing:
        return None
    told = history.told_to_end.get(migration.id)
    lasts = f"its {migration.type} {migration.id} is {migration.status} for more than "
    lasts += durations.text(timeout)
    if told is not None and observation.now - told < _TOLD_AGAIN:
        return _not_permitted(observation, migration, lasts) or Follow(Stage.ENDING, migration)
    choice = drain.spec.migration.on_live_timeout
    runs = migration.live and migration.status == "running"
    if runs and choice is OnLiveTimeout.ABORT:
        return Abort(migration)
    if runs and choice is OnLiveTimeout.FORCE_COMPLETE:
        return ForceComplete(migration)
    return Blocked(
        ServerReason.STUCK,
        lasts,
        _ways_to_end(migration),
        ours=True,
    )


def _began(record: Record, observation: Observation, migration: Migration) -> datetime:
    """By our own clock, not Nova's; but once new tries were asked for, `began` may be of an attempt
    of the same number before that. Nova's may be ahead: not after it was first seen.
    """
    tried = record.tries.get(migration.server_id)
    if tried and tried.began and record.attempts_from <= record.found_migration:
        return observation.began(migration.server_id, tried.began)
    key = (migration.id, migration.status)
    first_seen = observation.history.first_seen.get(key, observation.now)
    return min(first_seen, migration.created - observation.set_by)


def _waits_in_vain(observation: Observation, migration: Migration) -> Blocked | None:
    """Nova runs few at a time, so one that waits is not late, as long as others are under way."""
    now = observation.now
    others = [m for m in observation.migrations if m.live and m.id != migration.id]
    since = observation.history.first_seen.get((migration.id, migration.status), now)
    runs = any(not m.terminal and m.status not in WAITING for m in others)
    wall = observation.wall
    lately = any(m.updated and abs(wall - m.updated) < _TURN_WITHIN for m in others)
    if now - since < _NEVER_BEGINS or runs or lately:
        return None
    return Blocked(
        ServerReason.STUCK,
        f"its {migration.type} {migration.id} is {migration.status} for more than "
        f"{durations.text(_NEVER_BEGINS.total_seconds())}, and no other one of this host is under "
        "way",
        (
            "Check nova-conductor, and nova-compute on this host",
            *(() if migration.status == "accepted" else _ways_to_end(migration)[:1]),
            "Where one of them was restarted meanwhile: "
            + RESET_STATE.format(id=migration.server_id),
        ),
        ours=True,
    )


def _not_permitted(observation: Observation, migration: Migration, lasts: str) -> Blocked | None:
    """What was told to end it was rejected by Nova's policy; it is told again every minute."""
    refusal = observation.history.refusals.get(migration.server_id)
    if refusal is None or refusal.status != 403 or refusal.call not in ENDINGS:
        return None
    return Blocked(
        ServerReason.STUCK,
        f"{lasts}, and Nova refuses {refusal.call}: {refusal.text.rstrip('.')}",
        (ROLE, *_ways_to_end(migration)),
        ours=True,
    )


def _ways_to_end(migration: Migration) -> tuple[str, ...]:
    server, number = migration.server_id, migration.id
    if migration.status in ("confirming", "reverting"):
        return (
            f"Check nova-compute on {migration.source} and {migration.dest}: where it was down, it "
            "goes on when it is back",
            "Do not reset its state or reboot it meanwhile: one of the two copies of its disk is "
            "being removed",
        )
    if migration.live:
        return (
            f"openstack server migration abort {server} {number}",
            f"openstack server migration force complete {server} {number}",
        )
    return (
        "Nova cannot abort a cold migration. Where its copy hangs, end it on the source, and Nova "
        f"takes the disk back: pgrep -af 'scp.*{server}', then kill it",
        "Only where nova-compute of one of the two hosts was restarted meanwhile: "
        f"openstack server set --state active {server}, then "
        f"openstack server reboot --hard {server}",
    )
