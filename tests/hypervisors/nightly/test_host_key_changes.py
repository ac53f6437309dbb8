"""The destination has another host key than the one that was proven, as after a reinstallation."""

import pytest
from tests.harness.hypervisors import Hypervisors
from tests.harness.kubernetes import Kube, Operator
from tests.harness.openstack import until
from tests.hypervisors.conftest import Keyring
from tests.hypervisors.trouble import with_keys


@pytest.mark.promise("never-10", "never-12", "always-5")
@pytest.mark.field_case("D4")
def test_no_guest_stops_before_its_key_is_pinned(
    kube: Kube, hypervisors: Hypervisors, keyring: Keyring, operator: Operator
) -> None:
    trouble = with_keys(kube, hypervisors, keyring, ["one", "two"])
    trouble.target.renew_host_keys()

    with trouble.drained("Cold"):
        rows = trouble.stalled("SSHPathBroken", "SSHPathBroken")
        for row in rows.values():
            assert "Repair the keys and host keys of the nova user" in " ".join(row["remedies"])
        for guest in trouble.guests:
            trouble.untouched(guest)

        keyring.check()
        until("the changed key named", lambda: "HostKeyMismatch" in str(keyring.status))
        for guest in trouble.guests:
            trouble.untouched(guest)
        keyring.pin(hypervisors)
        keyring.ready()
        trouble.ended()
    assert operator.healthy()
