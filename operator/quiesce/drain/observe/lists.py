"""The host's migrations, in a list that has what is known of them."""

from collections.abc import Iterable
from dataclasses import replace

from quiesce.api.errors import CloudUnreachable
from quiesce.drain.model.drain import Drain
from quiesce.drain.model.missing import (
    BELIEVED_AFTER,
    OVER,
    IncompleteList,
    missed_since,
    missing_records,
    missing_servers,
    unnamed,
)
from quiesce.drain.model.observation import Observation
from quiesce.drain.observe.moves import is_healthy, read_migrations
from quiesce.openstack.cloud import Cloud
from quiesce.openstack.records import Migration

_MOST_ASKED = 5  # servers that one tick reads one by one


def read_all_migrations(cloud: Cloud, drain: Drain, observation: Observation) -> Observation:
    """After the host's servers. Raises IncompleteList.

    A process that has read none yet knows only what the record has, which says nothing of moves
    that failed: it reads twice where a server that was tried has none.
    """
    before, found = observation.history.records, read_migrations(cloud, drain, observation)
    if observation.history.full_list is None and unnamed(drain, found):
        before, found = found.migrations, read_migrations(cloud, drain, observation)
    return check_lists(cloud, drain, before, found)


def check_lists(
    cloud: Cloud, drain: Drain, before: Iterable[Migration], observation: Observation
) -> Observation:
    """Raises IncompleteList where the servers and migrations lack any of `before`, or of what the
    record has, although Nova shows that it is not over: nothing is decided without it.

    Nova hides the migrations of deleted servers.
    """
    records = missing_records(before, drain, observation)
    missed = missed_since(records | missing_servers(drain, observation), observation)
    asked = [id_ for id_, at in missed.items() if observation.now - at < BELIEVED_AFTER]
    for server_id in asked[:_MOST_ASKED]:
        shown = _shown(cloud, drain, server_id, named=server_id in records)
        if shown:
            raise IncompleteList(
                f"Nova's lists lack a server that this drain moves, or its migration, but {shown}. "
                "Nova leaves out the rows of a cell after an error there; they are read again",
                missed,
            )
        missed[server_id] = OVER
    if len(asked) > _MOST_ASKED:
        raise IncompleteList(
            f"Nova's lists lack {len(asked)} servers that this drain moves, or their migrations; "
            "whether they still exist is not read yet",
            missed,
        )
    if missed == observation.history.missed:
        return observation
    return replace(observation, history=observation.history.miss(missed))


def _shown(cloud: Cloud, drain: Drain, server_id: str, *, named: bool) -> str:
    """How Nova shows it; empty: it is over. `named`: a record of it was read before, which Nova
    does not remove before it deletes the server.
    """
    try:
        server = cloud.server(server_id)
    except CloudUnreachable as error:
        return f"server {server_id} cannot be read ({error})"
    if server is None or (is_healthy(server) and server.host != drain.host and not named):
        return ""
    return f"server {server.name} is {server.status} on {server.host or 'no host'}"
