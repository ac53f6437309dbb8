"""A host in trouble is named with the cause, holds up no other, and is taken up again by itself."""

from collections.abc import Callable

import pytest
from tests.beds.hosts.hosts import Bed
from tests.e2e.keyring.conftest import Keyring, nova_login
from tests.harness.kubernetes import Operator, condition

Undo = Callable[[], object]


def powered_off(bed: Bed) -> Undo:
    bed["cmp5"].stop()
    return lambda: bed.start("cmp5")


def no_sshd(bed: Bed) -> Undo:
    bed["cmp5"].stop_sshd()
    return bed["cmp5"].start_sshd


def tarpit(bed: Bed) -> Undo:
    process = bed["cmp5"].tarpit()

    def undo() -> None:
        process.kill()
        process.wait()
        bed["cmp5"].start_sshd()

    return undo


def hanging_shell(bed: Bed) -> Undo:
    bed["cmp5"].run("sed -i 's#^root:\\(.*\\):[^:]*$#root:\\1:/root/hang#' /etc/passwd")
    bed["cmp5"].run("printf '#!/bin/sh\\nsleep 1000\\n' > /root/hang; chmod +x /root/hang")
    return lambda: bed["cmp5"].run("sed -i 's#/root/hang#/bin/bash#' /etc/passwd")


def full_disk(bed: Bed) -> Undo:
    bed["cmp5"].run("mount -t tmpfs -o size=64k,mode=755 tmpfs /var/lib/nova && chown nova: /var/lib/nova")
    bed["cmp5"].run("dd if=/dev/zero of=/var/lib/nova/disk bs=4k 2>/dev/null || :")
    return lambda: bed["cmp5"].run("rm /var/lib/nova/disk")


def read_only_etc(bed: Bed) -> Undo:
    bed["cmp5"].run("mount -o remount,ro /etc")
    return lambda: bed["cmp5"].run("mount -o remount,rw /etc")


def new_host_key(bed: Bed) -> Undo:
    bed["cmp5"].renew_host_keys()
    return lambda: None


def locked_out(bed: Bed) -> Undo:
    bed["cmp5"].run("mv /root/.ssh/authorized_keys /root/kept")
    return lambda: bed["cmp5"].run("mv /root/kept /root/.ssh/authorized_keys")


TROUBLE: dict[str, tuple[Callable[[Bed], Undo], tuple[str, ...]]] = {
    "powered off": (powered_off, ("Unreachable", "Timeout")),
    "no sshd": (no_sshd, ("Refused",)),
    "tarpit": (tarpit, ("Timeout",)),
    "hanging shell": (hanging_shell, ("Timeout",)),
    "full disk": (full_disk, ("DiskFull",)),
    "read-only /etc": (read_only_etc, ("ReadOnly",)),
    "new host key": (new_host_key, ("HostKeyMismatch",)),
    "locked out": (locked_out, ("PermissionDenied",)),
}


@pytest.mark.parametrize("kind", TROUBLE)
def test_one_host_in_trouble(keyring: Keyring, bed: Bed, operator: Operator, kind: str) -> None:
    cause, reasons = TROUBLE[kind]
    undo = cause(bed)

    keyring.apply()

    status = keyring.until("the other four", lambda s: s.get("hosts", {}).get("summary") == "4/5")
    status = keyring.until("their paths", lambda s: s["paths"]["proven"] >= 12 and s["problems"])
    assert [row["host"] for row in status["problems"]] == ["cmp5"]
    assert status["problems"][0]["reason"] in reasons, status["problems"]
    assert condition(status, "Ready")["status"] == "False"
    assert nova_login(bed, "cmp1", "cmp4") == "cmp4"
    assert_told_by_kstatus(status, kind)

    undo()
    keyring.pin()

    status = keyring.ready(timeout=240)
    assert status["paths"]["summary"] == "20/20"
    assert nova_login(bed, "cmp5", "cmp1") == "cmp1"
    assert nova_login(bed, "cmp1", "cmp5") == "cmp5"
    assert operator.healthy()


def assert_told_by_kstatus(status: dict[str, object], kind: str) -> None:
    """Stalled where a person is needed, Reconciling where it may pass; never both."""
    stalled = condition(status, "Stalled").get("status") == "True"
    assert stalled == (kind in ("new host key", "locked out"))
    assert stalled != (condition(status, "Reconciling").get("status") == "True")


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
