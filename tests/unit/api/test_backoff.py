"""The one formula of back-off."""

import pytest

from quiesce.api.backoff import Backoff


@pytest.mark.parametrize(
    ("failures", "seconds"),
    [(0, 0.0), (1, 5.0), (2, 10.0), (3, 20.0), (9, 120.0), (100_000, 120.0)],
)
def test_it_doubles_up_to_the_longest(failures: int, seconds: float) -> None:
    assert Backoff(5.0, 120.0).delay(failures) == seconds


def test_it_is_spread_by_key_and_the_same_at_every_calculation() -> None:
    backoff = Backoff(10.0, 60.0, spread=0.2)
    delays = [backoff.delay(1, f"server-{number}") for number in range(200)]
    assert delays == [backoff.delay(1, f"server-{number}") for number in range(200)]
    assert 8.0 <= min(delays) < 9.0
    assert 11.0 < max(delays) <= 12.0
