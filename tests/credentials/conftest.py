"""The same real beds as for the stories."""

from collections.abc import Iterator

import pytest

from tests.credentials.user import no_policies
from tests.e2e.conftest import (
    account,
    cloud,
    cloud_bed,
    credentials,
    kube,
    kube_bed,
    namespace,
    operator,
    tidy_end,
)
from tests.harness.openstack import Lab

__all__ = [
    "account",
    "cloud",
    "cloud_bed",
    "credentials",
    "kube",
    "kube_bed",
    "namespace",
    "operator",
    "tidy_end",
]


@pytest.fixture(scope="session", autouse=True)
def without_policies(cloud: Lab, tidy_end: None) -> Iterator[None]:
    """The cloud has its default policies before and after."""
    no_policies()
    yield
    no_policies()
