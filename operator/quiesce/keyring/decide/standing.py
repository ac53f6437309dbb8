"""From what is known of the hosts to how the keyring stands."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet

from quiesce.api.keyring.spec import Probe
from quiesce.keyring.decide.schedule import is_ready, paths_to_check, required_targets
from quiesce.keyring.model import (
    DesiredState,
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
) -> KeyringDecision:
    """`destinations`: where Nova can move something now."""
    ready = tuple(name for name, record in hosts.items() if is_ready(desired, record))
    paths = paths_to_check(probe, list(hosts), destinations)
    checks = {(a, b): _check(hosts, a, b) for a, targets in paths.items() for b in targets}

    def is_proven(name: str) -> bool:
        found = (checks[name, target] for target in required_targets(paths[name], destinations))
        return all(check is not None and check.works for check in found)

    proven = tuple(sorted(name for name in ready if is_proven(name)))
    return KeyringDecision(desired, rotation, probe, hosts, ready, checks, proven)


def _check(hosts: Mapping[str, HostRecord], source: str, target: str) -> PathCheck | None:
    if hosts[source].failure or hosts[target].failure:
        return None
    record = hosts[source].paths.get(target)
    return record.check if record else None
