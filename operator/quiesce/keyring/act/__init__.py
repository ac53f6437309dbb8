"""What a keyring does on hosts: visits over SSH, beside the ticks."""

from quiesce.keyring.act.fleet import Fleet, Lane, Lanes
from quiesce.keyring.act.run import VisitSummary, current_goal, run_visits
from quiesce.keyring.act.visit import VisitOrder, visit

__all__ = [
    "Fleet",
    "Lane",
    "Lanes",
    "VisitOrder",
    "VisitSummary",
    "current_goal",
    "run_visits",
    "visit",
]
