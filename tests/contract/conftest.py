"""The clouds that every case runs on.

By day `sim` (the stand-in) and `real` (a real Nova); by night real Novas of older releases and, for
the cases of `every_driver`, a real Nova whose hosts are real hypervisors.
"""

import os
from collections.abc import Iterator

import pytest
from tests.beds.cloud.cloudbed.releases import NEWEST, RELEASES, why_not
from tests.contract.clouds import OlderLab, RealLab, SimLab
from tests.contract.lab import Lab
from tests.contract.libvirt import LibvirtLab

NIGHTLY = "QUIESCE_NIGHTLY" in os.environ
OLDER = [name for name in RELEASES if name != NEWEST] if NIGHTLY else []
NOT_TRIED = {name: reason for name in OLDER if (reason := why_not(RELEASES[name]))}
BY_DAY = ["sim", pytest.param("real", marks=pytest.mark.real)]
BY_NIGHT = [
    *(
        pytest.param(name, marks=[pytest.mark.real, pytest.mark.older])
        for name in OLDER
        if name not in NOT_TRIED
    ),
    pytest.param("libvirt", marks=[pytest.mark.real, pytest.mark.libvirt]),
]
CLOUDS = BY_NIGHT if NIGHTLY else BY_DAY


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "real: runs on a real Nova, which tests/beds/cloud starts")
    config.addinivalue_line("markers", "older: runs on a real Nova of an older release")
    config.addinivalue_line("markers", "libvirt: runs on a real Nova with real hypervisors")
    config.addinivalue_line(
        "markers", "every_driver: what it needs can be had of a real hypervisor too"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Most cases break the fake driver on purpose, which a hypervisor can't be told to do."""
    beyond = [
        item
        for item in items
        if item.get_closest_marker("libvirt") and not item.get_closest_marker("every_driver")
    ]
    items[:] = [item for item in items if item not in beyond]
    config.hook.pytest_deselected(items=beyond)


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
        case "libvirt":
            return LibvirtLab(os.environ)
    return OlderLab(name)


@pytest.fixture
def nova(cloud: Lab) -> Iterator[Lab]:
    """A cloud for one case, whose servers are deleted after it."""
    with cloud.case():
        yield cloud
