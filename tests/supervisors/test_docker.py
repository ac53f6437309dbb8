"""nova-compute as a container of a real dockerd."""

import pytest
from tests.supervisors.conftest import Supervised

from quiesce.api.host import Supervisor
from quiesce.compute import NoSuchUnit, StopFailed, Unit, UnitState

KOLLA = """\
[Unit]
After=docker.service
Requires=docker.service

[Service]
ExecStart=/usr/bin/docker start -a {name}
ExecStop=/usr/bin/docker stop {name} -t 10
Restart=always
RestartSec=1
SuccessExitStatus=143

[Install]
WantedBy=multi-user.target
"""
"""As kolla-ansible's kolla_systemd_worker.py writes it."""


@pytest.fixture(scope="module", autouse=True)
def image(supervised: Supervised, rootfs: str) -> None:
    supervised.run(f"docker import - nova <{rootfs}")


def container(supervised: Supervised, name: str, policy: str) -> Unit:
    return supervised.container(Supervisor.DOCKER, name, policy)


def runs(supervised: Supervised, name: str) -> bool:
    return supervised.runs(Supervisor.DOCKER, name)


@pytest.mark.parametrize("policy", ["no", "on-failure", "on-failure:5", "unless-stopped", "always"])
def test_stopped_so_that_it_stays_and_restored_as_found(
    supervised: Supervised, name: str, policy: str
) -> None:
    unit = container(supervised, name, policy)
    found = supervised.look(unit)
    assert found == UnitState(True, policy)

    for _ in range(2):
        assert supervised.stop(unit) == UnitState(False, "no")
    supervised.run("systemctl reset-failed docker; systemctl restart docker")
    assert supervised.look(unit) == UnitState(False, "no")

    for _ in range(2):
        assert supervised.restore(unit, found) == found
    assert runs(supervised, name)


def test_by_hand_it_is_started_as_it_was_found(supervised: Supervised, name: str) -> None:
    """As docs/troubleshooting.md says for a drain that was released without it."""
    unit = container(supervised, name, "always")
    found = supervised.look(unit)
    supervised.stop(unit)
    supervised.run(f"docker update --restart={found.boot} {name}; docker start {name}")
    assert supervised.look(unit) == found


def test_it_stays_down_over_boots_and_starts_at_the_next_one_once_restored(
    supervised: Supervised, name: str
) -> None:
    unit = container(supervised, name, "always")
    supervised.power_cut()
    found = supervised.look(unit)
    assert found == UnitState(True, "always")

    supervised.stop(unit)
    for boot in (supervised.reboot, supervised.power_cut):
        boot()
        assert not runs(supervised, name)
    supervised.restore(unit, found)

    supervised.power_cut()
    assert supervised.look(unit) == found


@pytest.mark.parametrize("policy", ["no", "always"])
def test_what_did_not_run_is_not_started(supervised: Supervised, name: str, policy: str) -> None:
    unit = container(supervised, name, policy)
    supervised.run(f"docker stop '{name}'")
    found = supervised.look(unit)
    supervised.stop(unit)
    assert supervised.restore(unit, found) == found == UnitState(False, policy)


def test_one_that_is_paused_counts_as_running(supervised: Supervised, name: str) -> None:
    unit = container(supervised, name, "no")
    supervised.run(f"docker pause '{name}'")
    assert supervised.look(unit).running
    assert not supervised.stop(unit).running


def test_one_that_a_unit_starts_is_left_to_that_unit(supervised: Supervised) -> None:
    """Stopped as a container it would be started again by its unit: kolla-ansible makes these."""
    kolla = container(supervised, "nova_compute", "no")
    supervised.write(
        "/etc/systemd/system/kolla-nova_compute-container.service",
        KOLLA.format(name="nova_compute"),
    )
    other = container(supervised, "nova_compute-old", "no")
    supervised.run("systemctl daemon-reload; systemctl enable --now kolla-nova_compute-container")
    try:
        for ask in (supervised.look, supervised.stop):
            with pytest.raises(StopFailed) as caught:
                ask(kolla)
            assert (
                "kind: Systemd, name: kolla-nova_compute-container.service"
                in caught.value.remedies[0]
            )
        assert runs(supervised, "nova_compute")
        assert not supervised.stop(other).running

        unit = Unit(Supervisor.SYSTEMD, "kolla-nova_compute-container.service")
        found = supervised.look(unit)
        supervised.stop(unit)
        assert not runs(supervised, "nova_compute")
        supervised.reboot()
        assert not runs(supervised, "nova_compute")
        assert supervised.restore(unit, found) == found
        supervised.run(
            "until docker ps --quiet --filter 'name=^nova_compute$' | grep -q .; do sleep 0.05; "
            "done"
        )
        supervised.run("systemctl disable --now kolla-nova_compute-container")
        assert supervised.look(kolla) == UnitState(False, "no")
    finally:
        supervised.run(
            "systemctl disable --now kolla-nova_compute-container; docker rm --force nova_compute "
            "nova_compute-old"
        )


def test_an_unknown_name_is_an_error_that_says_where_to_set_it(supervised: Supervised) -> None:
    with pytest.raises(NoSuchUnit) as caught:
        supervised.look(Unit(Supervisor.DOCKER, "nova_nothing"))
    assert "service.stop" in caught.value.remedies[0]


def test_a_daemon_that_is_down_is_not_taken_for_one_that_knows_no_container(
    supervised: Supervised, name: str
) -> None:
    unit = container(supervised, name, "no")
    supervised.run("systemctl stop docker.socket docker")
    try:
        with pytest.raises(StopFailed, match="Cannot connect to the Docker daemon") as caught:
            supervised.look(unit)
    finally:
        supervised.run("systemctl start docker.socket docker")
    assert not isinstance(caught.value, NoSuchUnit)


def test_podman_under_dockers_name_is_understood_whatever_it_says_besides(
    supervised: Supervised, rootfs: str, name: str
) -> None:
    """As the package podman-docker does it, whose `docker` says on each call that it is podman."""
    supervised.run(f"podman import {rootfs} nova; mv /usr/bin/docker /usr/bin/docker.away")
    supervised.write(
        "/usr/bin/docker",
        "#!/bin/sh\necho 'Emulate Docker CLI using podman.' >&2\nexec podman \"$@\"",
    )
    try:
        supervised.run("chmod 755 /usr/bin/docker")
        unit = container(supervised, name, "on-failure:2")
        assert supervised.look(unit) == UnitState(True, "on-failure:2")
        assert not supervised.stop(unit).running
        assert supervised.restore(unit, UnitState(True, "on-failure:2")).running
    finally:
        supervised.run(
            f"podman rm --force --time 0 '{name}'; mv /usr/bin/docker.away /usr/bin/docker"
        )


@pytest.mark.finding("M13")
def test_another_container_is_left_alone(supervised: Supervised) -> None:
    supervised.run("docker run --name db --detach nova /bin/sleep 3600")
    try:
        with pytest.raises(StopFailed, match="is not nova-compute") as caught:
            supervised.stop(Unit(Supervisor.DOCKER, "db"))
        assert caught.value.reason == "NotNovaCompute"
        assert runs(supervised, "db")
    finally:
        supervised.run("docker rm --force db")
