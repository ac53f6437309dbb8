"""Visits within a time budget: begin what is due, record what has ended, until nothing is due."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from quiesce.compute.hosts import ComputeHost
from quiesce.keyring.act.fleet import Fleet
from quiesce.keyring.act.visit import VisitOrder
from quiesce.keyring.decide import due_removals, due_visits, rotation
from quiesce.keyring.model import (
    DesiredState,
    DueVisit,
    HostRecord,
    PathTarget,
    Rotation,
    RotationStep,
    VisitResult,
)
from quiesce.keyring.observe import KeyringObservation
from quiesce.ssh.keys import PublicKey

_BUDGET_SECONDS = 3.0
"""How long a tick waits for hosts; visits go on beside it, and the next tick records them."""
_BATCH_SECONDS = 0.05
"""Visits that end at about the same time are recorded together."""


@dataclass
class VisitSummary:
    """`changed`: host -> what was changed there. `presented`: host -> its key on first use."""

    changed: dict[str, tuple[str, ...]] = field(default_factory=dict)
    presented: dict[str, PublicKey] = field(default_factory=dict)

    def add(self, name: str, result: VisitResult) -> None:
        if result.changed:
            self.changed[name] = (*self.changed.get(name, ()), *result.changed)
        if result.presented:
            self.presented[name] = result.presented


def run_visits(
    observed: KeyringObservation, fleet: Fleet, clock: Callable[[], float] = time.monotonic
) -> VisitSummary:
    """Ends when nothing is due or in flight, a host key has to be pinned, or time is up."""
    end, summary = clock() + _BUDGET_SECONDS, VisitSummary()
    while True:
        started = _start_due(observed, fleet, clock())
        remaining = end - clock()
        if not fleet.in_flight or remaining <= 0:
            return summary
        ended = fleet.collect(remaining, clock)
        time.sleep(min(_BATCH_SECONDS, max(0.0, end - clock())) if started else 0.0)
        for name, result in [*ended, *fleet.collect(0.0, clock)]:
            summary.add(name, result)
        if summary.presented:
            return summary


def current_goal(
    observed: KeyringObservation, fleet: Fleet, now: float
) -> tuple[DesiredState | None, Rotation]:
    """What hosts should look like now, given how far all of them are with the key."""
    desired = observed.desired
    if desired is None:
        return None, Rotation(RotationStep.STABLE)
    observations = {name: record.observation for name, record in fleet.hosts.items()}
    newest = max((record.since for record in fleet.hosts.values()), default=now)
    progress = rotation(desired, observations, now - newest)
    return replace(desired, may_switch=progress.may_switch), progress


def _start_due(observed: KeyringObservation, fleet: Fleet, now: float) -> int:
    """Starts visits; how many."""
    desired, _ = current_goal(observed, fleet, now)
    spec, hosts = observed.spec, {host.name: host for host in observed.hosts}
    if desired is None:
        due = due_removals(fleet.hosts, now)
    else:
        due = due_visits(fleet.hosts, desired, spec.probe, observed.up, spec.check_every, now)
    return sum(
        fleet.start(each.host, _order(observed, hosts, each, desired, fleet))
        for each in due
        if each.host not in fleet.in_flight
    )


def _order(
    observed: KeyringObservation,
    hosts: dict[str, ComputeHost],
    due: DueVisit,
    desired: DesiredState | None,
    fleet: Fleet,
) -> VisitOrder:
    host, access = hosts[due.host], observed.spec.host_access
    return VisitOrder(
        target=observed.target(host),
        login=observed.login,
        layout=observed.layout,
        desired=desired,
        pinned=observed.pins.of(host.name, host.names, access.port),
        revoked=observed.pins.revoked,
        trust=access.trust_on_first_use and host.name in host.names,
        targets=tuple(_path_target(hosts[name], fleet.hosts[name]) for name in due.targets),
    )


def _path_target(host: ComputeHost, record: HostRecord) -> PathTarget:
    alias = host.name if host.name in host.names else host.peer_address
    computes = record.observation.computes if record.observation else ()
    instances = next((each.instances for each in computes if each.instances), None)
    return PathTarget(host.name, host.peer_address, alias, instances)
