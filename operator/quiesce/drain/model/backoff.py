"""How long to wait after a failure, the same in every tick."""

import hashlib
from datetime import timedelta

_FIRST = 5.0
_LONGEST = 300.0


def back_off(tries: int, key: str) -> timedelta:
    """5 s, 10 s, 20 s … 5 min, spread by ±20 % in a way that is the same in every tick."""
    spread = int(hashlib.sha256(f"{key}/{tries}".encode()).hexdigest()[:4], 16) / 0xFFFF
    seconds = min(_FIRST * 2 ** (tries - 1), _LONGEST)
    return timedelta(seconds=seconds * (0.8 + 0.4 * spread))
