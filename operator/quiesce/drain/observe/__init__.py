"""What is there now: one Observation of the host, read from OpenStack and the host itself."""

from quiesce.drain.observe.host import complete, observe, poll

__all__ = ["complete", "observe", "poll"]
