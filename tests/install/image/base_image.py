"""A base image as the official one of Python, made from the distribution's packages: the registry
that the Containerfile names is not needed.
"""

import os
import platform
import re
import subprocess
import tempfile
from pathlib import Path

from tests.beds.hosts.booted import packages
from tests.beds.hosts.hosts import CACHE, BedError, say

ARCHIVE = CACHE / "python-base-1.tar"
INCLUDED = "python3,python3-venv,ca-certificates"
LEFT_OUT = ("doc", "man", "locale")  # of /usr/share, as in slim images
CONTAINERFILE = """\
FROM localhost/debian
RUN ln -s python3 /usr/bin/python \\
 && rm /usr/lib/python3*/EXTERNALLY-MANAGED \\
 && python -m venv /tmp/venv \\
 && /tmp/venv/bin/pip --python /usr/bin/python3 install --no-index \\
      --find-links /usr/share/python-wheels pip setuptools \\
 && rm -rf /tmp/venv
"""
"""Debian has Python as `python3` and pip in a package that pip cannot remove."""


def archive() -> Path:
    """A root file system with Python, made once. Raises BedError where that fails."""
    if not ARCHIVE.exists():
        say("making a root file system from Debian's packages (once, some minutes)")
        with tempfile.TemporaryDirectory(dir=CACHE) as work:
            made = Path(work, "base.tar")
            _bootstrap(made)
            made.rename(ARCHIVE)
    return ARCHIVE


def _bootstrap(target: Path) -> None:
    programs = packages(("mmdebstrap",)) / "usr" / "bin"
    release = platform.freedesktop_os_release()["VERSION_CODENAME"]
    excluded = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in LEFT_OUT]
    command = ["nice", "perl", str(programs / "mmdebstrap"), "--mode=root", "--variant=minbase"]
    done = subprocess.run(
        [*command, f"--include={INCLUDED}", *excluded, release, str(target), "-"],
        input=_sources(),
        env=os.environ | {"PATH": f"{programs}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise BedError(f"mmdebstrap failed: {done.stderr.strip()[-1000:]}")


def _sources() -> str:
    """This machine's own places for Debian's packages, without those of others."""
    shown = "$(ORIGIN) deb [signed-by=$(SIGNED_BY)] $(REPO_URI) $(CODENAME) $(COMPONENT)"
    listed = subprocess.run(
        ["apt-get", "indextargets", "--format", shown, "Created-By: Packages"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    lines = {line for line in listed.splitlines() if line.startswith("Debian ")}
    # Where apt does not say by which key: that of Debian's own archive.
    text = "\n".join(sorted(line.removeprefix("Debian ") for line in lines))
    keys = "/usr/share/keyrings/debian-archive-keyring.gpg"
    return re.sub(r"signed-by=\$\(SIGNED_BY\)", f"signed-by={keys}", text) + "\n"
