"""A hypervisor is emptied by live migration, rebooted, and put to use again.

No guest notices: each goes on counting, on one host at a time, and paused ones stay paused.
"""

import pytest
from tests.harness.consoles import Consoles, counted_on
from tests.harness.hypervisors import Hypervisors
from tests.harness.kubernetes import Drain, Kube, Operator
from tests.harness.promises import LIVE, moved
from tests.hypervisors.conftest import Keyring, never_stopped, runs_once

KEEP = {"afterDrain": "KeepDisabled"}


@pytest.mark.promise("never-8", "always-7", "always-8")
def test_guests_never_stop_and_the_host_returns(
    kube: Kube, hypervisors: Hypervisors, keyring: Keyring, operator: Operator
) -> None:
    lab, host = hypervisors.lab, hypervisors["cmp1"]
    *running, paused = guests = hypervisors.boot("cmp1", ["run-1", "run-2", "paused-1"])
    lab.bring([paused.id], "PAUSED")
    before = {guest.id: known for guest in guests if (known := guest.report())}

    with Consoles(hypervisors, running) as consoles:
        drain = Drain.apply(kube, keyring.namespace, "cmp1", "Live", service=KEEP)
        drain.wait("Ready", timeout=600.0)
        for guest in running:
            guest.next_report(after=before[guest.id])
    assert (host.instance_dirs(), host.domains()) == (set(), {})
    for guest in running:
        moved(lab, guest.id, "cmp1", "ACTIVE", LIVE)
        counted_on(consoles.of(guest), ["cmp1", guest.host])
        never_stopped(before[guest.id], consoles.of(guest)[-1][1])
        runs_once(guest)

    moved(lab, paused.id, "cmp1", "PAUSED", LIVE, before=("create", "pause"))
    assert paused.domain_states() == {paused.host: "paused"}
    assert paused.report() is None  # it has shown nothing on its new host
    lab.admin.action(paused.id, "unpause")
    never_stopped(before[paused.id], paused.next_report(after=before[paused.id]))

    host.reboot()
    host.await_compute()
    service = lab.service("cmp1") or {}
    assert service["status"] == "disabled"
    assert service["disabled_reason"].startswith("quiesce")
    drain.wait("Ready")
    assert host.domains() == {}

    drain.delete()
    assert (lab.service("cmp1") or {})["status"] == "enabled"
    [returned] = hypervisors.boot("cmp1", ["new-1"])
    assert returned.host == "cmp1"
    runs_once(returned)
    for guest in running:
        never_stopped(before[guest.id], guest.next_report())
    assert operator.healthy()
