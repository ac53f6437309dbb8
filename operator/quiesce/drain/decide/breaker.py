"""The circuit breaker: one cause must not take down, or try, every guest of the host.

A cause that lies with the host (its SSH, its libvirt, the storage of its destinations) fails every
migration of one method alike. Once one is seen, the migrations of that method are paused: a canary
tries whether they work again, the other servers wait with the cause in the status.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from quiesce.api.drain.reasons import ServerReason
from quiesce.api.drain.spec import LockedPolicy
from quiesce.drain.decide import causes
from quiesce.drain.decide.obstacles import may_move_cold
from quiesce.drain.decide.remedies import RESET_STATE, new_tries
from quiesce.drain.model.drain import Drain
from quiesce.drain.model.history import CUT_OFF
from quiesce.drain.model.migrations import LEFT_WELL, broke_off, may_be_elsewhere, own_of_host
from quiesce.drain.model.observation import Observation
from quiesce.drain.model.verdict import Confirm, Follow, Held, MoveMethod, Revert, Verdict
from quiesce.openstack.records import FAILED, RUNNING, Migration, Server

_SAME_CAUSE = 2  # servers in a row that fail live for one cause: then it is the host's
_ARRIVED = (*LEFT_WELL, "confirming")
_CONFIRMED = ("confirmed", "confirming")


@dataclass(frozen=True, slots=True)
class Breaker:
    """Migrations of one method are paused.

    `canary`: the one server that tries whether they work again; None: nobody does before a person
    asks for new tries. `spares_stopped`: servers that do not run may go on: nothing can take them
    down. `tries`: migrations that failed for this cause; they count against no server's attempts.
    """

    method: MoveMethod
    reason: ServerReason
    cause: str
    canary: str | None
    remedies: tuple[str, ...]
    spares_stopped: bool = False
    tries: frozenset[int] = frozenset()

    @property
    def message(self) -> str:
        return f"{self.method} migration from this host is paused: {self.cause.rstrip('.')}"


@dataclass(frozen=True, slots=True)
class Breakers:
    cold: Breaker | None = None
    live: Breaker | None = None

    def of(self, method: MoveMethod) -> Breaker | None:
        return self.cold if method == "cold" else self.live


@dataclass(frozen=True, slots=True)
class Arrivals:
    """IDs of our migrations that are finished: those whose checks pass, and those whose checks have
    not ended.
    """

    passed: frozenset[int] = frozenset()
    verifying: frozenset[int] = frozenset()

    @classmethod
    def of(cls, verdicts: Iterable[Verdict]) -> Self:
        """`verdicts`: for servers that are no longer on the host."""
        passed, verifying = set[int](), set[int]()
        for verdict in verdicts:
            match verdict:
                case Confirm(migration=m) | Held(ServerReason.AWAITING_DECISION, migration=m):
                    passed.add(m.id)
                case Follow(migration=Migration(status="finished") as m):
                    verifying.add(m.id)
        return cls(frozenset(passed), frozenset(verifying))


def breakers_of(
    drain: Drain, observation: Observation, arrivals: Arrivals = Arrivals()
) -> Breakers:
    own = [m for m in own_of_host(drain, observation) if m.id > drain.record.attempts_from]
    cold, live = [m for m in own if not m.live], [m for m in own if m.live]
    return Breakers(
        _ssh_breaker(drain, observation) or _left_down_breaker(drain, observation, cold, arrivals),
        _live_breaker(drain, observation, live),
    )


# Cold


def _ssh_breaker(drain: Drain, observation: Observation) -> Breaker | None:
    """The last cold migration from the host, anybody's, failed on SSH, and none has succeeded
    since.

    No guest is stopped before that (virt/libvirt/driver.py migrate_disk_and_power_off), so the one
    that failed last tries again with increasing delays.
    """
    settled = (*FAILED, *_ARRIVED)
    cold = [
        m
        for m in observation.migrations
        if m.source == observation.host and m.type == "migration" and m.status in settled
    ]
    cause = observation.history.causes.get(cold[0].id) if cold else None
    if cause is None or not causes.is_ssh(cause.text):
        return None
    elsewhere = observation.paths.unchecked.get(causes.destination_of(cause.text) or "")
    return Breaker(
        "cold",
        ServerReason.SSH_PATH_BROKEN,
        causes.in_one_line(cause.text),
        _last_or_first(drain, observation, cold[0].server_id, ("ACTIVE", "SHUTOFF")),
        (elsewhere, *causes.SSH_REMEDIES) if elsewhere else causes.SSH_REMEDIES,
    )


def _left_down_breaker(
    drain: Drain, observation: Observation, cold: list[Migration], arrivals: Arrivals
) -> Breaker | None:
    """A guest was left down by a cold move, and none has succeeded since: one more guest tries.

    That is one that began since. Nova does not show when an older one arrived, only when it was
    confirmed, which may be long after. To have arrived is no success: confirmed is, or that its
    checks pass, and neither where its guest was off.
    """
    well = [
        m
        for m in cold
        if (m.status in _CONFIRMED or m.id in arrivals.passed)
        and not arrived_off(drain, observation, m)
    ]
    since = max((m.created for m in well), default=None)
    trips = [
        m
        for m in cold
        if left_down(drain, observation, m) and (since is None or _failed_at(drain, m) >= since)
    ]
    if not trips:
        return None
    first = min(trips, key=lambda m: _failed_at(drain, m))
    return Breaker(
        "cold",
        ServerReason.COLD_MIGRATION_PAUSED,
        f"it left {_name(observation, first)} down ({_why(drain, observation, first)}), and "
        "none has succeeded since",
        _guest_that_tries(drain, observation, cold, first, arrivals),
        ("Repair the cause on this host or on the destination", new_tries(drain)),
        spares_stopped=True,
    )


def left_down(drain: Drain, observation: Observation, m: Migration) -> bool:
    """A cold migration that shut its guest down and did not bring it up again.

    Nova's event says so where it names the step (compute_resize_instance shuts the guest down, and
    compute_finish_resize starts it); else the server does.
    """
    if arrived_off(drain, observation, m):
        return True
    cause = observation.history.causes.get(m.id)
    if m.status in FAILED and m.status != "reverted" and cause is not None and cause.final:
        if causes.is_untouched(cause.text):
            return False
        if cause.event in causes.AFTER_SHUTDOWN:
            return True
    server = _server(observation, m.server_id)
    if server is None or not _is_newest(observation, m):
        return False
    if m.status == "error" and server.status == "ERROR":
        return cause is None or not causes.is_untouched(cause.text)
    return was_left_off(drain, observation, server)


def arrived_off(drain: Drain, observation: Observation, m: Migration) -> bool:
    """Its guest ran before, and was off where it arrived, whatever became of it since."""
    return m.id in drain.record.arrived_off or is_off_there(drain, observation, m)


def is_off_there(drain: Drain, observation: Observation, m: Migration) -> bool:
    """In VERIFY_RESIZE by this migration, and off: by its hypervisor, else as Nova shows it. Where
    neither can say how it is, it is not known to be off.
    """
    server = observation.elsewhere.get(m.server_id)
    if m.status != "finished" or server is None or not _is_newest(observation, m):
        return False
    if server.id in observation.silent or not observation.is_up(server.host):
        return False
    if server.status != "VERIFY_RESIZE" or server.task_state is not None:
        return False
    if not drain.spec.confirmation.checks.power or drain.record.was(server.id) != "ACTIVE":
        return False
    return not observation.running.get(server.id, server.power_state == RUNNING)


def newly_off(
    drain: Drain, observation: Observation, verdicts: Iterable[Verdict]
) -> dict[int, datetime]:
    """Migrations to note, and when they arrived: the guest is off by its hypervisor, or by what
    Nova shows where that is acted upon.
    """
    acted = set[int]()
    for verdict in verdicts:
        match verdict:
            case Revert(migration=m) | Confirm(migration=m):
                acted.add(m.id)
            case Held(ServerReason.CHECK_FAILED, migration=m):
                acted.add(m.id)
    return {
        m.id: _ended(m)
        for m in own_of_host(drain, observation)
        if not m.live
        and is_off_there(drain, observation, m)
        and (m.id in acted or observation.running.get(m.server_id) is False)
    }


def was_left_off(drain: Drain, observation: Observation, server: Server) -> bool:
    """It ran before its first try, is off now, and no user has stopped it meanwhile.

    Nova may have written down something else in between: after a nova-compute that died in the
    copy it is ACTIVE with its guest off, then stopped by Nova itself (an action without a user).
    """
    tried = drain.record.tries.get(server.id)
    if tried is None or tried.was != "ACTIVE" or tried.method not in ("cold", "live"):
        return False
    if server.task_state is not None or server.id in observation.stopped_by_user:
        return False
    if not broke_off(drain, observation, server):
        return False
    return server.status == "SHUTOFF" or (
        server.status == "ACTIVE" and observation.running.get(server.id) is False
    )


def _guest_that_tries(
    drain: Drain,
    observation: Observation,
    cold: list[Migration],
    first: Migration,
    arrivals: Arrivals,
) -> str | None:
    """The smallest running guest, once all that was in flight has ended; None: one has tried."""
    tried_since = [
        m
        for m in cold  # Nova's times have whole seconds
        if m.id > first.id and m.created >= _failed_at(drain, first) and _ran(drain, m.server_id)
    ]
    in_flight = [
        m for m in cold if not m.terminal and (m.status != "finished" or m.id in arrivals.verifying)
    ]
    if tried_since or any(_ran(drain, m.server_id) for m in in_flight):
        return None
    failed = {m.server_id for m in cold if m.status in FAILED}
    running = [
        s for s in _free_to_try(drain, observation, ("ACTIVE",)) if may_move_cold(s, drain.spec)
    ]
    fresh = [s for s in running if s.id not in failed] or running
    smallest = min(fresh, key=lambda s: (s.flavor.ram, s.flavor.disk, s.id), default=None)
    return smallest.id if smallest else None


def _ran(drain: Drain, server_id: str) -> bool:
    return drain.record.was(server_id) != "SHUTOFF"


# Live


def _live_breaker(drain: Drain, observation: Observation, live: list[Migration]) -> Breaker | None:
    """A server in ERROR after its live move, or a cause that is the host's."""
    broken = [s for s in observation.servers if s.status == "ERROR" and _failed_live(live, s.id)]
    if broken:
        first = min(broken, key=lambda s: (s.name, s.id))
        return Breaker(
            "live",
            ServerReason.LIVE_MIGRATION_PAUSED,
            f"it left {first.name} in ERROR",
            None,
            (_after_error(drain, observation, first),),
        )
    ended = [_ended(m) for m in live if m.status in LEFT_WELL]
    since = max(ended, default=None)
    failed = [
        m
        for m in live
        if m.status in FAILED
        and m.status != "cancelled"
        and (since is None or _ended(m) > since)
        and _says_something(observation, m)
    ]
    tries = _of_one_cause(observation, failed)
    if not tries:
        return None
    last = tries[0]
    return Breaker(
        "live",
        ServerReason.LIVE_MIGRATION_PAUSED,
        f"every try fails alike ({causes.text_of(observation, last)})",
        _last_or_first(drain, observation, last.server_id, ("ACTIVE", "PAUSED")),
        ("Check libvirt's path from this host to the others: port, TLS certificate, host key",),
        tries=frozenset(m.id for m in tries),
    )


def _after_error(drain: Drain, observation: Observation, server: Server) -> str:
    if may_be_elsewhere(drain, observation, server):
        return f"Find out where the guest of {server.name} runs, by its own remedies"
    return RESET_STATE.format(id=server.id)


def _says_something(observation: Observation, m: Migration) -> bool:
    """Of the path to the others: a migration whose nova-compute died says nothing of it, nor does
    one that failed when its guest had arrived.
    """
    cause = observation.history.causes.get(m.id)
    if observation.elsewhere.get(m.server_id) is not None:
        return False
    return cause is not None and cause.final and not cause.text.startswith(CUT_OFF)


def _of_one_cause(observation: Observation, failed: list[Migration]) -> list[Migration]:
    """The newest tries that failed alike, where the cause is the host's: by its text, or because
    several servers in a row have it. `failed`: newest first.
    """
    if not failed:
        return []
    texts = [causes.kind_of(observation, m) for m in failed]
    alike = []
    for m, text in zip(failed, texts, strict=True):
        if text != texts[0]:
            break
        alike.append(m)
    text = causes.text_of(observation, failed[0])
    if causes.is_host_wide(text):
        return alike
    if causes.is_no_host(text) or causes.is_check(text):
        return []
    return alike if len({m.server_id for m in alike}) >= _SAME_CAUSE else []


def _failed_live(live: Iterable[Migration], server_id: str) -> bool:
    newest = next((m for m in live if m.server_id == server_id), None)
    return newest is not None and newest.status in FAILED


# Both


def _last_or_first(
    drain: Drain, observation: Observation, last: str, statuses: tuple[str, ...]
) -> str | None:
    """The one that failed last, or, where that one is gone or kept, the first that is free."""
    free = sorted(server.id for server in _free_to_try(drain, observation, statuses))
    tries = any(server.id == last and not server.idle for server in observation.servers)
    return last if tries or last in free else next(iter(free), None)


def _free_to_try(
    drain: Drain, observation: Observation, statuses: tuple[str, ...]
) -> Iterable[Server]:
    """One that is locked or refused would never try, and all others would wait for it."""
    kept = drain.spec.servers.locked is LockedPolicy.BLOCK
    return [
        s
        for s in observation.servers
        if s.status in statuses
        and s.idle
        and not (kept and s.locked)
        and s.id not in observation.history.refusals
    ]


def _ended(m: Migration) -> datetime:
    return m.updated or m.created


def _failed_at(drain: Drain, m: Migration) -> datetime:
    """When it left its guest down: where that was on its arrival, it may have ended long after."""
    noted = drain.record.arrived_off.get(m.id)
    return datetime.fromisoformat(noted) if noted else _ended(m)


def _why(drain: Drain, observation: Observation, m: Migration) -> str:
    if arrived_off(drain, observation, m):
        return f"it was off where it arrived, on {m.dest}"
    return causes.text_of(observation, m)


def _is_newest(observation: Observation, m: Migration) -> bool:
    return not any(o.server_id == m.server_id and o.id > m.id for o in observation.migrations)


def _server(observation: Observation, server_id: str) -> Server | None:
    here = next((s for s in observation.servers if s.id == server_id), None)
    return here or observation.elsewhere.get(server_id)


def _name(observation: Observation, m: Migration) -> str:
    server = _server(observation, m.server_id)
    return server.name if server else observation.history.names.get(m.server_id, m.server_id)
