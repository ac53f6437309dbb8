"""Which release has a change that also came to older series."""

import pytest
from tests.contract.changes import NODE_IS_MAPPED_AGAIN, numbers


@pytest.mark.parametrize(
    ("version", "has"),
    [
        ("29.4.0", False),
        ("30.2.0", False),
        ("30.2.1", True),
        ("31.0.0", False),
        ("31.3.0", True),
        ("32.0.0", False),
        ("33.0.0", True),
        ("34.0.0", True),
    ],
)
def test_a_backport_counts_in_its_own_series_alone(version: str, has: bool) -> None:
    assert NODE_IS_MAPPED_AGAIN.is_in(numbers(version)) == has
