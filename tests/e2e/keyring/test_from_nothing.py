"""From `kubectl apply` to cold migrations that work: every path checked, then used as Nova does."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.beds.hosts.hosts import Bed
from tests.e2e.keyring.conftest import Standing, everything, nova_login, reached, standing_keyring
from tests.harness.kubernetes import Kube, condition
from tests.harness.openstack import Lab, until


@pytest.fixture(scope="module")
def standing(
    kube: Kube, cloud: Lab, account: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Standing]:
    with standing_keyring(
        kube, cloud, account, tmp_path_factory.mktemp("standing"), onDelete="Leave"
    ) as found:
        yield found


def test_all_paths_are_proven(standing: Standing) -> None:
    status, bed = standing.keyring.status, standing.bed
    assert (status["hosts"]["summary"], status["paths"]["summary"]) == ("5/5", "20/20")
    assert status["provenHosts"] == ["cmp1", "cmp2", "cmp3", "cmp4", "cmp5"]
    assert status["problems"] == []
    assert condition(status, "PathsProven")["status"] == "True"
    for source in bed.hosts:
        assert reached(bed, source) == [name for name in bed.hosts if name != source]
    assert standing.operator.healthy()


def test_a_disk_can_be_copied(standing: Standing) -> None:
    """As libvirt's driver does in migrate_disk_and_power_off: ssh mkdir, then a plain scp -r."""
    source, target = standing.bed["cmp1"], standing.bed["cmp4"]
    address, folder = target.address, "/var/lib/nova/instances/0c5f3f0e"
    source.run(
        f"mkdir -p {folder}_resize && dd if=/dev/urandom of={folder}_resize/disk bs=1M count=100",
        "nova",
    )
    source.run(f"ssh -o BatchMode=yes {address} mkdir -p {folder}", "nova")
    source.run(f"scp -r {folder}_resize/disk {address}:{folder}/disk", "nova")
    sent = source.run(f"sha256sum < {folder}_resize/disk")
    assert target.run(f"sha256sum < {folder}/disk") == sent
    assert target.run(f"stat -c %s {folder}/disk").strip() == str(100 * 1024 * 1024)


@pytest.mark.finding("S2")
def test_a_second_look_changes_nothing_and_costs_one_session_a_host(standing: Standing) -> None:
    keyring, bed = standing.keyring, standing.bed
    before = {name: everything(bed, name) for name in bed.hosts}
    sessions = {name: root_logins(bed, name) for name in bed.hosts}
    keyring.annotate(requestedAt="now")
    version = (keyring.get() or {})["metadata"]["resourceVersion"]

    def looked_at_again() -> bool:
        return all(root_logins(bed, name) > sessions[name] for name in bed.hosts)

    until("a look at every host", looked_at_again)
    until(
        "the end of these sessions",
        lambda: all(open_sessions(bed, name) == 0 for name in bed.hosts),
    )
    assert {name: everything(bed, name) for name in bed.hosts} == before
    assert {name: root_logins(bed, name) - sessions[name] for name in bed.hosts} == dict.fromkeys(
        bed.hosts, 1
    )
    assert (keyring.get() or {})["metadata"]["resourceVersion"] == version


def root_logins(bed: Bed, name: str) -> int:
    return int(bed[name].run("grep -c 'Accepted publickey for root' /run/sshd.log || :").strip())


def open_sessions(bed: Bed, name: str) -> int:
    return int(bed[name].run("pgrep -c -f '^sshd: root' || :").strip())


def test_leave_on_deletion_keeps_the_keys(standing: Standing) -> None:
    standing.keyring.delete()
    assert nova_login(standing.bed, "cmp1", "cmp5") == "cmp5"
