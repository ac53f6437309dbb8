"""From what is known of the hosts to how the keyring stands."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet

from quiesce.api.keyring.spec import Probe
from quiesce.keyring.decide.schedule import is_ready, paths_to_check, required_ends
from quiesce.keyring.model import (
    DesiredState,
    HostFailure,
    HostRecord,
    KeyringDecision,
    PathCheck,
    Rotation,
)


def decide(
    desired: DesiredState,
    rotation: Rotation,
    probe: Probe,
    hosts: Mapping[str, HostRecord],
    destinations: AbstractSet[str],
    up: AbstractSet[str],
    conflicts: Mapping[str, HostFailure] | None = None,
) -> KeyringDecision:
    """`destinations`: where Nova can move something now. `up`: hosts whose nova-compute is up."""
    ready = tuple(name for name, record in hosts.items() if is_ready(desired, record))
    paths = paths_to_check(probe, list(hosts), up)
    found = ((a, b, _check(hosts, a, b)) for a, targets in paths.items() for b in targets)
    checks = {(a, b): check for a, b, check in found if check is not None}
    sources: dict[str, list[str]] = {name: [] for name in hosts}
    for source, targets in paths.items():
        for target in targets:
            sources[target].append(source)

    def is_proven(name: str) -> bool:
        """Both ways: a destination fetches a base image that is gone from Glance from here."""
        ends = [
            *((name, target) for target in required_ends(paths[name], destinations)),
            *((source, name) for source in required_ends(sources[name], destinations)),
        ]
        return all(each in checks and checks[each].works for each in ends)

    return KeyringDecision(
        desired,
        rotation,
        probe,
        hosts,
        ready,
        sum(map(len, paths.values())),
        checks,
        tuple(sorted(name for name in ready if is_proven(name))),
        conflicts or {},
    )


def _check(hosts: Mapping[str, HostRecord], source: str, target: str) -> PathCheck | None:
    if hosts[source].failure or hosts[target].failure:
        return None
    record = hosts[source].paths.get(target)
    return record.check if record else None
