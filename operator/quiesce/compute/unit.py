"""The names that callers used before `compute` had rooms. To be deleted with the last of them."""

from quiesce.api.host import Supervisor
from quiesce.compute.control import observe as look
from quiesce.compute.control import restore, stop
from quiesce.compute.model import NoSuchUnit, StopFailed, Unit, UnitState

__all__ = [
    "NoSuchUnit",
    "StopFailed",
    "Supervisor",
    "Unit",
    "UnitState",
    "look",
    "restore",
    "stop",
]
