"""What is there now: one Observation of the host, read from OpenStack and the host itself."""

from quiesce.drain.observe.guests import read_guests
from quiesce.drain.observe.host import complete, observe, poll, read_chosen

__all__ = ["complete", "observe", "poll", "read_chosen", "read_guests"]
