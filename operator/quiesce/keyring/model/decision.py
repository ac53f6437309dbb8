"""How a keyring stands: all that is to be reported of its hosts and paths."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from quiesce.api.keyring.spec import Probe
from quiesce.keyring.model.desired import DesiredState
from quiesce.keyring.model.hosts import HostRecord
from quiesce.keyring.model.rotation import Rotation
from quiesce.keyring.model.visit import HostFailure, PathCheck


@dataclass(frozen=True, slots=True)
class KeyringDecision:
    """`paths`: how many have to work. `checks`: (source, target) -> the last check; without those
    that were not checked, or one of whose hosts has failed since. `ready_hosts`: observed as
    desired. `proven_hosts`: from these a cold migration reaches every host that Nova could choose,
    and those reach it, as far as the probe checks paths. `conflicts`: host -> a name of it that
    does not count, because another host claims it too.
    """

    desired: DesiredState
    rotation: Rotation
    probe: Probe
    hosts: Mapping[str, HostRecord]
    ready_hosts: tuple[str, ...]
    paths: int
    checks: Mapping[tuple[str, str], PathCheck]
    proven_hosts: tuple[str, ...]
    conflicts: Mapping[str, HostFailure] = field(default_factory=dict)

    @property
    def failures(self) -> Mapping[str, HostFailure]:
        """What is wrong with a host, one thing each: what keeps it from its goal comes first."""
        failed = {name: record.failure for name, record in self.hosts.items() if record.failure}
        return {**self.conflicts, **failed}

    @property
    def installed(self) -> bool:
        return len(self.ready_hosts) == len(self.hosts)

    @property
    def all_proven(self) -> bool:
        working = sum(check.works for check in self.checks.values())
        return working == self.paths
