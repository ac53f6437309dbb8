"""`kubectl quiesce` as kubectl finds it, for people with one of our roles and nothing else."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from tests.beds.sim.model import Cloud
from tests.beds.sim.simulator import Simulator
from tests.harness.kubernetes import ROOT, Kube
from tests.harness.openstack import until

PROGRAMS = {
    "kubectl-quiesce": "quiesce.plugin",
    "kubectl_complete-quiesce": "quiesce.plugin.complete",
}


@dataclass(frozen=True)
class Person:
    """kubectl with the plugin on the PATH, and a token."""

    kube: Kube

    def run(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return self.kube.kubectl("quiesce", *words, stdin=stdin, check=False)

    def does(self, *words: str) -> str:
        """What a command prints that succeeds."""
        done = self.run(*words)
        assert done.returncode == 0, f"{words}: {done.returncode}: {done.stdout}{done.stderr}"
        return done.stdout

    def fails(self, *words: str, code: int = 1) -> str:
        """What it says on stderr."""
        done = self.run(*words)
        assert done.returncode == code, f"{words}: {done.returncode}: {done.stdout}{done.stderr}"
        assert done.stderr.startswith("error: ")
        return done.stderr

    def begin(self, *words: str, out: int = subprocess.PIPE) -> subprocess.Popen[str]:
        """A command that goes on."""
        return subprocess.Popen(
            ["kubectl", "quiesce", *words],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            text=True,
            env=os.environ | self.kube.environment,
            start_new_session=True,
        )


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As an installed wheel has them, but of this checkout."""
    folder = tmp_path_factory.mktemp("bin")
    for name, module in PROGRAMS.items():
        program = folder / name
        path = f"PYTHONPATH={ROOT / 'operator'}"
        program.write_text(f'#!/bin/sh\n{path} exec {sys.executable} -m {module} "$@"\n')
        program.chmod(0o755)
    return folder


def person(kube: Kube, namespace: str, role: str, programs: Path, folder: Path) -> Person:
    """A token that has this role in the namespace; its kubeconfig starts there."""
    kube.kubectl("create", "serviceaccount", role, "-n", namespace)
    account = f"--serviceaccount={namespace}:{role}"
    kube.kubectl("create", "rolebinding", role, f"--clusterrole={role}", account, "-n", namespace)
    config = yaml.safe_load(Path(kube.environment["KUBECONFIG"]).read_text())
    token = kube.kubectl("create", "token", role, "-n", namespace).stdout.strip()
    config["users"] = [{"name": each["name"], "user": {"token": token}} for each in config["users"]]
    for context in config["contexts"]:
        context["context"]["namespace"] = namespace
    file = folder / role
    file.write_text(yaml.safe_dump(config))
    file.chmod(0o600)
    path = f"{programs}:{kube.environment['PATH']}"
    found = Person(Kube(kube.environment | {"KUBECONFIG": str(file), "PATH": path}))

    def granted() -> bool:
        words = ("auth", "can-i", "list", "computenodedrains", "-q")
        return found.kube.kubectl(*words, check=False).returncode == 0

    until(f"the rights of {role}", granted, timeout=30)
    return found


@pytest.fixture
def editor(kube: Kube, namespace: str, programs: Path, tmp_path: Path) -> Person:
    return person(kube, namespace, "quiesce-drain-editor", programs, tmp_path)


@pytest.fixture
def viewer(kube: Kube, namespace: str, programs: Path, tmp_path: Path) -> Person:
    return person(kube, namespace, "quiesce-viewer", programs, tmp_path)


@pytest.fixture
def stand_in(kube: Kube, namespace: str) -> Iterator[Cloud]:
    """A cloud whose cmp1 has three servers that run and two that do not."""
    cloud = Cloud(start=time.time(), speed=1.0)
    with Simulator(cloud) as sim:
        servers = [cloud.boot(f"web-{number}", host="cmp1") for number in range(5)]

        def all_run() -> bool:
            with cloud.clock.lock:
                cloud.clock.catch_up()
                return all(s.vm_state == "active" for s in cloud.state.servers.values())

        until("the servers", all_run)
        with cloud.clock.lock:
            for server in servers[3:]:
                cloud.guests.act(cloud.as_user("admin"), server.id, "os-stop")
        entry = sim.cloud_entry("quiesce")
        kube.credentials(namespace, yaml.safe_dump({"clouds": {"openstack": entry}}))
        yield cloud
