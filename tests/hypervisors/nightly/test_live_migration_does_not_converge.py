"""A guest writes to its memory faster than the link carries it."""

import pytest
from tests.harness.hypervisors import Hypervisors
from tests.harness.kubernetes import Kube, Operator
from tests.hypervisors.conftest import Keyring
from tests.hypervisors.trouble import NEW_TRIES, RESET, Trouble

MEGABITS = 16
LATE = "15s"  # three times that is the end of it, whatever progress there is


def busy_guest(kube: Kube, hypervisors: Hypervisors, namespace: str) -> Trouble:
    guests = hypervisors.boot("cmp1", ["busy"], image="guest-busy", flavor="guest-large")
    trouble = Trouble(kube, hypervisors, namespace, guests)
    trouble.source.slow(MEGABITS)
    return trouble


@pytest.mark.promise("never-8", "always-5")
@pytest.mark.field_case("D1", "D2")
def test_a_person_aborts_it_and_later_forces_it(
    kube: Kube, hypervisors: Hypervisors, keyring: Keyring, operator: Operator
) -> None:
    """`onLiveTimeout: Wait` names both, by commands."""
    trouble = busy_guest(kube, hypervisors, keyring.namespace)
    (guest,) = trouble.guests

    with trouble.drained("Live", migration={"timeout": LATE, "onLiveTimeout": "Wait"}):
        trouble.follow(trouble.named(guest, "Stuck"), "openstack server migration abort")
        problem = trouble.named(guest, "LiveFailedInError")
        trouble.untouched(guest)
        trouble.follow(problem, RESET)
        trouble.follow(trouble.named(guest, "LiveMigrationFailed"), NEW_TRIES)
        trouble.follow(trouble.named(guest, "Stuck"), "openstack server migration force complete")
        trouble.ended(live=[guest])
    done = hypervisors.lab.actions(guest.id)
    assert done[-2:] == ["live-migration", "live_migration_force_complete"]
    assert operator.healthy()


@pytest.mark.promise("never-8", "always-5")
@pytest.mark.field_case("D1", "D2")
def test_the_drain_aborts_it_and_later_forces_it(
    kube: Kube, hypervisors: Hypervisors, keyring: Keyring, operator: Operator
) -> None:
    trouble = busy_guest(kube, hypervisors, keyring.namespace)
    (guest,) = trouble.guests

    with trouble.drained("Live", migration={"timeout": LATE, "onLiveTimeout": "Abort"}) as drain:
        problem = trouble.named(guest, "LiveFailedInError")
        assert hypervisors.lab.actions(guest.id)[-1] == "live_migration_cancel"
        trouble.untouched(guest)
        drain.patch({"migration": {"onLiveTimeout": "ForceComplete"}})
        trouble.follow(problem, RESET)
        trouble.follow(trouble.named(guest, "LiveMigrationFailed"), NEW_TRIES)
        trouble.ended(live=[guest])
    done = hypervisors.lab.actions(guest.id)
    assert done[-2:] == ["live-migration", "live_migration_force_complete"]
    assert operator.healthy()


def test_how_far_it_is_is_shown_and_how_fast_it_copies(
    kube: Kube, hypervisors: Hypervisors, keyring: Keyring, operator: Operator
) -> None:
    trouble = busy_guest(kube, hypervisors, keyring.namespace)
    (guest,) = trouble.guests

    with trouble.drained("Live") as drain:
        status = drain.until(
            "what it copies",
            lambda s: any("bytesPerSecond" in row for row in s.get("moving") or ()),
            timeout=400,
        )
        (row,) = status["moving"]
        assert (row["id"], row["method"]) == (guest.id, "live")
        assert 0 <= row["percent"] <= 100
        assert 0 < row["bytesPerSecond"] < 2 * MEGABITS * 1_000_000 / 8
        trouble.source.fast()
        trouble.ended(live=[guest])
    assert operator.healthy()
