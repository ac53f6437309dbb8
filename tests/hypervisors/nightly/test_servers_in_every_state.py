"""A hypervisor with guests in every state that QEMU can have is retired cold, and given back.

Those that Nova can move are moved as they are. The others stay untouched, each with a remedy; when
a person has followed it, they are moved too. nova-compute stays down through a reboot.
"""

from collections.abc import Mapping

import pytest
from tests.harness.hypervisors import Guest, Hypervisors, Report
from tests.harness.kubernetes import Drain, Kube, Operator
from tests.harness.openstack import until
from tests.harness.promises import COLD, moved, nothing_left
from tests.hypervisors.conftest import (
    KEYRING,
    Keyring,
    never_stopped,
    restarted_once,
    runs_once,
    same_disk,
)

STOP = {"whileRunning": "Stop", "stop": {"name": "nova-compute"}}
STATES = {  # the status to which each is brought, and what libvirt says then
    "paused": ("PAUSED", "paused"),
    "suspended": ("SUSPENDED", "shut off"),  # its memory is in a file
    "rescued": ("RESCUE", "running"),  # another system, from another disk
    "error": ("ERROR", "running"),
}
REMEDIES = {
    "paused": ("Paused", "openstack server unpause {}"),
    "suspended": ("Suspended", "openstack server resume {}"),
    "rescued": ("Rescued", "openstack server unrescue {}"),
    "error": ("ServerInError", "openstack server set --state active {}"),
}
Guests = Mapping[str, Guest]
Reports = Mapping[str, Report]


@pytest.mark.promise("always-3", "always-6")
@pytest.mark.timeout(1800)
def test_all_are_moved_with_their_disks_and_nothing_is_left(
    kube: Kube, hypervisors: Hypervisors, keyring: Keyring, operator: Operator
) -> None:
    lab, host = hypervisors.lab, hypervisors["cmp1"]
    names = ["locked", "off", "crashed", "shelved", *STATES]
    guests = dict(zip(names, hypervisors.boot("cmp1", names), strict=True))
    before = {name: guest.next_report() for name, guest in guests.items()}
    bring(hypervisors, guests)

    keyring.apply()
    keyring.ready()
    drain = Drain.apply(kube, keyring.namespace, "cmp1", keyringRef={"name": KEYRING}, service=STOP)
    status = drain.until("those that a person frees", lambda s: s["phase"] == "Stalled", 600.0)
    has_remedies(status["problems"], guests)
    others_left_as_they_were(guests, before)
    untouched(hypervisors, guests, before)

    follow_remedies(drain, guests)
    drain.wait("Ready", timeout=600.0)
    nothing_left(lab, "cmp1")
    assert (host.instance_dirs(), host.domains()) == (set(), {})
    freed_ones_moved(guests, before)
    start_elsewhere(guests, before)

    host.reboot()
    assert not host.compute_runs
    assert lab.service("cmp1") is None
    drain.wait("Ready")

    drain.delete()
    until("the service to be back", lambda: lab.is_up("cmp1"))
    assert (lab.service("cmp1") or {})["status"] == "enabled"
    assert (host.compute_runs, host.drop_ins()) == (True, "")
    assert operator.healthy()


def bring(hypervisors: Hypervisors, guests: Guests) -> None:
    lab, crashed = hypervisors.lab, guests["crashed"]
    lab.admin.action(guests["locked"].id, "lock")
    hypervisors["cmp1"].kill_guest(crashed)
    lab.bring([guests["off"].id], "SHUTOFF")
    lab.bring([guests["shelved"].id], "SHELVED")
    for name, (status, _) in STATES.items():
        lab.bring([guests[name].id], status)
    # Nova hears of the death after 15 s, and then stops the server itself.
    until("Nova to notice the crash", lambda: crashed.status == ("SHUTOFF", None))


def has_remedies(problems: list[dict[str, object]], guests: Guests) -> None:
    found = {str(problem["name"]): problem for problem in problems}
    assert {name: problem["reason"] for name, problem in found.items()} == {
        name: reason for name, (reason, _) in REMEDIES.items()
    }
    for name, (_, command) in REMEDIES.items():
        remedies = found[name]["remedies"]
        assert isinstance(remedies, list)
        assert command.format(guests[name].id) in remedies


def others_left_as_they_were(guests: Guests, before: Reports) -> None:
    locked = guests["locked"]
    lab = locked.bed.lab
    moved(lab, locked.id, "cmp1", "ACTIVE", COLD, before=("create", "lock"))
    assert (lab.server(locked.id) or {})["locked"]
    restarted_once(before["locked"], locked.next_report(after=before["locked"]))
    runs_once(locked)
    for name in ("off", "crashed"):
        guest = guests[name]
        moved(lab, guest.id, "cmp1", "SHUTOFF", COLD, before=("create", "stop"))
        assert guest.domain_states() == {guest.host: "shut off"}
        assert guest.report() is None  # it has not run there
    assert guests["shelved"].status == ("SHELVED_OFFLOADED", None)
    assert guests["shelved"].domain_states() == {}


def untouched(hypervisors: Hypervisors, guests: Guests, before: Reports) -> None:
    """What cannot be moved is on the source as before; no copy of anything else is left there."""
    host = hypervisors["cmp1"]
    stay = {name: guests[name] for name in STATES}
    assert host.domains() == {guest.id: STATES[name][1] for name, guest in stay.items()}
    assert host.instance_dirs() == {guest.id for guest in stay.values()}
    never_stopped(before["error"], guests["error"].next_report(after=before["error"]))
    for name in ("paused", "suspended"):
        frozen = guests[name].report()
        assert frozen
        assert frozen.boot_id == before[name].boot_id
    for guest in stay.values():
        assert guest.domain_states().keys() == {"cmp1"}


def follow_remedies(drain: Drain, guests: Guests) -> None:
    lab = guests["paused"].bed.lab
    drain.patch({"servers": {"suspended": "Resume"}})
    lab.admin.action(guests["paused"].id, "unpause")
    lab.admin.action(guests["rescued"].id, "unrescue")
    lab.admin.action(guests["error"].id, "os-resetState", {"state": "active"})


def freed_ones_moved(guests: Guests, before: Reports) -> None:
    lab = guests["paused"].bed.lab
    done = {
        "paused": ("pause", "unpause"),
        "suspended": ("suspend", "resume"),
        "rescued": ("rescue", "unrescue"),
        "error": ("resetState", "resetState"),
    }
    for name, actions in done.items():
        guest = guests[name]
        moved(lab, guest.id, "cmp1", "ACTIVE", COLD, before=("create", *actions))
        now = guest.next_report(after=before[name])
        # The rescued one may have been moved before it had booted again.
        (same_disk if name == "rescued" else restarted_once)(before[name], now)
        runs_once(guest)


def start_elsewhere(guests: Guests, before: Reports) -> None:
    """Those that did not run have their disks on their new hosts."""
    lab = guests["off"].bed.lab
    for name, action in {"off": "os-start", "crashed": "os-start", "shelved": "unshelve"}.items():
        guest = guests[name]
        lab.admin.action(guest.id, action)
        lab.wait_status(guest.id, "ACTIVE", 300.0)
        restarted_once(before[name], guest.next_report(after=before[name]))
        assert guest.host != "cmp1"
        runs_once(guest)
