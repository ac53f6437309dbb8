"""A guest returns to the host that it left: because a check failed, and because a person decided.

Its disk is then the one that stayed there: what was written on the other host is gone with it.
"""

import pytest
from tests.harness.hypervisors import Guest, Hypervisors, Report, last_report, reports
from tests.harness.kubernetes import Drain, Json, Kube, Operator
from tests.harness.openstack import until
from tests.hypervisors.conftest import KEYRING, Keyring, never_stopped, runs_once

KEEP = {"afterDrain": "KeepDisabled"}


@pytest.mark.promise("never-3", "never-13", "always-8")
@pytest.mark.field_case("D7")
def test_its_disk_is_as_it_was_and_nothing_is_left_over_there(
    kube: Kube, hypervisors: Hypervisors, keyring: Keyring, operator: Operator
) -> None:
    lab = hypervisors.lab
    [guest] = hypervisors.boot("cmp1", ["db-1"])
    keyring.apply()
    keyring.ready()

    # It dies on its new host, and under Manual nothing is done about it.
    manual = {"policy": "Manual", "onFailedCheck": "Revert"}
    drain = Drain.apply(
        kube,
        keyring.namespace,
        "cmp1",
        keyringRef={"name": KEYRING},
        service=KEEP,
        confirmation=manual,
    )
    there, stopped = arrived(guest)
    left = guest.next_report(after=stopped)
    hypervisors[there].kill_guest(guest)
    drain.until("the check to fail", lambda s: reasons(s) == ["CheckFailed"])
    assert guest.domain_states() == {"cmp1": "shut off", there: "shut off"}
    drain.patch({"confirmation": {"policy": "Automatic"}})
    until("the revert", lambda: lab.actions(guest.id)[-1] == "revertResize")
    drain.patch({"mode": "Plan"})  # what is in flight ends, and nothing begins
    came_back(guest, stopped, left, there)

    # A person sends it back.
    drain.patch({"mode": "Drain", "confirmation": manual})
    there, stopped = arrived(guest)
    left = guest.next_report(after=stopped)
    # Nova may go on showing as off what died and runs again; it is held in either case.
    held = (["AwaitingDecision"], ["CheckFailed"])
    drain.until("it to be held", lambda s: reasons(s) in held)
    drain.patch({"confirmation": {"decisions": [{"server": guest.id, "action": "Revert"}]}})
    here = came_back(guest, stopped, left, there)
    drain.until("the decision to stand", lambda s: reasons(s) == ["Reverted"])

    drain.delete()
    assert (lab.service("cmp1") or {})["status"] == "enabled"
    never_stopped(here, guest.next_report(after=here))
    assert lab.actions(guest.id) == ["create", *["migrate", "revertResize"] * 2]
    assert operator.healthy()


def reasons(status: Json) -> list[str]:
    return [problem["reason"] for problem in status["problems"]]


def arrived(guest: Guest) -> tuple[str, Report]:
    """It has counted on in VERIFY_RESIZE: on which host, and the last report before it left."""
    until("its arrival", lambda: guest.status == ("VERIFY_RESIZE", None), timeout=300.0)
    source = guest.bed["cmp1"]
    assert source.instance_dirs() == {f"{guest.id}_resize"}
    stopped = last_report(source.console(f"{guest.id}_resize"))
    assert stopped
    now = guest.next_report(after=stopped)
    assert (now.marker, now.boot, now.whole) == (stopped.marker, stopped.boot + 1, True)
    assert guest.domain_states() == {"cmp1": "shut off", guest.host: "running"}
    return guest.host, stopped


def came_back(guest: Guest, stopped: Report, left: Report, there: str) -> Report:
    """It runs on the disk that it had when it was stopped here, and `there` nothing is left."""
    source = guest.bed["cmp1"]
    until("its return", lambda: (guest.status, guest.host) == (("ACTIVE", None), "cmp1"), 300.0)

    def first() -> Report | None:
        found = reports(source.console(guest.id))
        return next((r for r in found if r.boot_id not in (stopped.boot_id, left.boot_id)), None)

    now = until("its first report here", first, timeout=240.0)
    assert now
    assert (now.marker, now.boot, now.whole) == (stopped.marker, stopped.boot + 1, True)
    # The number is written before it is shown, so one more may be on the disk.
    assert now.counter - stopped.counter in (1, 2)
    runs_once(guest)
    assert source.instance_dirs() == {guest.id}
    assert (guest.bed[there].instance_dirs(), guest.bed[there].domains()) == (set(), {})
    return guest.next_report(after=now)
