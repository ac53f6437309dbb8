"""kill -9 of an operator exactly before or after one of its requests, and a new start at once."""

import threading
from collections.abc import Callable, Iterable

from tests.harness.kubernetes import Operator


class Reaper:
    """The `watch` of a proxy.

    `waits`: how many moments pass before each kill; `killed`: the moments of the kills. A kill
    after the last read of a tick is before the status is written, and before the first call.
    """

    def __init__(
        self,
        operator: Operator,
        waits: Iterable[int],
        weigh: Callable[[str], int] = lambda _moment: 1,
    ) -> None:
        """`weigh`: for how many a moment counts."""
        self.operator, self.weigh = operator, weigh
        self.killed: list[str] = []
        self._waits = iter(waits)
        self._remaining = next(self._waits, None)
        self._lock = threading.Lock()

    def __call__(self, moment: str) -> bool:
        """Whether the operator died at this moment."""
        with self._lock:
            if self._remaining is None:
                return False
            self._remaining -= self.weigh(moment)
            if self._remaining > 0:
                return False
            self.operator.kill()
            self.operator.start()
            self.killed.append(moment)
            self._remaining = next(self._waits, None)
            return True
