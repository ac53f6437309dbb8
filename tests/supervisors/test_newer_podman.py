"""nova-compute as a container of a podman that can change a restart policy, as from 5.1 on."""

from collections.abc import Iterator

import pytest
from tests.supervisors.conftest import Supervised
from tests.supervisors.podman import VERSION, newer_podman

from quiesce.api.host import Supervisor
from quiesce.compute import Unit, UnitState

STORE = "/var/lib/containers/storage"


@pytest.fixture(scope="module", params=["its own database", "that of an older one"], autouse=True)
def newer(request: pytest.FixtureRequest, supervised: Supervised, rootfs: str) -> Iterator[None]:
    """On a host that had it from the start, and on one that was upgraded: SQLite there, BoltDB
    here.
    """
    supervised.run(f"podman rm --all --force; podman import {rootfs} nova")
    if request.param == "its own database":
        supervised.run(f"mv {STORE} {STORE}.away; rm -rf /run/libpod")
    supervised.run("cp /usr/bin/podman /var/lib/older-podman")
    (supervised.host.dir / "disks/containers/newer-podman").write_bytes(newer_podman().read_bytes())
    supervised.run("install /var/lib/containers/newer-podman /usr/bin/podman")
    assert VERSION in supervised.run("podman --version")
    supervised.run(f"podman import {rootfs} nova")
    yield
    supervised.run("podman rm --all --force; install /var/lib/older-podman /usr/bin/podman")
    supervised.run(
        f"[ ! -e {STORE}.away ] || {{ rm -rf {STORE} /run/libpod && mv {STORE}.away {STORE}; }}"
    )


def container(supervised: Supervised, name: str, policy: str) -> Unit:
    return supervised.container(
        Supervisor.PODMAN, name, policy, "--security-opt seccomp=unconfined"
    )


def runs(supervised: Supervised, name: str) -> bool:
    return supervised.runs(Supervisor.PODMAN, name)


@pytest.mark.parametrize("policy", ["no", "on-failure:5", "unless-stopped", "always"])
def test_stopped_so_that_it_stays_and_restored_as_found(
    supervised: Supervised, name: str, policy: str
) -> None:
    unit = container(supervised, name, policy)
    found = supervised.look(unit)
    assert found == UnitState(True, policy)

    for _ in range(2):
        assert supervised.stop(unit) == UnitState(False, "no")
    supervised.run("systemctl restart podman-restart")
    assert supervised.look(unit) == UnitState(False, "no")

    for _ in range(2):
        assert supervised.restore(unit, found) == found
    assert runs(supervised, name)


def test_it_stays_down_over_a_power_cut_and_starts_at_the_next_boot_once_restored(
    supervised: Supervised, name: str
) -> None:
    unit = container(supervised, name, "always")
    found = supervised.look(unit)
    supervised.stop(unit)
    supervised.power_cut()
    assert not runs(supervised, name)
    supervised.restore(unit, found)
    supervised.power_cut()
    assert supervised.look(unit) == found
