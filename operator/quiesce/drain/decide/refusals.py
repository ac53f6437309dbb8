"""What Nova's refusals mean: for one server, and for the credentials of the whole drain."""

from itertools import combinations

from quiesce.api.drain.spec import Method
from quiesce.drain.decide.remedies import for_server
from quiesce.drain.model.drain import Drain
from quiesce.drain.model.history import Refusal
from quiesce.drain.model.migrations import own_migrations
from quiesce.drain.model.observation import Observation
from quiesce.openstack.records import Server

_MOVES = {"os-migrateLive": True, "migrate": False}  # call -> whether it is live
ROLE = "Give the operator's user the role that this call needs"


def remedies_of(refusal: Refusal, server: Server, method: Method) -> tuple[str, ...]:
    """What a person can do about a call that Nova refuses for this server."""
    if refusal.call == "migrate" and "Service is unavailable" in refusal.text:
        # The call is made only where nova-compute is up, so this needs an explanation.
        return (
            "nova-compute of this host is up: Nova mistakes a deleted service of the same host for "
            "it. Remove the rows of deleted services from its database: nova-manage db "
            "archive_deleted_rows",
        )
    if refusal.call == "os-migrateLive" and refusal.is_final and method is Method.LIVE:
        return stop_or_restart(server, method)
    if refusal.status == 403 and not refusal.is_final:
        return (f"{ROLE} for servers of its project",)
    return ()


def stop_or_restart(server: Server, method: Method) -> tuple[str, ...]:
    """For a server that Nova never live-migrates and that is to be live-migrated. A paused one can
    be neither stopped nor cold-migrated (nova/compute/api.py stop, resize).
    """
    paused = server.status == "PAUSED"
    unpause = for_server(server, "openstack server unpause {id}") if paused else ()
    if method is Method.LIVE_THEN_COLD:
        return unpause
    stop = for_server(server, "openstack server stop {id}")
    return (*unpause, *stop, "Use migration.method: LiveThenCold, which restarts it")


def not_permitted(drain: Drain, observation: Observation) -> str:
    """What the operator's user may not do with any server, as far as refusals tell; empty: nothing.

    One server's 403 is that server's. It is about the credentials where the same call is refused
    for two servers of different projects whose flavors ask for nothing in common, and was never
    accepted since the drain began.
    """
    refused: dict[str, list[tuple[Server, Refusal]]] = {}
    for server in observation.servers:
        refusal = observation.history.refusals.get(server.id)
        if refusal is not None and refusal.status == 403 and not refusal.is_final:
            refused.setdefault(refusal.call, []).append((server, refusal))
    for call, those in sorted(refused.items()):
        if _was_accepted(call, drain, observation):
            continue
        for (one, refusal), (other, _) in combinations(those, 2):
            if not _have_in_common(one, other):
                return (
                    f"the credentials lack a permission: Nova refuses {call} for {one.name}, "
                    f"{other.name} and all others that were tried, with HTTP 403: "
                    f"{refusal.text.rstrip('.')}. {ROLE}"
                )
    return ""


def _have_in_common(one: Server, other: Server) -> bool:
    if one.project_id == other.project_id:
        return True
    return bool(one.flavor.extra_specs.items() & other.flavor.extra_specs.items())


def _was_accepted(call: str, drain: Drain, observation: Observation) -> bool:
    """Our own migrations of the drain's time prove that the user may start them."""
    live = _MOVES.get(call)
    if live is None:
        return False
    moved = {m.server_id for m in observation.migrations}
    return any(m.live == live for id_ in moved for m in own_migrations(id_, drain, observation))
