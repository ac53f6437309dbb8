"""nova-compute on a host: how the host is reached, and how its unit is stopped and restored.

`model`, `hosts` and `scripts` are pure. `control` works in an SSH session, `access` opens one, and
`host` has both for one host.
"""

from quiesce.compute.hosts import ComputeHost, compute_hosts
from quiesce.compute.model import NoSuchUnit, StopFailed, Unit, UnitState

__all__ = ["ComputeHost", "NoSuchUnit", "StopFailed", "Unit", "UnitState", "compute_hosts"]
