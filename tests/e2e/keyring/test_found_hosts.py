"""Hosts with files of others, without an account, on another port; deletion leaves them so."""

import pytest
from tests.beds.hosts.hosts import Bed
from tests.e2e.keyring.conftest import Keyring, contents, nova_login, reached
from tests.harness.kubernetes import Operator, condition
from tests.harness.openstack import until


@pytest.mark.finding("S3")
def test_what_others_wrote_survives_and_deletion_leaves_only_that(
    keyring: Keyring, bed: Bed, operator: Operator
) -> None:
    """One host has files of others, one no account and no home, and one is added later."""
    full_of_others(bed, "cmp2")
    bed["cmp4"].run("userdel nova && rmdir /var/lib/nova")
    found = {name: as_found(bed, name) for name in bed.hosts}
    assert "nova" not in found["cmp4"]

    status = keyring.apply(hosts={"exclude": ["cmp5"]}).ready()

    assert status["paths"]["summary"] == "12/12"
    assert "cmp5" not in bed["cmp1"].run("cat /etc/ssh/ssh_known_hosts")
    assert bed["cmp5"].sessions() == 0

    keyring.apply(hosts={"exclude": []})

    keyring.until("the fifth host", lambda s: s["paths"]["summary"] == "20/20")
    for name in bed.hosts:
        assert reached(bed, name) == [other for other in bed.hosts if other != name]
    settings = bed["cmp2"].run("ssh -G elsewhere.example; ssh -G cmp1 | sed 's/^/cmp1 /'", "nova")
    assert "serveraliveinterval 7" in settings
    assert "cmp1 compression yes" in settings
    assert "\nbatchmode no" in settings

    until("the end of these logins", lambda: not bed["cmp4"].run("pgrep -u nova || :"))
    keyring.delete()

    assert {name: as_found(bed, name) for name in bed.hosts} == found
    assert operator.healthy()


def full_of_others(bed: Bed, name: str) -> None:
    host = bed[name]
    host.run("install -d -o nova -g nova -m 700 /var/lib/nova/.ssh")
    host.run(
        "printf 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFakeFake backup@example'"
        " > /var/lib/nova/.ssh/authorized_keys"
    )
    host.run(
        "printf 'ServerAliveInterval 7\\r\\n\\nHost *\\n  Compression yes'"
        " > /var/lib/nova/.ssh/config"
    )
    host.run("printf 'secret' > /var/lib/nova/.ssh/id_ed25519; : > /var/lib/nova/.ssh/known_hosts")
    host.run("chown -R nova: /var/lib/nova/.ssh; chmod 600 /var/lib/nova/.ssh/*")
    host.run(
        "printf '# ours\\nother.example ssh-ed25519 AAAA\\377\\001x' > /etc/ssh/ssh_known_hosts"
    )


def as_found(bed: Bed, name: str) -> str:
    accounts = bed[name].run(
        "sort /etc/passwd /etc/group; cut -d: -f1 /etc/shadow | sort; ls -d /var/lib/nova || :"
    )
    return accounts + (contents(bed, name) if "/var/lib/nova" in accounts.split() else "")


@pytest.mark.finding("S8")
def test_by_sudo_on_another_port_and_from_given_networks(
    keyring: Keyring, bed: Bed, operator: Operator
) -> None:
    for host in bed.hosts.values():
        host.run("sed -i 's/^Port 22$/Port 2222/' /etc/ssh/sshd_config")
        host.stop_sshd()
        host.start_sshd()
        host.port = 2222
    keyring.pin()
    access = {"user": "admin", "become": "Sudo", "port": 2222}

    keyring.apply(hostAccess=access, authorizedKeysFrom=["192.0.2.0/24"], probe="Ring")

    assert "cmp2" in keyring.trouble("cmp1", "PermissionDenied")
    status = keyring.until("a try of every path", lambda s: s["paths"]["failed"] == 5)
    assert status["provenHosts"] == []
    assert condition(status, "KeysInstalled")["status"] == "True"

    keyring.apply(
        hostAccess=access, authorizedKeysFrom=[f"{bed.network}.0/24"], probe="Ring"
    ).ready()

    assert nova_login(bed, "cmp1", "cmp3") == "cmp3"
    line = bed["cmp1"].run("cat /var/lib/nova/.ssh/authorized_keys")
    assert line.startswith(f'restrict,from="{bed.network}.0/24" ssh-ed25519 ')
