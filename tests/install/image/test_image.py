"""The image runs as manifests/base has it run: an API server's probes, a drain, and an end in time.

The base below it is Debian's Python and not the one that the Containerfile names.
"""

import json
import secrets
import time
import urllib.error
import urllib.request
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.beds.sim.model import Cloud
from tests.beds.sim.simulator import Simulator
from tests.harness.kubernetes import ACCOUNT, BASE, Drain, Kube
from tests.harness.openstack import until
from tests.install.image.conftest import INSIDE, Builder

from quiesce import __version__

NAME = "operator"
ADDED_MIB = 150
"""More than what is installed on top of the base; what takes this much more is noticed."""


def deployment() -> Any:
    return yaml.safe_load((BASE / "deployment.yaml").read_text())["spec"]["template"]["spec"]


def inspected(builder: Builder, image: str) -> Any:
    (found,) = json.loads(builder.podman("image", "inspect", image))
    return found


def test_it_says_what_it_is(builder: Builder, image: str) -> None:
    found = inspected(builder, image)
    labels = found["Config"]["Labels"]
    assert labels["org.opencontainers.image.version"] == __version__
    assert len(labels["org.opencontainers.image.revision"]) == 40
    assert labels["org.opencontainers.image.base.name"]
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert found["Config"]["User"] == "65532:65532"
    assert __version__ in builder.podman("run", "--rm", "--network=host", image, "--version")


def test_its_sbom_lists_what_is_installed(builder: Builder, image: str) -> None:
    inside = ("run", "--rm", "--network=host", "--entrypoint", "python", image, "-c")
    listed = builder.podman(
        *inside,
        "import importlib.metadata as m;"
        "print(*(f'{d.name}=={d.version}' for d in m.distributions()), sep='\\n')",
    )
    bom = json.loads(builder.podman(*inside, "print(open('/app/sbom.cdx.json').read())"))
    named = {f"{each['name']}=={each['version']}" for each in bom["components"]}
    own = {f"quiesce=={__version__}"}
    assert named == set(listed.split()) - own
    assert own <= set(listed.split())


def test_it_is_small_and_installs_nothing(builder: Builder, base: str, image: str) -> None:
    added = (builder.size(image) - builder.size(base)) / 2**20
    print(f"base {builder.size(base) / 2**20:.0f} MiB, added {added:.0f} MiB")
    assert added < ADDED_MIB
    script = (
        "import importlib.util as u, shutil;"
        "print([n for n in ('pip', 'setuptools', 'ensurepip') if u.find_spec(n)],"
        " [n for n in ('pip', 'gcc') if shutil.which(n)])"
    )
    run = ("run", "--rm", "--network=host", "--entrypoint", "python", image, "-c", script)
    assert builder.podman(*run) == "[] []"


LOADED = """
import pkgutil, sys
from importlib import import_module
from pathlib import Path
import quiesce
for found in pkgutil.walk_packages(quiesce.__path__, "quiesce."):
    if not found.name.startswith("quiesce.plugin") and found.name != "quiesce.__main__":
        import_module(found.name)
cached = {n: Path(m.__cached__) for n, m in sys.modules.items() if getattr(m, "__cached__", None)}
print(*(n for n, path in cached.items() if not path.exists()), "of", len(cached))
"""


def test_whatever_it_may_load_is_there_with_bytecode(builder: Builder, image: str) -> None:
    """What is loaded late (the SSH library, say) is not missed for the first time by a drain."""
    inside = ("run", "--rm", "--network=host", "--read-only", "--entrypoint", "python", image)
    without, _, count = builder.podman(*inside, "-c", LOADED).rpartition("of")
    assert without.split() == []
    assert int(count) > 1000


@dataclass(frozen=True)
class Pod:
    """A container with the settings of the Deployment, as a kubelet would start it."""

    builder: Builder
    address: str

    def start(self, image: str, files: Path, api_port: int, namespace: str) -> None:
        pod = deployment()
        (container,) = pod["containers"]
        security, (volume,) = container["securityContext"], pod["volumes"]
        user = f"{pod['securityContext']['runAsUser']}:{pod['securityContext']['runAsGroup']}"
        (mount,) = container["volumeMounts"]
        limit = volume["emptyDir"]["sizeLimit"].removesuffix("Mi")
        assert security["readOnlyRootFilesystem"]
        inside = f"{INSIDE}/{files.relative_to(self.builder.disk)}"
        self.builder.podman(
            *("run", "--detach", "--name", NAME, "--network=host", "--read-only"),
            *("--user", user, "--cap-drop=ALL", "--security-opt=no-new-privileges"),
            *("--read-only-tmpfs=false", f"--tmpfs={mount['mountPath']}:rw,size={limit}m"),
            *("--volume", f"{inside}:/var/run/secrets/kubernetes.io/serviceaccount:ro"),
            *("--env", "KUBERNETES_SERVICE_HOST=127.0.0.1"),
            *("--env", f"KUBERNETES_SERVICE_PORT={api_port}"),
            *("--env", f"QUIESCE_NAMESPACE={namespace}"),
            image,
            *container["args"],
        )

    def probe(self, which: str) -> int:
        """The status with which one of the Deployment's probes is answered."""
        (container,) = deployment()["containers"]
        path = container[which]["httpGet"]["path"]
        url = f"http://{self.address}:{container['ports'][0]['containerPort']}{path}"
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def fails(self, script: str) -> bool:
        return "failed" in self.builder.run(
            f"podman exec {NAME} sh -c '{script}' >/dev/null 2>&1 || echo failed"
        )

    def log(self) -> str:
        return self.builder.run(f"podman logs {NAME} 2>&1")

    def state(self) -> Any:
        (found,) = json.loads(self.builder.podman("container", "inspect", NAME))
        return found["State"]


def account_files(kube: Kube, folder: Path) -> Path:
    """What the kubelet mounts: the token of the operator's service account, and the CA."""
    folder.mkdir()
    token = ("create", "token", ACCOUNT[1], "-n", ACCOUNT[0], "--duration=1h")
    (folder / "token").write_text(kube.kubectl(*token).stdout.strip())
    config = yaml.safe_load(Path(kube.environment["KUBECONFIG"]).read_text())
    (cluster,) = (each["cluster"] for each in config["clusters"])
    (folder / "ca.crt").write_bytes(b64decode(cluster["certificate-authority-data"]))
    (folder / "namespace").write_text(ACCOUNT[0])  # of the pod: its Lease is there
    for path in folder.iterdir():
        path.chmod(0o644)
    return folder


@pytest.fixture
def cloud() -> Iterator[Simulator]:
    with Simulator(Cloud(["cmp1", "cmp2", "cmp3"], start=time.time(), speed=1.0)) as sim:
        for number in range(4):
            sim.cloud.boot(f"server-{number}", host="cmp1")
        yield sim


@pytest.fixture
def namespace(kube: Kube, cloud: Simulator) -> Iterator[str]:
    kube.install()
    name = kube.make_namespace(f"t-{secrets.token_hex(3)}")
    entry = cloud.cloud_entry("quiesce")
    kube.credentials(name, yaml.safe_dump({"clouds": {"openstack": entry}}))
    yield name
    kube.kubectl("delete", "cnd", "--all", "-n", name, "--wait=false", check=False)
    kube.kubectl("delete", "namespace", name, "--wait=false")


def server_port(kube: Kube) -> int:
    config = yaml.safe_load(Path(kube.environment["KUBECONFIG"]).read_text())
    return int(config["clusters"][0]["cluster"]["server"].rpartition(":")[2])


def service_status(cloud: Simulator) -> str:
    with cloud.cloud.clock.lock:
        service = cloud.cloud.service("cmp1")
        assert service
        return "disabled" if service.disabled else "enabled"


def test_it_drains_a_host_and_ends_in_time(
    kube: Kube, builder: Builder, image: str, cloud: Simulator, namespace: str
) -> None:
    files = account_files(kube, builder.disk / "account")
    pod, port = Pod(builder, builder.host.address), server_port(kube)
    until("the servers run", lambda: all_active(cloud))
    with builder.reaching(port, int(cloud.auth_url.split(":")[2].split("/")[0])):
        try:
            pod.start(image, files, port, namespace)
            until("it is ready", lambda: pod.probe("readinessProbe") == 200, timeout=90)
            assert pod.probe("livenessProbe") == 200
            assert pod.fails("touch /app/new || touch /usr/new || touch /srv/new")
            assert not pod.fails("touch /tmp/new")
            assert not pod.fails("test $(id -u):$(id -g) = 65532:65532")

            drain = Drain.apply(kube, namespace, "cmp1", service={"afterDrain": "KeepDisabled"})
            drain.wait("Drained", timeout=300)
            assert service_status(cloud) == "disabled"
            drain.delete()
            assert service_status(cloud) == "enabled"
            assert pod.probe("livenessProbe") == 200

            grace = deployment()["terminationGracePeriodSeconds"]
            builder.podman("stop", "--time", str(grace), NAME)
            assert pod.state()["ExitCode"] == 0, pod.log()[-3000:]  # 137 where it was killed
        finally:
            log = pod.log()
            print(log[-10000:])
            builder.run(f"podman rm --force --time 0 {NAME}")
    assert "Traceback" not in log
    assert all(json.loads(line) for line in log.splitlines())


def all_active(cloud: Simulator) -> bool:
    with cloud.cloud.clock.lock:
        cloud.cloud.clock.catch_up()
        return all(server.vm_state == "active" for server in cloud.cloud.state.servers.values())
