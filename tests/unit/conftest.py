"""What all unit tests share.

Random input: how quickly a busy machine makes it says nothing about the operator.
"""

import pytest
from hypothesis import HealthCheck, settings
from tests.unit.clock import Clock

settings.register_profile("unit", deadline=None, suppress_health_check=(HealthCheck.too_slow,))
settings.load_profile("unit")


@pytest.fixture
def clock() -> Clock:
    return Clock()
