"""One turn of visits within a budget of time: begin what is due, take in what has ended, until nothing is to do."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from quiesce.keyring.fleet import Fleet, HostMemory
from quiesce.keyring.hosts import ComputeHost
from quiesce.keyring.observe import Inputs
from quiesce.keyring.rotation import Rotation, Step, rotation
from quiesce.keyring.schedule import Due, due
from quiesce.keyring.scripts import ProbeTarget
from quiesce.keyring.visit import Order, Visit
from quiesce.keyring.wanted import Wanted
from quiesce.ssh.keys import PublicKey

BUDGET_SECONDS = 3.0
"""How long a tick works at the hosts; visits go on beside it and are taken in by the next one."""
BATCH_SECONDS = 0.05
"""Visits that end about together are taken in together."""


@dataclass
class Turn:
    """What happened. `changed`: host -> what was changed there. `presented`: host -> its key, seen for the first time."""

    changed: dict[str, tuple[str, ...]] = field(default_factory=dict)
    presented: dict[str, PublicKey] = field(default_factory=dict)

    def take(self, name: str, visit: Visit) -> None:
        if visit.changed:
            self.changed[name] = (*self.changed.get(name, ()), *visit.changed)
        if visit.presented:
            self.presented[name] = visit.presented


def turn(inputs: Inputs, fleet: Fleet, clock: Callable[[], float] = time.monotonic) -> Turn:
    """Ends when nothing is due or in flight, when a new host key has to be pinned first, or with the budget."""
    end, happened = clock() + BUDGET_SECONDS, Turn()
    while True:
        started = _begin(inputs, fleet, clock())
        left = end - clock()
        if not fleet.in_flight or left <= 0:
            return happened
        ended = fleet.collect(left)
        time.sleep(min(BATCH_SECONDS, max(0.0, end - clock())) if started else 0.0)
        for name, visit in [*ended, *fleet.collect(0.0)]:
            happened.take(name, visit)
            fleet.take(name, visit, clock())
        if happened.presented:
            return happened


def standing(inputs: Inputs, fleet: Fleet, now: float) -> tuple[Wanted | None, Rotation]:
    """What hosts shall look like now, given how far all of them are with the key."""
    base = inputs.wanted
    if base is None:
        return None, Rotation(Step.STABLE)
    sights = {name: memory.sight for name, memory in fleet.hosts.items()}
    newest = max((memory.since for memory in fleet.hosts.values()), default=now)
    step = rotation(base, sights, now - newest)
    return replace(base, may_switch=step.may_switch), step


def _begin(inputs: Inputs, fleet: Fleet, now: float) -> int:
    wanted, _ = standing(inputs, fleet, now)
    idle = {name: memory for name, memory in fleet.hosts.items() if name not in fleet.in_flight}
    hosts = {host.name: host for host in inputs.hosts}
    if wanted is None:
        found = _removals(idle, now)
    else:
        every = due(
            fleet.hosts,
            wanted,
            inputs.spec.probe,
            inputs.destinations,
            inputs.spec.check_every,
            now,
        )
        found = tuple(each for each in every if each.host in idle)
    return sum(fleet.start(each.host, _order(inputs, hosts, each, wanted)) for each in found)


def _removals(idle: Mapping[str, HostMemory], now: float) -> tuple[Due, ...]:
    pending = [name for name, memory in idle.items() if not memory.clear and now >= memory.retry_at]
    return tuple(Due(name) for name in sorted(pending, key=lambda name: idle[name].failures))


def _order(
    inputs: Inputs, hosts: Mapping[str, ComputeHost], each: Due, wanted: Wanted | None
) -> Order:
    host = hosts[each.host]
    pinned = inputs.pins.of(host.names, inputs.spec.host_access.port)
    return Order(
        target=inputs.target(host),
        login=inputs.login,
        place=inputs.place,
        wanted=wanted,
        pinned=pinned,
        revoked=inputs.pins.revoked,
        trust=inputs.spec.host_access.trust_on_first_use,
        targets=tuple(ProbeTarget(name, hosts[name].address) for name in each.targets),
    )
