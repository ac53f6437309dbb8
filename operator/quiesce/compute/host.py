"""nova-compute on one host, over SSH: read, stopped, and started again as it was found."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from quiesce.compute import unit as units
from quiesce.compute.unit import Unit, UnitState
from quiesce.ssh.session import Session


@dataclass(frozen=True, slots=True)
class HostCompute:
    """One host's nova-compute. Every method is one SSH session, and raises Problem, KubeError or SSHError."""

    unit: Unit
    open: Callable[[], AbstractContextManager[Session]]

    def look(self) -> UnitState:
        with self.open() as session:
            return units.look(session, self.unit)

    def stop(self) -> UnitState:
        """Stops it and keeps it from starting."""
        with self.open() as session:
            return units.stop(session, self.unit)

    def restore(self, found: UnitState) -> UnitState:
        with self.open() as session:
            return units.restore(session, self.unit, found)
