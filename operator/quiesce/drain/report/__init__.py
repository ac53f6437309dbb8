"""What a drain's status and events say: rendered from what was decided."""

from quiesce.drain.report.events import events, foreign_confirms
from quiesce.drain.report.status import Report, left_on_host, status, status_of_problem

__all__ = ["Report", "events", "foreign_confirms", "left_on_host", "status", "status_of_problem"]
