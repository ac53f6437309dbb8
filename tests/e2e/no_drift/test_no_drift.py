"""Nothing that the operator does shows up as drift, and a drain at rest is not written to.

`kubectl diff -f` of all manifests is empty before, during and after the drain, and no
annotation appears that the user did not make. At rest, neither the drained node nor a drain
that waits for its user (an unknown host) changes for five minutes, while their operator continues
to poll.
"""

import time

import pytest
from tests.e2e.no_drift.conftest import HOST, Idle
from tests.harness.kubernetes import Drain
from tests.harness.openstack import Lab, until

IDLE_SECONDS = 300
OF_KUBECTL = "kubectl.kubernetes.io/last-applied-configuration"


def come_to_rest(idle: Idle, cloud: Lab) -> None:
    """Apply the manifests, and wait until both drains are at rest; nothing drifts meanwhile."""
    cloud.boot(HOST, [f"web-{i}" for i in range(4)])
    for path in idle.files.values():
        idle.kube.kubectl("apply", "-n", idle.namespace, "-f", str(path))
    assert idle.drift() == ""
    idle.operator.start()

    idle.drain.until("on its way", lambda s: s.get("progress", {}).get("moving", 0) > 0)
    assert idle.drift() == ""
    idle.drain.wait("Drained")
    idle.drain.wait("Ready")
    Drain(idle.kube, idle.namespace, "unknown").wait("Stalled")
    idle.at_rest, idle.found = time.monotonic(), idle.drains()


def test_no_drift(idle: Idle, cloud: Lab) -> None:
    come_to_rest(idle, cloud)
    assert idle.drift() == ""
    assert idle.drain.row()[1:-1] == [HOST, "Drained", "4/4", "0", "0", "disabled"]
    found = idle.found["reboot"]
    assert list(found["metadata"]["annotations"]) == [OF_KUBECTL]
    assert found["metadata"]["finalizers"] == ["quiesce.dev/drain"]
    assert set(idle.found) == {"reboot", "unknown"}


@pytest.mark.promise("always-1")
def test_idle_for_five_minutes(idle: Idle, cloud: Lab) -> None:
    if not idle.found:  # it is run alone
        come_to_rest(idle, cloud)
    until(
        "five minutes at rest",
        lambda: time.monotonic() - idle.at_rest > IDLE_SECONDS,
        IDLE_SECONDS,
        pause=1.0,
    )

    assert idle.drains() == idle.found
    assert idle.drift() == ""
    assert idle.drain.row()[1:-1] == [HOST, "Drained", "4/4", "0", "0", "disabled"]
    assert idle.operator.text().count("GET /os-services 200") > 10, "it polls no more"
    for name in idle.found:
        Drain(idle.kube, idle.namespace, name).delete()
    assert (cloud.service(HOST) or {})["status"] == "enabled"
    assert idle.operator.healthy()
    assert idle.operator.stop() == 0
