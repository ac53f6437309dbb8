"""What a drain's status, events and log lines say: rendered from what was decided."""

from quiesce.drain.report.events import events, foreign_confirms
from quiesce.drain.report.status import Report, left_on_host, status, status_of_problem
from quiesce.drain.report.steps import count_states, standing, transitions

__all__ = [
    "Report",
    "count_states",
    "events",
    "foreign_confirms",
    "left_on_host",
    "standing",
    "status",
    "status_of_problem",
    "transitions",
]
