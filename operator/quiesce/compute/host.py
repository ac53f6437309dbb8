"""nova-compute on one host, over SSH: read, stopped, and started again as it was found."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from quiesce.compute import control
from quiesce.compute.model import Unit, UnitState
from quiesce.ssh.session import Session


@dataclass(frozen=True, slots=True)
class HostCompute:
    """One host's nova-compute. Every method is one SSH session, and raises Problem, KubeError or
    SSHError.
    """

    unit: Unit
    open: Callable[[], AbstractContextManager[Session]]

    def observe(self) -> UnitState:
        with self.open() as session:
            return control.observe(session, self.unit)

    def stop(self) -> UnitState:
        """Stops it and keeps it from starting."""
        with self.open() as session:
            return control.stop(session, self.unit)

    def restore(self, found: UnitState) -> UnitState:
        with self.open() as session:
            return control.restore(session, self.unit, found)
