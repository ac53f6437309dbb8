"""The version before this one, from the history: what is upgraded, and gone back to."""

import io
import subprocess
import tarfile
from pathlib import Path

from tests.harness.kubernetes import ROOT

COMMIT = "f3d3dec"  # 0.1.0
PARTS = ("crds", "manifests", "operator")


def export(folder: Path) -> Path:
    """Its definitions, manifests and code in a folder.

    Raises AssertionError where the checkout is too shallow to have them.
    """
    command = ["git", "-C", str(ROOT), "archive", COMMIT, *PARTS]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 0, (
        f"{COMMIT} is not in this checkout ({done.stderr.decode().strip()}): git fetch --unshallow"
    )
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder
