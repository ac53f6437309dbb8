"""Programs that tests need and Debian 12 does not have, built once from their Go modules."""

import json
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.beds.hosts.hosts import CACHE, BedError, say


@dataclass(frozen=True)
class GoProgram:
    """`package`: the folder of its main package. `checksum`: of the module, as in a go.sum; the
    modules that it needs are checked against its own go.sum.
    """

    name: str
    module: str
    version: str
    checksum: str
    package: str
    tags: str = ""
    variables: tuple[str, ...] = ()
    """`importpath.name=value` each, to be set by the linker."""

    def path(self) -> Path:
        """The program, built if it is not there yet. Raises BedError where that fails."""
        ready = CACHE / f"{self.name}-{self.version}"
        if not ready.exists():
            say(f"building {self.name} {self.version} (once, some minutes)")
            CACHE.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=CACHE) as work:
                source = Path(work, "source")
                shutil.copytree(self._download(), source)
                source.chmod(0o755)
                self._build(source).rename(ready)
        return ready

    def _build(self, source: Path) -> Path:
        built = source.with_name("built")
        linked = " ".join(("-s -w", *(f"-X {each}" for each in self.variables)))
        options = ("-mod=mod", f"-ldflags={linked}", f"-tags={self.tags}", "-o", str(built))
        self._go(source, "build", *options, f"./{self.package}")
        return built

    def _download(self) -> Path:
        wanted = f"{self.module}@v{self.version}"
        told = json.loads(self._go(CACHE, "mod", "download", "-json", wanted))
        if told["Sum"] != self.checksum:
            raise BedError(
                f"{wanted} has the checksum {told['Sum']}, expected {self.checksum}: find out who "
                "changed it"
            )
        return Path(told["Dir"])

    def _go(self, where: Path, *arguments: str) -> str:
        command = ["nice", "go", *arguments]
        try:
            done = subprocess.run(command, cwd=where, capture_output=True, text=True)
        except FileNotFoundError as error:
            raise BedError(f"{self.name} is built from its Go module: install Go") from error
        if done.returncode:
            raise BedError(
                f"go {arguments[0]} of {self.name} {self.version} failed: "
                f"{done.stderr.strip()[-1000:] or 'is Go installed?'}"
            )
        return done.stdout
