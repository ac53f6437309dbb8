"""The API server of the bed, as for the stories; the cloud is the stand-in."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e import conftest as stories
from tests.harness.kubernetes import Kube, Operator

account, beside_others = stories.account, stories.beside_others
kube, kube_bed, namespace = stories.kube, stories.kube_bed, stories.namespace


@pytest.fixture
def operator(account: Path, kube: Kube, namespace: str, tmp_path: Path) -> Iterator[Operator]:
    """With the rights of manifests/base and its intervals; its log is shown where a test fails."""
    running = Operator(account, tmp_path / "operator.log", ("--namespace", namespace)).start()
    yield running
    running.kill()
    print(running.text()[-20000:])
