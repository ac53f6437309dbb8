"""A host in trouble is named with the cause, holds up no other, and is taken up again by itself."""

from collections.abc import Callable

import pytest
from tests.beds.hosts.hosts import Bed
from tests.e2e.keyring.conftest import Keyring, nova_login
from tests.harness.kubernetes import Json, Operator, condition

Undo = Callable[[], object]


def powered_off(bed: Bed, name: str) -> Undo:
    bed[name].stop()
    return lambda: bed.start(name)


def no_sshd(bed: Bed, name: str) -> Undo:
    bed[name].stop_sshd()
    return bed[name].start_sshd


def tarpit(bed: Bed, name: str) -> Undo:
    process = bed[name].tarpit()

    def undo() -> None:
        process.kill()
        process.wait()
        bed[name].start_sshd()

    return undo


def hanging_shell(bed: Bed, name: str) -> Undo:
    bed[name].run("sed -i 's#^root:\\(.*\\):[^:]*$#root:\\1:/root/hang#' /etc/passwd")
    bed[name].run("printf '#!/bin/sh\\nsleep 1000\\n' > /root/hang; chmod +x /root/hang")
    return lambda: bed[name].run("sed -i 's#/root/hang#/bin/bash#' /etc/passwd")


def full_disk(bed: Bed, name: str) -> Undo:
    bed[name].run("mount -t tmpfs -o size=64k,mode=755 tmpfs /var/lib/nova && chown nova: /var/lib/nova")
    bed[name].run("dd if=/dev/zero of=/var/lib/nova/disk bs=4k 2>/dev/null || :")
    return lambda: bed[name].run("rm /var/lib/nova/disk")


def read_only_etc(bed: Bed, name: str) -> Undo:
    bed[name].run("mount -o remount,ro /etc")
    return lambda: bed[name].run("mount -o remount,rw /etc")


def new_host_key(bed: Bed, name: str) -> Undo:
    bed[name].renew_host_keys()
    return lambda: None


def locked_out(bed: Bed, name: str) -> Undo:
    bed[name].run("mv /root/.ssh/authorized_keys /root/kept")
    return lambda: bed[name].run("mv /root/kept /root/.ssh/authorized_keys")


TROUBLE: dict[str, tuple[Callable[[Bed, str], Undo], tuple[str, ...]]] = {
    "powered off": (powered_off, ("Unreachable", "Timeout")),
    "no sshd": (no_sshd, ("Refused",)),
    "tarpit": (tarpit, ("Timeout",)),
    "hanging shell": (hanging_shell, ("Timeout",)),
    "full disk": (full_disk, ("DiskFull",)),
    "read-only /etc": (read_only_etc, ("ReadOnly",)),
    "new host key": (new_host_key, ("HostKeyMismatch",)),
    "locked out": (locked_out, ("PermissionDenied",)),
}
NEEDS_PERSON = ("new host key", "locked out")
TOGETHER = [
    ("powered off", "tarpit", "full disk"),
    ("no sshd", "hanging shell", "read-only /etc"),
    ("new host key", "locked out"),
]


@pytest.mark.parametrize("kinds", TOGETHER, ids=" + ".join)
def test_hosts_in_trouble(keyring: Keyring, bed: Bed, operator: Operator, kinds: tuple[str, ...]) -> None:
    """Each on a host of its own: the others converge, each is named with its cause, all recover by themselves."""
    sick = dict(zip(("cmp3", "cmp4", "cmp5"), kinds, strict=False))
    undo = [TROUBLE[kind][0](bed, name) for name, kind in sick.items()]
    well = sorted(set(bed.hosts) - set(sick))

    keyring.apply()

    def told(status: Json) -> bool:
        proven = len(well) * (len(well) - 1)
        return status.get("paths", {}).get("proven", 0) >= proven and status["hosts"]["failed"] == len(sick)

    status = keyring.until("the others, and a cause for each", told)
    assert [row["host"] for row in status["problems"]] == sorted(sick)
    for row in status["problems"]:
        assert row["reason"] in TROUBLE[sick[row["host"]]][1], row
    assert nova_login(bed, "cmp1", "cmp2") == "cmp2"
    assert condition(status, "Ready")["status"] == "False"
    # kstatus: Stalled where only a person helps, Reconciling where it may pass, never both.
    stalled = condition(status, "Stalled").get("status") == "True"
    assert stalled == all(kind in NEEDS_PERSON for kind in kinds)
    assert stalled != (condition(status, "Reconciling").get("status") == "True")

    for each in undo:
        each()
    keyring.pin()

    status = keyring.ready(timeout=300)
    assert status["paths"]["summary"] == "20/20"
    for name in sick:
        assert nova_login(bed, name, "cmp1") == "cmp1"
        assert nova_login(bed, "cmp1", name) == name
    assert operator.healthy()


def test_a_path_that_breaks_is_named_with_its_cause(keyring: Keyring, bed: Bed, operator: Operator) -> None:
    keyring.apply().ready()
    bed["cmp2"].run("echo 'DenyUsers nova' >> /etc/ssh/sshd_config")
    bed["cmp2"].stop_sshd()
    bed["cmp2"].start_sshd()

    keyring.annotate(requestedAt="now")

    message = keyring.trouble("cmp1", "PermissionDenied")
    assert "from cmp1 to cmp2" in message
    status = keyring.until("all of them", lambda s: s["paths"]["proven"] == 16)
    assert status["provenHosts"] == ["cmp2"]
    assert condition(status, "Stalled")["status"] == "True"


def test_both_fingerprints_of_a_changed_host_key_are_shown(keyring: Keyring, bed: Bed, operator: Operator) -> None:
    keyring.apply().ready()
    fingerprint = "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub | cut -d' ' -f2"
    before = bed["cmp4"].run(fingerprint).strip()
    bed["cmp4"].renew_host_keys()
    sessions = bed["cmp4"].sessions()

    keyring.annotate(requestedAt="now")

    message = keyring.trouble("cmp4", "HostKeyMismatch")
    assert before in message
    presented = [
        bed["cmp4"].run(f"ssh-keygen -lf /etc/ssh/ssh_host_{kind}_key.pub | cut -d' ' -f2").strip()
        for kind in ("ed25519", "ecdsa")
    ]
    assert any(each in message for each in presented)
    assert bed["cmp4"].sessions() == sessions
