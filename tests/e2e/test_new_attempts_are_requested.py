"""A server that fails every try is reported; a person fixes the cause and asks for new attempts.

`quiesce.dev/requestedAt` with any new value gives it a new set of attempts, at once.
"""

import pytest
from tests.harness.kubernetes import Drain, Kube, Operator
from tests.harness.openstack import Json, Lab
from tests.harness.promises import COLD, moved


@pytest.mark.promise("never-11", "always-5")
def test_a_new_request_gives_new_attempts(
    kube: Kube, cloud: Lab, operator: Operator, credentials: str, host: str
) -> None:
    good, bad = cloud.boot(host, ["good-1", "bad-1"])
    cloud.fault("server:bad-*", migrate_disk_and_power_off="fail:InstanceFaultRollback")
    spec: Json = {"service": {"afterDrain": "KeepDisabled"}, "migration": {"attempts": 1}}
    drain = Drain.apply(kube, credentials, host, **spec)

    status = drain.until("tries spent", lambda s: s["phase"] == "Stalled")
    moved(cloud, good, host, "ACTIVE", COLD)
    (problem,) = status["problems"]
    assert (problem["name"], problem["reason"], problem["attempts"]) == (
        "bad-1",
        "MigrationFailed",
        1,
    )
    assert any("quiesce.dev/requestedAt=" in remedy for remedy in problem["remedies"])
    assert drain.condition("Stalled")["reason"] == "MigrationFailed"
    assert "MigrationFailed" in drain.events()

    cloud.clear_faults()
    drain.annotate("quiesce.dev/requestedAt=now")
    drain.wait("Ready")
    moved(cloud, bad, host, "ACTIVE", ["migrate", *COLD])
    status = drain.status
    assert (status["progress"]["summary"], status["problems"]) == ("2/2", [])
    assert status["lastHandledRequestedAt"] == "now"
    assert operator.healthy()
