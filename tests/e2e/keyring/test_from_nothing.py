"""From `kubectl apply` to cold migrations that would work: every path proven, then used as Nova uses it."""

from tests.beds.hosts.hosts import Bed
from tests.e2e.keyring.conftest import Keyring, contents, everything, nova_login
from tests.harness.kubernetes import Operator, condition
from tests.harness.openstack import until


def test_all_paths_are_proven_and_a_disk_can_be_copied(keyring: Keyring, bed: Bed, operator: Operator) -> None:
    status = keyring.apply().ready()

    assert (status["hosts"]["summary"], status["paths"]["summary"]) == ("5/5", "20/20")
    assert status["provenHosts"] == ["cmp1", "cmp2", "cmp3", "cmp4", "cmp5"]
    assert status["problems"] == []
    assert condition(status, "PathsProven")["status"] == "True"
    for source in bed.hosts:
        for target in bed.hosts:
            if source != target:
                assert nova_login(bed, source, target) == target
    copy_a_disk(bed, "cmp1", "cmp4")
    assert operator.healthy()


def copy_a_disk(bed: Bed, source: str, target: str) -> None:
    """As libvirt's driver does in migrate_disk_and_power_off: ssh mkdir, then scp -r without options."""
    address, folder = bed[target].address, "/var/lib/nova/instances/0c5f3f0e"
    bed[source].run(f"mkdir -p {folder}_resize && dd if=/dev/urandom of={folder}_resize/disk bs=1M count=100", "nova")
    bed[source].run(f"ssh -o BatchMode=yes {address} mkdir -p {folder}", "nova")
    bed[source].run(f"scp -r {folder}_resize/disk {address}:{folder}/disk", "nova")
    sent = bed[source].run(f"sha256sum < {folder}_resize/disk")
    assert bed[target].run(f"sha256sum < {folder}/disk") == sent
    assert bed[target].run(f"stat -c %s {folder}/disk").strip() == str(100 * 1024 * 1024)


def test_a_second_look_changes_nothing_and_costs_one_session_a_host(keyring: Keyring, bed: Bed, operator: Operator) -> None:
    keyring.apply(checkEvery="1h").ready()
    before = {name: everything(bed, name) for name in bed.hosts}
    sessions = {name: root_logins(bed, name) for name in bed.hosts}

    keyring.annotate(requestedAt="now")
    version = (keyring.get() or {})["metadata"]["resourceVersion"]

    def looked_at_again() -> bool:
        return all(root_logins(bed, name) > sessions[name] for name in bed.hosts)

    until("a look at every host", looked_at_again)
    assert {name: everything(bed, name) for name in bed.hosts} == before
    assert {name: root_logins(bed, name) - sessions[name] for name in bed.hosts} == dict.fromkeys(bed.hosts, 1)
    assert (keyring.get() or {})["metadata"]["resourceVersion"] == version


def root_logins(bed: Bed, name: str) -> int:
    return int(bed[name].run("grep -c 'Accepted publickey for root' /run/sshd.log || :").strip())


def test_what_others_wrote_survives_and_deletion_leaves_only_that(keyring: Keyring, bed: Bed, operator: Operator) -> None:
    host = bed["cmp2"]
    host.run("install -d -o nova -g nova -m 700 /var/lib/nova/.ssh")
    host.run("printf 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFakeFake backup@example' > /var/lib/nova/.ssh/authorized_keys")
    host.run("printf 'ServerAliveInterval 7\\r\\n\\nHost *\\n  Compression yes' > /var/lib/nova/.ssh/config")
    host.run("printf 'secret' > /var/lib/nova/.ssh/id_ed25519; : > /var/lib/nova/.ssh/known_hosts")
    host.run("chown -R nova: /var/lib/nova/.ssh; chmod 600 /var/lib/nova/.ssh/*")
    host.run("printf '# ours\\nother.example ssh-ed25519 AAAA\\377\\001x' > /etc/ssh/ssh_known_hosts")
    found = {name: contents(bed, name) for name in bed.hosts}

    keyring.apply().ready()

    assert nova_login(bed, "cmp2", "cmp3") == "cmp3"
    assert nova_login(bed, "cmp3", "cmp2") == "cmp2"
    assert "serveraliveinterval 7" in host.run("ssh -G elsewhere.example", "nova")
    assert "compression yes" in host.run("ssh -G cmp1", "nova")
    assert "batchmode no" in host.run("ssh -G elsewhere.example", "nova")

    keyring.delete()

    assert {name: contents(bed, name) for name in bed.hosts} == found
    assert operator.healthy()


def test_leave_on_deletion_keeps_the_keys(keyring: Keyring, bed: Bed, operator: Operator) -> None:
    keyring.apply(onDelete="Leave").ready()
    keyring.delete()
    assert nova_login(bed, "cmp1", "cmp5") == "cmp5"


def test_a_host_that_appears_later_is_taken_in(keyring: Keyring, bed: Bed, operator: Operator) -> None:
    status = keyring.apply(hosts={"exclude": ["cmp5"]}).ready()
    assert status["paths"]["summary"] == "12/12"
    assert "cmp5" not in bed["cmp1"].run("cat /etc/ssh/ssh_known_hosts")
    assert bed["cmp5"].sessions() == 0

    keyring.apply(hosts={"exclude": []})

    status = keyring.until("the fifth host", lambda s: s["paths"]["summary"] == "20/20")
    assert nova_login(bed, "cmp5", "cmp1") == "cmp1"
    assert nova_login(bed, "cmp1", "cmp5") == "cmp5"


def test_by_sudo_on_another_port_and_from_given_networks(keyring: Keyring, bed: Bed, operator: Operator) -> None:
    for host in bed.hosts.values():
        host.run("sed -i 's/^Port 22$/Port 2222/' /etc/ssh/sshd_config")
        host.stop_sshd()
        host.start_sshd()
        host.port = 2222
    keyring.pin()
    access = {"user": "admin", "become": "Sudo", "port": 2222}

    keyring.apply(hostAccess=access, authorizedKeysFrom=[f"{bed.network}.0/24"], probe="Ring").ready()

    assert nova_login(bed, "cmp1", "cmp3") == "cmp3"
    line = bed["cmp1"].run("cat /var/lib/nova/.ssh/authorized_keys")
    assert line.startswith(f'restrict,from="{bed.network}.0/24" ssh-ed25519 ')


def test_from_elsewhere_the_key_opens_nothing(keyring: Keyring, bed: Bed, operator: Operator) -> None:
    keyring.apply(authorizedKeysFrom=["192.0.2.0/24"])
    message = keyring.trouble("cmp1", "PermissionDenied")
    assert "cmp2" in message
    status = keyring.status
    assert status["provenHosts"] == []
    assert condition(status, "KeysInstalled")["status"] == "True"
