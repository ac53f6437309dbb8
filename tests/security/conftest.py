"""By night each property is tried in rounds."""

import pytest
from hypothesis import is_hypothesis_test

from tests.security.fuzz import ROUNDS


@pytest.fixture(name="round")
def _round(request: pytest.FixtureRequest) -> object:
    """Its number."""
    return request.param


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if ROUNDS > 1 and is_hypothesis_test(metafunc.function):
        metafunc.fixturenames.append("round")
        metafunc.parametrize("round", range(ROUNDS), indirect=True)
