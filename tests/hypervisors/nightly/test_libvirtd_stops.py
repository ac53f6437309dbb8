"""libvirtd dies or stays down in the middle of a live migration. Guests do not notice."""

import pytest
from tests.harness.hypervisors import Hypervisors
from tests.harness.kubernetes import Kube, Operator
from tests.harness.openstack import until
from tests.hypervisors.conftest import Keyring, never_stopped
from tests.hypervisors.trouble import NEW_TRIES, RESET, SLOW, Trouble


@pytest.mark.promise("never-8", "never-12", "always-5")
@pytest.mark.field_case("D1")
def test_on_the_source_in_a_live_migration(
    kube: Kube, hypervisors: Hypervisors, keyring: Keyring, operator: Operator
) -> None:
    """Nova cannot clean up the destination; the next try fails on what is left there, and then it
    is gone.
    """
    guests = hypervisors.boot("cmp1", ["one", "two"])
    trouble = Trouble(kube, hypervisors, keyring.namespace, guests)
    trouble.source.slow(SLOW)

    with trouble.drained("Live"):
        moving = trouble.migrating()
        trouble.source.stop_libvirtd()
        problem = trouble.named(moving, "LiveFailedInError")
        for guest in guests:
            never_stopped(trouble.before[guest.id], guest.next_report())
        trouble.source.start_libvirtd()
        trouble.source.fast()
        trouble.follow(problem, RESET)
        trouble.follow(trouble.named(moving, "LiveMigrationFailed"), NEW_TRIES)
        trouble.follow(trouble.named(moving, "LiveMigrationFailed", "already exists"), NEW_TRIES)
        assert trouble.leftovers_ended() == ["AllocationsLeft"]
        trouble.ended(live=guests)
    assert operator.healthy()


@pytest.mark.promise("never-8", "never-12", "always-5")
@pytest.mark.field_case("D1")
def test_on_the_destination_in_a_live_migration(
    kube: Kube, hypervisors: Hypervisors, keyring: Keyring, operator: Operator
) -> None:
    """Nova disables the destination until its libvirtd is back: meanwhile it finds no host."""
    guests = hypervisors.boot("cmp1", ["one", "two"])
    trouble = Trouble(kube, hypervisors, keyring.namespace, guests)
    trouble.source.slow(SLOW)

    with trouble.drained("Live"):
        moving = trouble.migrating()
        trouble.target.stop_libvirtd()
        problem = trouble.named(moving, "LiveFailedInError")
        for guest in guests:
            never_stopped(trouble.before[guest.id], guest.next_report())
        trouble.target.start_libvirtd()
        trouble.source.fast()
        trouble.follow(problem, RESET)
        until(
            "the destination enabled",
            lambda: (hypervisors.lab.service("cmp2") or {})["status"] == "enabled",
            timeout=240.0,
        )
        trouble.follow(trouble.named(moving, "LiveMigrationFailed"), NEW_TRIES)
        trouble.ended(live=guests)
    assert operator.healthy()
