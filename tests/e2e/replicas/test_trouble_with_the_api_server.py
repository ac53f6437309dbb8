"""The API server is restarted, streams are cut, lists expire, clocks jump, CRDs come and go.

The operator recovers, or ends with a clear message and its exit code.
"""

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.beds.sim.simulator import Simulator
from tests.e2e.replicas.conftest import FLAGS, HOST, HOSTS, Make
from tests.harness.kubernetes import ACCOUNT, BED, ROOT, Drain, Kube, Operator
from tests.harness.openstack import until
from tests.harness.replicas import Replica, of_nova, watched_from

from quiesce.exits import Exit

CRD = "computenodedrains.quiesce.dev"
CRDS = ROOT / "crds"
RUN: dict[str, Any] = {"service": {"afterDrain": "KeepDisabled"}, "migration": {"maxParallel": 4}}


def moves(sim: Simulator, number: int) -> None:
    begun = len(of_nova(sim.log))
    until("moves", lambda: len(of_nova(sim.log)) >= begun + number, pause=0.02)


def each_moved_once(sim: Simulator) -> None:
    for server in sim.cloud.state.servers.values():
        done = [each.name for each in sim.cloud.state.actions[server.id] if each.name != "create"]
        assert done == ["migrate", "confirmResize"], server.name


@pytest.mark.promise("never-1", "always-2")
@pytest.mark.timeout(600)
def test_the_api_server_is_restarted_under_a_drain(
    kube: Kube, sim: Simulator, operators: Make, namespace: str
) -> None:
    """Where it is away for longer than the Lease lasts, the process ends and is started again, as a
    Deployment does.
    """
    running = Replica(operators("--lease", f"{ACCOUNT[0]}/{namespace}"))
    drain = Drain.apply(kube, namespace, HOST, **RUN)
    for _ in range(2):
        moves(sim, 3)
        subprocess.run([BED / "kube.py", "restart"], check=True, capture_output=True)
        if not running.operator.alive:
            assert running.ended() in (Exit.LEASE_LOST, Exit.WATCH_LOST)
            running.start_again()
    until("it is over", lambda: drain.condition("Drained").get("status") == "True"
          or not running.operator.alive, timeout=300)  # fmt: skip
    if not running.operator.alive:
        assert running.ended() in (Exit.LEASE_LOST, Exit.WATCH_LOST)
        running.start_again()
    drain.wait("Drained", timeout=300)
    each_moved_once(sim)
    assert "Traceback" not in running.operator.text()


@pytest.mark.promise("never-1")
@pytest.mark.timeout(600)
def test_the_crd_is_changed_under_way(
    kube: Kube, sim: Simulator, operators: Make, namespace: str
) -> None:
    """As at an upgrade: a CRD that has one more field, and then this one again."""
    running = operators("--lease", f"{ACCOUNT[0]}/{namespace}")
    drain = Drain.apply(kube, namespace, HOST, **RUN)
    moves(sim, 3)
    change_crd(kube)
    moves(sim, 3)
    kube.kubectl("apply", "-k", str(CRDS))
    drain.wait("Drained", timeout=300)
    each_moved_once(sim)
    assert running.healthy()


def change_crd(kube: Kube) -> None:
    """It gets one more field, and the API server forgets which changes there were before."""
    crd = yaml.safe_load((CRDS / f"quiesce.dev_{CRD.partition('.')[0]}.yaml").read_text())
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    schema["status"]["properties"]["ofTheNextRelease"] = {"type": "string"}
    kube.kubectl("apply", "-f", "-", stdin=yaml.safe_dump(crd))


BY_ITS_WATCH = """
import sys
import quiesce.runtime.controller as controller
controller.RELIST_SECONDS = 86400.0
from quiesce.__main__ import main
sys.exit(main())
"""


@pytest.mark.timeout(300)
def test_the_watch_expires(
    kube: Kube, sim: Simulator, operators: Make, namespace: str, audit: Path
) -> None:
    """410 Gone, as the API server itself says it. Nothing but the watch tells of what is new here:
    the operator's own list, which would find it within a minute, comes once a day.
    """
    running = operators(
        "--lease", f"{ACCOUNT[0]}/{namespace}", program=(sys.executable, "-c", BY_ITS_WATCH)
    )
    first, second = (Drain(kube, namespace, f"drain-{host}") for host in HOSTS[1:3])
    first.write(HOSTS[1], **RUN)
    first.wait("Drained")
    changed = time.time()
    change_crd(kube)
    try:
        asked = until("it watches again", lambda: watched_from(audit, changed, namespace))
        path = f"/apis/quiesce.dev/v1alpha1/namespaces/{namespace}/{CRD.partition('.')[0]}"
        query = f"?watch=true&resourceVersion={asked[0]}&timeoutSeconds=5"
        (answer,) = kube.kubectl("get", "--raw", path + query).stdout.splitlines()
        assert '"code":410' in answer
        second.write(HOSTS[2], **RUN)
        second.wait("Drained")
    finally:
        kube.kubectl("apply", "-k", str(CRDS))
    assert running.healthy()


@pytest.mark.timeout(300)
def test_the_crd_is_missing_at_the_start(
    kube: Kube, account: Path, namespace: str, tmp_path: Path
) -> None:
    kube.kubectl("delete", "crd", CRD)
    try:
        absent = Operator(account, tmp_path / "absent.log", ("--namespace", namespace), FLAGS)
        absent.start()
        assert Replica(absent).ended() == Exit.NO_CRD
        assert f"CRD {CRD} is not installed" in absent.text()
        assert "kubectl apply" in absent.text()
    finally:
        kube.kubectl("apply", "-k", str(CRDS))
        kube.kubectl("wait", "--for=condition=Established", f"crd/{CRD}", "--timeout=30s")


JUMPING = """
import sys, datetime, pathlib
import quiesce.kube.lease as lease, quiesce.ops.clock as clock, time
offset = pathlib.Path(sys.argv.pop(1))
true_time = time.time
seconds = lambda: float(offset.read_text() or 0)
time.time = lambda: true_time() + seconds()
class Jumping(datetime.datetime):
    @classmethod
    def now(cls, zone):
        return datetime.datetime.now(zone) + datetime.timedelta(seconds=seconds())
clock.datetime = Jumping
lease._now = lambda: (datetime.datetime.now(datetime.UTC) + datetime.timedelta(
    seconds=seconds())).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
from quiesce.__main__ import main
sys.exit(main())
"""


@pytest.mark.promise("never-1")
@pytest.mark.timeout(600)
def test_the_wall_clock_jumps(
    kube: Kube, sim: Simulator, account: Path, namespace: str, tmp_path: Path
) -> None:
    """In the process, by a seam: what the program asks for the time of day is moved by a day, there
    and back. The clock of the Lease is another one.
    """
    offset, program = tmp_path / "offset", tmp_path / "jumping.py"
    offset.write_text("0")
    program.write_text(JUMPING)
    lease = ("--lease", f"{ACCOUNT[0]}/{namespace}")
    log = (tmp_path / "operator.log").open("wb")
    environment = {"KUBECONFIG": str(account), "PYTHONPATH": str(ROOT / "operator"), "PATH": "/bin"}
    process = subprocess.Popen(
        [sys.executable, program, offset, "run", "--namespace", namespace, *FLAGS, *lease],
        stdout=log, stderr=log, env=environment,
    )  # fmt: skip
    try:
        drain = Drain.apply(kube, namespace, HOST, **RUN)
        for jump in (86400, -86400, 0):
            moves(sim, 3)
            offset.write_text(str(jump))
        drain.wait("Drained", timeout=300)
        each_moved_once(sim)
        found = (tmp_path / "operator.log").read_text()
        assert process.poll() is None, found[-3000:]
        assert "Traceback" not in found
        assert "lost Lease" not in found
        assert found.count("the clock of this machine was set") >= 3
    finally:
        process.kill()
        process.wait()
        log.close()
