"""The wheel installs by hash into an empty environment, and runs against an API server."""

import json
import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.harness.kubernetes import Kube, Operator
from tests.harness.openstack import until
from tests.install.conftest import Dist, done

from quiesce import __version__


@dataclass(frozen=True)
class Environment:
    """A virtual environment. `bin`: its folder of programs."""

    bin: Path

    def install(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """Into nothing: this environment has no pip, that of the tests installs."""
        pip = [sys.executable, "-m", "pip", "--python", self.bin / "python", "install", "--quiet"]
        command = list(map(str, (*pip, *words)))
        # From elsewhere: the path in requirements.txt is relative to that file.
        return subprocess.run(command, cwd="/", capture_output=True, text=True)

    def quiesce(self, *words: str) -> str:
        return done(self.bin / "quiesce", *words, cwd="/", env=bare())


def bare() -> dict[str, str]:
    """Without a way to the checkout."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


@pytest.fixture(scope="module")
def installed(dist: Dist, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    folder = tmp_path_factory.mktemp("environment")
    done(sys.executable, "-m", "venv", "--without-pip", folder)
    environment = Environment(folder / "bin")
    told = environment.install("--require-hashes", "-r", dist.folder / "requirements.txt")
    assert told.returncode == 0, told.stderr
    return environment


def test_it_knows_its_version_and_its_flags(installed: Environment) -> None:
    assert __version__ in installed.quiesce("--version")
    assert "--all-namespaces" in installed.quiesce("run", "--help")


def test_the_plugin_is_in_it_without_what_draws_its_colors(installed: Environment) -> None:
    def said(program: str, *words: str) -> str:
        return done(installed.bin / program, *words, cwd="/", env=bare())

    assert "servers.suspended" in said("kubectl-quiesce", "explain", "Suspended")
    assert "Suspended" in said("kubectl_complete-quiesce", "explain", "Susp")


def test_a_wheel_that_was_changed_is_refused(dist: Dist, tmp_path: Path) -> None:
    done(sys.executable, "-m", "venv", "--without-pip", tmp_path / "environment")
    wheel = dist.one("*.whl")
    (tmp_path / wheel.name).write_bytes(wheel.read_bytes() + b"\0")
    lines = (dist.folder / "requirements.txt").read_text()
    (tmp_path / "requirements.txt").write_text(lines)
    environment = Environment(tmp_path / "environment" / "bin")
    told = environment.install(
        "--require-hashes", "--no-deps", "--no-index", "-r", tmp_path / "requirements.txt"
    )
    assert told.returncode
    assert not (environment.bin / "quiesce").exists()


def test_every_file_of_the_package_is_in_it(installed: Environment) -> None:
    root = Path(__file__).parents[2] / "operator"
    (folder,) = installed.bin.parent.glob("lib/python*/site-packages/quiesce")
    wanted = {
        str(path.relative_to(root / "quiesce"))
        for path in (root / "quiesce").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert wanted <= {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.fixture
def operator(kube: Kube, installed: Environment, tmp_path: Path) -> Iterator[tuple[Operator, str]]:
    kube.install()
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        listen = f"127.0.0.1:{asked.getsockname()[1]}"
    running = Operator(
        kube.account_kubeconfig(tmp_path / "kubeconfig"),
        tmp_path / "operator.log",
        ("--namespace", "openstack"),
        ("--listen", listen, "--log-format", "json", "--log-level", "debug"),
        environment={"PYTHONPATH": ""},  # not the checkout
        program=(str(installed.bin / "quiesce"),),
    )
    yield running.start(), f"http://{listen}"
    running.kill()
    print(running.text()[-5000:])


def status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def test_it_runs_on_an_api_server_and_ends_when_told(operator: tuple[Operator, str]) -> None:
    running, url = operator
    until("it is ready", lambda: status(f"{url}/readyz") == 200, timeout=90)
    assert status(f"{url}/healthz") == 200
    assert running.healthy()
    assert all(json.loads(line) for line in running.text().splitlines())
    assert running.stop() == 0
