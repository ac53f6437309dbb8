"""How long a drain waits after a failure, the same in every tick."""

from datetime import timedelta

from quiesce.api.backoff import Backoff

_RETRY = Backoff(first=5.0, longest=300.0, spread=0.2)


def back_off(tries: int, key: str) -> timedelta:
    """5 s, 10 s, 20 s … 5 min, spread by ±20 % by the key of what is retried."""
    return timedelta(seconds=_RETRY.delay(tries, key))
