"""What Nova's lists lack of what is known.

Nova leaves the rows of a cell out of an answer, with 200, after any exception in that cell within
that one request (compute/multi_cell_list.py query_wrapper, all releases).
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

from quiesce.api.errors import CloudUnreachable
from quiesce.drain.model.drain import Drain
from quiesce.drain.model.observation import Observation
from quiesce.openstack.records import FAILED, Migration

BELIEVED_AFTER = timedelta(minutes=5)
"""What every list has lacked for so long is gone, as where a person has removed the record."""
OVER = datetime.min.replace(tzinfo=UTC)
"""As the time since when something is missed: it is to be missed."""


class IncompleteList(CloudUnreachable):
    """`missed`: as of History."""

    def __init__(self, message: str, missed: Mapping[str, datetime]) -> None:
        super().__init__(message)
        self.missed = missed


def missing_records(
    before: Iterable[Migration], drain: Drain, observation: Observation
) -> frozenset[str]:
    """Servers of records that were read before and that the list now lacks: open ones, and those
    that failed, by which it is decided who may move. Of others it is none of the drain's matters.

    Away from this host only: another destination takes a record to this host out of its list.
    """
    listed = {m.id for m in observation.migrations}
    return frozenset(
        m.server_id
        for m in before
        if m.id not in listed
        and m.id > drain.record.found_migration
        and m.source == observation.host
        and (not m.terminal or m.status in FAILED)
    )


def missing_servers(drain: Drain, observation: Observation) -> frozenset[str]:
    """Servers that this drain migrates, as its record says, and that are neither listed on the host
    nor named by a migration: each of them was, until it had left well.
    """
    return unnamed(drain, observation) - {server.id for server in observation.servers}


def unnamed(drain: Drain, observation: Observation) -> frozenset[str]:
    """Servers that this drain migrates, and that no migration names: Nova has not made one yet, has
    rejected the call, or the list is incomplete.
    """
    named = {m.server_id for m in observation.migrations}
    tried = {server_id for server_id, tried in drain.record.tries.items() if tried.migrates}
    return frozenset(tried - named)


def missed_since(doubted: Iterable[str], observation: Observation) -> dict[str, datetime]:
    """Since when they are. No time passes while the host's cell is down: it says that all lists are
    incomplete.
    """
    before, now = observation.history.missed, observation.now
    since = {server_id: before.get(server_id, now) for server_id in sorted(doubted)}
    service = observation.service
    if service is not None and service.status == "UNKNOWN":
        return {server_id: at if at == OVER else now for server_id, at in since.items()}
    return since
