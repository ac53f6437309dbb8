"""PURE. Which hosts are due for a visit, and which of their paths are checked then."""

from collections.abc import Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet

from quiesce.api.keyring.spec import Probe
from quiesce.keyring.decide.changes import changes
from quiesce.keyring.model.desired import DesiredState
from quiesce.keyring.model.hosts import HostRecord, PathRecord
from quiesce.keyring.model.visit import DueVisit

CHECKS_PER_VISIT = 64


def is_ready(desired: DesiredState, record: HostRecord) -> bool:
    """Whether the host was observed as desired."""
    observed = record.observation
    return record.failure is None and observed is not None and not changes(desired, observed)


def paths_to_check(
    probe: Probe, names: Collection[str], up: AbstractSet[str]
) -> Mapping[str, tuple[str, ...]]:
    """Host -> the hosts that it must reach.

    Each begins with its successor, so that not all check the same host at once. A ring leads to the
    next host that is up, where there is one; one that is disabled is being drained, and has to be
    reached as well.
    """
    ordered = sorted(names)
    return {name: _targets(probe, ordered, place, up) for place, name in enumerate(ordered)}


def _targets(
    probe: Probe, ordered: Sequence[str], place: int, up: AbstractSet[str]
) -> tuple[str, ...]:
    others = (*ordered[place + 1 :], *ordered[:place])
    following = next((name for name in others if name in up), None)
    ring = others[:1] if following is None else (following,)
    return {Probe.ALL: others, Probe.RING: ring, Probe.NONE: ()}[probe]


def required_ends(ends: Sequence[str], destinations: AbstractSet[str]) -> tuple[str, ...]:
    """Of the other ends of a host's paths those to which cold migrations can go; all while Nova has
    none at all.
    """
    return tuple(name for name in ends if name in destinations) or tuple(ends)


def due_visits(
    hosts: Mapping[str, HostRecord],
    desired: DesiredState,
    probe: Probe,
    up: AbstractSet[str],
    check_every: float,
    now: float,
) -> tuple[DueVisit, ...]:
    """Healthy hosts first, each group by the time of its last visit."""
    ready = [name for name, record in hosts.items() if is_ready(desired, record)]
    paths = paths_to_check(probe, ready, up)
    found = [
        DueVisit(name, targets)
        for name, record in hosts.items()
        for targets in [_due_targets(record, paths.get(name, ()), check_every, now)]
        if targets or _is_due(desired, record, check_every, now)
    ]
    return tuple(
        sorted(found, key=lambda each: (hosts[each.host].failures, hosts[each.host].at or 0.0))
    )


def due_removals(hosts: Mapping[str, HostRecord], now: float) -> tuple[DueVisit, ...]:
    """Hosts on which something of ours may be left; those that failed least come first."""
    pending = [
        name for name, record in hosts.items() if not record.removed and now >= record.retry_at
    ]
    return tuple(DueVisit(name) for name in sorted(pending, key=lambda name: hosts[name].failures))


def _is_due(desired: DesiredState, record: HostRecord, check_every: float, now: float) -> bool:
    if record.at is None:
        return True
    if record.failure is not None:
        return now >= record.retry_at
    observed = record.observation
    return now >= record.at + check_every or observed is None or bool(changes(desired, observed))


def _due_targets(
    record: HostRecord, targets: Sequence[str], check_every: float, now: float
) -> tuple[str, ...]:
    key_id = record.observation.uses if record.observation else None
    due = [name for name in targets if _is_stale(record.paths.get(name), key_id, check_every, now)]
    return tuple(due[:CHECKS_PER_VISIT])


def _is_stale(path: PathRecord | None, key_id: str | None, check_every: float, now: float) -> bool:
    if path is None or path.key_id != key_id:
        return True
    return now >= (path.at + check_every if path.check.works else path.retry_at)


def seconds_until_due(hosts: Mapping[str, HostRecord], check_every: float, now: float) -> float:
    """Until the first host is due again by time alone; 1 at least."""
    times = [
        record.retry_at if record.failure else (record.at or 0.0) + check_every
        for record in hosts.values()
    ]
    retries = [
        path.retry_at
        for record in hosts.values()
        for path in record.paths.values()
        if not path.check.works
    ]
    return max(1.0, min([*times, *retries, now + check_every]) - now)
