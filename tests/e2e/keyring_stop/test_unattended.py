"""From `kubectl apply` to the deleted service and back, without manual steps on the host."""

import base64
import json

import pytest
from tests.beds.hosts.hosts import Bed
from tests.e2e.keyring.conftest import NAME, Keyring
from tests.e2e.keyring_stop.conftest import Doorway, Supervisor
from tests.harness.kubernetes import Drain, Kube, Operator
from tests.harness.openstack import Lab, until

STOP = {"whileRunning": "Stop", "stop": {"name": "nova-compute"}}


@pytest.mark.promise("never-4", "always-8")
def test_a_node_is_retired_and_restored_without_manual_steps(
    kube: Kube,
    cloud: Lab,
    keyring: Keyring,
    supervised: Supervisor,
    operator: Operator,
    host: str,
    bed: Bed,
    dead: str,
) -> None:
    """Cold moves wait until the host's paths are checked.

    A dead host, to which Nova moves nothing, delays them no longer than Nova takes to see it down.
    """
    servers = cloud.boot(host, ["run-1", "run-2"]) + cloud.boot(host, ["off-1"], "SHUTOFF")
    bed[host].run("mkdir -p ~root/kept && mv /usr/bin/ssh ~root/kept/ssh")
    keyring.apply()
    keyring.trouble(host, "NoClient")
    drain = Drain.apply(kube, keyring.namespace, host, keyringRef={"name": NAME}, service=STOP)

    drain.until("the cause reported", lambda status: "NoClient" in str(status))
    assert [each for each in cloud.actions(servers[0]) if each == "migrate"] == []

    bed[host].run("mv ~root/kept/ssh /usr/bin/ssh")
    drain.wait("Ready")

    assert dead in {row["host"] for row in keyring.status["problems"]}
    assert cloud.service(host) is None
    assert cloud.provider(host) is None
    assert (supervised.runs, supervised.held) == (False, True)
    for server_id in servers:
        assert cloud.host_of(server_id) not in (None, host)
        assert [
            each for each in cloud.actions(server_id) if each in ("migrate", "confirmResize")
        ] == ["migrate", "confirmResize"]

    given_back(cloud, drain, supervised, host)
    assert operator.healthy()


def given_back(cloud: Lab, drain: Drain, supervised: Supervisor, host: str) -> None:
    drain.delete()
    until("nova-compute to run again", lambda: supervised.runs)
    assert (supervised.held, supervised.boot) == (False, "enabled")
    until("its service to be back", lambda: (cloud.service(host) or {}).get("state") == "up")
    assert (cloud.service(host) or {})["status"] == "enabled"


def test_a_drain_with_access_of_its_own_keeps_the_first_key_of_the_host(
    kube: Kube,
    keyring: Keyring,
    cloud: Lab,
    supervised: Supervisor,
    doorway: Doorway,
    operator: Operator,
    host: str,
    bed: Bed,
) -> None:
    """There is no keyring, only its login.

    Where that is lost before the drain is deleted, the drain says what to do.
    """
    access = {
        "port": doorway.port,
        "privateKeySecretRef": {"name": "login"},
        "trustOnFirstUse": True,
    }
    drain = Drain.apply(kube, keyring.namespace, host, service=STOP, hostAccess=access)

    drain.wait("Ready")

    assert cloud.service(host) is None
    assert (supervised.runs, supervised.held) == (False, True)
    kept = kube.get(f"secret/{drain.name}-host-key", keyring.namespace)
    assert kept is not None
    assert host in base64.b64decode(kept["data"]["known_hosts"]).decode()
    assert "ownerReferences" not in kept["metadata"], "foreground deletion would take it first"

    bed[host].run("mv ~root/.ssh/authorized_keys ~root/kept")
    drain.delete()

    secret = f"secret/{drain.name}-host-key"
    until("the end of the Secret", lambda: kube.get(secret, keyring.namespace) is None)
    assert "Start it by hand (it was found" in warnings(kube, drain, "NovaComputeNotRunning")
    assert not supervised.runs
    bed[host].run(
        "rm /etc/systemd/system/nova-compute.service.d/quiesce.conf; "
        "systemctl daemon-reload; systemctl start nova-compute"
    )
    until("nova-compute to run again", lambda: supervised.runs)
    assert operator.healthy()


def warnings(kube: Kube, drain: Drain, reason: str) -> str:
    """The drain's warnings with this reason; they outlive it."""
    found = json.loads(kube.kubectl("get", "events", "-n", drain.namespace, "-o", "json").stdout)[
        "items"
    ]
    mine = [
        event
        for event in found
        if event["involvedObject"]["name"] == drain.name and event["type"] == "Warning"
    ]
    return " ".join(event["message"] for event in mine if event["reason"] == reason)
