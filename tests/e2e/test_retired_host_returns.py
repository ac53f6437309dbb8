"""A retired node comes back while its drain still exists.

`service.whileRunning: Wait`, the default: the drain is done but for nova-compute, which
still runs; the status says what to do, and nothing is deleted until it is done. Started
again, nova-compute registers itself as a new, enabled service: it is disabled again, and
kept empty. The host is restored, its aggregates too, only when the drain is deleted.
"""

import pytest
from tests.harness.kubernetes import Drain, Kube, Operator
from tests.harness.openstack import Lab, until
from tests.harness.promises import COLD, moved, nothing_left


@pytest.mark.promise("never-4", "always-7")
def test_it_waits_for_the_stop_and_keeps_the_host_that_comes_back_empty(
    kube: Kube, cloud: Lab, operator: Operator, credentials: str, host: str
) -> None:
    aggregates = [cloud.aggregate("rack-1", host), cloud.aggregate("ssd", host, "cmp2")]
    (server,) = cloud.boot(host, ["web-1"])
    drain = Drain.apply(kube, credentials, host)

    drain.wait("Drained")
    waits_for_the_stop(drain, operator, host)
    assert cloud.service(host)
    cloud.stop_compute(host)
    drain.wait("Ready")
    moved(cloud, server, host, "ACTIVE", COLD)
    nothing_left(cloud, host)
    assert [cloud.aggregate_hosts(a) for a in aggregates] == [[], ["cmp2"]]

    cloud.start_compute(host)
    late = cloud.create(
        host, "late"
    )  # the scheduler still places it there, or refuses: the operator may be first
    until("disabled again", lambda: (cloud.service(host) or {})["status"] == "disabled")
    until(
        "the late one elsewhere, or nowhere",
        lambda: (
            (s := cloud.server(late))
            and s["status"] in ("ACTIVE", "ERROR")
            and s["OS-EXT-SRV-ATTR:host"] != host
        ),
    )
    refused = cloud.create(host, "refused")
    until("refused by the scheduler", lambda: (cloud.server(refused) or {})["status"] == "ERROR")
    drain.until("drained again", lambda s: s["phase"] == "Drained")
    waits_for_the_stop(drain, operator, host)
    assert cloud.servers_on(host) == []
    assert [cloud.aggregate_hosts(a) for a in aggregates] == [[], ["cmp2"]]

    drain.delete()
    service = cloud.service(host)
    assert service
    assert (service["status"], service["disabled_reason"]) == ("enabled", None)
    assert [sorted(cloud.aggregate_hosts(a)) for a in aggregates] == [[host], [host, "cmp2"]]
    assert operator.healthy()


def waits_for_the_stop(drain: Drain, operator: Operator, host: str) -> None:
    """The status says what to do, and so it stays while the operator looks again."""
    seen = operator.polls
    until("two more polls", lambda: operator.polls > seen + 2)
    status = drain.status
    assert status["phase"] == "Drained"
    assert status["message"].startswith(
        f"the host is empty. Stop nova-compute on {host} now (systemctl disable --now"
    )
    assert drain.condition("ServiceDeleted")["reason"] == "NovaComputeRunning"
    assert drain.condition("Ready")["status"] == "Unknown"
