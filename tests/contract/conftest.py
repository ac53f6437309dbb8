"""The clouds that every case runs on.

`sim` (the stand-in), `real` (a real Nova), and at night real Novas of older releases.
"""

import os
from collections.abc import Iterator

import pytest
from tests.beds.cloud.cloudbed.releases import NEWEST, RELEASES, why_not
from tests.contract.clouds import OlderLab, RealLab, SimLab
from tests.contract.lab import Lab

OLDER = [name for name in RELEASES if name != NEWEST] if "QUIESCE_NIGHTLY" in os.environ else []
NOT_TRIED = {name: reason for name in OLDER if (reason := why_not(RELEASES[name]))}
CLOUDS = [
    "sim",
    pytest.param("real", marks=pytest.mark.real),
    *(
        pytest.param(name, marks=[pytest.mark.real, pytest.mark.older])
        for name in OLDER
        if name not in NOT_TRIED
    ),
]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "real: runs on a real Nova, which tests/beds/cloud starts")
    config.addinivalue_line("markers", "older: runs on a real Nova of an older release")


def pytest_report_header() -> list[str]:
    return [f"contract: {name} is not tried: {reason}" for name, reason in NOT_TRIED.items()]


@pytest.fixture(scope="session", params=CLOUDS)
def cloud(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """One cloud for the session; what the cases left is deleted at its end."""
    lab = open_cloud(request.param)
    try:
        yield lab
        lab.leave()
    finally:
        lab.close()


def open_cloud(name: str) -> Lab:
    match name:
        case "sim":
            return SimLab()
        case "real":
            return RealLab(os.environ)
    return OlderLab(name)


@pytest.fixture
def nova(cloud: Lab) -> Iterator[Lab]:
    """A cloud for one case, whose servers are deleted after it."""
    with cloud.case():
        yield cloud
