"""Stopping nova-compute: the scripts against stand-ins for systemctl and docker that keep their state in files."""

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pytest

from quiesce.ssh.session import Done, Session
from quiesce.ssh.stop import NoSuchUnit, StopFailed, Supervisor, Unit, UnitState, look, restore, stop

SYSTEMCTL = r"""#!/bin/sh
cd "$(dirname "$0")/state" || exit 1
echo "$*" >>../calls
verb=$1; shift
now=; [ "$1" = --now ] && { now=1; shift; }
case $verb in
show) property=$2
    case $property in
    LoadState)
        if [ ! -e boot ]; then echo LoadState=not-found
        elif [ "$(cat boot)" = masked ]; then echo LoadState=masked
        else echo LoadState=loaded; fi ;;
    ActiveState) [ -e running ] && echo ActiveState=active || echo ActiveState=inactive ;;
    UnitFileState) echo "UnitFileState=$(cat boot 2>/dev/null)" ;;
    esac ;;
disable) [ "$(cat boot)" = enabled ] && echo disabled >boot; [ "$now" ] && rm -f running; : ;;
enable) echo enabled >boot ;;
mask) [ -e unmaskable ] && { echo "Failed to mask unit: File exists" >&2; exit 1; }
    [ "$(cat boot)" = masked ] || cp boot before
    echo masked >boot ;;
unmask) [ "$(cat boot)" = masked ] && mv before boot; : ;;
stop) [ -e stubborn ] && { echo "Job for unit failed" >&2; exit 1; }; rm -f running ;;
start) [ "$(cat boot)" = masked ] && { echo "Unit is masked" >&2; exit 1; }; touch running ;;
esac
"""
DOCKER = r"""#!/bin/sh
cd "$(dirname "$0")/state" || exit 1
echo "$*" >>../calls
case $1 in
inspect) [ -e boot ] || { echo "Error: no such container" >&2; exit 1; }
    echo "$([ -e running ] && echo true || echo false) $(cat boot)" ;;
update) echo "${2#--restart=}" >boot ;;
stop) rm -f running ;;
start) touch running ;;
esac
"""


class Here:
    """A session whose host is this machine, with other programs first in its path."""

    def __init__(self, programs: Path) -> None:
        self.programs = programs

    def run(self, argv: Sequence[str], stdin: str = "") -> Done:
        path = {"PATH": f"{self.programs}:/usr/bin:/bin"}
        done = subprocess.run(argv, input=stdin, text=True, capture_output=True, check=False, env=path)
        return Done(done.returncode, done.stdout, done.stderr)


class Machine:
    def __init__(self, folder: Path) -> None:
        (folder / "state").mkdir()
        self.state, self.calls = folder / "state", folder / "calls"
        for name, text in {"systemctl": SYSTEMCTL, "docker": DOCKER, "podman": DOCKER}.items():
            (folder / name).write_text(text)
            (folder / name).chmod(0o755)
        self.session = cast("Session", Here(folder))

    def has(self, boot: str, *marks: str) -> None:
        (self.state / "boot").write_text(f"{boot}\n")
        for mark in marks:
            (self.state / mark).touch()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


UNITS = {
    Supervisor.SYSTEMD: (Unit(Supervisor.SYSTEMD, "nova-compute"), "enabled"),
    Supervisor.DOCKER: (Unit(Supervisor.DOCKER, "nova_compute"), "unless-stopped"),
    Supervisor.PODMAN: (Unit(Supervisor.PODMAN, "nova_compute"), "always"),
}


@pytest.mark.parametrize("kind", list(Supervisor))
def test_stopped_so_that_it_stays_and_given_back_as_found(machine: Machine, kind: Supervisor) -> None:
    unit, boot = UNITS[kind]
    machine.has(boot, "running")
    found = look(machine.session, unit)
    assert (found.running, found.boot, found.stays_down) == (True, boot, False)

    for _ in range(2):
        assert stop(machine.session, unit).stays_down

    back = UnitState.read(found.text)
    assert back == found
    assert restore(machine.session, unit, back) == found
    assert look(machine.session, unit) == found


@pytest.mark.parametrize("kind", list(Supervisor))
def test_what_did_not_run_is_not_started(machine: Machine, kind: Supervisor) -> None:
    unit, _ = UNITS[kind]
    machine.has("disabled" if kind is Supervisor.SYSTEMD else "no")
    found = look(machine.session, unit)
    stop(machine.session, unit)
    assert restore(machine.session, unit, found) == found


def test_a_unit_that_cannot_be_masked_is_disabled(machine: Machine) -> None:
    machine.has("enabled", "running", "unmaskable")
    assert stop(machine.session, UNITS[Supervisor.SYSTEMD][0]) == UnitState(False, "disabled")


def test_a_unit_that_does_not_stop_is_an_error_with_its_words(machine: Machine) -> None:
    machine.has("static", "running", "stubborn")
    (machine.state / "boot").write_text("static\n")
    (machine.state.parent / "systemctl").write_text(SYSTEMCTL.replace('[ "$now" ] && rm -f running', "true"))
    with pytest.raises(StopFailed, match="Job for unit failed"):
        stop(machine.session, UNITS[Supervisor.SYSTEMD][0])


@pytest.mark.parametrize("kind", list(Supervisor))
def test_an_unknown_name_is_an_error_that_says_where_to_set_it(machine: Machine, kind: Supervisor) -> None:
    with pytest.raises(NoSuchUnit, match=r"service\.stop"):
        look(machine.session, UNITS[kind][0])


def test_a_name_is_never_a_command(machine: Machine, tmp_path: Path) -> None:
    machine.has("enabled", "running")
    look(machine.session, Unit(Supervisor.SYSTEMD, f"x; touch {tmp_path}/owned; $(touch {tmp_path}/owned)"))
    assert not (tmp_path / "owned").exists()


def test_a_silent_host_is_an_error(machine: Machine) -> None:
    class Silent(Here):
        def run(self, argv: Sequence[str], stdin: str = "") -> Done:
            return Done(1, "", "sudo: a password is required")

    with pytest.raises(StopFailed, match="password"):
        stop(cast("Session", Silent(machine.state)), UNITS[Supervisor.SYSTEMD][0])
