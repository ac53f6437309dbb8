"""Packets between source and destination vanish in the middle of a move, and later no longer do."""

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


@pytest.mark.promise("never-12", "always-5")
@pytest.mark.field_case("D6")
def test_in_the_copy_of_a_cold_move(
    kube: Kube, hypervisors: Hypervisors, keyring: Keyring, operator: Operator
) -> None:
    """The copy hangs. Where the network returns soon, it goes on; else a person ends it."""
    trouble = with_keys(kube, hypervisors, keyring, ["one", "two"])
    source, target = trouble.source, trouble.target
    source.slow(SLOW)

    with trouble.drained("Cold", migration={"timeout": "20s"}):
        first = trouble.copying()
        source.cut(target)
        assert "Nova cannot abort" in str(trouble.named(first, "Stuck")["remedies"])
        source.heal(target)
        second = trouble.copying(first)
        source.cut(target)
        problem = trouble.named(second, "Stuck")
        trouble.follow(problem, "end it on the source")
        source.heal(target)
        source.fast()

        problem = trouble.named(second, "SourceFailed")
        trouble.down(second)
        trouble.follow(problem, RESET, HARD_REBOOT)
        trouble.runs_again(second)
        trouble.follow(trouble.named(second, "MigrationFailed"), NEW_TRIES)
        trouble.ended()
    assert hypervisors.lab.actions(first.id) == ["create", "migrate", "confirmResize"]
    assert operator.healthy()


@pytest.mark.promise("never-8", "never-12", "always-5")
@pytest.mark.field_case("D1", "F8")
def test_in_a_live_migration(
    kube: Kube, hypervisors: Hypervisors, keyring: Keyring, operator: Operator
) -> None:
    """libvirt ends it after half a minute, Nova sets the server to ERROR, and its guest runs on.

    No other begins meanwhile.
    """
    trouble = on_a_slow_link(kube, hypervisors, keyring)
    source, target = trouble.source, trouble.target

    with trouble.drained("Live"):
        moving = trouble.migrating()
        source.cut(target)
        rows = trouble.stalled("LiveFailedInError", "LiveMigrationPaused")
        for guest in trouble.guests:
            never_stopped(trouble.before[guest.id], guest.next_report())
        source.heal(target)
        source.fast()
        until("the destination clean", lambda: target.domains() == {})

        trouble.try_live_again(moving, rows[moving.name])
        trouble.ended(live=trouble.guests)
    assert operator.healthy()
