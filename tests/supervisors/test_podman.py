"""nova-compute as a container of a real podman: 4.3, which cannot change the restart policy of a
container that is there.
"""

import pytest
from tests.supervisors.conftest import Supervised

from quiesce.api.host import Supervisor
from quiesce.compute import NoSuchUnit, StopFailed, Unit, UnitState

GENERATED = "/etc/systemd/system/tripleo_nova_compute.service"


@pytest.fixture(scope="module", autouse=True)
def image(supervised: Supervised, rootfs: str) -> None:
    supervised.run(f"podman import {rootfs} nova")
    supervised.run("systemctl is-enabled podman-restart.service")


def container(supervised: Supervised, name: str, policy: str) -> Unit:
    return supervised.container(Supervisor.PODMAN, name, policy)


def runs(supervised: Supervised, name: str) -> bool:
    return supervised.runs(Supervisor.PODMAN, name)


def test_this_podman_cannot_change_a_restart_policy(supervised: Supervised, name: str) -> None:
    """The fact that the tests below stand on."""
    container(supervised, name, "always")
    assert "unknown flag: --restart" in supervised.fails(f"podman update --restart=no '{name}'")


@pytest.mark.parametrize("policy", ["no", "on-failure", "on-failure:5", "unless-stopped"])
def test_stopped_so_that_it_stays_and_restored_as_found(
    supervised: Supervised, name: str, policy: str
) -> None:
    """podman-restart.service starts none of these at boot: what is stopped stays so."""
    unit = container(supervised, name, policy)
    found = supervised.look(unit)
    assert found == UnitState(True, policy)

    for _ in range(2):
        assert not supervised.stop(unit).running
    supervised.run("systemctl restart podman-restart")
    assert supervised.look(unit) == UnitState(False, policy)

    for _ in range(2):
        assert supervised.restore(unit, found) == found
    assert runs(supervised, name)


def test_by_hand_it_is_started_as_it_was_found(supervised: Supervised, name: str) -> None:
    """As docs/troubleshooting.md says for a drain that was released without it."""
    unit = container(supervised, name, "unless-stopped")
    found = supervised.look(unit)
    supervised.stop(unit)
    supervised.run(f"podman start {name}")
    assert supervised.look(unit) == found


def test_one_that_the_boot_would_start_is_not_stopped_and_the_error_says_what_to_do(
    supervised: Supervised, name: str
) -> None:
    unit = container(supervised, name, "always")
    supervised.power_cut()
    assert runs(supervised, name)

    with pytest.raises(StopFailed) as caught:
        supervised.stop(unit)
    assert runs(supervised, name)
    text = " ".join((str(caught.value), *caught.value.remedies))
    for part in ("podman version 4.3.1", "5.1", "podman-restart.service", "always", name):
        assert part in text


def test_one_that_no_boot_starts_is_stopped_also_under_always(
    supervised: Supervised, name: str
) -> None:
    unit = container(supervised, name, "always")
    supervised.run("systemctl disable podman-restart.service")
    try:
        found = supervised.look(unit)
        supervised.stop(unit)
        for boot in (supervised.reboot, supervised.power_cut):
            boot()
            assert not runs(supervised, name)
        assert supervised.restore(unit, found) == found
    finally:
        supervised.run("systemctl enable podman-restart.service")


def test_what_an_administrator_added_to_the_boot_counts(supervised: Supervised, name: str) -> None:
    """podman-restart.service is often given the policy unless-stopped as well."""
    drop_in = "/etc/systemd/system/podman-restart.service.d/unless-stopped.conf"
    start = (
        "/usr/bin/podman start --all --filter restart-policy=always "
        "--filter restart-policy=unless-stopped"
    )
    supervised.write(drop_in, f"[Service]\nExecStart=\nExecStart={start}")
    supervised.run("systemctl daemon-reload")
    try:
        with pytest.raises(StopFailed, match="unless-stopped"):
            supervised.stop(container(supervised, name, "unless-stopped"))
        assert runs(supervised, name)
    finally:
        supervised.run(f"rm -r '{drop_in}' && systemctl daemon-reload")


def test_it_stays_down_over_a_reboot_and_a_power_cut(supervised: Supervised, name: str) -> None:
    unit = container(supervised, name, "unless-stopped")
    found = supervised.look(unit)
    supervised.stop(unit)
    for boot in (supervised.reboot, supervised.power_cut):
        boot()
        assert not runs(supervised, name)
    assert supervised.restore(unit, found) == found


@pytest.mark.parametrize("policy", ["no", "unless-stopped"])
def test_what_did_not_run_is_not_started(supervised: Supervised, name: str, policy: str) -> None:
    unit = container(supervised, name, policy)
    supervised.run(f"podman stop '{name}'")
    found = supervised.look(unit)
    supervised.stop(unit)
    assert supervised.restore(unit, found) == found == UnitState(False, policy)


def test_one_that_is_paused_counts_as_running(supervised: Supervised, name: str) -> None:
    """podman does not stop it: an error in its words, and no claim that it is down."""
    unit = container(supervised, name, "no")
    supervised.run(f"podman pause '{name}'")
    assert supervised.look(unit).running
    with pytest.raises(StopFailed, match="paused"):
        supervised.stop(unit)
    supervised.run(f"podman unpause '{name}'")
    assert not supervised.stop(unit).running


@pytest.mark.parametrize("new", [False, True])
def test_one_that_a_unit_starts_is_left_to_that_unit(
    supervised: Supervised, name: str, *, new: bool
) -> None:
    """As TripleO makes it, and as podman itself writes units, with and without a new container each
    time.
    """
    unit = container(supervised, name, "no")
    supervised.run(
        f"podman generate systemd --restart-policy always {'--new' if new else ''} --name '{name}' "
        f">{GENERATED}"
    )
    supervised.run(f"podman {'rm --force' if new else 'stop'} '{name}'")
    supervised.run("systemctl daemon-reload; systemctl enable --now tripleo_nova_compute")
    try:
        for ask in (supervised.look, supervised.stop):
            with pytest.raises(StopFailed) as caught:
                ask(unit)
            assert "kind: Systemd, name: tripleo_nova_compute.service" in caught.value.remedies[0]
        assert runs(supervised, name)

        by_unit = Unit(Supervisor.SYSTEMD, "tripleo_nova_compute")
        found = supervised.look(by_unit)
        supervised.stop(by_unit)
        assert not runs(supervised, name)
        supervised.reboot()
        assert not runs(supervised, name)
        assert supervised.restore(by_unit, found) == found
        assert runs(supervised, name)
    finally:
        supervised.run("systemctl disable --now tripleo_nova_compute")


def test_an_unknown_name_is_an_error_that_says_where_to_set_it(supervised: Supervised) -> None:
    with pytest.raises(NoSuchUnit) as caught:
        supervised.look(Unit(Supervisor.PODMAN, "nova_nothing"))
    assert "service.stop" in caught.value.remedies[0]


def test_a_host_without_podman_is_not_taken_for_one_that_knows_no_container(
    supervised: Supervised,
) -> None:
    supervised.run("mv /usr/bin/podman /usr/bin/podman.away")
    try:
        with pytest.raises(StopFailed, match="not found") as caught:
            supervised.look(Unit(Supervisor.PODMAN, "nova_compute"))
    finally:
        supervised.run("mv /usr/bin/podman.away /usr/bin/podman")
    assert not isinstance(caught.value, NoSuchUnit)


@pytest.mark.finding("M13")
def test_another_container_is_left_alone(supervised: Supervised) -> None:
    supervised.run("podman run --name db --detach --network host nova /bin/sleep 3600")
    try:
        with pytest.raises(StopFailed, match="is not nova-compute") as caught:
            supervised.stop(Unit(Supervisor.PODMAN, "db"))
        assert caught.value.reason == "NotNovaCompute"
        assert runs(supervised, "db")
    finally:
        supervised.run("podman rm --force db")
