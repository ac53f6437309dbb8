"""How many histories: the same 500 for `make test`, 20,000 new ones for `make nightly`."""

import logging
import os

import pytest
from hypothesis import HealthCheck, settings

COMMON = settings(
    deadline=None, database=None, stateful_step_count=20, suppress_health_check=list(HealthCheck)
)
settings.register_profile("standard", COMMON, max_examples=500, derandomize=True)
settings.register_profile("nightly", COMMON, max_examples=20_000, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "standard"))


@pytest.fixture(autouse=True)
def _quiet() -> object:
    """The operator logs nothing: there are thousands of histories."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)
