"""The rights of an install, for as long as a test takes."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from tests.e2e.api_rules.installs import Install, rendered
from tests.harness.kubernetes import Kube


@pytest.fixture
def installed(
    kube: Kube, namespace: str, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Install]:
    """The account and its rights, for real; not the definitions, which are the test run's."""
    install = rendered(kube, namespace, request.param, tmp_path)
    roles = ("Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding")
    rights = install.of_kind("ServiceAccount", *roles)
    text = yaml.safe_dump_all(rights)
    try:
        kube.kubectl("apply", "-f", "-", stdin=text)
        install.await_right("patch", "secrets")
        install.await_right("patch", "leases.coordination.k8s.io")
        yield install
    finally:
        kube.kubectl("delete", "-f", "-", "--ignore-not-found", stdin=text)
