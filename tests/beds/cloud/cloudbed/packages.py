"""Install what the cloud is made of: Debian packages and a virtual environment."""

import contextlib
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from .errors import BedError
from .releases import find_python, why_not
from .settings import HERE, PREFIX, Paths

RABBITMQ_BIN = Path("/usr/lib/rabbitmq/bin")
POLICY = Path("/usr/sbin/policy-rc.d")
POLICY_TEXT = (
    "#!/bin/sh\n# of the quiesce cloud bed, for the time of one package installation\nexit 101\n"
)


def missing_packages(venv_is_made: bool) -> list[str]:
    """Return the Debian packages that are needed and not there."""
    needed = []
    if not shutil.which("mariadbd") or not shutil.which("mariadb-install-db"):
        needed.append("mariadb-server-core")
    if not shutil.which("mariadb"):
        needed.append("mariadb-client-core")
    if not (RABBITMQ_BIN / "rabbitmq-server").exists():
        needed.append("rabbitmq-server")
    if not venv_is_made:
        needed += _missing_for_venv()
    return needed


def _missing_for_venv() -> list[str]:
    """Return what building uWSGI and making a virtual environment lack."""
    needed = [] if shutil.which("gcc") else ["gcc", "libc6-dev"]
    if not (Path(sysconfig.get_path("include")) / "Python.h").exists():
        needed.append("python3-dev")
    try:
        import ensurepip  # noqa: F401
    except ImportError:
        needed.append("python3-venv")
    return needed


@contextlib.contextmanager
def services_stay_stopped() -> Iterator[None]:
    """Keep maintainer scripts from starting daemons, as policy-rc.d is made for."""
    ours = not POLICY.exists() or POLICY.read_text() == POLICY_TEXT  # the latter: we were killed
    if ours:
        POLICY.write_text(POLICY_TEXT)
        POLICY.chmod(0o755)
    try:
        yield
    finally:
        if ours:
            POLICY.unlink(missing_ok=True)


def run_logged(command: Sequence[str], log: Path, env: Mapping[str, str] = os.environ) -> bool:
    """Run a command, its output into a log; return whether it succeeded."""
    with log.open("ab") as out:
        result = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env, check=False
        )
    return result.returncode == 0


def install_debian(packages: Sequence[str], log: Path) -> None:
    """Install Debian packages without starting any service; BedError tells what to do."""
    wanted = " ".join(packages)
    if not shutil.which("apt-get"):
        raise BedError(f"these packages are missing and there is no apt-get: {wanted}")
    if os.geteuid() != 0:
        raise BedError(
            "Debian packages are missing; run: "
            f"sudo apt-get install --no-install-recommends {wanted}"
        )
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "-y", "--no-install-recommends", "install", *packages]
    with services_stay_stopped():
        if run_logged(install, log, quiet):
            return
        run_logged(["apt-get", "update"], log, quiet)  # the lists may be old or absent
        if not run_logged(install, log, quiet):
            raise BedError(f"apt-get could not install {wanted}; see {log}")


def is_made(venv: Path) -> bool:
    return (venv / ".complete").exists()


def install_venv(paths: Paths, log: Path) -> None:
    """Make the virtual environment of `requirements.txt`, and the installer in it."""
    python = paths.bin("python")
    steps = [
        [sys.executable, "-m", "venv", str(paths.venv)],
        [
            python,
            "-m",
            "pip",
            "install",
            "-q",
            "--require-hashes",
            "-r",
            str(HERE / "installer.txt"),
        ],
        install_lock(paths, paths.venv, "requirements.txt"),
    ]
    carry_out(steps, paths.venv, log)


def install_release(paths: Paths, log: Path) -> None:
    """Make the virtual environment of an older Nova and Placement; the newest has the installer."""
    version = paths.release.python
    python = find_python(version) if version else sys.executable
    if python is None:
        raise BedError(
            f"{why_not(paths.release)}; install it, or choose another release in {PREFIX}RELEASE"
        )
    steps = [
        [
            paths.bin("uv"),
            "venv",
            "-q",
            "--no-python-downloads",
            "--python",
            python,
            str(paths.nova_venv),
        ],
        [
            *install_lock(paths, paths.nova_venv, paths.release.lock),
            "--build-constraints",
            str(HERE / "releases/build.txt"),
        ],
    ]
    carry_out(steps, paths.nova_venv, log)


def install_lock(paths: Paths, venv: Path, lock: str) -> list[str]:
    """Return the command that installs a lock; every download is checked against its hash."""
    python = str(venv / "bin" / "python")
    return [
        paths.bin("uv"),
        "pip",
        "install",
        "-q",
        "--python",
        python,
        "--require-hashes",
        "-r",
        str(HERE / lock),
    ]


def carry_out(steps: Sequence[Sequence[str]], venv: Path, log: Path) -> None:
    """Make a virtual environment; it counts as made only when all steps are done."""
    shutil.rmtree(venv, ignore_errors=True)
    venv.parent.mkdir(parents=True, exist_ok=True)
    downloads = venv.parent / "downloads"  # kept for another try, of no use after success
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment["UV_CACHE_DIR"] = str(downloads)
    for step in steps:
        if not run_logged(step, log, environment):
            raise BedError(f"`{' '.join(step)}` failed; see {log}")
    shutil.rmtree(downloads, ignore_errors=True)
    (venv / ".complete").touch()
