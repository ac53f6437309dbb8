"""Which of a host's migrations are this drain's own, and which are dead."""

from datetime import timedelta

from quiesce.drain.model.drain import Drain
from quiesce.drain.model.observation import Observation
from quiesce.openstack.records import FAILED, Migration, Server

# A server whose open migration record does not move while the server itself stands idle:
# the record is left over (a nova-compute was restarted), the server can be moved again.
STALE_AFTER = timedelta(seconds=60)
# A server that left by a migration in one of these is no longer on its source.
LEFT_WELL = ("confirmed", "completed", "finished")


def own_migrations(server_id: str, drain: Drain, observation: Observation) -> tuple[Migration, ...]:
    """Ours of one server, newest first."""
    mine = (m for m in observation.migrations if m.server_id == server_id)
    return tuple(m for m in mine if _is_own(m, drain, observation))


def own_of_host(drain: Drain, observation: Observation) -> tuple[Migration, ...]:
    """Ours: cold or live (never a resize), from this host, by our user, since the drain began.
    Newest first.
    """
    return tuple(m for m in observation.migrations if _is_own(m, drain, observation))


def _is_own(m: Migration, drain: Drain, observation: Observation) -> bool:
    return (
        drain.begun
        and m.type in ("migration", "live-migration")
        and m.source == observation.host
        and m.user_id == observation.user_id
        and m.id > drain.record.found_migration
    )


def stale(m: Migration, server: Server, observation: Observation) -> bool:
    """An open record of a server that stands idle: nothing works on it any more."""
    if m.terminal or not server.idle:
        return False
    since = observation.history.idle_since.get(server.id, observation.now)
    return observation.now - since >= STALE_AFTER


def broke_off(drain: Drain, observation: Observation, server: Server) -> bool:
    """The newest of our moves of it failed or was cut off."""
    own = own_migrations(server.id, drain, observation)
    return bool(own) and (own[0].status in FAILED or stale(own[0], server, observation))
