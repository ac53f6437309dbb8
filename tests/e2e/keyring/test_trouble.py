"""A host in trouble is named with the cause, holds up no other, and is taken up again by itself."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.beds.hosts.hosts import Bed
from tests.e2e.keyring.conftest import Keyring, Standing, nova_login, reached, standing_keyring
from tests.harness.kubernetes import Json, Kube, condition
from tests.harness.openstack import Lab, until

SSH = "/var/lib/nova/.ssh"

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
    """Every login hangs, without output."""
    bed[name].run("sed -i 's#^root:\\(.*\\):[^:]*$#root:\\1:/etc/hang#' /etc/passwd")
    bed[name].run(
        "printf '#!/bin/sh\\necho $$ >> /run/hanging\\nexec sleep 1000\\n' > /etc/hang; "
        "chmod +x /etc/hang"
    )

    def undo() -> None:
        bed[name].run(
            "sed -i 's#/etc/hang#/bin/bash#' /etc/passwd; kill $(cat /run/hanging)", check=False
        )

    return undo


def full_disk(bed: Bed, name: str) -> Undo:
    """Empty, so that there is something to install, and no room for it."""
    bed[name].run(
        "mount -t tmpfs -o size=64k,mode=755 tmpfs /var/lib/nova && chown nova: /var/lib/nova"
    )
    bed[name].run("dd if=/dev/zero of=/var/lib/nova/disk bs=4k 2>/dev/null || :")
    return lambda: bed[name].run("rm /var/lib/nova/disk")


def read_only_etc(bed: Bed, name: str) -> Undo:
    bed[name].run("rm /etc/ssh/ssh_known_hosts && mount -o remount,ro /etc")
    return lambda: bed[name].run("mount -o remount,rw /etc")


def new_host_key(bed: Bed, name: str) -> Undo:
    bed[name].renew_host_keys()
    return lambda: None


def locked_out(bed: Bed, name: str) -> Undo:
    bed[name].run("mv ~root/.ssh/authorized_keys ~root/kept")
    return lambda: bed[name].run("mv ~root/kept ~root/.ssh/authorized_keys")


KINDS: dict[str, tuple[Callable[[Bed, str], Undo], tuple[str, ...]]] = {
    "powered off": (powered_off, ("Unreachable", "Timeout")),
    "no sshd": (no_sshd, ("Refused",)),
    "tarpit": (tarpit, ("Timeout",)),
    "hanging shell": (hanging_shell, ("Timeout",)),
    "full disk": (full_disk, ("DiskFull",)),
    "read-only /etc": (read_only_etc, ("ReadOnly",)),
    "new host key": (new_host_key, ("HostKeyMismatch",)),
    "locked out": (locked_out, ("PermissionDenied",)),
}
"""What sets it up, and the reasons that fit."""
NEEDS_PERSON = ("new host key", "locked out")
WELL, FAILING = ("cmp1", "cmp2"), ("cmp3", "cmp4", "cmp5")
TOGETHER = [
    ("powered off", "tarpit", "hanging shell"),
    ("no sshd", "full disk", "read-only /etc"),
    NEEDS_PERSON,
]


@pytest.fixture(scope="module")
def standing(
    kube: Kube, cloud: Lab, account: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Standing]:
    place, sooner = tmp_path_factory.mktemp("standing"), ("--visit-timeout", "20s")
    with standing_keyring(kube, cloud, account, place, sooner) as found:
        yield found


@pytest.mark.parametrize("kinds", TOGETHER, ids=" + ".join)
def test_hosts_in_trouble(standing: Standing, kinds: tuple[str, ...]) -> None:
    """Each on a host of its own, and an operator that has not seen any host before.

    Healthy hosts are set up and checked meanwhile, each of the others is named with its cause, and
    all recover by themselves.
    """
    keyring, bed, operator = standing.keyring, standing.bed, standing.operator
    operator.kill()
    failing = dict(zip(FAILING, kinds, strict=False))
    undo = {name: KINDS[kind][0](bed, name) for name, kind in failing.items()}
    for name in WELL:
        bed[name].run(f"rm {SSH}/authorized_keys")

    operator.start()

    until("the healthy to be put right", lambda: all(well(bed, name) for name in WELL), timeout=60)
    for name in failing:
        assert named(keyring, name)["reason"] in KINDS[failing[name]][1], failing[name]
    status = keyring.until("no trouble but this", lambda s: only_these_fail(s, failing))
    assert "hanging shell" not in kinds or "closed after 20s" in str(status["problems"])
    assert status["provenHosts"] == []  # Nova would move servers to the failing ones
    assert condition(status, "Ready")["status"] == "False"
    # kstatus: Stalled where only a person helps, Reconciling where it may pass, never both.
    stalled = condition(status, "Stalled").get("status") == "True"
    assert stalled == all(kind in NEEDS_PERSON for kind in kinds)
    assert stalled != (condition(status, "Reconciling").get("status") == "True")

    for each in undo.values():
        each()
    keyring.pin()

    status = keyring.ready(timeout=300)
    assert status["paths"]["summary"] == "20/20"
    for name in bed.hosts:
        assert reached(bed, name) == [other for other in bed.hosts if other != name]
    assert operator.healthy()


def well(bed: Bed, name: str) -> bool:
    """The others that are well get in to it."""
    return all(nova_login(bed, other, name) == name for other in WELL if other != name)


def named(keyring: Keyring, host: str) -> Json:
    """The row of a host's trouble, as soon as there is one."""

    def row(status: Json) -> list[Json]:
        return [row for row in status.get("problems") or () if row["host"] == host]

    return row(keyring.until(f"a cause on {host}", row))[0]


def only_these_fail(status: Json, failing: dict[str, str]) -> bool:
    ready = f"{5 - len(failing)}/5"
    return status["hosts"]["summary"] == ready and [
        row["host"] for row in status["problems"]
    ] == sorted(failing)
