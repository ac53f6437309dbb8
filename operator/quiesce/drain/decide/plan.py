"""What a drain would do, and whether the rest of the cloud can plausibly hold the servers.

A plausibility, no promise: Nova's scheduler weighs what placement does not show (NUMA,
PCI, image traits, host aggregates), and other users use the cloud meanwhile.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import median

from quiesce.api.drain.spec import DrainSpec, Method, Mode
from quiesce.api.drain.status import Capacity, PlannedServer, PlanStatus
from quiesce.api.text import count, some
from quiesce.drain.decide.obstacles import live_obstacle
from quiesce.drain.model.decision import Plan
from quiesce.drain.model.observation import Observation, PlanReads
from quiesce.drain.model.shapes import shape_of
from quiesce.drain.model.verdict import (
    Blocked,
    Held,
    Move,
    Offload,
    Resume,
    ServerVerdict,
    Wait,
)
from quiesce.openstack.records import (
    SUCCEEDED,
    Migration,
    Room,
    Server,
    ServerGroup,
    Shape,
)


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A server that would move, with what it takes: its flavor's shape, and the zone it is pinned
    to.
    """

    server: Server
    shape: Shape


@dataclass
class _Packing:
    """Hosts being filled. `free`: host -> what is left of each resource class.

    `taken`: anti-affinity group ID -> how many members of it each host holds.
    """

    observation: Observation
    free: dict[str, dict[str, int]]
    allowed: Mapping[Shape, set[str]]
    taken: dict[str, Counter[str]]
    zones: Mapping[str, str] = field(default_factory=dict)

    def place(self, mover: _Candidate, hosts: Iterable[str]) -> bool:
        """On the first of these hosts that can take it; False: on none."""
        groups = self._groups_of(mover)
        host = next((host for host in hosts if self._takes(host, mover, groups)), None)
        if host is None:
            return False
        for name, amount in mover.shape.resources:
            self.free[host][name] -= amount
        for group in groups:
            self.taken[group.id][host] += 1
        return True

    def _takes(self, host: str, mover: _Candidate, groups: list[ServerGroup]) -> bool:
        pinned = mover.server.zone_pinned
        if host not in self.allowed[mover.shape] or (pinned and self.zones.get(host) != pinned):
            return False
        if any(self.taken[g.id][host] >= g.most for g in groups):
            return False
        return all(self.free[host].get(name, 0) >= amount for name, amount in mover.shape.resources)

    def _groups_of(self, mover: _Candidate) -> list[ServerGroup]:
        return [
            g
            for g in self.observation.groups
            if g.id in self.taken and mover.server.id in g.members
        ]


def make(
    spec: DrainSpec, observation: Observation, verdicts: Iterable[ServerVerdict]
) -> Plan | None:
    """From the verdicts on the servers of the host; None: no plan is asked for."""
    if observation.plan is None:
        return None
    pairs = [(v.server, v) for v in verdicts if v.counts and v.server is not None]
    methods = Counter(v.verdict.method for _, v in pairs if isinstance(v.verdict, Move))
    resumed = sum(isinstance(v.verdict, Resume) for _, v in pairs)
    movers = [
        _Candidate(server, shape_of(server))
        for server, v in pairs
        if isinstance(v.verdict, Move | Resume)
    ]
    capacity, message = _weigh(spec, observation, observation.plan, movers)
    live = methods["live"] + (resumed if spec.migration.method != "Cold" else 0)
    cold = methods["cold"] + (resumed if spec.migration.method == "Cold" else 0)
    status = PlanStatus(
        live=live,
        cold=cold,
        offload=sum(isinstance(v.verdict, Offload) for _, v in pairs),
        blocked=sum(isinstance(v.verdict, Blocked | Held) for _, v in pairs),
        capacity=capacity,
        estimated_seconds=_estimate(spec, observation.migrations, live, cold),
        reasons=(*_reasons(v for _, v in pairs), *observation.unread),
        servers=_planned(spec, pairs) if spec.mode is Mode.PLAN else (),
    )
    return Plan(status, message)


def _weigh(
    spec: DrainSpec, observation: Observation, reads: PlanReads, movers: list[_Candidate]
) -> tuple[Capacity, str]:
    """Whether they can be placed at all: closely packed, or spread over the hosts as Nova's
    scheduler does by default.
    """
    if reads.capacity is None:
        return "Unknown", "placement could not be asked"
    services = observation.services
    usable = {s.host for s in services if s.status == "enabled" and s.state == "up"}
    usable -= {observation.host}
    if spec.migration.target_host:
        usable &= {spec.migration.target_host}
    rooms = [room for room in reads.capacity if room.host in usable]
    others = count(len(rooms), "other host")
    packed, spread = (
        _homeless(movers, rooms, observation, reads, spread=spread) for spread in (False, True)
    )
    if packed and spread:
        servers = count(len(movers), "server")
        return "Short", f"no capacity for {len(packed)} of {servers} on {others}: {some(packed)}"
    text = f"capacity for {count(len(movers), 'server')} on {others}, as far as placement tells"
    if spread:
        text += (
            f", but only closely packed: Nova's scheduler spreads servers, and may find none for "
            f"{len(spread)}: {some(spread)}"
        )
    return "Fits", text


def _homeless(
    movers: list[_Candidate],
    rooms: Iterable[Room],
    observation: Observation,
    reads: PlanReads,
    *,
    spread: bool,
) -> list[str]:
    """Who finds no place, by name: the largest first, each onto the first host that can take it, or
    (`spread`) the emptiest.
    """
    rooms = list(rooms)
    packing = _Packing(
        observation,
        free={room.host: dict(room.free) for room in rooms},
        allowed={m.shape: {r.host for r in rooms if m.shape in r.takes} for m in movers},
        taken=_group_members_elsewhere(observation, reads),
        zones={s.host: s.zone for s in observation.services},
    )
    names = []
    for mover in sorted(movers, key=lambda m: (m.shape.size, m.server.id), reverse=True):
        free = packing.free
        hosts = sorted(
            free, key=lambda host: (-free[host].get("MEMORY_MB", 0) if spread else 0, host)
        )
        if not packing.place(mover, hosts):
            names.append(mover.server.name)
    return names


def _group_members_elsewhere(observation: Observation, reads: PlanReads) -> dict[str, Counter[str]]:
    """Anti-affinity group ID -> how many members of it each host already holds."""
    groups = [g for g in observation.groups if g.policy == "anti-affinity"]
    return {
        group.id: Counter(host for member, host in reads.members.items() if member in group.members)
        for group in groups
    }


def _estimate(spec: DrainSpec, migrations: Iterable[Migration], live: int, cold: int) -> int | None:
    """Seconds, from the median of this host's own past migrations of each kind, `maxParallel` at a
    time.
    """
    past: dict[str, list[float]] = {"live-migration": [], "migration": []}
    for m in migrations:
        if m.status in SUCCEEDED and m.type in past and m.updated:
            past[m.type].append((m.updated - m.created).total_seconds())
    total = 0.0
    for moves, kind in ((live, "live-migration"), (cold, "migration")):
        if moves and not past[kind]:
            return None
        total += moves * median(past[kind]) if moves else 0
    return math.ceil(total / spec.migration.max_parallel)


def _reasons(verdicts: Iterable[ServerVerdict]) -> tuple[tuple[str, int, str], ...]:
    """Why servers cannot move: per reason how many, which three, and an example."""
    found: dict[str, list[tuple[str, str]]] = {}
    for v in verdicts:
        if isinstance(v.verdict, Blocked | Held):
            found.setdefault(v.verdict.reason, []).append((v.name, v.verdict.message))
    rows = [
        (reason, len(those), f"{some(name for name, _ in those)}: {min(those)[1]}")
        for reason, those in found.items()
    ]
    return tuple(sorted(rows, key=lambda row: (-row[1], row[0])))


# Server by server

_ORDER = ("none", "wait", "cold", "live")


def _planned(
    spec: DrainSpec, pairs: Iterable[tuple[Server, ServerVerdict]]
) -> tuple[PlannedServer, ...]:
    """Those that stay first, then those that would be restarted."""
    rows = (
        PlannedServer(server.id, server.name, server.status, *_fate(spec, server, v))
        for server, v in pairs
    )
    return tuple(sorted(rows, key=_rank))


def _rank(row: PlannedServer) -> tuple[int, str, str]:
    place = _ORDER.index(row.action) if row.action in _ORDER else len(_ORDER)
    return place, row.name, row.id


def _fate(spec: DrainSpec, server: Server, v: ServerVerdict) -> tuple[str, str]:
    """(action, message)"""
    match v.verdict:
        case Move(method="live"):
            state = "paused" if server.status == "PAUSED" else "running"
            return "live", f"it is {state}, and stays so during the move"
        case Move():
            return "cold", _why_cold(spec, server)
        case Offload():
            return "offload", "it is shelved: it leaves the host without landing on another"
        case Resume():
            return "resume", "it is suspended: it is resumed, then moved"
        case Wait(message=message):
            return "wait", message
        case Blocked(reason=reason, message=message) | Held(reason=reason, message=message):
            return "none", f"{reason}: {message}"
    return "wait", "a move of it is in flight"


def _why_cold(spec: DrainSpec, server: Server) -> str:
    if server.status == "SHUTOFF":
        return "it is stopped, and stays so"
    if spec.migration.method is Method.COLD:
        return "restarted on another host: migration.method is Cold"
    why = live_obstacle(server) or "Nova does not live-migrate it, or its tries have failed"
    return f"restarted on another host: {why}"
