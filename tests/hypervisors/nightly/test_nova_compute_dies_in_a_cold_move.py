"""nova-compute is killed in the middle of a cold migration; systemd starts it again."""

import pytest
from tests.harness.hypervisors import Hypervisors
from tests.harness.kubernetes import Kube, Operator
from tests.harness.openstack import until
from tests.hypervisors.conftest import Keyring
from tests.hypervisors.trouble import HARD_REBOOT, RESET, SLOW, START, with_keys


@pytest.mark.promise("never-13", "always-5", "always-6")
@pytest.mark.field_case("D3")
def test_on_the_source_in_the_copy(
    kube: Kube, hypervisors: Hypervisors, keyring: Keyring, operator: Operator
) -> None:
    """Nova takes the disk back and leaves the guest off, first as ACTIVE, then as SHUTOFF: it is
    not moved as a stopped one.
    """
    trouble = with_keys(kube, hypervisors, keyring, ["one", "two"])
    trouble.source.slow(SLOW)

    with trouble.drained("Cold"):
        guest = trouble.copying()
        trouble.source.kill_compute()
        trouble.source.fast()
        problem = trouble.named(guest, "LeftOff")
        trouble.down(guest)

        trouble.follow(problem, START)
        trouble.runs_again(guest)
        trouble.leftovers_ended()
        trouble.ended()
    assert operator.healthy()


@pytest.mark.promise("always-5", "always-6")
def test_on_the_destination_in_the_copy(
    kube: Kube, hypervisors: Hypervisors, keyring: Keyring, operator: Operator
) -> None:
    """It has no part in the copy, and takes the guest when it is back."""
    trouble = with_keys(kube, hypervisors, keyring, ["one"])
    trouble.source.slow(SLOW)

    with trouble.drained("Cold"):
        trouble.copying()
        trouble.target.kill_compute()
        trouble.source.fast()
        trouble.ended()
    assert hypervisors.lab.actions(trouble.guests[0].id) == ["create", "migrate", "confirmResize"]
    assert operator.healthy()


@pytest.mark.promise("always-5", "always-6")
def test_on_the_destination_at_the_arrival(
    kube: Kube, hypervisors: Hypervisors, keyring: Keyring, operator: Operator
) -> None:
    """Nobody works on the server any more, and its record never ends."""
    trouble = with_keys(kube, hypervisors, keyring, ["one", "two"])
    trouble.source.slow(SLOW)

    with trouble.drained("Cold", migration={"timeout": "40s"}):
        guest = trouble.copying()
        trouble.target.stall_libvirtd()
        trouble.source.fast()
        until("its arrival", lambda: guest.status == ("RESIZE", "resize_finish"))
        trouble.target.kill_compute()
        trouble.target.resume_libvirtd()
        trouble.target.await_compute()

        problem = trouble.named(guest, "Stuck")
        assert guest.status == ("RESIZE", "resize_finish")
        trouble.follow(problem, f"{RESET} {guest.id}, then {HARD_REBOOT}")
        trouble.runs_again(guest)
        trouble.leftovers_ended()
        trouble.ended()
    assert operator.healthy()
