"""The disk of the destination fills up, before cold migrations to it or in a live one.

Nova shuts a guest down before it copies its disk, so in a cold migration the first one is down when
that is noticed.
"""

import pytest
from tests.harness.hypervisors import Hypervisors
from tests.harness.kubernetes import Kube, Operator
from tests.hypervisors.conftest import Keyring
from tests.hypervisors.trouble import (
    HARD_REBOOT,
    NEW_TRIES,
    RESET,
    on_a_slow_link,
    with_keys,
)


@pytest.mark.promise("never-12", "always-5")
@pytest.mark.field_case("F4", "D5")
def test_at_most_one_further_guest_goes_down(
    kube: Kube, hypervisors: Hypervisors, keyring: Keyring, operator: Operator
) -> None:
    trouble = with_keys(kube, hypervisors, keyring, ["one", "two", "three"])
    trouble.target.fill_disk()

    with trouble.drained("Cold"):
        rows = trouble.stalled("SourceFailed", "SourceFailed", "ColdMigrationPaused")
        by_reason = {row["reason"]: row for row in rows.values()}
        failed = [g for g in trouble.guests if rows[g.name]["reason"] == "SourceFailed"]
        (waiting,) = (guest for guest in trouble.guests if guest not in failed)
        assert "the copy to cmp2 failed (disk full there?" in by_reason["SourceFailed"]["message"]
        trouble.untouched(waiting)
        for guest in failed:
            trouble.down(guest)
            assert guest.domain_states() == {"cmp1": "shut off"}
        assert trouble.target.instance_dirs() == set()

        for guest in failed:
            trouble.follow(rows[guest.name], RESET, HARD_REBOOT)
        for guest in failed:
            trouble.runs_again(guest)
        trouble.target.free_disk()
        trouble.follow(by_reason["ColdMigrationPaused"], NEW_TRIES)
        trouble.ended()
    assert operator.healthy()


@pytest.mark.promise("never-8", "never-12", "always-5")
@pytest.mark.field_case("D1", "D5")
def test_in_a_live_migration_every_guest_runs_on(
    kube: Kube, hypervisors: Hypervisors, keyring: Keyring, operator: Operator
) -> None:
    trouble = on_a_slow_link(kube, hypervisors, keyring)

    with trouble.drained("Live"):
        moving = trouble.migrating()
        trouble.target.fill_disk(leave_kib=16)
        rows = trouble.stalled("LiveFailedInError", "LiveMigrationPaused")
        for guest in trouble.guests:
            trouble.untouched(guest)
        assert trouble.target.instance_dirs() == set()
        trouble.target.free_disk()
        trouble.source.fast()
        trouble.try_live_again(moving, rows[moving.name])
        trouble.ended(live=trouble.guests)
    assert operator.healthy()
