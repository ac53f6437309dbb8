"""One leader at a time among the operators that watch the same resources.

A Lease of Kubernetes, by the rules of client-go's leaderelection. The one of the `kubernetes`
package was read and is not used: it judges freshness by `time.time()`, so a clock that is set gives
two leaders; it releases nothing at the end; it sleeps where it should be told to stop; and it has
no answer to "may I still write?", which is all that counts here.
"""

from quiesce.runtime.election.elector import Elector
from quiesce.runtime.election.rule import DEADLINE, DURATION
from quiesce.runtime.election.scope import Scope

__all__ = ["DEADLINE", "DURATION", "Elector", "Scope"]
