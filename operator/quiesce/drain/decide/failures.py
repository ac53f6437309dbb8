"""PURE. What a failed or endless move means for the guest, and what a person can do about it."""

import hashlib
from datetime import timedelta

from quiesce.api import durations
from quiesce.api.drain.spec import DrainSpec, OnLiveTimeout
from quiesce.api.text import count
from quiesce.drain.model.observation import Observation
from quiesce.drain.model.verdict import Abort, Blocked, Follow, ForceComplete
from quiesce.openstack.records import Migration, Server

FIRST_BACK_OFF = 5.0
LONGEST_BACK_OFF = 300.0
# Where only the scheduler said no, the guest was never touched: it is tried again at this pace, so that a drain
# goes on by itself when capacity comes back.
SLOW_RETRY = timedelta(minutes=10)
# Nova takes its time to abort or force a live migration, and shows nothing of it meanwhile.
TOLD_AGAIN = timedelta(minutes=1)
NO_HOST = ("NoCapacity", "NoValidHostByGroup", "NoValidHostByZone")


def back_off(tries: int, key: str) -> timedelta:
    """5 s, 10 s, 20 s … 5 min, spread by ±20 % in a way that is the same at every look."""
    spread = int(hashlib.sha256(f"{key}/{tries}".encode()).hexdigest()[:4], 16) / 0xFFFF
    return timedelta(
        seconds=min(FIRST_BACK_OFF * 2 ** (tries - 1), LONGEST_BACK_OFF) * (0.8 + 0.4 * spread)
    )


def is_ssh(text: str) -> bool:
    """Nova's words when the source cannot reach the destination (virt/libvirt/driver.py migrate_disk_and_power_off)."""
    return "not able to execute ssh command" in text


def cause(text: str, server: Server, seen: Observation, *, live: bool) -> str:
    """The reason word for a move that failed and left the guest as it was."""
    if is_ssh(text):
        return "SSHPathBroken"
    if "No valid host" in text or "NoValidHost" in text or "MaxRetriesExceeded" in text:
        if any(server.id in g.members for g in seen.groups):
            return "NoValidHostByGroup"
        return "NoValidHostByZone" if server.zone_pinned else "NoCapacity"
    return "LiveMigrationFailed" if live else "MigrationFailed"


REMEDY = {
    "SSHPathBroken": "The nova user of this host cannot reach the destination by SSH: repair keys and host keys",
    "NoValidHostByGroup": "Its server group allows no other host: add hosts, or change the group",
    "NoValidHostByZone": "No other host of its availability zone can take it: add capacity there",
    "NoCapacity": "No other host can take it: add or enable capacity",
    "LiveMigrationFailed": "See nova-compute's log on both hosts, or use method: LiveThenCold",
    "MigrationFailed": "See nova-compute's log on both hosts",
}


def exhausted(server: Server, failed: tuple[Migration, ...], seen: Observation) -> Blocked:
    """All tries are spent. `failed`: newest first."""
    last = failed[0]
    ending = seen.endings.get(last.id)
    text = (ending.text if ending else last.status).rstrip(".")
    if last.status == "reverted":
        return Blocked(
            "Reverted", f"moved and rolled back {count(len(failed), 'time')}; last try: {text}"
        )
    why = cause(text, server, seen, live=last.live)
    if why in NO_HOST and ending is not None:
        return Blocked(
            why,
            f"tried {count(len(failed), 'time')}, no host takes it, and it is as it was: {text}. {REMEDY[why]}; "
            "it is tried again every 10 minutes, and at once when the drain is annotated with quiesce.dev/requestedAt",
            until=ending.seen + SLOW_RETRY,
        )
    return Blocked(
        why,
        f"tried {count(len(failed), 'time')} and failed, the guest is as it was: {text}. {REMEDY[why]}; "
        "then annotate the drain with quiesce.dev/requestedAt for a new set of tries",
    )


def error_on_source(
    server: Server, own: tuple[Migration, ...], seen: Observation
) -> Blocked | None:
    """In ERROR here after our own cold move: the copy failed after the guest was shut down, or before it was touched."""
    if not own or own[0].status != "error" or own[0].live:
        return None
    ending = seen.endings.get(own[0].id)
    text = ((ending.text if ending else None) or server.fault or "Nova gives no cause").rstrip(".")
    return Blocked(
        "SourceFailed",
        f"its cold migration failed here and the guest may be OFF: {text}. Its disk is still on this host: "
        "reset its state to active and hard-reboot it here; it is then moved again",
        urgent=True,
    )


def error_on_destination(server: Server, migration: Migration) -> Blocked:
    """In ERROR elsewhere after our move: nothing in Nova counts the copy on this host any more."""
    return Blocked(
        "DestinationFailed",
        f"moved to {server.host or migration.dest} and failed there ({server.fault or 'Nova gives no cause'}). The full copy of "
        f"its disk on {migration.source} may be the only good one: keep that host. Hard-reboot the server on "
        f"{server.host or migration.dest}; the drain goes on when it is healthy",
        urgent=True,
    )


def overdue(
    spec: DrainSpec, seen: Observation, migration: Migration
) -> Abort | ForceComplete | Follow | Blocked | None:
    """What to do about our own move that takes longer than `migration.timeout`; None: it is in time, or makes progress."""
    began = migration.created
    if migration.status in (
        "confirming",
        "reverting",
    ):  # begun anew, maybe hours after the move: a person decided
        began = seen.seen.get((migration.id, migration.status), seen.now)
    if (
        seen.now - began < timedelta(seconds=spec.migration.timeout)
        or migration.id in seen.progressing
    ):
        return None
    told = seen.told_to_end.get(migration.id)
    if told is not None and seen.now - told < TOLD_AGAIN:
        return Follow("Ending", migration)
    choice = spec.migration.on_live_timeout
    if (
        migration.live
        and choice is OnLiveTimeout.ABORT
        and migration.status in ("queued", "preparing", "running")
    ):
        return Abort(migration)
    if migration.live and choice is OnLiveTimeout.FORCE_COMPLETE and migration.status == "running":
        return ForceComplete(migration)
    way_out = (
        "abort or force-complete it (openstack server migration abort | force complete)"
        if migration.live
        else "Nova has no way to abort a cold migration: look at nova-compute on both hosts. Where one of them was restarted "
        "meanwhile the move is dead: reset the server's state to active and hard-reboot it"
    )
    return Blocked(
        "Stuck",
        f"its {migration.type} {migration.id} is {migration.status} for more than "
        f"{durations.text(spec.migration.timeout)}: {way_out}",
        ours=True,
    )
