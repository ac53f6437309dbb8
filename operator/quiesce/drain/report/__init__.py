"""What a drain's status and events say: rendered from what was decided."""

from quiesce.drain.report.events import Event, events
from quiesce.drain.report.status import Report, status, status_of_problem

__all__ = ["Event", "Report", "events", "status", "status_of_problem"]
