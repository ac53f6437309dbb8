"""Real beds for every story: started once per run, reused, and stopped again where this run started them."""

import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import kubernetes, openstack
from tests.harness.kubernetes import Kube, Operator
from tests.harness.openstack import Lab

BEDS = Path(__file__).parents[1] / "beds"


def up(status: list[str], start: list[str], stop: list[str]) -> Iterator[None]:
    """Start a bed unless it is up already; what was up before stays up."""
    running = subprocess.run(status, capture_output=True, check=False).returncode == 0
    if not running:
        subprocess.run(start, check=True, stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        if not running:
            subprocess.run(stop, check=False)


@pytest.fixture(scope="session")
def kube_bed() -> Iterator[None]:
    bed = str(BEDS / "kube" / "kube.py")
    yield from up([bed, "env"], [bed, "up"], [bed, "down"])


@pytest.fixture(scope="session")
def cloud_bed() -> Iterator[None]:
    bed = str(BEDS / "cloud" / "cloud")
    yield from up([bed, "status"], [bed, "up"], [bed, "down"])


@pytest.fixture(scope="session")
def kube(kube_bed: None) -> Kube:
    found = Kube(kubernetes.bed_environment())
    found.install()
    return found


@pytest.fixture(scope="session")
def cloud(cloud_bed: None) -> Lab:
    openstack.silence_environment()
    return Lab.of_bed()


@pytest.fixture
def namespace(kube: Kube) -> Iterator[str]:
    """A fresh namespace; its drains are abandoned and it is deleted after the test (not waited for)."""
    name = f"t-{secrets.token_hex(3)}"
    kube.kubectl("create", "namespace", name)
    yield name
    kube.kubectl("annotate", "cnd", "--all", "-n", name, "quiesce.dev/abandon=true", "--overwrite", check=False)
    kube.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="session")
def account(kube: Kube, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return kube.account_kubeconfig(tmp_path_factory.mktemp("account") / "kubeconfig")


@pytest.fixture
def operator(account: Path, tmp_path: Path) -> Iterator[Operator]:
    """The operator, running under the rights of manifests/base; its log is shown where the test fails."""
    running = Operator(account, tmp_path / "operator.log").start()
    yield running
    running.kill()
    print(running.text()[-20000:])


@pytest.fixture
def host(cloud: Lab) -> Iterator[str]:
    """A compute host that is up, enabled and empty, and is so again after the test."""
    name = "cmp1"
    tidy(cloud, name)
    yield name
    tidy(cloud, name)


def tidy(cloud: Lab, name: str) -> None:
    cloud.clear_faults()
    if not cloud.is_up(name):
        cloud.start_compute(name)
    cloud.wipe()
    cloud.set_service(name, "enabled")


@pytest.fixture
def credentials(kube: Kube, cloud: Lab, namespace: str) -> str:
    """A namespace with the operator's credentials in the default Secret."""
    kube.credentials(namespace, cloud.operator_clouds_yaml)
    return namespace
