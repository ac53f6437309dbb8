"""Builds and asks the program in `verdicts`: kstatus' own code, and Argo CD's Lua interpreter."""

import fcntl
import hashlib
import json
import os
import subprocess
import tempfile
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from tests.gitops.statuses import SCRIPTS

SOURCE = Path(__file__).parent / "verdicts"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "quiesce" / "gitops"

Json = dict[str, Any]


@cache
def program() -> Path:
    """Built once for each content of its source. Raises AssertionError with Go's message."""
    parts = sorted(path for path in SOURCE.iterdir() if path.suffix in (".go", ".mod", ".sum"))
    digest = hashlib.sha256(b"\0".join(path.read_bytes() for path in parts)).hexdigest()[:16]
    ready = CACHE / f"verdicts-{digest}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "build.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not ready.exists():
            with tempfile.TemporaryDirectory(dir=CACHE) as work:
                _build(Path(work, "verdicts")).rename(ready)
    return ready


def _build(target: Path) -> Path:
    flags = ("-mod=readonly", "-trimpath", "-buildvcs=false", "-o", str(target), ".")
    environment = os.environ | {"CGO_ENABLED": "0", "GOWORK": "off"}
    done = subprocess.run(
        ["nice", "go", "build", *flags], cwd=SOURCE, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, f"go build in {SOURCE}: {done.stderr[-2000:]}"
    return target


def verdicts(objects: Iterable[Json], scripts: Path = SCRIPTS) -> list[Json]:
    """For each object: `kstatus` and `argo`, each with `status` and `message`."""
    done = subprocess.run(
        [program(), scripts], input=json.dumps(list(objects)), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    found: list[Json] = json.loads(done.stdout)
    return found
