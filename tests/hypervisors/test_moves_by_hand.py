"""What the other stories build on, without the operator: real guests, moved by Nova."""

from tests.harness.hypervisors import Hypervisors
from tests.harness.openstack import until
from tests.hypervisors.conftest import never_stopped, runs_once


def test_without_keys_a_cold_migration_fails_before_the_guest_stops(
    hypervisors: Hypervisors,
) -> None:
    """Nova makes the destination's folder by ssh first (libvirt/driver.py,
    migrate_disk_and_power_off).
    """
    [guest] = hypervisors.boot("cmp1", ["counts"])
    before = guest.next_report()

    hypervisors.migrate(guest, "cmp2")
    until(
        "the failure",
        lambda: hypervisors.migration(guest).get("status") == "error" and guest.status[1] is None,
    )

    assert guest.status[0] == "ACTIVE"
    assert guest.host == "cmp1"
    never_stopped(before, guest.next_report())
    runs_once(guest)
    assert hypervisors["cmp2"].instance_dirs() == set()
    assert hypervisors["cmp1"].instance_dirs() == {guest.id}


def test_a_live_migration_takes_the_disk_along_and_the_guest_never_stops(
    hypervisors: Hypervisors,
) -> None:
    [guest] = hypervisors.boot("cmp1", ["counts"])
    before = guest.next_report()

    hypervisors.live_migrate(guest, "cmp2")
    moved = ("completed", ("ACTIVE", None), "cmp2")
    until(
        "the move",
        lambda: (hypervisors.migration(guest).get("status"), guest.status, guest.host) == moved,
        timeout=240.0,
    )

    never_stopped(before, guest.next_report(after=before))
    runs_once(guest)
    assert hypervisors["cmp1"].instance_dirs() == set()
