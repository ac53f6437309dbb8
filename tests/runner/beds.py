"""Beds that are brought up in the background, and taken down again where this run started them."""

import contextlib
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.runner.report import log
from tests.runner.tiers import BEDS, Bed

REPORT_EVERY = 30.0  # seconds between two lines about a bed that is waited for


@dataclass
class StartingBed:
    """One bed of this run. `started`: by us, so that we take it down again.

    Lanes wait for it side by side.
    """

    bed: Bed
    output: Path
    after: "StartingBed | None" = None
    started: bool = False
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """`up` also for a bed that runs: it starts those parts again that have ended."""
        self.started = not self.runs()
        if self.started and self.bed.wipe:
            self.run("down", "--wipe")
        how = "starts in the background" if self.started else "is up already, and stays up"
        log(f"bed {self.bed.name}: {how}")
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                self.bed.command("up"),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def run(self, *words: str) -> str:
        """What a command of the bed prints; it may fail."""
        command = self.bed.command(*words)
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout

    def runs(self) -> bool:
        """By its central process: a bed in which a part was stopped by hand belongs to another user
        all the same.
        """
        return re.search(f"^({self.bed.running})", self.run("status"), re.MULTILINE) is not None

    def await_up(self) -> bool:
        if self.after and not self.after.await_up():
            return False
        if self.process is None:
            self.start()
        assert self.process
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                up = self.process.wait(REPORT_EVERY) == 0
                break
            log(f"bed {self.bed.name}: {self.last_lines(1)}")
        log(f"bed {self.bed.name}: {'up' if up else 'DID NOT START; its last lines:'}")
        if not up:
            print(self.last_lines(30), flush=True)
        return up

    def last_lines(self, number: int) -> str:
        return "\n".join(self.output.read_text(errors="replace").splitlines()[-number:])

    def stop(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait()
        if self.started:
            self.run("down")
            log(f"bed {self.bed.name}: stopped")


@contextlib.contextmanager
def running(names: Sequence[str], folder: Path) -> Iterator[Mapping[str, StartingBed]]:
    """Starts these beds at once, each in the background; one that has to wait for another starts
    when it is awaited.

    `folder`: for what they print.
    """
    found: dict[str, StartingBed] = {}
    try:
        for bed in (bed for bed in BEDS if bed.name in names):
            starting = StartingBed(bed, folder / f"bed-{bed.name}.log", found.get(bed.after or ""))
            found[bed.name] = starting
            if not starting.after:
                starting.start()
        yield found
    finally:
        for starting in found.values():
            starting.stop()
