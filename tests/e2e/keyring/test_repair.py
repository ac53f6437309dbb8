"""Damage on a host is repaired at the next check, and reported.

What looks like a trap is left alone, and named.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.beds.hosts.hosts import Bed
from tests.e2e.keyring.conftest import (
    Keyring,
    Standing,
    contents,
    nova_login,
    reached,
    standing_keyring,
)
from tests.harness.kubernetes import Json, Kube, Operator, condition
from tests.harness.openstack import Lab, until

SSH = "/var/lib/nova/.ssh"
OWN_AGAIN = f"chown nova: {SSH}/authorized_keys"  # sed makes a file of root's
KEY = f"{SSH}/quiesce.*.????????????"
FORGED = "AAAAC3NzaC1lZDI1NTE5AAAAIEZha2VGYWtlRmFrZUZha2VGYWtlRmFrZUZha2VGYWtl"
DAMAGE = {
    "key deleted": f"rm {KEY}",
    "key damaged": f"echo x >> $(echo {KEY})",
    "key open to others": f"chmod 644 {KEY}",
    "key of root": f"chown root:root {KEY}",
    "public key deleted": f"rm {SSH}/quiesce.*.pub",
    "settings damaged": (
        f"sed -i 's/StrictHostKeyChecking yes/StrictHostKeyChecking no/' {SSH}/quiesce.*.conf"
    ),
    "config deleted": f"rm {SSH}/config",
    "config open to all": f"chmod 666 {SSH}/config",
    "authorized key removed": f"sed -i /quiesce/d {SSH}/authorized_keys; {OWN_AGAIN}",
    "restriction removed": f"sed -i s/^restrict// {SSH}/authorized_keys; {OWN_AGAIN}",
    "another key under our name": (
        f"sed -i 's/AAAA[^ ]*/{FORGED}/' {SSH}/authorized_keys; {OWN_AGAIN}"
    ),
    "authorized keys open to the group": f"chmod 660 {SSH}/authorized_keys",
    "directory open to all": f"chmod 777 {SSH}",
    "directory deleted": f"rm -r {SSH}",
    "shell changed": "usermod -s /usr/sbin/nologin nova",
    "known hosts deleted": "rm /etc/ssh/ssh_known_hosts",
    "known host removed": "sed -i '/cmp4/d' /etc/ssh/ssh_known_hosts",
    "known host forged": "sed -i 's/^cmp4,/cmp5,/' /etc/ssh/ssh_known_hosts",
    "known hosts closed": "chmod 600 /etc/ssh/ssh_known_hosts",
    "left-over of an interrupted change": (
        f"touch {SSH}/.tmp.$(basename $(ls {SSH}/quiesce.*.conf) .conf).77"
    ),
}


@pytest.fixture(scope="module")
def standing(
    kube: Kube, cloud: Lab, account: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Standing]:
    place, sooner = tmp_path_factory.mktemp("standing"), ("--idle-interval", "5s")
    with standing_keyring(kube, cloud, account, place, sooner) as found:
        yield found


@pytest.fixture
def keyring(standing: Standing) -> Keyring:
    standing.keyring.ready()
    return standing.keyring


@pytest.fixture
def bed(standing: Standing) -> Bed:
    return standing.bed


@pytest.fixture
def operator(standing: Standing) -> Operator:
    return standing.operator


def test_every_damage_is_repaired_and_told(keyring: Keyring, bed: Bed, operator: Operator) -> None:
    """Five at a time, one on each host."""
    whole = {name: without_memory(bed, name) for name in bed.hosts}
    left = list(DAMAGE)
    while left:
        struck, left = dict(zip(bed.hosts, left, strict=False)), left[len(bed.hosts) :]
        for host, damage in struck.items():
            bed[host].run(DAMAGE[damage])
            assert without_memory(bed, host) != whole[host], f"{damage}: the test damaged nothing"
        keyring.annotate(requestedAt=struck["cmp1"].replace(" ", "-"))

        def different(struck: dict[str, str] = struck) -> list[str]:
            return [
                damage
                for host, damage in struck.items()
                if without_memory(bed, host) != whole[host]
            ]

        until(f"the repair of {', '.join(struck.values())}", lambda: not different(), timeout=60)
    reported = [
        message for reason, message in reported_changes(keyring) if reason == "HostsRepaired"
    ]
    assert any("cmp1" in message and f"{SSH}/quiesce." in message for message in reported)
    for name in bed.hosts:
        assert reached(bed, name) == [other for other in bed.hosts if other != name]
    assert operator.healthy()


def reported_changes(keyring: Keyring) -> list[tuple[str, str]]:
    """(reason, message) of the events that tell of changes, oldest first."""
    found = sorted(keyring.events(), key=lambda event: str(event["metadata"]["creationTimestamp"]))
    return [
        (event["reason"], event["message"])
        for event in found
        if event["reason"] in ("HostsRepaired", "HostsChanged")
    ]


def without_memory(bed: Bed, name: str) -> str:
    """All that a keyring may touch there.

    But for what a known hosts file has of the time before the first change: that is lost with it.
    """
    known = "/etc/ssh/ssh_known_hosts"
    rest = [line for line in contents(bed, name).splitlines() if not line.endswith(f"  {known}")]
    return "\n".join([*rest, bed[name].run(f"grep -v '^# found' {known} || :")])


def test_settings_above_ours_are_kept_below_them(keyring: Keyring, bed: Bed) -> None:
    """The first value wins in ssh: a line of another user above ours would undo it."""
    host = bed["cmp3"]
    host.run(f"sed -i '1i StrictHostKeyChecking no' {SSH}/config; chown nova: {SSH}/config")
    asked = "ssh -G cmp1 | grep -i '^stricthostkeychecking'"
    assert "false" in host.run(asked, "nova")

    keyring.annotate(requestedAt="below")

    until("our settings to count again", lambda: "true" in host.run(asked, "nova"), timeout=60)
    assert "StrictHostKeyChecking no" in host.run(f"cat {SSH}/config")


def test_a_missing_account_is_made_again_and_told(keyring: Keyring, bed: Bed) -> None:
    """On one host it was lost, and its files are there still; on the other nothing is left."""
    lost, bare = bed["cmp2"], bed["cmp4"]
    ids = "stat -c '%u:%g %U:%G' /var/lib/nova/.ssh/*; getent passwd nova"
    before = lost.run(ids)
    lost.run("sed -i /^nova:/d /etc/passwd /etc/shadow /etc/group")
    assert "UNKNOWN" in lost.run("stat -c %U /var/lib/nova/.ssh")
    bare.run(
        "userdel --force nova && rm -r /var/lib/nova"
    )  # by force: a login of before may not have ended

    keyring.annotate(requestedAt="missing")

    until(
        "the account on both",
        lambda: all("nova" in host.run("getent passwd nova || :") for host in (lost, bare)),
    )
    until("their keys", lambda: all(reached(bed, host.name) for host in (lost, bare)))
    keyring.ready()
    assert lost.run(ids) == before
    assert bare.run("getent passwd nova").strip().endswith("::/var/lib/nova:/bin/bash")
    assert bare.run("stat -c '%U %a' /var/lib/nova /var/lib/nova/.ssh").splitlines() == [
        "nova 755",
        "nova 700",
    ]
    assert [
        row.split(":")[1] for host in (lost, bare) for row in [host.run("grep ^nova: /etc/shadow")]
    ] == ["*", "*"]
    for name in bed.hosts:
        assert reached(bed, name) == [other for other in bed.hosts if other != name]
    assert any(
        "cmp2" in message and "account nova" in message for _, message in reported_changes(keyring)
    )


TRAPS = {
    "cmp1": (
        "NotAFile",
        f"mv {SSH}/authorized_keys ~root/kept; ln -s /etc/shadow {SSH}/authorized_keys",
        f"rm {SSH}/authorized_keys",
    ),
    "cmp2": (
        "NotADirectory",
        f"mv {SSH} /var/lib/nova/kept; ln -s ~root/.ssh {SSH}",
        f"rm {SSH}; mv /var/lib/nova/kept {SSH}",
    ),
    "cmp3": (
        "WrongOwner",
        f"chown root:root {SSH}/authorized_keys",
        f"chown nova: {SSH}/authorized_keys",
    ),
    "cmp4": ("WrongMode", "chmod 777 /var/lib/nova", "chmod 755 /var/lib/nova"),
}
"""Host -> its problem, what sets the trap, and what removes it."""


@pytest.mark.finding("S2")
def test_a_trap_is_not_stepped_into(keyring: Keyring, bed: Bed, operator: Operator) -> None:
    """Root following the links of an account could be led to any file: nothing is changed then."""
    for name, (_, trap, _) in TRAPS.items():
        bed[name].run(trap)
    before = {name: roots(bed, name) for name in TRAPS}

    keyring.annotate(requestedAt="traps")

    status = keyring.until(
        "all four", lambda s: len(s["problems"]) >= 4 and s["hosts"]["summary"] == "1/5"
    )
    assert {row["host"]: row["reason"] for row in status["problems"]} == {
        name: reason for name, (reason, _, _) in TRAPS.items()
    }
    assert condition(status, "Stalled")["status"] == "True"
    assert {name: roots(bed, name) for name in TRAPS} == before

    for name, (_, _, undo) in TRAPS.items():
        bed[name].run(undo)
    keyring.ready()
    assert {name: roots(bed, name) for name in TRAPS} == before
    assert operator.healthy()


def roots(bed: Bed, name: str) -> str:
    return bed[name].run(
        "sha256sum /etc/shadow ~root/.ssh/*; stat -c '%U %a' /etc/shadow ~root/.ssh ~root/.ssh/*"
    )


def test_a_path_that_breaks_is_named_with_its_cause(keyring: Keyring, bed: Bed, cloud: Lab) -> None:
    with_sshd_setting(bed, "cmp2", "DenyUsers nova")
    keyring.annotate(requestedAt="denied")

    status = keyring.until(
        "all of them", lambda s: (s["paths"]["proven"], s["paths"]["failed"]) == (16, 4)
    )
    assert "from cmp1 to cmp2" in keyring.trouble("cmp1", "PermissionDenied")
    assert status["provenHosts"] == []
    assert condition(status, "Stalled")["status"] == "True"

    cloud.set_service("cmp2", "disabled")
    others = sorted(set(bed.hosts) - {"cmp2"})
    try:  # Nova moves nothing there now: cold migrations from all others would work
        keyring.until("the others to be proven", lambda s: s["provenHosts"] == others, timeout=60)
        assert keyring.status["paths"]["proven"] == 16
    finally:
        cloud.set_service("cmp2", "enabled")
    keyring.until("the path to count again", lambda s: s["provenHosts"] == [], timeout=60)

    with_sshd_setting(bed, "cmp3", "Match User nova\n  ForceCommand /usr/sbin/nologin")
    bed["cmp4"].run(
        f"ip route add blackhole {bed['cmp1'].address}"
    )  # what cmp1 sends is not answered
    bed["cmp1"].run(f"ip route add unreachable {bed['cmp5'].address}")
    keyring.annotate(requestedAt="all")

    def causes(status: Json) -> bool:
        found = {row["reason"] for row in status["problems"] if row["host"] == "cmp1"}
        return found == {"PermissionDenied", "ShellNotAllowed", "Timeout", "Unreachable"}

    status = keyring.until("four causes from one host", causes)
    assert status["provenHosts"] == []
    assert condition(status, "Stalled").get("status") != "True"

    for name in ("cmp2", "cmp3"):
        with_sshd_setting(bed, name, "")
    bed["cmp4"].run(f"ip route del {bed['cmp1'].address}")
    bed["cmp1"].run(f"ip route del {bed['cmp5'].address}")
    keyring.annotate(requestedAt="repaired")
    keyring.ready()
    assert nova_login(bed, "cmp1", "cmp2") == "cmp2"


def with_sshd_setting(bed: Bed, name: str, lines: str) -> None:
    """At the end of its configuration, in place of what was put there before."""
    bed[name].run(
        "sed -i '/^# here/,$d' /etc/ssh/sshd_config; "
        f"printf '# here\n{lines}\n' >> /etc/ssh/sshd_config"
    )
    bed[name].stop_sshd()
    bed[name].start_sshd()
