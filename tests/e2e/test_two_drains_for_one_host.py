"""Of two drains for one host the older works; the other takes over when that one is deleted."""

from tests.harness.kubernetes import Drain, Kube, Operator, condition
from tests.harness.openstack import Lab


def test_the_second_waits_and_takes_over(
    kube: Kube, cloud: Lab, operator: Operator, credentials: str, host: str
) -> None:
    first = Drain.apply(kube, credentials, host, service={"afterDrain": "KeepDisabled"})
    first.until("begun", lambda s: s["service"]["status"] == "disabled")
    second = Drain.apply(kube, credentials, host, service={"afterDrain": "KeepDisabled"})

    second.wait("Stalled")
    stalled = second.condition("Stalled")
    assert stalled["reason"] == "HostTaken"
    assert (
        f"host {host} is already being drained by ComputeNodeDrain {credentials}/{first.name}"
        in stalled["message"]
    )
    assert second.row()[2] == "Stalled"
    first.wait("Ready")
    assert first.name in (cloud.service(host) or {})["disabled_reason"]

    first.delete()
    second.wait("Ready")
    assert second.name in (cloud.service(host) or {})["disabled_reason"]
    assert condition(second.status, "Stalled") == {}
    second.delete()
    assert (cloud.service(host) or {})["status"] == "enabled"
    assert operator.healthy()


def test_a_host_that_does_not_exist_is_named_with_those_that_do(
    kube: Kube, cloud: Lab, operator: Operator, credentials: str, host: str
) -> None:
    drain = Drain.apply(kube, credentials, "cmp11")
    drain.wait("Stalled")
    stalled = drain.condition("Stalled")
    assert stalled["reason"] == "HostNotFound"
    assert "no nova-compute service on host 'cmp11'. Did you mean cmp1" in stalled["message"]
    assert drain.row()[2] == "Stalled"
    drain.delete()
    assert operator.healthy()
