"""The clouds that every case runs on: `sim` (the stand-in) and `real` (a real Nova)."""

from collections.abc import Iterator

import pytest
from tests.contract.clouds import RealLab, SimLab
from tests.contract.lab import Lab


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "real: runs on a real Nova, which tests/beds/cloud starts")


@pytest.fixture(scope="session", params=["sim", pytest.param("real", marks=pytest.mark.real)])
def cloud(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """One cloud for the session; what the cases left is deleted at its end."""
    lab: Lab = SimLab() if request.param == "sim" else RealLab()
    yield lab
    lab.leave()
    if isinstance(lab, SimLab):
        lab.close()


@pytest.fixture
def nova(cloud: Lab) -> Iterator[Lab]:
    """A cloud for one case, whose servers are deleted after it."""
    with cloud.case():
        yield cloud
