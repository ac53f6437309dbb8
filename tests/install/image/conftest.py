"""The image, built by `make image` with Debian's podman on a host of its own, and what it needs."""

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.beds.hosts.booted import Booted, booted
from tests.beds.hosts.hosts import Bed
from tests.harness.kubernetes import ROOT
from tests.install.image.base_image import CONTAINERFILE, archive

from quiesce import __version__

IMAGE = f"quiesce:{__version__}"
BASE = "localhost/python-base"
INSIDE = "/var/lib/containers"
FORWARD = ROOT / "tests" / "beds" / "hypervisors" / "forward.py"
PODMAN = """\
#!/bin/sh
# podman of the host: its disk has other paths there.
cp Containerfile "{disk}/"
exec nsenter --target {pid} --mount --uts --net --pid -- env --chdir={inside} podman \
  $(printf '%s\\n' "$@" | sed 's#{disk}#{inside}#g')
"""
PIP_CONF = f"[global]\nno-index = true\nfind-links = {INSIDE}/wheels\n"
"""In place of the package index, while the image is built: hashes are checked all the same."""


@dataclass(frozen=True)
class Builder:
    """A host with podman. `disk`: a folder of this machine, which it sees as INSIDE."""

    host: Booted
    disk: Path
    machine: str  # address of this machine in the host's network

    def run(self, script: str) -> str:
        return self.host.run(script)

    def podman(self, *words: str) -> str:
        return self.run(shlex.join(["podman", *words])).strip()

    def size(self, image: str) -> int:
        """In bytes, without compression."""
        return int(self.podman("image", "inspect", image, "--format", "{{.Size}}"))

    @contextmanager
    def reaching(self, *ports: int) -> Iterator[None]:
        """These ports of this machine's loopback appear on the host's own loopback."""
        words = [str(port) for port in ports]
        inside = ["nsenter", "--target", str(self.host.tree.first), "--net", "--"]
        python = [sys.executable, str(FORWARD)]
        with ExitStack() as stack:
            for command in (
                [*python, self.machine, "127.0.0.1", *words],
                [*inside, *python, "127.0.0.1", self.machine, *words],
            ):
                process = stack.enter_context(subprocess.Popen(command))
                stack.callback(process.kill)
            yield


def machine_address(bed: Bed) -> str:
    return f"{bed.network}.254"


@pytest.fixture(scope="session")
def builder() -> Iterator[Builder]:
    with booted(1) as bed:
        host = bed["cmp1"]
        assert isinstance(host, Booted)
        yield Builder(host, host.dir / "disks" / "containers", machine_address(bed))


@pytest.fixture(scope="session")
def base(builder: Builder) -> str:
    """The base image, in the host's store."""
    (builder.disk / "base.tar").write_bytes(archive().read_bytes())
    builder.podman("import", f"{INSIDE}/base.tar", "localhost/debian")
    folder = builder.disk / "python-base"
    folder.mkdir()
    (folder / "Containerfile").write_text(CONTAINERFILE)
    builder.podman("build", "--squash", "--network=host", "-t", BASE, f"{INSIDE}/{folder.name}")
    return BASE


@pytest.fixture(scope="session")
def image(builder: Builder, base: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """`make image` with that base, and with wheels in place of a package index."""
    context, wheels, tools = (builder.disk / name for name in ("dist", "wheels", "tools"))
    for folder in (context, wheels, tools):
        folder.mkdir()
    make("wheel", context)
    options = ("--quiet", "--no-deps", "--only-binary=:all:", "--require-hashes")
    lock = str(context / "requirements.txt")
    get = [sys.executable, "-m", "pip", "download", *options, "-r", lock, "-d", str(wheels)]
    subprocess.run(get, check=True)
    (builder.disk / "pip.conf").write_text(PIP_CONF)
    program = tools / "podman"
    script = PODMAN.format(disk=builder.disk, inside=INSIDE, pid=builder.host.tree.first)
    program.write_text(script)
    program.chmod(0o755)
    mounts = (("wheels", f"{INSIDE}/wheels"), ("pip.conf", "/etc/pip.conf"))
    build = ["--network=host", f"--build-arg=PYTHON={base}"]
    build += [f"--volume={INSIDE}/{name}:{where}:ro" for name, where in mounts]
    print(make("image", context, f"BUILD={' '.join(build)}", f"IMAGE={IMAGE}", path=tools))
    return IMAGE


def make(target: str, folder: Path, *words: str, path: Path | None = None) -> str:
    """What it prints. `path`: a folder with programs that it finds first."""
    environment = os.environ | ({"PATH": f"{path}:{os.environ['PATH']}"} if path else {})
    command = ["make", "-s", target, f"DIST={folder}", *words]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{target}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
    return done.stdout
