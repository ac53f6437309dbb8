"""How much of what hosts say is kept, over all keyrings of the process: for each host for as long
as it is part of one.
"""

import threading
from weakref import WeakKeyDictionary

MOST_KEPT = 96 * 2**20
"""Bytes. 1000 hosts with `probe: All` take 45 MiB, 5000 without it 20 MiB."""
_OWN = 2**20
"""That each keyring can have, whatever the others have: enough for 300 hosts."""


class Share:
    """Stands for one keyring, for as long as it is there."""


class Kept:
    """Safe to use from many threads."""

    def __init__(self, most: int = MOST_KEPT, own: int = _OWN) -> None:
        self._most, self._own = most, own
        self._held: WeakKeyDictionary[Share, int] = WeakKeyDictionary()
        self._lock = threading.Lock()

    def hold(self, keyring: Share, size: int) -> bool:
        """All that it keeps has `size` bytes from now on; False: that is more than it may have."""
        with self._lock:
            before = self._held.get(keyring, 0)
            others = sum(self._held.values()) - before
            if size > max(before, self._own) and others + size > self._most:
                return False
            self._held[keyring] = size
            return True
