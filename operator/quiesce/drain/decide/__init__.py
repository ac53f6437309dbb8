"""What to do about a drain: pure, from one observation. The face of the room is `decide`, and
for polls `suffices` and `to_read`.
"""

from quiesce.drain.decide.claims import Claim, refuse_second
from quiesce.drain.decide.goals import decide
from quiesce.drain.decide.polls import suffices, to_read

__all__ = ["Claim", "decide", "refuse_second", "suffices", "to_read"]
