"""libvirtd dies or stays down in the middle of a move. Guests that run do not notice."""

import pytest
from tests.harness.hypervisors import Hypervisors
from tests.harness.kubernetes import Kube, Operator
from tests.harness.openstack import until
from tests.hypervisors.conftest import Keyring, never_stopped
from tests.hypervisors.trouble import (
    HARD_REBOOT,
    NEW_TRIES,
    RESET,
    SLOW,
    on_a_slow_link,
    with_keys,
)


@pytest.mark.promise("never-8", "never-12", "always-5")
@pytest.mark.field_case("D1")
def test_on_the_source_in_a_live_migration(
    kube: Kube, hypervisors: Hypervisors, keyring: Keyring, operator: Operator
) -> None:
    """Nova cannot clean up the destination; the next try fails on what is left there, and then it
    is gone.
    """
    trouble = on_a_slow_link(kube, hypervisors, keyring)

    with trouble.drained("Live"):
        moving = trouble.migrating()
        trouble.source.stop_libvirtd()
        problem = trouble.named(moving, "LiveFailedInError")
        for guest in trouble.guests:
            never_stopped(trouble.before[guest.id], guest.next_report())
        trouble.source.start_libvirtd()
        trouble.source.fast()
        trouble.try_live_again(moving, problem)
        trouble.follow(trouble.named(moving, "LiveMigrationFailed", "already exists"), NEW_TRIES)
        assert trouble.leftovers_ended() == ["AllocationsLeft"]
        trouble.ended(live=trouble.guests)
    assert operator.healthy()


@pytest.mark.promise("never-8", "never-12", "always-5")
@pytest.mark.field_case("D1")
def test_on_the_destination_in_a_live_migration(
    kube: Kube, hypervisors: Hypervisors, keyring: Keyring, operator: Operator
) -> None:
    """Nova disables the destination until its libvirtd is back: meanwhile it finds no host."""
    trouble = on_a_slow_link(kube, hypervisors, keyring)

    with trouble.drained("Live"):
        moving = trouble.migrating()
        trouble.target.stop_libvirtd()
        problem = trouble.named(moving, "LiveFailedInError")
        for guest in trouble.guests:
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
        trouble.ended(live=trouble.guests)
    assert operator.healthy()


@pytest.mark.promise("always-5", "always-6")
@pytest.mark.field_case("D13")
@pytest.mark.parametrize("host", ["cmp1", "cmp2"])
def test_killed_in_the_copy_of_a_cold_move(
    kube: Kube, hypervisors: Hypervisors, keyring: Keyring, operator: Operator, host: str
) -> None:
    """On either host its unit has it back before Nova needs it."""
    trouble = with_keys(kube, hypervisors, keyring, ["one"])
    (guest,) = trouble.guests
    trouble.source.slow(SLOW)

    with trouble.drained("Cold"):
        trouble.copying()
        hypervisors[host].kill_libvirtd()
        trouble.source.fast()
        trouble.ended()
    assert hypervisors.lab.actions(guest.id) == ["create", "migrate", "confirmResize"]
    assert operator.healthy()


@pytest.mark.promise("never-12", "always-5", "always-6")
@pytest.mark.field_case("D13")
def test_down_on_the_source_at_the_confirm(
    kube: Kube, hypervisors: Hypervisors, keyring: Keyring, operator: Operator
) -> None:
    """Both servers are in ERROR then, and both guests run: nobody is told to restart them."""
    trouble = with_keys(kube, hypervisors, keyring, ["one", "two"])
    trouble.source.slow(SLOW)

    with trouble.drained("Cold"):
        arrived = trouble.copying()
        (waiting,) = (guest for guest in trouble.guests if guest is not arrived)
        trouble.source.stop_libvirtd()
        trouble.source.fast()
        problem = trouble.named(arrived, "DestinationFailed", "runs there, but its confirm failed")
        assert HARD_REBOOT not in " ".join(problem["remedies"])
        first = trouble.named(waiting, "SourceFailed")["remedies"][0]
        assert "check libvirtd and nova-compute on cmp1" in first
        here = arrived.next_report()
        never_stopped(trouble.before[waiting.id], waiting.next_report())

        trouble.source.start_libvirtd()
        stuck = trouble.named(waiting, "SourceFailed", "its guest runs here")
        assert HARD_REBOOT not in " ".join(stuck["remedies"])
        trouble.follow(problem, RESET)
        trouble.follow(stuck, RESET)
        trouble.follow(trouble.named(waiting, "MigrationFailed"), NEW_TRIES)
        assert trouble.leftovers_ended() == []
        trouble.ended()
    never_stopped(here, arrived.next_report())
    assert operator.healthy()
