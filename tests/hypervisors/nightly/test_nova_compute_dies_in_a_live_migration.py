"""nova-compute is killed in the middle of a live migration; systemd starts it again."""

import pytest
from tests.harness.hypervisors import Hypervisors
from tests.harness.kubernetes import Kube, Operator
from tests.harness.openstack import until
from tests.hypervisors.conftest import Keyring, never_stopped
from tests.hypervisors.trouble import NEW_TRIES, on_a_slow_link


@pytest.mark.promise("never-8", "never-12", "always-5")
@pytest.mark.field_case("D12")
def test_on_the_source(
    kube: Kube, hypervisors: Hypervisors, keyring: Keyring, operator: Operator
) -> None:
    """When it starts, it ends the migration and leaves the destination as it is: the next try fails
    on what is left there, and then that is gone.
    """
    trouble = on_a_slow_link(kube, hypervisors, keyring)

    with trouble.drained("Live"):
        moving = trouble.migrating()
        trouble.source.kill_compute()
        problem = trouble.named(moving, "LiveMigrationFailed")
        for guest in trouble.guests:
            never_stopped(trouble.before[guest.id], guest.next_report())
        trouble.source.fast()
        trouble.source.await_compute()  # before that Nova rejects what it is asked for
        trouble.follow(problem, NEW_TRIES)
        trouble.follow(trouble.named(moving, "LiveMigrationFailed", "already exists"), NEW_TRIES)
        assert trouble.leftovers_ended() == ["AllocationsLeft"]
        trouble.ended(live=trouble.guests)
    assert operator.healthy()


@pytest.mark.promise("never-8", "never-12", "always-5")
@pytest.mark.field_case("D12")
def test_on_the_source_and_the_guest_arrives_before_it_is_back(
    kube: Kube, hypervisors: Hypervisors, keyring: Keyring, operator: Operator
) -> None:
    """Its start takes the server for one that is here, ACTIVE. To start it, or to copy its disk for
    a cold migration, would have it run twice.
    """
    trouble = on_a_slow_link(kube, hypervisors, keyring)

    with trouble.drained("LiveThenCold"):
        moving = trouble.migrating()
        trouble.source.kill_compute()
        trouble.source.stop_compute()
        trouble.source.fast()
        until("its arrival", lambda: moving.id in trouble.target.running())
        until("its end here", lambda: moving.id not in trouble.source.domains())
        trouble.source.start_compute()
        problem = trouble.named(moving, "HostUncertain")
        assert (moving.host, moving.status) == ("cmp1", ("ACTIVE", None))
        trouble.source.await_compute()
        assert trouble.stalled("HostUncertain")[moving.name]["remedies"] == problem["remedies"]

        trouble.follow(problem, "If it runs on cmp2")
        assert trouble.leftovers_ended() == ["AllocationsLeft"]
        trouble.ended(live=trouble.guests)
    assert "migrate" not in hypervisors.lab.actions(moving.id)
    assert operator.healthy()


@pytest.mark.promise("never-8", "never-12", "always-5")
@pytest.mark.field_case("D12")
def test_on_the_destination(
    kube: Kube, hypervisors: Hypervisors, keyring: Keyring, operator: Operator
) -> None:
    trouble = on_a_slow_link(kube, hypervisors, keyring)

    with trouble.drained("Live"):
        trouble.migrating()
        trouble.target.kill_compute()
        trouble.source.fast()
        trouble.ended(live=trouble.guests)
    assert operator.healthy()
