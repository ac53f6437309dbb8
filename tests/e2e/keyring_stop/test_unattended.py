"""From `kubectl apply` to the deleted service and back, without a hand on the host."""

from tests.beds.hosts.hosts import Bed
from tests.e2e.keyring.conftest import NAME, Keyring
from tests.e2e.keyring_stop.conftest import Supervisor
from tests.harness.kubernetes import Drain, Kube, Operator
from tests.harness.openstack import Lab, until

BY_KEYRING = {"keyringRef": {"name": NAME}, "service": {"whileRunning": "Stop", "stop": {"name": "nova-compute"}}}


def test_a_node_is_retired_and_given_back_without_a_hand(
    kube: Kube, cloud: Lab, keyring: Keyring, supervised: Supervisor, operator: Operator, host: str
) -> None:
    servers = cloud.boot(host, ["run-1", "run-2"]) + cloud.boot(host, ["off-1"], "SHUTOFF")
    keyring.apply().ready()
    drain = Drain.apply(kube, keyring.namespace, host, **BY_KEYRING)

    drain.wait("Ready")

    assert cloud.service(host) is None
    assert cloud.provider(host) is None
    assert (supervised.runs, supervised.boot) == (False, "masked")
    for server_id in servers:
        assert cloud.host_of(server_id) not in (None, host)
        assert [each for each in cloud.actions(server_id) if each in ("migrate", "confirmResize")] == ["migrate", "confirmResize"]

    drain.delete()

    until("nova-compute to run again", lambda: supervised.runs)
    assert supervised.boot == "enabled"
    until("its service to be back", lambda: (cloud.service(host) or {}).get("state") == "up")
    assert (cloud.service(host) or {})["status"] == "enabled"
    assert operator.healthy()


def test_cold_moves_wait_until_the_paths_are_proven(
    kube: Kube, cloud: Lab, keyring: Keyring, bed: Bed, operator: Operator, host: str
) -> None:
    servers = cloud.boot(host, ["run-1"])
    bed[host].run("mkdir -p /root/kept && mv /usr/bin/ssh /root/kept/ssh")
    keyring.apply()
    keyring.trouble(host, "NoClient")
    drain = Drain.apply(kube, keyring.namespace, host, keyringRef={"name": NAME}, service={"afterDrain": "KeepDisabled"})

    drain.until("to be told", lambda status: "NoClient" in str(status))
    assert [each for each in cloud.actions(servers[0]) if each == "migrate"] == []

    bed[host].run("mv /root/kept/ssh /usr/bin/ssh")
    drain.wait("Drained")
    assert cloud.host_of(servers[0]) != host
    assert operator.healthy()
