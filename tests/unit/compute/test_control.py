"""Stopping nova-compute: how a host's report is read. tests/supervisors run the scripts."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from quiesce.api.host import Supervisor
from quiesce.compute import NoSuchUnit, StopFailed, Unit, UnitState
from quiesce.compute.control import observe, restore, stop
from quiesce.compute.scripts import observe_script
from quiesce.ssh.session import Done, Session

UNIT = Unit(Supervisor.SYSTEMD, "nova-compute")
CONTAINER = Unit(Supervisor.PODMAN, "nova_compute")
ENABLED = UnitState(True, "enabled")


class Host:
    """Answers with a report of these lines, on what is nova-compute unless they say otherwise."""

    def __init__(self, *lines: str, errors: str = "") -> None:
        if "exists" in lines and not any(line.startswith("proof") for line in lines):
            lines = ("proof declared", *lines)
        self.done = Done(0, "motd\n" + "".join(f"quiesce {line}\n" for line in lines), errors)

    def run_script(self, script: str) -> Done:
        return self.done


def host(*lines: str, errors: str = "") -> Session:
    return cast("Session", Host(*lines, errors=errors))


@pytest.mark.parametrize(
    ("lines", "state"),
    [
        (("running", "boot enabled"), ENABLED),
        (("boot masked",), UnitState(False, "masked")),
        (("stays", "boot held"), UnitState(False, "held")),
        (("running", "boot on-failure:5"), UnitState(True, "on-failure:5")),
        (("boot ",), UnitState(False, "")),
        (("running", "boot \N{SNOWMAN}"), UnitState(True, "")),
    ],
)
def test_what_is_seen_goes_into_a_status_and_comes_back(
    lines: tuple[str, ...], state: UnitState
) -> None:
    found = observe(host(*lines, "exists", "end"), UNIT)
    assert found == state
    assert UnitState.read(found.text) == found


@pytest.mark.parametrize(
    "text",
    ["", "running", "walking enabled", "running en abled", "running always:x", "running,enabled"],
)
def test_what_is_no_state_is_not_taken_for_one(text: str) -> None:
    with pytest.raises(ValueError, match="is not the state"):
        UnitState.read(text)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (
            ("message Unit is stubborn", "running", "stays", "boot held"),
            "running held: Unit is stubborn",
        ),
        (("running", "stays", "boot held"), "see its log on the host"),
        (
            ("message Read-only file system", "boot enabled"),
            "stopped enabled: Read-only file system",
        ),
        (
            ("stuck podman version 4.3.1", "running", "boot always"),
            "policy always\\), and podman version 4.3.1 cannot change",
        ),
    ],
)
def test_what_runs_on_or_would_come_back_is_an_error(lines: tuple[str, ...], said: str) -> None:
    with pytest.raises(StopFailed, match=said):
        stop(host(*lines, "exists", "end"), UNIT)


def test_words_about_what_went_well_in_the_end_are_no_error() -> None:
    """A podman that cannot change the policy of what nothing starts."""
    lines = ("message unknown flag: --restart", "stays", "boot unless-stopped", "exists", "end")
    assert stop(host(*lines), CONTAINER) == UnitState(False, "unless-stopped")


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        (("boot enabled",), ENABLED),
        (("message Unit is masked.", "boot masked"), ENABLED),
        (("message cannot remove", "boot held"), UnitState(False, "enabled")),
    ],
)
def test_what_is_not_restored_is_an_error(lines: tuple[str, ...], found: UnitState) -> None:
    with pytest.raises(StopFailed, match=f"was {found.text} when it was found"):
        restore(host(*lines, "exists", "end"), UNIT, found)


@pytest.mark.parametrize("ask", [observe, stop])
def test_a_container_that_a_unit_starts_is_left_to_that_unit(
    ask: Callable[[Session, Unit], UnitState],
) -> None:
    with pytest.raises(StopFailed, match=r"tripleo_nova_compute\.service starts the") as caught:
        ask(host("starter tripleo_nova_compute.service", "process other", "end"), CONTAINER)
    assert caught.value.remedies == (
        "Set service.stop to {kind: Systemd, name: tripleo_nova_compute.service}",
    )


def test_an_unknown_name_is_an_error_that_says_where_to_set_it() -> None:
    with pytest.raises(NoSuchUnit, match="no such container") as caught:
        observe(host("absent", "message no such container", "end"), CONTAINER)
    assert "service.stop" in caught.value.remedies[0]


def test_a_supervisor_that_does_not_answer_is_another_error() -> None:
    with pytest.raises(
        StopFailed, match="did not report the state of nova_compute: Cannot connect"
    ) as caught:
        observe(host("message Cannot connect", "end"), CONTAINER)
    assert not isinstance(caught.value, NoSuchUnit)


def test_a_silent_host_is_an_error() -> None:
    with pytest.raises(StopFailed, match="password"):
        stop(host(errors="sudo: a password is required"), UNIT)


@pytest.mark.finding("S3")
@pytest.mark.parametrize("kind", list(Supervisor))
def test_a_name_is_never_a_command(tmp_path: Path, kind: Supervisor) -> None:
    script = observe_script(
        Unit(
            kind, f"x; touch {tmp_path}/owned; $(touch {tmp_path}/owned) `touch {tmp_path}/owned` '"
        )
    )
    done = subprocess.run(["/bin/sh"], input=script, text=True, capture_output=True, check=False)
    assert "quiesce end" in done.stdout
    assert not list(tmp_path.iterdir())


@pytest.mark.field_case("F23")
@pytest.mark.parametrize("ask", [observe, stop])
@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (("absent", "process pod"), "RunsInPod"),
        (("boot disabled", "stays", "exists", "process pod"), "RunsInPod"),
        (("boot disabled", "stays", "exists", "process other"), "RunsElsewhere"),
        (("proof ", "boot disabled", "exists", "process other"), "RunsElsewhere"),
        (("absent", "process other"), "UnitNotFound"),
        (("proof ", "runs /usr/sbin/sshd", "running", "exists", "process other"), "NotNovaCompute"),
        (("proof ", "runs ", "running", "exists"), "NotNovaCompute"),
        (("proof ", "runs /usr/bin/containerd", "running", "exists", "process pod"), "RunsInPod"),
    ],
)
def test_a_nova_compute_that_runs_as_something_else_is_named(
    ask: Callable[[Session, Unit], UnitState], lines: tuple[str, ...], reason: str
) -> None:
    with pytest.raises(StopFailed) as caught:
        ask(host(*lines, "end"), UNIT)
    assert (caught.value.reason, caught.value.person) == (reason, True)
    assert caught.value.remedies


def test_the_unit_that_runs_is_no_other_process() -> None:
    assert observe(host("running", "boot enabled", "exists", "process other", "end"), UNIT).running


def test_a_supervisor_that_reports_nothing_is_not_taken_for_one_that_runs_something_else() -> None:
    with pytest.raises(StopFailed, match="did not report the state of") as caught:
        observe(host("process other", "message systemctl: not found", "end"), UNIT)
    assert "not found" in str(caught.value)


@pytest.mark.parametrize("proof", ["process", "held"])
def test_another_nova_compute_of_the_host_does_not_hold_up_this_one(proof: str) -> None:
    lines = (f"proof {proof}", "boot held", "stays", "exists", "process other", "end")
    assert not stop(host(*lines), UNIT).running


def test_what_is_not_proven_is_restored_where_nothing_is_to_be_done() -> None:
    lines = ("proof ", "running", "boot enabled", "exists", "end")
    assert restore(host(*lines), UNIT, ENABLED) == ENABLED
    with pytest.raises(StopFailed, match="is not nova-compute"):
        restore(host("proof ", "boot disabled", "exists", "end"), UNIT, ENABLED)
