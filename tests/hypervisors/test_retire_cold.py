"""Retire a hypervisor, cold: from hosts without keys to the deleted service, and back."""

from collections.abc import Sequence

from tests.harness.hypervisors import Guest, Hypervisors, Report
from tests.harness.kubernetes import Drain, Kube, Operator
from tests.harness.openstack import until
from tests.harness.promises import COLD, moved, nothing_left
from tests.hypervisors.conftest import KEYRING, Keyring, restarted_once, runs_once, same_disk

SERVICE = {"whileRunning": "Stop", "stop": {"name": "nova-compute"}}


def test_a_hypervisor_is_retired_cold_and_given_back(
    kube: Kube, hypervisors: Hypervisors, keyring: Keyring, operator: Operator
) -> None:
    """Two guests that run and one that is shut off: found elsewhere as they were, nothing left."""
    lab, host = hypervisors.lab, hypervisors["cmp1"]
    *running, stopped = hypervisors.boot("cmp1", ["run-1", "run-2", "off-1"])
    lab.bring([stopped.id], "SHUTOFF")
    before = {guest.id: known for guest in (*running, stopped) if (known := guest.report())}

    assert [each.keys() for each in hypervisors.hosts] == ["", "", ""]
    keyring.apply()
    drain = Drain.apply(
        kube, keyring.namespace, "cmp1", keyringRef={"name": KEYRING}, service=SERVICE
    )
    status = keyring.ready()
    assert (status["hosts"]["summary"], status["paths"]["summary"]) == ("3/3", "6/6")

    drain.wait("Ready", timeout=600.0)
    nothing_left(lab, "cmp1")
    assert not host.compute_runs
    assert host.instance_dirs() == set()
    assert host.domains() == {}
    moved_and_running(running, before)
    moved_and_off(stopped, before[stopped.id])

    drain.delete()
    until("the service to be back", lambda: lab.is_up("cmp1"))
    assert (lab.service("cmp1") or {})["status"] == "enabled"
    assert (host.compute_runs, host.drop_ins()) == (True, "")
    assert operator.healthy()


def moved_and_running(guests: Sequence[Guest], before: dict[str, Report]) -> None:
    for guest in guests:
        moved(guest.bed.lab, guest.id, "cmp1", "ACTIVE", COLD)
        restarted_once(before[guest.id], guest.next_report(after=before[guest.id]))
        runs_once(guest)


def moved_and_off(guest: Guest, before: Report) -> None:
    """It has not run on its new host; started there it has its disk."""
    lab = guest.bed.lab
    moved(lab, guest.id, "cmp1", "SHUTOFF", COLD, before=("create", "stop"))
    assert guest.domain_states() == {guest.host: "shut off"}
    assert guest.report() is None
    lab.admin.action(guest.id, "os-start")
    same_disk(before, guest.next_report(after=before))
