"""PURE. What a drain would do, and whether the rest of the cloud can plausibly hold the servers.

A plausibility, no promise: Nova's scheduler weighs what placement does not show (NUMA,
PCI, image traits, host aggregates), and other people use the cloud meanwhile.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

from quiesce.api.drain.spec import DrainSpec
from quiesce.api.text import count, some
from quiesce.drain.model.observation import Observation
from quiesce.drain.model.verdict import Blocked, Held, Move, Offload, Resume, Verdict
from quiesce.openstack.records import SUCCEEDED, Migration, Room, Server, Shape

Capacity = Literal["Fits", "Short", "Unknown"]


@dataclass(frozen=True, slots=True)
class Plan:
    """`reasons`: (reason, count, message), most frequent first. `estimated_seconds` None: this host has no history to go by."""

    live: int
    cold: int
    offload: int
    blocked: int
    capacity: Capacity
    capacity_message: str
    estimated_seconds: int | None
    reasons: tuple[tuple[str, int, str], ...]

    def as_json(self) -> dict[str, Any]:
        whole = {
            "live": self.live,
            "cold": self.cold,
            "offload": self.offload,
            "blocked": self.blocked,
            "capacity": self.capacity,
            "estimatedSeconds": self.estimated_seconds,
            "reasons": [
                {"reason": r, "count": n, "message": text[:1024]}
                for r, n, text in self.reasons[:20]
            ],
        }
        return {key: value for key, value in whole.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A server that would move, with what it takes: its flavor's shape, and the zone it is pinned to."""

    server: Server
    shape: Shape


def make(spec: DrainSpec, seen: Observation, verdicts: Iterable[tuple[Server, Verdict]]) -> Plan:
    """From the verdicts on all servers of the host. `seen.rooms` None: placement could not be asked."""
    pairs = list(verdicts)
    how = Counter(v.how for _, v in pairs if isinstance(v, Move))
    resumed = sum(isinstance(v, Resume) for _, v in pairs)
    movers = [Candidate(s, shape_of(s)) for s, v in pairs if isinstance(v, Move | Resume)]
    capacity, message = weigh(spec, seen, movers)
    live = how["live"] + (resumed if spec.migration.method != "Cold" else 0)
    cold = how["cold"] + (resumed if spec.migration.method == "Cold" else 0)
    return Plan(
        live=live,
        cold=cold,
        offload=sum(isinstance(v, Offload) for _, v in pairs),
        blocked=sum(isinstance(v, Blocked | Held) for _, v in pairs),
        capacity=capacity,
        capacity_message=message,
        estimated_seconds=estimate(spec, seen.migrations, live, cold),
        reasons=reasons(pairs),
    )


def shape_of(server: Server) -> Shape:
    """What placement is asked for on behalf of a server (nova/scheduler/utils.py ResourceRequest, without its rarer parts)."""
    flavor = server.flavor
    traits = sorted(
        name.removeprefix("trait:")
        for name, value in flavor.extra_specs.items()
        if name.startswith("trait:") and value == "required"
    )
    disk = 0 if server.volume_backed else flavor.disk
    resources = {
        "VCPU": flavor.vcpus,
        "MEMORY_MB": flavor.ram,
        "DISK_GB": disk + math.ceil(flavor.swap / 1024),
    }
    for name, value in flavor.extra_specs.items():
        if name.startswith("resources:") and value.isdigit():
            resources[name.removeprefix("resources:")] = int(value)
    return Shape(tuple(sorted((k, v) for k, v in resources.items() if v)), tuple(traits))


def weigh(spec: DrainSpec, seen: Observation, movers: list[Candidate]) -> tuple[Capacity, str]:
    """Whether they can be placed at all: closely packed, or spread over the hosts as Nova's scheduler does by default."""
    if seen.rooms is None:
        return "Unknown", "placement could not be asked"
    usable = {s.host for s in seen.services if s.status == "enabled" and s.state == "up"} - {
        seen.host
    }
    if spec.migration.target_host:
        usable &= {spec.migration.target_host}
    rooms = [room for room in seen.rooms if room.host in usable]
    others = count(len(rooms), "other host")
    packed, spread = (homeless(movers, rooms, seen, spread=spread) for spread in (False, True))
    if packed and spread:
        return (
            "Short",
            f"{len(packed)} of {count(len(movers), 'server')} find no room on {others}: {some(packed)}",
        )
    text = f"room for {count(len(movers), 'server')} on {others}, as far as placement tells"
    if spread:
        text += f", but only closely packed: {len(spread)} may find none where Nova's scheduler spreads them: {some(spread)}"
    return "Fits", text


def homeless(
    movers: list[Candidate], rooms: Iterable[Room], seen: Observation, *, spread: bool
) -> list[str]:
    """Who finds no room, by name: the largest first, each onto the first host that can take it, or (`spread`) the emptiest."""
    zones = {s.host: s.zone for s in seen.services}
    free = {room.host: dict(room.free) for room in rooms}
    allowed = {
        shape: {r.host for r in rooms if shape in r.takes} for shape in {m.shape for m in movers}
    }
    taken = group_members_elsewhere(seen)
    names = []
    for mover in sorted(movers, key=lambda m: (m.shape.size, m.server.id), reverse=True):
        hosts = sorted(
            free, key=lambda host: (-free[host].get("MEMORY_MB", 0) if spread else 0, host)
        )
        if place(mover, hosts, free, allowed[mover.shape], zones, taken, seen) is None:
            names.append(mover.server.name)
    return names


def group_members_elsewhere(seen: Observation) -> dict[str, set[str]]:
    """anti-affinity group id -> hosts that already hold a member of it."""
    found: dict[str, set[str]] = {g.id: set() for g in seen.groups if g.policy == "anti-affinity"}
    for group in seen.groups:
        if group.id in found:
            found[group.id] |= {
                host for member, host in seen.members.items() if member in group.members
            }
    return found


def place(
    mover: Candidate,
    hosts: Iterable[str],
    free: dict[str, dict[str, int]],
    allowed: set[str],
    zones: Mapping[str, str],
    taken: dict[str, set[str]],
    seen: Observation,
) -> str | None:
    groups = [g.id for g in seen.groups if g.id in taken and mover.server.id in g.members]
    for host in hosts:
        pinned = mover.server.zone_pinned
        if (
            host not in allowed
            or (pinned and zones.get(host) != pinned)
            or any(host in taken[g] for g in groups)
        ):
            continue
        if all(free[host].get(name, 0) >= amount for name, amount in mover.shape.resources):
            for name, amount in mover.shape.resources:
                free[host][name] -= amount
            for group in groups:
                taken[group].add(host)
            return host
    return None


def estimate(spec: DrainSpec, migrations: Iterable[Migration], live: int, cold: int) -> int | None:
    """Seconds, from the median of this host's own past migrations of each kind, `maxParallel` at a time."""
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


def reasons(pairs: Iterable[tuple[Server, Verdict]]) -> tuple[tuple[str, int, str], ...]:
    """Why servers cannot move: per reason how many, which three, and what to do."""
    found: dict[str, list[tuple[str, str]]] = {}
    for server, verdict in pairs:
        if isinstance(verdict, Blocked | Held):
            found.setdefault(verdict.reason, []).append((server.name, verdict.message))
    rows = []
    for reason, those in found.items():
        rows.append((reason, len(those), f"{some(name for name, _ in those)}: {min(those)[1]}"))
    return tuple(sorted(rows, key=lambda row: (-row[1], row[0])))
