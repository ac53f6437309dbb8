"""A podman that Debian 12 does not have: one that can change a container's restart policy, built
from its Go module.
"""

import json
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.beds.hosts.hosts import CACHE, BedError, say

MODULE, VERSION = "github.com/containers/podman/v5", "5.4.2"
SUM = "h1:r1Rv6GiH0YCFS91B+f0DEgEZK8yfzzkjiECVLjLjcuQ="
# What needs C libraries that a test has no use for is left out.
TAGS = "containers_image_openpgp exclude_graphdriver_btrfs exclude_graphdriver_devicemapper"


def newer_podman() -> Path:
    """The program. Raises BedError where it cannot be built."""
    ready = CACHE / f"podman-{VERSION}"
    if not ready.exists():
        say(f"building podman {VERSION} (once, some minutes)")
        with tempfile.TemporaryDirectory(dir=CACHE) as work:
            source = Path(work, "source")
            shutil.copytree(_module(), source)
            source.chmod(0o755)
            built = Path(work, "podman")
            _go(
                source,
                "build",
                "-mod=mod",
                "-ldflags=-s -w",
                f"-tags={TAGS}",
                "-o",
                str(built),
                "./cmd/podman",
            )
            built.rename(ready)
    return ready


def _module() -> Path:
    told = json.loads(_go(CACHE, "mod", "download", "-json", f"{MODULE}@v{VERSION}"))
    if told["Sum"] != SUM:
        raise BedError(
            f"{MODULE} {VERSION} has the checksum {told['Sum']}, expected {SUM}: find out who "
            "changed it"
        )
    return Path(told["Dir"])


def _go(where: Path, *arguments: str) -> str:
    done = subprocess.run(["nice", "go", *arguments], cwd=where, capture_output=True, text=True)
    if done.returncode:
        raise BedError(
            f"go {arguments[0]} of podman {VERSION} failed: "
            f"{done.stderr.strip()[-1000:] or 'is Go installed?'}"
        )
    return done.stdout
