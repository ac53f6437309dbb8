"""PURE: which hosts are due for a visit, and which of their paths are to be tried then."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from quiesce.api.keyring.spec import Probe
from quiesce.keyring.decide import changes
from quiesce.keyring.fleet import HostMemory, Proof
from quiesce.keyring.wanted import Wanted

PROBES_A_VISIT = 64


@dataclass(frozen=True, slots=True)
class Due:
    """A visit that should begin now; `targets` are the hosts to try the paths to, in a fair order."""

    host: str
    targets: tuple[str, ...] = ()


def in_order(wanted: Wanted, memory: HostMemory) -> bool:
    """The host was seen as it should be."""
    return memory.failure is None and memory.sight is not None and not changes(wanted, memory.sight)


def paths(
    probe: Probe, names: Sequence[str], destinations: AbstractSet[str]
) -> Mapping[str, tuple[str, ...]]:
    """Host -> the hosts that it must reach. Each begins with its successor, so that not all try one at once.

    A ring leads to the next host to which Nova can move something, where there is one.
    """
    ordered = sorted(names)
    return {
        name: _targets(probe, ordered, place, destinations) for place, name in enumerate(ordered)
    }


def _targets(
    probe: Probe, ordered: Sequence[str], place: int, destinations: AbstractSet[str]
) -> tuple[str, ...]:
    others = (*ordered[place + 1 :], *ordered[:place])
    following = next((name for name in others if name in destinations), None)
    ring = others[:1] if following is None else (following,)
    return {Probe.ALL: others, Probe.RING: ring, Probe.NONE: ()}[probe]


def needed(targets: Sequence[str], destinations: AbstractSet[str]) -> tuple[str, ...]:
    """Those of a host's paths that cold migrations from it can take; all, while Nova has no destination at all."""
    return tuple(name for name in targets if name in destinations) or tuple(targets)


def due(
    hosts: Mapping[str, HostMemory],
    wanted: Wanted,
    probe: Probe,
    destinations: AbstractSet[str],
    check_every: float,
    now: float,
) -> tuple[Due, ...]:
    """Healthy hosts first, each group by the time of its last visit."""
    ready = [name for name, memory in hosts.items() if in_order(wanted, memory)]
    routes = paths(probe, ready, destinations)
    found = [
        Due(name, targets)
        for name, memory in hosts.items()
        for targets in [_due_paths(memory, routes.get(name, ()), check_every, now)]
        if targets or _due_itself(wanted, memory, check_every, now)
    ]
    return tuple(
        sorted(found, key=lambda each: (hosts[each.host].failures, hosts[each.host].at or 0.0))
    )


def _due_itself(wanted: Wanted, memory: HostMemory, check_every: float, now: float) -> bool:
    if memory.at is None:
        return True
    if memory.failure is not None:
        return now >= memory.retry_at
    return (
        now >= memory.at + check_every
        or memory.sight is None
        or bool(changes(wanted, memory.sight))
    )


def _due_paths(
    memory: HostMemory, targets: Sequence[str], check_every: float, now: float
) -> tuple[str, ...]:
    uses = memory.sight.uses if memory.sight else None
    stale = [name for name in targets if _stale(memory.proofs.get(name), uses, check_every, now)]
    return tuple(stale[:PROBES_A_VISIT])


def _stale(proof: Proof | None, uses: str | None, check_every: float, now: float) -> bool:
    if proof is None or proof.key_id != uses:
        return True
    return now >= (proof.retry_at if proof.pair.reason else proof.at + check_every)


def next_due(hosts: Mapping[str, HostMemory], check_every: float, now: float) -> float:
    """Seconds until the first host is due again by time alone."""
    times = [
        memory.retry_at if memory.failure else (memory.at or 0.0) + check_every
        for memory in hosts.values()
    ]
    retries = [
        proof.retry_at
        for memory in hosts.values()
        for proof in memory.proofs.values()
        if proof.pair.reason
    ]
    return max(1.0, min([*times, *retries, now + check_every]) - now)
