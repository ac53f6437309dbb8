"""A verdict for every server that concerns the host."""

from quiesce.drain.decide import departed, rules
from quiesce.drain.decide.breaker import Arrivals, Breakers, breakers_of
from quiesce.drain.model.drain import Drain
from quiesce.drain.model.migrations import own_migrations
from quiesce.drain.model.observation import Observation
from quiesce.drain.model.verdict import Blocked, Held, ServerVerdict, Wait
from quiesce.openstack.records import FAILED, Server


def judge_all(drain: Drain, observation: Observation) -> tuple[ServerVerdict, ...]:
    """Every server on the host, and every one elsewhere whose migration still concerns the host. By
    name.
    """
    here = {server.id for server in observation.servers}
    away = dict.fromkeys(m.server_id for m in observation.migrations if m.server_id not in here)
    found = [_judge_departed(server_id, drain, observation) for server_id in away]
    left = [verdict for verdict in found if verdict is not None]
    breakers = breakers_of(drain, observation, Arrivals.of(v.verdict for v in left))
    present = [
        _judge_present(server, drain, observation, breakers) for server in observation.servers
    ]
    every = [*present, *left]
    return tuple(sorted(every, key=lambda v: (v.name, v.server_id)))


def present_server(
    server: Server, drain: Drain, observation: Observation, breakers: Breakers
) -> rules.PresentServer:
    """One server on the host with all that matters for its verdict."""
    own = own_migrations(server.id, drain, observation)
    open_ = next(
        (m for m in observation.migrations if m.server_id == server.id and not m.terminal), None
    )
    return rules.PresentServer(server, drain, observation, own, open_, breakers)


def _judge_present(
    server: Server, drain: Drain, observation: Observation, breakers: Breakers
) -> ServerVerdict:
    present = present_server(server, drain, observation, breakers)
    attempt = 1 + len(present.failed())
    return ServerVerdict(server.id, server.name, server, rules.judge(present), True, attempt)


def _judge_departed(server_id: str, drain: Drain, observation: Observation) -> ServerVerdict | None:
    """By its newest migration that is not ended, else by its newest one of all."""
    rows = [m for m in observation.migrations if m.server_id == server_id]
    migration = next((m for m in rows if not m.terminal), rows[0])
    own = own_migrations(server_id, drain, observation)
    tries = sum(m.status in FAILED and m.id > drain.record.attempts_from for m in own)
    ours = migration in own
    leaver = departed.DepartedServer(server_id, migration, ours, drain, observation, tries)
    verdict = departed.judge(leaver)
    if verdict is None:
        return None
    server = observation.elsewhere.get(server_id)
    name = server.name if server else observation.history.names.get(server_id, server_id)
    return ServerVerdict(server_id, name, server, verdict, ours, 1 + tries)


def count_departed(
    drain: Drain, observation: Observation, verdicts: tuple[ServerVerdict, ...]
) -> int:
    """Servers that left the host by a migration that succeeded, and of which nothing is
    left to do.
    """
    concerned = {v.server_id for v in verdicts}
    healthy = observation.history.healthy  # failed on its way, and repaired where it arrived
    left = {
        m.server_id
        for m in observation.migrations
        if (m.status in ("confirmed", "completed") or m.id in healthy)
        and m.source == observation.host
        and m.id > drain.record.found_migration
    }
    return len(left - concerned)


def open_matters(verdicts: tuple[ServerVerdict, ...]) -> tuple[str, ...]:
    """What servers elsewhere still hold against the host being empty."""
    return tuple(
        f"{v.name}: {v.verdict.message}"
        for v in verdicts
        if isinstance(v.verdict, Blocked | Wait | Held)
    )
