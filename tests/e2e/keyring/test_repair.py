"""Whatever somebody damages on a host is put right at the next look, and told."""

import pytest
from tests.beds.hosts.hosts import Bed
from tests.e2e.keyring.conftest import Keyring, contents, nova_login
from tests.harness.kubernetes import Operator
from tests.harness.openstack import until

SSH = "/var/lib/nova/.ssh"
KEY = f"{SSH}/quiesce.*.????????????"
FORGED = "AAAAC3NzaC1lZDI1NTE5AAAAIEZha2VGYWtlRmFrZUZha2VGYWtlRmFrZUZha2VGYWtl"
DAMAGE = {
    "key deleted": f"rm {KEY}",
    "key damaged": f"echo x >> $(echo {KEY})",
    "key open to others": f"chmod 644 {KEY}",
    "key of root": f"chown root:root {KEY}",
    "public key deleted": f"rm {SSH}/quiesce.*.pub",
    "settings damaged": f"sed -i 's/StrictHostKeyChecking yes/StrictHostKeyChecking no/' {SSH}/quiesce.*.conf",
    "config deleted": f"rm {SSH}/config",
    "config open to all": f"chmod 666 {SSH}/config",
    "authorized key removed": f"sed -i /quiesce/d {SSH}/authorized_keys; chown nova: {SSH}/authorized_keys",
    "restriction removed": f"sed -i s/^restrict// {SSH}/authorized_keys; chown nova: {SSH}/authorized_keys",
    "another key under our name": f"sed -i 's/AAAA[^ ]*/{FORGED}/' {SSH}/authorized_keys; chown nova: {SSH}/authorized_keys",
    "authorized keys open to the group": f"chmod 660 {SSH}/authorized_keys",
    "directory open to all": f"chmod 777 {SSH}",
    "directory deleted": f"rm -r {SSH}",
    "shell changed": "usermod -s /usr/sbin/nologin nova",
    "known hosts deleted": "rm /etc/ssh/ssh_known_hosts",
    "known host removed": "sed -i '/cmp4/d' /etc/ssh/ssh_known_hosts",
    "known host forged": "sed -i 's/^cmp4,/cmp5,/' /etc/ssh/ssh_known_hosts",
    "known hosts closed": "chmod 600 /etc/ssh/ssh_known_hosts",
    "left-over of an interrupted change": f"touch {SSH}/.tmp.$(basename $(ls {SSH}/quiesce.*.conf) .conf).77",
}


def test_every_damage_is_repaired_and_told(keyring: Keyring, bed: Bed, operator: Operator) -> None:
    keyring.apply().ready()
    whole = {name: contents(bed, name) for name in bed.hosts}
    host = bed["cmp3"]
    for name, damage in DAMAGE.items():
        host.run(damage)
        assert contents(bed, "cmp3") != whole["cmp3"], f"{name}: the test damaged nothing"
        keyring.annotate(requestedAt=name.replace(" ", "-"))
        until(f"the repair of: {name}", lambda: repaired(contents(bed, "cmp3"), whole["cmp3"]), timeout=60)
    keyring.ready()
    assert nova_login(bed, "cmp3", "cmp4") == "cmp4"
    assert nova_login(bed, "cmp4", "cmp3") == "cmp3"
    repairs = [event for event in keyring.events() if event["reason"] == "HostsRepaired"]
    assert any("cmp3" in event["message"] and "authorized_keys" in event["message"] for event in repairs)
    assert {name: contents(bed, name) for name in bed.hosts if name != "cmp3"} == {
        name: content for name, content in whole.items() if name != "cmp3"
    }
    assert operator.healthy()


def test_settings_above_ours_are_kept_below_them(keyring: Keyring, bed: Bed, operator: Operator) -> None:
    """The first value wins in ssh: a line of somebody else's above ours would undo it."""
    keyring.apply().ready()
    host = bed["cmp3"]
    host.run(f"sed -i '1i StrictHostKeyChecking no' {SSH}/config; chown nova: {SSH}/config")
    asked = "ssh -G cmp1 | grep -i '^stricthostkeychecking'"
    assert "false" in host.run(asked, "nova")

    keyring.annotate(requestedAt="now")

    until("our settings to count again", lambda: "true" in host.run(asked, "nova"), timeout=60)
    assert "StrictHostKeyChecking no" in host.run(f"cat {SSH}/config")


def repaired(now: str, before: str) -> bool:
    """As before. A known hosts file that was deleted has lost what it said of the state before the first change."""
    return without_memory(now) == without_memory(before)


def without_memory(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.endswith("/etc/ssh/ssh_known_hosts")]


def test_a_missing_account_is_named_and_served_when_it_is_there(keyring: Keyring, bed: Bed, operator: Operator) -> None:
    bed["cmp2"].run("sed -i /^nova:/d /etc/passwd /etc/shadow")
    keyring.apply()
    assert "no account nova" in keyring.trouble("cmp2", "UserMissing")
    assert nova_login(bed, "cmp1", "cmp3") == "cmp3"

    bed["cmp2"].run("echo 'nova:x:64060:64060::/var/lib/nova:/bin/sh' >> /etc/passwd")
    bed["cmp2"].run("echo 'nova:*:19000:0:99999:7:::' >> /etc/shadow")

    keyring.ready()
    assert nova_login(bed, "cmp1", "cmp2") == "cmp2"


REFUSED = {
    "NotAFile": f"rm {SSH}/authorized_keys; ln -s /etc/shadow {SSH}/authorized_keys",
    "NotADirectory": f"mv {SSH} /var/lib/nova/moved; ln -s /root/.ssh {SSH}",
    "WrongOwner": f"chown root:root {SSH}/authorized_keys",
    "WrongMode": "chmod 777 /var/lib/nova",
}


@pytest.mark.parametrize("reason", REFUSED)
def test_a_trap_is_not_stepped_into(keyring: Keyring, bed: Bed, operator: Operator, reason: str) -> None:
    """Root following the links of an account could be led to any file: nothing is changed then."""
    keyring.apply().ready()
    bed["cmp1"].run(REFUSED[reason])
    before = bed["cmp1"].run("sha256sum /etc/shadow /root/.ssh/*; stat -c '%U %a' /etc/shadow /root/.ssh /root/.ssh/*")

    keyring.annotate(requestedAt="now")

    keyring.trouble("cmp1", reason)
    status = keyring.until("the others", lambda s: s["hosts"]["summary"] == "4/5")
    assert "cmp1" not in status["provenHosts"]
    assert before == bed["cmp1"].run("sha256sum /etc/shadow /root/.ssh/*; stat -c '%U %a' /etc/shadow /root/.ssh /root/.ssh/*")
