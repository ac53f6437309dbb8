"""A guest dies just after its move, while Nova still shows it as running.

It is not confirmed: its hypervisor is asked first. A person decides.
"""

import pytest
from tests.harness.kubernetes import Drain, Kube, Operator
from tests.harness.openstack import Lab
from tests.harness.promises import COLD


@pytest.mark.promise("never-3", "never-13", "always-4")
@pytest.mark.field_case("D7")
def test_it_is_held_until_a_person_decides(
    kube: Kube, cloud: Lab, operator: Operator, credentials: str, host: str
) -> None:
    (server,) = cloud.boot(host, ["web-1"])
    cloud.fault("server:web-1", finish_migration="dies")
    soak = {"checks": {"soak": "3s"}}  # it dies a second after it has arrived
    keep = {"afterDrain": "KeepDisabled"}
    drain = Drain.apply(kube, credentials, host, service=keep, confirmation=soak)

    status = drain.until("it is held", lambda s: s["phase"] == "Stalled")
    (problem,) = status["problems"]
    assert problem["reason"] == "CheckFailed"
    assert "it was running and is not" in problem["message"]
    assert cloud.actions(server) == ["create", "migrate"]

    decided = [{"server": server, "action": "Confirm"}]
    drain.patch({"confirmation": {"decisions": decided}})
    drain.wait("Ready")
    assert cloud.actions(server)[:3] == ["create", *COLD]
    assert operator.healthy()
