"""How a keyring stands: all that is to be reported of its hosts and paths."""

from collections.abc import Mapping
from dataclasses import dataclass

from quiesce.api.keyring.spec import Probe
from quiesce.keyring.model.desired import DesiredState
from quiesce.keyring.model.hosts import HostRecord
from quiesce.keyring.model.rotation import Rotation
from quiesce.keyring.model.visit import PathCheck


@dataclass(frozen=True, slots=True)
class KeyringDecision:
    """`checks`: (source, target) -> the last check; None: not checked, or one of the two hosts has
    failed since. `ready_hosts`: observed as desired. `proven_hosts`: from these a cold migration
    reaches every host that Nova could choose, and those reach it, as far as the probe checks paths.
    """

    desired: DesiredState
    rotation: Rotation
    probe: Probe
    hosts: Mapping[str, HostRecord]
    ready_hosts: tuple[str, ...]
    checks: Mapping[tuple[str, str], PathCheck | None]
    proven_hosts: tuple[str, ...]

    @property
    def installed(self) -> bool:
        return len(self.ready_hosts) == len(self.hosts)

    @property
    def all_proven(self) -> bool:
        return all(check is not None and check.works for check in self.checks.values())
