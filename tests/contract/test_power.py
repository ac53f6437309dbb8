"""Power states: what Nova says of a guest is what it heard last."""

import pytest
from tests.contract.lab import Lab

pytestmark = pytest.mark.every_driver
RUNNING, SHUTDOWN = 1, 4
HEARD = 40.0  # seconds: a hypervisor tells of a guest that stopped 15 s later


def looks_each_minute(nova: Lab) -> bool:
    """Nova, on real hypervisors here: it may hear of a death sooner, and of a start again."""
    return nova.name == "libvirt"


def power(nova: Lab, server: str) -> int:
    return int(nova.show(server)["OS-EXT-STS:power_state"])


def test_a_guest_that_dies_on_the_destination(nova: Lab) -> None:
    """VERIFY_RESIZE shows it running for about 15 s more; a revert starts it, and shows it off."""
    server = nova.active(metadata={"fault.finish_migration": "dies"})
    assert nova.migrate(server).status == 202
    nova.settled(server, "VERIFY_RESIZE")
    arrived = nova.clock()
    assert power(nova, server) == RUNNING
    nova.wait("the death heard of", lambda: power(nova, server) == SHUTDOWN, HEARD)
    assert nova.clock() - arrived > 10 or looks_each_minute(nova)
    assert nova.show(server)["status"] == "VERIFY_RESIZE"
    assert nova.act(server, "revertResize").status == 202
    shown = nova.settled(server, "ACTIVE")
    assert shown["OS-EXT-SRV-ATTR:host"] == nova.source
    assert power(nova, server) == SHUTDOWN or looks_each_minute(nova)


def test_a_guest_that_dies_before_its_confirmation(nova: Lab) -> None:
    """Confirmed at once it is ACTIVE, and is stopped by Nova itself when its death is heard of."""
    server = nova.active(metadata={"fault.finish_migration": "dies"})
    assert nova.migrate(server).status == 202
    nova.settled(server, "VERIFY_RESIZE")
    assert nova.act(server, "confirmResize").status == 204
    shown = nova.settled(server, "ACTIVE")["OS-EXT-STS:power_state"]
    assert shown == RUNNING or looks_each_minute(nova)
    nova.wait("the stop", lambda: nova.show(server)["status"] == "SHUTOFF", HEARD)
    stopped = nova.get(f"/servers/{server}/os-instance-actions", "instanceActions")[0]
    assert (stopped["action"], stopped["user_id"]) == ("stop", None)


def test_a_copy_that_fails_leaves_the_guest_off(nova: Lab) -> None:
    """ERROR on the source, shown as running until Nova hears that it is off."""
    server = nova.active(metadata={"fault.migrate_disk_and_power_off": "scp"})
    answer = nova.migrate(server)
    assert answer.status == 202
    assert nova.settled(server, "ERROR")["OS-EXT-STS:power_state"] == RUNNING
    nova.wait("the guest heard to be off", lambda: power(nova, server) == SHUTDOWN, HEARD)
    assert nova.show(server)["status"] == "ERROR"
    details = nova.event(server, answer.request_id)[1]["compute_resize_instance"]["details"]
    assert 0 < len(details.encode()) <= 255


def test_diagnostics_know_of_a_death_at_once(nova: Lab) -> None:
    """nova-compute looks at the guest itself: 409, while the server still shows it as running."""
    server = nova.active(metadata={"fault.finish_migration": "dies"})
    path = f"/servers/{server}/diagnostics"
    assert nova.api("GET", path).status == 200
    assert nova.migrate(server).status == 202
    nova.settled(server, "VERIFY_RESIZE")
    nova.wait("the hypervisor's answer", lambda: nova.api("GET", path).status == 409 or None, 10.0)
    assert power(nova, server) == RUNNING
    assert "power state" in nova.api("GET", path).message
    assert nova.act(server, "revertResize").status == 202
    nova.settled(server, "ACTIVE")
