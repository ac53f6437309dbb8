"""What to do about a drain: pure, from one observation. The face of the room is `decide` and
`suffices`.
"""

from quiesce.drain.decide.claims import Claim, refuse_second
from quiesce.drain.decide.goals import decide, suffices

__all__ = ["Claim", "decide", "refuse_second", "suffices"]
