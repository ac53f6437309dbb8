"""QEMU dies, in the middle of a live migration or just after a cold one."""

import pytest
from tests.harness.hypervisors import Hypervisors
from tests.harness.kubernetes import Kube, Operator, condition
from tests.harness.openstack import until
from tests.hypervisors.conftest import Keyring
from tests.hypervisors.trouble import (
    HARD_REBOOT,
    on_a_slow_link,
    with_keys,
)


@pytest.mark.promise("always-5", "always-6")
@pytest.mark.field_case("D11")
def test_on_the_source_in_a_live_migration(
    kube: Kube, hypervisors: Hypervisors, keyring: Keyring, operator: Operator
) -> None:
    """Nova takes its migration for completed and removes the disk on the source, in the middle of
    the copy (seen with 34.0): the drain cannot save it, and says so before anybody starts it.
    """
    trouble = on_a_slow_link(kube, hypervisors, keyring)

    with trouble.drained("Live") as drain:
        dying = trouble.migrating()
        trouble.source.kill_guest(dying)
        trouble.source.fast()
        problem = trouble.named(dying, "DestinationFailed")
        assert "it does not run there" in problem["message"]
        assert "whether its disk is whole" in problem["remedies"][0]
        assert dying.id not in trouble.source.running() | trouble.target.running()
        assert dying.id not in trouble.source.instance_dirs()
        assert condition(drain.status, "Drained")["status"] == "False"

        trouble.follow(problem, HARD_REBOOT)
        until(f"{dying.name} ACTIVE", lambda: dying.status == ("ACTIVE", None))
        assert trouble.leftovers_ended() == ["AllocationsLeft"]
        trouble.guests = [guest for guest in trouble.guests if guest is not dying]
        trouble.ended(live=trouble.guests)
    assert operator.healthy()


@pytest.mark.promise("never-8", "never-12", "always-5")
@pytest.mark.field_case("D1")
def test_on_the_destination_in_a_live_migration(
    kube: Kube, hypervisors: Hypervisors, keyring: Keyring, operator: Operator
) -> None:
    """What waits there for the guest dies: the guest runs on where it was."""
    trouble = on_a_slow_link(kube, hypervisors, keyring)

    with trouble.drained("Live"):
        moving = trouble.migrating()
        trouble.target.kill_guest(moving)
        problem = trouble.named(moving, "LiveFailedInError")
        for guest in trouble.guests:
            trouble.untouched(guest)
        assert trouble.target.instance_dirs() == set()
        trouble.source.fast()
        trouble.try_live_again(moving, problem)
        trouble.ended(live=trouble.guests)
    assert operator.healthy()


@pytest.mark.promise("never-3", "never-13", "always-4")
@pytest.mark.field_case("D7")
def test_on_the_destination_before_the_confirm(
    kube: Kube, hypervisors: Hypervisors, keyring: Keyring, operator: Operator
) -> None:
    """It is held; a person has it rolled back, and moved again."""
    trouble = with_keys(kube, hypervisors, keyring, ["one"])
    (guest,) = trouble.guests

    with trouble.drained(
        "Cold", confirmation={"checks": {"soak": "20s"}}, migration={"attempts": 2}
    ):
        until("its arrival", lambda: guest.status == ("VERIFY_RESIZE", None), timeout=240.0)
        trouble.target.kill_guest(guest)
        problem = trouble.named(guest, "CheckFailed")
        assert "it was running and is not" in problem["message"]
        assert guest.status == ("VERIFY_RESIZE", None)
        assert f"{guest.id}_resize" in trouble.source.instance_dirs()

        trouble.follow(problem, "action: Revert")
        problem = trouble.named(guest, "Reverted")
        trouble.runs_again(guest)
        trouble.follow(problem, "remove its entry")
        trouble.ended()
    assert operator.healthy()
