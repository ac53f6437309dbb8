"""Real beds for every story: started once per run, and stopped where this run started them."""

import fcntl
import secrets
import subprocess
import tempfile
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


@pytest.fixture(autouse=True)
def beside_others(request: pytest.FixtureRequest) -> Iterator[None]:
    """Stories run side by side in namespaces of their own, on one cluster; one whose operator
    watches all namespaces waits for the others, and they for it.
    """
    alone = request.node.get_closest_marker("all_namespaces") is not None
    with (Path(tempfile.gettempdir()) / "quiesce-stories.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield


@pytest.fixture(scope="session")
def cloud(cloud_bed: None) -> Lab:
    openstack.silence_environment()
    return Lab.of_bed()


HOSTS = ("cmp1", "cmp2", "cmp3", "cmp4")  # of the bed's five; the last one is the idle drain's


@pytest.fixture(scope="session")
def tidy_end(cloud: Lab) -> Iterator[None]:
    """Whatever the stories did, they leave the cloud as a fresh one."""
    yield
    cloud.tidy(HOSTS)


@pytest.fixture
def namespace(kube: Kube) -> Iterator[str]:
    """A fresh namespace, where the operator has the rights of manifests/base.

    After the test it is deleted, not waited for, and the hosts of its drains are not restored.
    """
    name = f"t-{secrets.token_hex(3)}"
    yield kube.make_namespace(name)
    for drain in kube.kubectl("get", "cnd", "-n", name, "-o", "name").stdout.split():
        kube.kubectl(
            "patch",
            drain,
            "-n",
            name,
            "--type=merge",
            "-p",
            '{"metadata": {"finalizers": null}}',
            check=False,
        )
    # At once: an operator of the next story that watches all namespaces must not find them.
    kube.kubectl("delete", "cnd", "--all", "-n", name, check=False)
    kube.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="session")
def account(kube: Kube, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return kube.account_kubeconfig(tmp_path_factory.mktemp("account") / "kubeconfig")


@pytest.fixture
def operator(account: Path, namespace: str, tmp_path: Path) -> Iterator[Operator]:
    """The operator with the rights of manifests/base; its log is shown where the test fails."""
    running = Operator(account, tmp_path / "operator.log", ("--namespace", namespace)).start()
    yield running
    running.kill()
    print(running.text()[-20000:])


@pytest.fixture
def credentials(kube: Kube, cloud: Lab, namespace: str) -> str:
    """A namespace with the operator's credentials in the default Secret."""
    kube.credentials(namespace, cloud.operator_clouds_yaml)
    return namespace


@pytest.fixture
def hosts(cloud: Lab, tidy_end: None) -> tuple[str, ...]:
    """Compute hosts that are up, enabled and empty."""
    cloud.tidy(HOSTS)
    return HOSTS


@pytest.fixture
def host(hosts: tuple[str, ...]) -> str:
    return hosts[0]
