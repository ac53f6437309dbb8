"""Moves in flight over all drains of this operator (`--max-moves`)."""

import threading


class MoveLimiter:
    """As a context: from asking for slots to holding them, no other drain is given the same."""

    def __init__(self, limit: int) -> None:
        """`limit` 0: no limit."""
        self._limit = limit
        self._lock = threading.RLock()
        self._held: dict[str, int] = {}

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def slots(self, uid: str) -> int | None:
        """How many moves this drain may have beside those of all others; None: no limit."""
        if not self._limit:
            return None
        with self._lock:
            others = sum(moves for other, moves in self._held.items() if other != uid)
            return max(0, self._limit - others)

    def hold(self, uid: str, moves: int) -> None:
        with self._lock:
            self._held[uid] = moves
            if not moves:
                del self._held[uid]
