"""What is there now: one Observation of the host, read from OpenStack and the host itself."""

from quiesce.drain.observe.host import complete, observe, poll, read_chosen
from quiesce.drain.observe.moves import read_guests

__all__ = ["complete", "observe", "poll", "read_chosen", "read_guests"]
