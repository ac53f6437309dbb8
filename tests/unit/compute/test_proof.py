"""What is stopped is nova-compute: the scripts themselves, with a `/proc` and supervisors made up
of files.
"""

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from quiesce.api.host import Supervisor
from quiesce.compute import Unit, UnitState
from quiesce.compute.scripts import observe_script, restore_script, stop_script

ID = "a3" * 32
SSHD = "/usr/sbin/sshd"
PYTHON = "/usr/bin/python3.11"
NOVA = (PYTHON, "/usr/bin/python3", "/usr/bin/nova-compute", "--config-file", "/etc/nova.conf")
GROUP = "/system.slice/{}"
KOLLA = "kolla-nova_compute-container.service"

pytestmark = pytest.mark.finding("M13")


@dataclass
class Machine:
    """`processes`: pid -> (parent, control group, program, *arguments)."""

    root: Path
    processes: dict[int, tuple[str, ...]] = field(default_factory=dict)

    def run(self, script: str, tools: Mapping[str, str]) -> tuple[str, str]:
        """-> what is reported, and what changed: the calls of a supervisor that change things."""
        for pid, (parent, group, program, *arguments) in self.processes.items():
            folder = self.root / f"proc/{pid}"
            folder.mkdir(parents=True)
            (folder / "cmdline").write_text("\0".join(arguments) + "\0")
            (folder / "cgroup").write_text(f"0::{group}\n")
            (folder / "status").write_text(f"Name:\tx\nPPid:\t{parent}\n")
            (folder / "exe").symlink_to(program)
        (self.root / "bin").mkdir()
        log = self.root / "log"
        log.touch()
        for name in ("systemctl", "docker", "podman"):
            text = (
                f'#!/bin/sh\nlog() {{ echo "{name} $*" >>{log}; }}\n{tools.get(name, "exit 1")}\n'
            )
            (self.root / "bin" / name).write_text(text)
            (self.root / "bin" / name).chmod(0o755)
        script = script.replace("/proc/", f"{self.root}/proc/")
        script = script.replace("/etc/systemd/system/$", f"{self.root}/etc/$")
        done = subprocess.run(
            ["/bin/sh"],
            input=script,
            text=True,
            capture_output=True,
            check=False,
            env={"PATH": f"{self.root}/bin:/usr/bin:/bin"},
        )
        assert "quiesce end" in done.stdout, done.stderr
        return done.stdout, log.read_text()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def unit(name: str, main: int, start: str, active: str = "active") -> str:
    """A systemctl that knows this one unit."""
    found = {
        "Id": name,
        "LoadState": "loaded",
        "ActiveState": active,
        "UnitFileState": "enabled",
        "MainPID": str(main),
        "ControlGroup": GROUP.format(name) if main else "",
        "ExecStart": f"{{ path=/x ; argv[]={start} ; ignore_errors=no ; pid=1 }}",
    }
    shown = "".join(f"'{key}') echo '{key}={value}' ;;\n" for key, value in found.items())
    return f'case $1 in show) case $3 in\n{shown}*) echo "$3=" ;; esac ;; *) log "$@" ;; esac'


def container(pid: int, image: str, name: str = "a", status: str = "running") -> str:
    """A docker or podman that knows one container."""
    return f"""case "$1 $*" in
inspect*State.Status*) echo '{status} always:0' ;;
inspect*State.Pid*) echo '{pid} /{name} {image} dumb-init [start]' ;;
inspect*{ID}*) echo '/{name}' ;;
inspect*) exit 1 ;;
--version*) echo 'Docker version 20' ;;
*) log "$@" ;;
esac"""


def of_unit(machine: Machine, name: str, systemctl: str, **tools: str) -> tuple[str, str]:
    wanted = Unit(Supervisor.SYSTEMD, name)
    return machine.run(stop_script(wanted), {"systemctl": systemctl, **tools})


def test_a_unit_whose_process_is_nova_compute(machine: Machine) -> None:
    name = "openstack.service"
    machine.processes[7] = ("1", GROUP.format(name), *NOVA)
    said, changed = of_unit(machine, name, unit(name, 7, "/usr/bin/nova-compute --config x"))
    assert "proof process" in said
    assert "systemctl stop -- openstack.service" in changed


def test_a_wrapper_around_it(machine: Machine) -> None:
    name = "nova-compute.service"
    machine.processes[7] = ("1", GROUP.format(name), "/bin/dash", "sh", "/opt/start")
    machine.processes[8] = ("7", GROUP.format(name), *NOVA)
    said, changed = of_unit(machine, name, unit(name, 7, "/opt/start"))
    assert "proof process" in said
    assert "stop" in changed


@pytest.mark.parametrize("nova", [False, True])
def test_another_unit_is_left_alone(machine: Machine, nova: bool) -> None:
    """Also where a person has started nova-compute from it."""
    name = "ssh.service"
    machine.processes[7] = ("1", GROUP.format(name), SSHD, "sshd: /usr/sbin/sshd -D", "password")
    machine.processes[8] = ("1", GROUP.format("nova-compute.service"), *NOVA)
    if nova:
        machine.processes[9] = ("7", GROUP.format(name), *NOVA)
    said, changed = of_unit(machine, name, unit(name, 7, "/usr/sbin/sshd -D $SSHD_OPTS"))
    assert f"runs {SSHD}" in said
    assert "proof process" not in said
    assert "password" not in said
    assert not changed
    assert not (machine.root / "etc").exists()


@pytest.mark.parametrize("name", ["system.slice", "ssh.socket", "poweroff.target"])
def test_what_is_no_service_is_left_alone(machine: Machine, name: str) -> None:
    machine.processes[8] = ("1", GROUP.format(name), *NOVA)
    said, changed = of_unit(machine, name, unit(name, 0, "nova-compute"))
    assert "quiesce proof \n" in said
    assert not changed


@pytest.mark.parametrize("name", ["containerd.service", "docker.service"])
def test_what_runs_containers_is_not_nova_compute(machine: Machine, name: str) -> None:
    machine.processes[7] = ("1", GROUP.format(name), "/usr/bin/dockerd", "dockerd")
    machine.processes[8] = ("7", f"{GROUP.format(name)}/docker/{ID}", *NOVA)
    tools = {"docker": container(8, "nova-compute", "nova_compute")}
    said, changed = of_unit(machine, name, unit(name, 7, "/usr/bin/dockerd -H fd://"), **tools)
    assert "quiesce proof \n" in said
    assert not changed


@pytest.mark.parametrize(
    ("start", "proven"),
    [
        ("/usr/bin/docker start -a nova_compute", True),
        ("/usr/bin/docker run --name=nova_compute image", True),
        ("/usr/bin/docker start -a nova_compute-old", False),
        ("/usr/bin/docker start -a nova_libvirt", False),
    ],
)
def test_a_unit_that_starts_its_container(machine: Machine, start: str, proven: bool) -> None:
    machine.processes[7] = ("1", GROUP.format(KOLLA), "/usr/bin/docker", "docker", "start")
    machine.processes[8] = ("5", GROUP.format(f"docker-{ID}.scope"), *NOVA)
    tools = {"docker": container(8, "nova-compute", "nova_compute")}
    said, changed = of_unit(machine, KOLLA, unit(KOLLA, 7, start), **tools)
    assert ("proof process" in said) is proven
    assert bool(changed) is proven


def test_a_container_below_its_unit(machine: Machine) -> None:
    name = "nova_compute.service"
    machine.processes[7] = ("1", GROUP.format(name), "/usr/bin/conmon", "conmon")
    machine.processes[8] = ("7", f"{GROUP.format(name)}/libpod-payload-{ID}", *NOVA)
    said, _ = of_unit(machine, name, unit(name, 7, "/usr/bin/podman run --cgroups=split"))
    assert "proof process" in said


@pytest.mark.parametrize(
    ("start", "proof"),
    [("/usr/bin/nova-compute", "declared"), ("/usr/bin/docker start nova_compute", "declared")],
)
def test_one_that_has_no_process_just_now(machine: Machine, start: str, proof: str) -> None:
    systemctl = unit("openstack.service", 0, start, active="activating")
    said, changed = of_unit(machine, "openstack.service", systemctl)
    assert f"proof {proof}" in said
    assert "stop" in changed


@pytest.mark.parametrize("active", ["inactive", "active", "activating"])
def test_another_one_that_has_no_process_just_now(machine: Machine, active: str) -> None:
    """As ssh.service where a socket starts it: held, nobody could log in any more."""
    said, changed = of_unit(machine, "ssh", unit("ssh.service", 0, "/usr/sbin/sshd -D", active))
    assert "quiesce proof \n" in said
    assert not changed
    assert not (machine.root / "etc").exists()


def test_one_that_is_held_stays_proven(machine: Machine) -> None:
    hold = machine.root / "etc/openstack.service.d/quiesce.conf"
    hold.parent.mkdir(parents=True)
    hold.touch()
    said, _ = of_unit(machine, "openstack", unit("openstack.service", 0, "/opt/x", "inactive"))
    assert "proof held" in said


def test_nothing_else_is_started_when_a_host_is_restored(machine: Machine) -> None:
    script = restore_script(Unit(Supervisor.SYSTEMD, "debug"), UnitState(True, "enabled"))
    systemctl = unit("debug.service", 0, "/bin/sh", "inactive")
    said, changed = machine.run(script, {"systemctl": systemctl})
    assert "quiesce proof \n" in said
    assert not changed


@pytest.mark.parametrize(
    ("main", "program", "proven"),
    [("7", NOVA, True), ("7", (SSHD, "sshd"), False), ("6", NOVA, False)],
)
@pytest.mark.parametrize("kind", [Supervisor.DOCKER, Supervisor.PODMAN])
def test_a_container(
    machine: Machine, kind: Supervisor, main: str, program: tuple[str, ...], proven: bool
) -> None:
    """The main process starts it, or is of another container."""
    machine.processes[6] = ("2", "/x", SSHD, "sshd")
    machine.processes[7] = ("2", "/y", "/usr/bin/dumb-init", "dumb-init")
    machine.processes[8] = ("7", "/y", *program)
    tool = container(int(main), "openstack/nova-compute", "nova_compute")
    script = stop_script(Unit(kind, "nova_compute"))
    said, changed = machine.run(script, {kind.lower(): tool})
    assert ("proof process" in said) is proven
    assert bool(changed) is proven
    assert "quiesce running" in said
    assert "quiesce boot always\n" in said
    if not proven:
        assert f"runs {'/usr/bin/dumb-init' if main == '7' else SSHD}" in said


def test_a_container_that_could_not_be_restored_is_not_stopped(machine: Machine) -> None:
    """Nothing but its process says what it is, and that is gone once it is stopped."""
    machine.processes[7] = ("2", "/y", *NOVA)
    tool = container(7, "of-ours", "compute")
    said, changed = machine.run(stop_script(Unit(Supervisor.DOCKER, "compute")), {"docker": tool})
    assert "quiesce proof \n" in said
    assert not changed


@pytest.mark.parametrize(("image", "proven"), [("openstack/nova-compute", True), ("db", False)])
def test_a_container_that_does_not_run(machine: Machine, image: str, proven: bool) -> None:
    tool = container(0, image, status="exited")
    said, changed = machine.run(stop_script(Unit(Supervisor.DOCKER, "a")), {"docker": tool})
    assert ("proof declared" in said) is proven
    assert bool(changed) is proven


def test_a_look_changes_nothing(machine: Machine) -> None:
    name = "nova-compute.service"
    machine.processes[7] = ("1", GROUP.format(name), *NOVA)
    script = observe_script(Unit(Supervisor.SYSTEMD, name))
    said, changed = machine.run(script, {"systemctl": unit(name, 7, "/usr/bin/nova-compute")})
    assert "running" in said
    assert "proof process" in said
    assert not changed
