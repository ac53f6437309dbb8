"""`make tour` in its three ways, side by side: with kubectl, without it, and on a real API server.

The API server is one of the test's own: a tour does not begin where Quiesce is installed.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tools import recording

from tests.demo.transcript import differences
from tests.harness import kubernetes
from tests.harness.kubernetes import BED, Kube
from tests.harness.openstack import until

ROOT = Path(__file__).parents[2]
CONTEXT = "quiesce"  # as the bed names it
WAYS = ("with kubectl", "without kubectl", "on a real API server")
STEPS = (
    "namespace/quiesce-tour created",
    "computenodedrain.quiesce.dev/compute-07 created",
    "demo-sleep-1: none: Suspended: suspended",
    "demo-web-1: live: it is running",
    "demo-batch-1: AwaitingDecision: moved to",
    "demo-sleep-1: Suspended: suspended",
    "cmp2 is proven empty",
    "compute hosts now: cmp1, cmp3, cmp4, cmp5",
    'computenodedrain.quiesce.dev "compute-07" deleted',
    "cmp2: enabled, in aggregates: tour-rack-7",
    "Done. Nothing is left running.",
)


def free_ports(number: int) -> list[str]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    try:
        return [str(each.getsockname()[1]) for each in sockets]
    finally:
        for each in sockets:
            each.close()


@pytest.fixture(scope="module")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kube]:
    """One beside that of the other tests, where nothing is installed."""
    names = ("API", "ETCD", "ETCD_PEER")
    ports = {f"QUIESCE_KUBE_{n}_PORT": p for n, p in zip(names, free_ports(3), strict=True)}
    run = {"QUIESCE_KUBE_RUN": str(tmp_path_factory.mktemp("kube")), **ports}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in run.items():
            patch.setenv(name, value)
        subprocess.run([BED / "kube.py", "up"], check=True, stdout=subprocess.DEVNULL)
        try:
            yield Kube(kubernetes.bed_environment())
        finally:
            subprocess.run([BED / "kube.py", "down"], check=True)


@dataclass
class Run:
    folder: Path
    process: subprocess.Popen[bytes]

    def output(self) -> str:
        """Waits for the end."""
        self.process.wait(timeout=600)
        return (self.folder / "output").read_text()


def start(folder: Path, environment: dict[str, str], *words: str) -> Run:
    """What `make tour` runs, with a cache and a folder for temporary files of its own."""
    (folder / "tmp").mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.tour.tour", *words],
        cwd=ROOT,
        env=os.environ
        | {"PYTHONPATH": str(ROOT / "operator"), "XDG_CACHE_HOME": str(folder)}
        | {"TMPDIR": str(folder / "tmp")}
        | environment,
        stdout=(folder / "output").open("w"),
        stderr=subprocess.STDOUT,
    )
    return Run(folder, process)


@pytest.fixture(scope="module")
def runs(api_server: Kube, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Run]]:
    kubectl = shutil.which("kubectl", path=api_server.environment["PATH"])
    assert kubectl
    nothing = str(tmp_path_factory.mktemp("empty"))
    started = {
        "with kubectl": start(
            tmp_path_factory.mktemp("with"),
            {"PATH": f"{Path(kubectl).parent}:/usr/bin:/bin", "KUBECONFIG": "/nonexistent"},
        ),
        "without kubectl": start(tmp_path_factory.mktemp("without"), {"PATH": nothing}),
        "on a real API server": start(
            tmp_path_factory.mktemp("real"), api_server.environment, "--context", CONTEXT
        ),
    }
    try:
        yield started
    finally:
        for run in started.values():
            run.process.kill()
            run.process.wait()


@pytest.mark.parametrize("way", WAYS)
def test_the_tour_shows_a_drain_and_leaves_nothing(way: str, runs: dict[str, Run]) -> None:
    shown = runs[way].output()
    assert runs[way].process.returncode == 0, shown
    rest = shown
    for step in STEPS:
        assert step in rest, f"{step!r} is not shown, or not in its turn:\n{shown}"
        rest = rest.partition(step)[2]
    log = (runs[way].folder / "quiesce" / "tour" / "operator.log").read_text()
    stopped, released = log.splitlines()[-2:]  # the Lease is given back last of all
    assert "Traceback" not in log and stopped.endswith(" stopped") and "released Lease" in released
    assert list((runs[way].folder / "tmp").iterdir()) == []


def test_the_recording_shows_what_the_tour_prints(runs: dict[str, Run]) -> None:
    lines = [recording.plain(line) for _, line in recording.printed(recording.CAST.read_text())]
    begin = next(number for number, line in enumerate(lines) if "Quiesce: the tour" in line)
    shown = runs["with kubectl"].output()
    made = "python -m tools.recording record > docs/images/tour.cast, then draw"
    assert differences(["", *lines[begin:]], shown.splitlines()) == [], f"{made}\n{shown}"


@pytest.mark.parametrize(
    ("way", "real", "stand_ins"),
    [
        ("with kubectl", "the operator and kubectl", {"API server"}),
        ("without kubectl", "the operator", {"API server", "kubectl"}),
        ("on a real API server", "the operator and kubectl", set()),
    ],
)
def test_the_tour_says_what_is_real(
    way: str, real: str, stand_ins: set[str], runs: dict[str, Run]
) -> None:
    opening = runs[way].output().partition("# [")[2].partition("# [")[0]
    assert f"real:      {real}\n" in opening
    named = opening.partition("stand-ins:")[2].partition("`make")[0]
    assert "Nova" in named
    assert {part for part in ("API server", "kubectl") if part in named} == stand_ins


def test_a_real_api_server_is_left_as_it_was(api_server: Kube, runs: dict[str, Run]) -> None:
    runs["on a real API server"].output()
    assert api_server.kubectl("get", "crd", "-o", "name").stdout == ""
    assert "quiesce" not in api_server.kubectl("get", "namespaces", "-o", "name").stdout


def test_an_interrupted_tour_leaves_nothing(
    api_server: Kube, runs: dict[str, Run], tmp_path: Path
) -> None:
    """Ctrl-C while servers move: the cloud is gone, and no drain waits for it."""
    runs["on a real API server"].output()
    run = start(tmp_path, api_server.environment, "--context", CONTEXT)
    try:
        until("a drain", lambda: "Draining" in (tmp_path / "output").read_text(), timeout=300)
        run.process.send_signal(signal.SIGINT)
        shown = run.output()
    finally:
        run.process.kill()
    assert run.process.returncode == 130, shown
    assert api_server.kubectl("get", "crd", "-o", "name").stdout == ""
    assert "quiesce" not in api_server.kubectl("get", "namespaces", "-o", "name").stdout


def test_no_tour_where_quiesce_is_installed(
    api_server: Kube, runs: dict[str, Run], tmp_path: Path
) -> None:
    runs["on a real API server"].output()
    api_server.kubectl("apply", "-k", "crds")
    try:
        refused = start(tmp_path, api_server.environment, "--context", CONTEXT)
        shown = refused.output()
        assert refused.process.returncode == 2
        assert "crd/computenodedrains.quiesce.dev exists and is not of a tour" in shown
        assert "quiesce" not in api_server.kubectl("get", "namespaces", "-o", "name").stdout
    finally:
        api_server.kubectl("delete", "-k", "crds")
