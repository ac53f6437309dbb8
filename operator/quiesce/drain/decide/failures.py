"""What a failed or endless move means for the guest, and what a person can do about it."""

from datetime import timedelta

from quiesce.api import durations
from quiesce.api.drain.reasons import ServerReason, Stage
from quiesce.api.drain.spec import OnLiveTimeout
from quiesce.api.text import count
from quiesce.drain.decide.remedies import HARD_REBOOT, NEW_TRIES, RESET_STATE, for_server
from quiesce.drain.model.drain import Drain
from quiesce.drain.model.history import Refusal
from quiesce.drain.model.observation import Observation
from quiesce.drain.model.verdict import Abort, Blocked, Follow, ForceComplete
from quiesce.openstack.records import Migration, Server

# Where only the scheduler refused, the guest was never touched: it is tried again at this pace, so
# that a drain continues by itself when there is capacity again.
SLOW_RETRY = timedelta(minutes=10)
# Nova takes its time to abort or force a live migration, and shows nothing of it meanwhile.
_TOLD_AGAIN = timedelta(minutes=1)
_NO_HOST = frozenset(
    {
        ServerReason.NO_CAPACITY,
        ServerReason.NO_VALID_HOST_BY_GROUP,
        ServerReason.NO_VALID_HOST_BY_ZONE,
    }
)

REMEDIES: dict[ServerReason, tuple[str, ...]] = {
    ServerReason.SSH_PATH_BROKEN: (
        "Repair the keys and host keys of the nova user: this host cannot reach the destination by "
        "SSH",
    ),
    ServerReason.NO_VALID_HOST_BY_GROUP: (
        "Add hosts, or change its server group: the group allows no other host",
    ),
    ServerReason.NO_VALID_HOST_BY_ZONE: (
        "Add capacity to its availability zone: no other host there can take it",
    ),
    ServerReason.NO_CAPACITY: ("Add or enable capacity: no other host can take it",),
    ServerReason.LIVE_MIGRATION_FAILED: (
        "Check nova-compute's log on both hosts",
        "Use migration.method: LiveThenCold, which restarts the guest",
    ),
    ServerReason.MIGRATION_FAILED: ("Check nova-compute's log on both hosts",),
}


def is_ssh(text: str) -> bool:
    """Nova's message when the source cannot reach the destination (virt/libvirt/driver.py
    migrate_disk_and_power_off).
    """
    return "not able to execute ssh command" in text


def reason_of(text: str, server: Server, observation: Observation, *, live: bool) -> ServerReason:
    """The reason for a move that failed and left the guest as it was."""
    if is_ssh(text):
        return ServerReason.SSH_PATH_BROKEN
    if "No valid host" in text or "NoValidHost" in text or "MaxRetriesExceeded" in text:
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
    remedies = (*REMEDIES[reason], new_tries(drain))
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


def new_tries(drain: Drain) -> str:
    return NEW_TRIES.format(name=drain.identity.name, namespace=drain.identity.namespace)


def remedies_of(refusal: Refusal) -> tuple[str, ...]:
    """For the one refusal that nobody would understand: the call is made only where nova-compute is
    up.
    """
    if refusal.call != "migrate" or "Service is unavailable" not in refusal.text:
        return ()
    return (
        "nova-compute of this host is up: Nova mistakes a deleted service of the same host for it. "
        "Remove the rows of deleted services from its database: nova-manage db "
        "archive_deleted_rows",
    )


def error_on_source(
    server: Server, own: tuple[Migration, ...], observation: Observation
) -> Blocked | None:
    """In ERROR here after our own cold move: the copy failed after the guest was shut down, or
    before it was touched.
    """
    if not own or own[0].status != "error" or own[0].live:
        return None
    cause = observation.history.causes.get(own[0].id)
    text = ((cause.text if cause else None) or server.fault or "Nova gives no cause").rstrip(".")
    return Blocked(
        ServerReason.SOURCE_FAILED,
        f"its cold migration failed on this host and the guest may be OFF: {text}. Its disk is "
        "here",
        for_server(server, RESET_STATE, HARD_REBOOT),
        urgent=True,
    )


def error_on_destination(server: Server, migration: Migration) -> Blocked:
    """In ERROR elsewhere after our move: nothing in Nova counts the copy on this host any more."""
    there = server.host or migration.dest
    return Blocked(
        ServerReason.DESTINATION_FAILED,
        f"moved to {there} and failed there ({server.fault or 'Nova gives no cause'}); the full "
        "copy "
        f"of its disk on {migration.source} may be the only good one",
        (
            f"Keep {migration.source} and its disks until the server is healthy",
            *for_server(server, HARD_REBOOT),
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
    began = migration.created
    if migration.status in ("confirming", "reverting"):  # maybe hours after the move: a decision
        began = history.first_seen.get((migration.id, migration.status), observation.now)
    late = observation.now - began >= timedelta(seconds=timeout)
    if not late or migration.id in observation.progressing:
        return None
    told = history.told_to_end.get(migration.id)
    if told is not None and observation.now - told < _TOLD_AGAIN:
        return Follow(Stage.ENDING, migration)
    choice = drain.spec.migration.on_live_timeout
    abortable = migration.live and migration.status in ("queued", "preparing", "running")
    if abortable and choice is OnLiveTimeout.ABORT:
        return Abort(migration)
    if choice is OnLiveTimeout.FORCE_COMPLETE and migration.live and migration.status == "running":
        return ForceComplete(migration)
    return Blocked(
        ServerReason.STUCK,
        f"its {migration.type} {migration.id} is {migration.status} for more than "
        f"{durations.text(timeout)}",
        _ways_to_end(migration),
        ours=True,
    )


def _ways_to_end(migration: Migration) -> tuple[str, ...]:
    server, number = migration.server_id, migration.id
    if migration.live:
        return (
            f"openstack server migration abort {server} {number}",
            f"openstack server migration force complete {server} {number}",
        )
    return (
        "Check nova-compute on both hosts: Nova cannot abort a cold migration",
        "Where one of the two was restarted meanwhile the move is dead: "
        f"openstack server set --state active {server}, then "
        f"openstack server reboot --hard {server}",
    )
