"""The long tests use the same real beds as the stories."""

from pathlib import Path

import pytest
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
from tests.harness.kubernetes import Kube
from tests.harness.openstack import Lab
from tests.nightly.lanes import Lanes

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


@pytest.fixture
def lanes(kube: Kube, cloud: Lab, account: Path, tidy_end: None, tmp_path: Path) -> Lanes:
    """Drains side by side, with their operators' logs in the test's folder."""
    return Lanes(kube, cloud, account, tmp_path)
