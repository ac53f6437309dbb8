"""Which of a host's migrations are this drain's own, and which are dead."""

from datetime import timedelta

from quiesce.drain.model.drain import Drain
from quiesce.drain.model.history import CONFIRM_EVENT
from quiesce.drain.model.observation import Observation
from quiesce.openstack.records import FAILED, NOSTATE, Migration, Server

# A server whose open migration record does not move while the server itself stands idle:
# the record is left over (a nova-compute was restarted), the server can be moved again.
STALE_AFTER = timedelta(seconds=60)
# How long Nova may show a guest as running that has died: libvirt's driver delays such events by
# 15 s (virt/libvirt/host.py).
POWER_LAG = timedelta(seconds=20)
# A server that left by a migration in one of these is no longer on its source.
LEFT_WELL = ("confirmed", "completed", "finished")


def own_migrations(server_id: str, drain: Drain, observation: Observation) -> tuple[Migration, ...]:
    """Ours of one server, newest first."""
    mine = (m for m in observation.migrations if m.server_id == server_id)
    return tuple(m for m in mine if _is_own(m, drain, observation))


def own_of_host(drain: Drain, observation: Observation) -> tuple[Migration, ...]:
    """Ours: cold or live (never a resize), from this host, by our user, since the drain began, and
    announced in its record. Newest first.
    """
    return tuple(m for m in observation.migrations if _is_own(m, drain, observation))


def _is_own(m: Migration, drain: Drain, observation: Observation) -> bool:
    """One that has not ended is ours only if it was announced: `found_migration` is from one list,
    from which Nova may have left out older ones.
    """
    return (
        drain.begun
        and m.type in ("migration", "live-migration")
        and m.source == observation.host
        and m.user_id == observation.user_id
        and m.id > drain.record.found_migration
        and (m.terminal or drain.record.announces_move(m.server_id))
    )


def stale(m: Migration, server: Server, observation: Observation) -> bool:
    """An open record of a server that stands idle: nothing works on it any more."""
    if m.terminal or not server.idle:
        return False
    since = observation.history.idle_since.get(server.id, observation.now)
    return observation.now - since >= STALE_AFTER


def may_be_elsewhere(
    drain: Drain, observation: Observation, server: Server, *, doubted: bool = False
) -> Migration | None:
    """The live migration away, anybody's, at whose end Nova may have left this server on the host
    while its guest runs on the destination; None: its guest is where Nova has it.

    It is `error`, and the hypervisor of this host tells whether the guest runs here. Nova leaves it
    behind in two cases:

    * nova-compute of this host died in the middle, and the guest arrived before it was back: its
      start takes the server for one that is here (34.0.0 and 21.2.4 nova/compute/manager.py
      _reset_live_migration). It is ACTIVE then, and nobody notices; a stop of it, or the shutdown
      for a cold migration, passes without a guest (virt/libvirt/driver.py _destroy), and what is
      copied then is the disk of the past.
    * an older Nova fails at that end (`misplaces`): it is in ERROR (21.2.4 _post_live_migration,
      _do_live_migration), or since reset, or stopped by its owner, which Nova allows in ERROR.

    `doubted`: also where the hypervisor has not told, of one that has ended since the drain began.
    """
    m = _broken_end(drain, observation, server)
    if m is None or observation.running.get(server.id):
        return None
    if server.power_state == NOSTATE:  # Nova has looked: this host knows no such guest
        return m
    # A stopped one no hypervisor tells. Nova before Victoria calls `error` what it has rolled back
    # too, so such a record that ended before the drain says too little to keep a server here.
    lately = drain.record.in_its_time(m.id)
    if server.status in ("ERROR", "ACTIVE"):
        absent = server.id in observation.running
        return m if absent or observation.misplaces or (doubted and lately) else None
    left = observation.misplaces and lately and server.status in ("SHUTOFF", "SHELVED")
    return m if left else None


def _broken_end(drain: Drain, observation: Observation, server: Server) -> Migration | None:
    """The newest that may have taken its guest away, if nothing has shown it here since: a
    cold one of ours began only where it was, and a server that was unshelved is where it started.
    """
    if not drain.begun:
        return None
    for m in observation.migrations:
        if m.server_id != server.id:
            continue
        ended_well = m.status in LEFT_WELL or m.status == "reverted"
        ours_cold = not m.live and _is_own(m, drain, observation)
        if m.source != observation.host or ended_well or ours_cold:
            return None
        if m.live and m.status == "error" and m.dest not in (None, observation.host):
            ended = m.updated or m.created
            return None if server.launched and server.launched > ended else m
    return None


def confirm_failed(observation: Observation, m: Migration) -> bool:
    """The move itself went well, and its guest is where it took it: only its confirm failed."""
    cause = observation.history.causes.get(m.id)
    return cause is not None and cause.event == CONFIRM_EVENT


def broke_off(drain: Drain, observation: Observation, server: Server) -> bool:
    """The newest of our moves of it failed or was cut off."""
    own = own_migrations(server.id, drain, observation)
    return bool(own) and (own[0].status in FAILED or stale(own[0], server, observation))
