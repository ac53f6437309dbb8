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
    checks = {(a, b): _check(hosts, a, b) for a, targets in paths.items() for b in targets}

    def is_proven(name: str) -> bool:
        """Both ways: a destination fetches a base image that is gone from Glance from here."""
        sources = [source for source, targets in paths.items() if name in targets]
        found = [
            *(checks[name, target] for target in required_ends(paths[name], destinations)),
            *(checks[source, name] for source in required_ends(sources, destinations)),
        ]
        return all(check is not None and check.works for check in found)

    proven = tuple(sorted(name for name in ready if is_proven(name)))
    return KeyringDecision(desired, rotation, probe, hosts, ready, checks, proven, conflicts or {})


def _check(hosts: Mapping[str, HostRecord], source: str, target: str) -> PathCheck | None:
    if hosts[source].failure or hosts[target].failure:
        return None
    record = hosts[source].paths.get(target)
    return record.check if record else None
