"""The releases that the bed can run: Nova and Placement of one, all else of the newest.

Keystone, Glance and Neutron are always those of `requirements.txt`: Nova speaks to them by their
stable HTTP APIs, and what a drain asks of them (tokens, ports) has not changed.
"""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .errors import BedError

NEWEST = "2026.2"


@dataclass(frozen=True)
class Release:
    """Where Nova and Placement of one release come from, and how they are run.

    lock: their requirements, in the bed's folder. python: the version of Python they need, "" for
    the bed's own. eventlet: Nova's daemons are made of greenthreads, else of threads. placement:
    the WSGI application, as uWSGI's option `module` takes it. forgets_cells: a host whose service
    was deleted is not mapped to its cell again when it returns (bug 2085135), unless an
    administrator asks for it.
    """

    name: str
    nova: str
    lock: str
    python: str = ""
    eventlet: bool = True
    placement: str = "placement.wsgi:init_application()"
    forgets_cells: bool = False


RELEASES = {
    release.name: release
    for release in (
        Release(
            NEWEST,
            "34.0.0",
            "requirements.txt",
            eventlet=False,
            placement="placement.wsgi.api:application",
        ),
        Release("2024.1", "29.4.0", "releases/2024.1.txt", forgets_cells=True),
        Release("ussuri", "21.2.4", "releases/ussuri.txt", python="3.8"),
    )
}


def find_release(name: str) -> Release:
    """Return a release by its name; BedError lists those there are."""
    if name not in RELEASES:
        raise BedError(f"there is no release {name!r}; there are {', '.join(RELEASES)}")
    return RELEASES[name]


def find_python(version: str) -> str | None:
    """Return an interpreter of a version (`3.8`), None if this machine has none that runs."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    folders = [*os.get_exec_path(), *sorted(map(str, pyenv.glob(f"versions/{version}.*/bin")))]
    for folder in folders:
        candidate = shutil.which(f"python{version}", path=folder)
        if (
            candidate
            and subprocess.run([candidate, "-c", ""], capture_output=True, check=False).returncode
            == 0
        ):
            return candidate
    return None


def why_not(release: Release) -> str:
    """Return why this machine cannot run a release, "" if it can."""
    if release.python and find_python(release.python) is None:
        wanted = release.python
        return (
            f"Nova {release.nova} needs Python {wanted}, and there is no python{wanted} that runs"
        )
    return ""
