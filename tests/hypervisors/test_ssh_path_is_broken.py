"""Hosts without keys: no guest is stopped for a copy that cannot leave the host.

Once a MigrationKeyring has made the keys, the drain continues by itself.
"""

import pytest
from tests.harness.consoles import Consoles, counted_on
from tests.harness.hypervisors import Hypervisors
from tests.harness.kubernetes import Drain, Kube, Operator
from tests.harness.openstack import until
from tests.harness.promises import COLD, moved
from tests.hypervisors.conftest import Keyring, restarted_once, runs_once

KEEP = {"afterDrain": "KeepDisabled"}


@pytest.mark.promise("always-5", "never-12")
@pytest.mark.field_case("D4")
def test_guests_run_on_until_the_path_works(
    kube: Kube, hypervisors: Hypervisors, keyring: Keyring, operator: Operator
) -> None:
    lab, host = hypervisors.lab, hypervisors["cmp1"]
    guests = hypervisors.boot("cmp1", ["web-1", "web-2"])
    before = {guest.id: guest.next_report() for guest in guests}

    with Consoles(hypervisors, guests) as consoles:
        one = {"maxParallel": 1}
        drain = Drain.apply(kube, keyring.namespace, "cmp1", service=KEEP, migration=one)
        status = drain.until("the cause", lambda s: s["phase"] == "Stalled")
        until("a second try", lambda: len(lab.migrations("cmp1")) > 1)
        for guest in guests:
            guest.next_report()

    assert {problem["reason"] for problem in status["problems"]} == {"SSHPathBroken"}
    assert status["message"].startswith("2 blocked: web-1, web-2 (SSHPathBroken)")
    for problem in status["problems"]:
        assert problem["remedies"] == [
            "Repair the keys and host keys of the nova user: this host cannot reach the "
            "destination by SSH"
        ]
    tried = [guest for guest in guests if "migrate" in lab.actions(guest.id)]
    assert len(tried) == 1  # the other waits until this one succeeds
    for guest in guests:
        assert consoles.of(guest)[0][1].counter <= before[guest.id].counter
        counted_on(consoles.of(guest), ["cmp1"])
        runs_once(guest)
    assert host.instance_dirs() == {guest.id for guest in guests}
    assert [hypervisors[name].instance_dirs() for name in ("cmp2", "cmp3")] == [set(), set()]

    keyring.apply()
    keyring.ready()
    drain.wait("Ready", timeout=600.0)
    assert (host.instance_dirs(), host.domains()) == (set(), {})
    for guest in guests:
        failed = lab.actions(guest.id).count("migrate") - 1
        moved(lab, guest.id, "cmp1", "ACTIVE", COLD, before=("create", *["migrate"] * failed))
        restarted_once(before[guest.id], guest.next_report(after=before[guest.id]))
        runs_once(guest)
    assert operator.healthy()
