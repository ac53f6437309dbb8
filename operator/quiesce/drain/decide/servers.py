"""A verdict for every server that concerns the host."""

from quiesce.drain.decide import departed, failures, rules
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
    path = broken_path(observation)
    present = [_judge_present(server, drain, observation, path) for server in observation.servers]
    away = dict.fromkeys(m.server_id for m in observation.migrations if m.server_id not in here)
    found = [_judge_departed(server_id, drain, observation) for server_id in away]
    every = [*present, *(verdict for verdict in found if verdict is not None)]
    return tuple(sorted(every, key=lambda v: (v.name, v.server_id)))


def broken_path(observation: Observation) -> rules.BrokenPath | None:
    """The newest fact on the host's SSH paths: its last cold migration failed on one, and none has
    succeeded since.

    Every cold move would fail alike, so one server at a time tries whether it works again: the one
    that failed last, or, where that one is gone, the first of the host.
    """
    settled = (*FAILED, "confirmed", "finished", "confirming")
    cold = [
        m
        for m in observation.migrations
        if m.source == observation.host and m.type == "migration" and m.status in settled
    ]
    cause = observation.history.causes.get(cold[0].id) if cold else None
    if cause is None or not failures.is_ssh(cause.text):
        return None
    here = sorted(server.id for server in observation.servers)
    canary = cold[0].server_id if cold[0].server_id in here else next(iter(here), "")
    return rules.BrokenPath(cause.text, canary)


def present_server(
    server: Server, drain: Drain, observation: Observation, path: rules.BrokenPath | None
) -> rules.PresentServer:
    """One server on the host with all that matters for its verdict."""
    own = own_migrations(server.id, drain, observation)
    open_ = next(
        (m for m in observation.migrations if m.server_id == server.id and not m.terminal), None
    )
    return rules.PresentServer(server, drain, observation, own, open_, path)


def _judge_present(
    server: Server, drain: Drain, observation: Observation, path: rules.BrokenPath | None
) -> ServerVerdict:
    present = present_server(server, drain, observation, path)
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
    left = {
        m.server_id
        for m in observation.migrations
        if m.status in ("confirmed", "completed")
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
