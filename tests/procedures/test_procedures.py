"""The tutorial and the how-tos, done as they are written: every command, and every shown output.

On a real API server and with the real operator; the cloud is the stand-in.
"""

import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml
from tests.beds.sim.model import Cloud
from tests.beds.sim.simulator import Simulator
from tests.harness.kubernetes import ROOT, WATCHED, Kube, Operator
from tests.harness.openstack import until
from tests.procedures.transcript import Command, Deed, File, Ids, steps

from quiesce.openstack.records import SHUTDOWN

DOCS = ROOT / "docs"
SECONDS = 300.0
"""For one command; those that wait have a limit of their own in the page."""


@dataclass(frozen=True)
class Scene:
    """A cloud for a page. `servers`: by host. `ends`: what is true of the cloud after the page."""

    hosts: tuple[str, ...]
    servers: Mapping[str, tuple[str, ...]]
    ends: Callable[[Cloud], bool]
    suspended: tuple[str, ...] = ()


def enabled(*hosts: str) -> Callable[[Cloud], bool]:
    """They are as they were found, and empty."""
    return lambda cloud: all(
        (service := cloud.service(host)) is not None
        and not service.disabled
        and not cloud.servers_on(host)
        for host in hosts
    )


SEVEN, TWELVE = "compute-07.example.org", "compute-12.example.org"
SCENES = {
    "first-drain": Scene(
        ("compute-07", "compute-08", "compute-09"),
        {"compute-07": ("web-1", "web-2", "web-3", "sleep-1")},
        enabled("compute-07"),
        suspended=("sleep-1",),
    ),
    "howto/reboot-a-host": Scene(
        (SEVEN, "compute-08.example.org"), {SEVEN: ("web-1", "web-2")}, enabled(SEVEN)
    ),
    "howto/retire-a-host": Scene(
        (TWELVE, "compute-13.example.org"),
        {TWELVE: ("web-1", "web-2")},
        lambda cloud: cloud.service(TWELVE) is None,
    ),
    "howto/rack-by-hand": Scene(
        ("compute-21", "compute-22", "compute-23", "compute-31", "compute-32"),
        {f"compute-2{n}": (f"web-{n}", f"db-{n}") for n in (1, 2, 3)},
        enabled("compute-21", "compute-22", "compute-23"),
    ),
    "howto/approve-each-confirm": Scene(
        ("compute-07", "compute-08"), {"compute-07": ("web-1", "web-2")}, enabled("compute-07")
    ),
}


@dataclass
class Reader:
    """A person with a shell, a folder and a page."""

    cloud: Cloud
    folder: Path
    environment: Mapping[str, str]
    namespace: str
    ids: Ids = field(default_factory=Ids)

    def take(self, step: File | Command | Deed) -> None:
        if isinstance(step, File):
            self.write(step.name, step.text)
        elif isinstance(step, Deed):
            self.do(*step.words)
        else:
            self.run(step)

    def write(self, name: str, text: str) -> None:
        named = text.replace(f"namespace: {WATCHED}", f"namespace: {self.namespace}")
        (self.folder / name).write_text(named)

    def do(self, verb: str, host: str) -> None:
        if verb in ("power-off", "reboot"):
            self.cloud.kill_compute(host)
        if verb in ("power-on", "reboot"):
            self.cloud.start_compute(host)

    def run(self, step: Command) -> None:
        command = self.ids.in_command(step.command)
        command = command.replace(f"-n {WATCHED}", f"-n {self.namespace}")
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self.environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=SECONDS,
        )
        printed = done.stdout.replace(self.namespace, WATCHED).splitlines()
        assert done.returncode == 0, f"$ {command}\n{done.stdout}"
        shown = "\n".join(step.output)
        assert self.ids.same(step.output, printed), (
            f"$ {command}\nprints\n{chr(10).join(printed)}\nand the page shows\n{shown}"
        )


@contextmanager
def cloud_of(scene: Scene) -> Iterator[tuple[Cloud, Simulator]]:
    cloud = Cloud(list(scene.hosts), start=time.time(), speed=1.0)
    for host, names in scene.servers.items():
        for name in names:
            server = cloud.boot_active(name, host)
            if name in scene.suspended:
                with cloud.hold():
                    cloud.state.save(server, vm_state="suspended", power_state=SHUTDOWN)
    with Simulator(cloud) as simulator:
        yield cloud, simulator


@pytest.fixture
def kubeconfig(kube: Kube, tmp_path: Path) -> Path:
    return kubeconfig_elsewhere(kube, tmp_path)


def kubeconfig_elsewhere(kube: Kube, folder: Path) -> Path:
    """That of a reader whose context has another namespace than the drains."""
    config = yaml.safe_load(Path(kube.environment["KUBECONFIG"]).read_text())
    for context in config["contexts"]:
        context["context"]["namespace"] = "default"
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("name", sorted(SCENES))
def test_a_procedure_does_what_its_page_shows(
    name: str, kube: Kube, kubeconfig: Path, operator: Operator, namespace: str, tmp_path: Path
) -> None:
    scene, folder = SCENES[name], tmp_path / "reader"
    folder.mkdir()
    with cloud_of(scene) as (cloud, simulator):
        entry = simulator.cloud_entry("quiesce")
        kube.credentials(namespace, yaml.safe_dump({"clouds": {"openstack": entry}}))
        environment = os.environ | kube.environment | {"KUBECONFIG": str(kubeconfig)}
        reader = Reader(cloud, folder, environment, namespace)
        for example in (ROOT / "manifests" / "examples").glob("*.yaml"):
            reader.write(example.name, example.read_text())
        for step in steps((DOCS / f"{name}.md").read_text()):
            reader.take(step)
        until("the end of the page", lambda: scene.ends(cloud), timeout=30)
    assert operator.healthy()


def test_every_procedure_is_done() -> None:
    pages = {f"howto/{page.stem}" for page in (DOCS / "howto").glob("*.md")}
    assert pages | {"first-drain"} == set(SCENES)


def test_a_wrong_output_is_noticed() -> None:
    """The comparison itself."""
    ids = Ids()
    one, other = f"{1:08}-0000-4000-8000-000000000000", f"{2:08}-0000-4000-8000-000000000000"
    assert ids.match("compute-07   Ready 41s", "compute-07 Ready   2m3s")
    assert not ids.match("compute-07 Ready 41s", "compute-07 Stalled 41s")
    assert ids.match(f"web-1 {one}", f"web-1 {other}")
    assert ids.in_command(f"show {one}") == f"show {other}"
    assert not ids.match(f"again {one}", f"again {one}")
    assert ids.same(("a", "…", "z"), ["a", "b", "c", "z"])
    assert not ids.same(("a",), ["a", "b"])
