"""All tests in one go: `make test`. Tier by tier, with times, and one plain closing line: `N passed, N failed`.

Three lanes run side by side: one computes, two wait for Nova most of their time, each for one of its
own. The output of the longest is shown as it comes, a tier of the others when it has ended. The
beds start in the background at once. What this run started it stops again, also after a failure,
a signal or Ctrl-C; what was up before stays up.
"""

import argparse
import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

ROOT = Path(__file__).resolve().parents[1]
BEDS = ROOT / "tests" / "beds"
BEGAN = time.monotonic()
NO_TESTS = 5  # pytest's exit code
SECOND_TRIES = 5  # so many failed tests of a tier on real beds are tried once more; beyond that something is wrong
PUT_AWAY = 60.0  # seconds that interrupted tests have for their clean-up
NIGHTLY = "QUIESCE_NIGHTLY" in os.environ
LONG = ("--timeout=0",) if NIGHTLY else ()  # thousands of histories are one test
TELL_EVERY = 30.0  # seconds between two lines about a bed that is waited for


CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "quiesce"
# A cloud beside the first one, and a network for hosts: what looks at all hosts of a cloud runs beside what changes them.
SECOND_CLOUD = {
    "QUIESCE_HOSTS_NETWORK": "10.213.78",
    "QUIESCE_CLOUD_RUN": os.environ.get("QUIESCE_CLOUD_RUN", str(CACHE / "cloud" / "run"))
    + "-second",
    "QUIESCE_CLOUD_PORT_BASE": str(int(os.environ.get("QUIESCE_CLOUD_PORT_BASE", "21500")) + 100),
}
COMMANDS = {
    "kube": (BEDS / "kube" / "kube.py", {}),
    "cloud": (BEDS / "cloud" / "cloud", {}),
    "second cloud": (BEDS / "cloud" / "cloud", SECOND_CLOUD),
}


@dataclass(frozen=True)
class Tier:
    """Directories of tests, that of its name by default, but for `without`; and the beds it needs."""

    name: str
    beds: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    without: tuple[str, ...] = ()

    def pytest(self) -> tuple[str, ...]:
        ignored = [f"--ignore=tests/{path}" for path in self.without]
        slowest = ("--durations=12", "--durations-min=5")  # in seconds: where the time goes
        return (
            "-m",
            "pytest",
            *(f"tests/{path}" for path in self.paths or (self.name,)),
            *ignored,
            *slowest,
            *LONG,
        )

    @property
    def environment(self) -> Mapping[str, str]:
        return SECOND_CLOUD if "second cloud" in self.beds else {}


KEYRING = (
    "e2e/keyring",
)  # its stories look at all hosts of a cloud, and other stories take hosts out of it
TROUBLE = (
    "e2e/compute_dies",
    "e2e/injected_failures",
    "e2e/killed_anywhere",
)  # the longest stories
CALLS = ("nightly/test_every_call_fails.py",)  # longer than all the rest of a night
FIRST, SECOND = ("kube", "cloud"), ("kube", "second cloud")
COMPUTING = (
    Tier("docs"),
    Tier("unit"),
    Tier("beds"),
    Tier("model"),
    Tier("faults"),
    Tier("supervisors"),
)
DAY = (
    (
        Tier("contract", ("cloud",)),
        Tier("e2e", FIRST, without=KEYRING + TROUBLE),
    ),  # Kubernetes may still be built meanwhile
    (
        Tier("keyring", SECOND, KEYRING),
        Tier("trouble", SECOND, TROUBLE),
        Tier("hypervisors", ("kube",)),  # it starts the cloud of its own itself
    ),
    COMPUTING,
)
NIGHT = (
    (Tier("calls", FIRST, CALLS),),
    (
        Tier("nightly", SECOND, without=CALLS),
        Tier("keyring", SECOND, KEYRING),
        Tier("contract", ("second cloud",)),
        Tier("e2e", SECOND, without=KEYRING),
        Tier("hypervisors", ("kube",)),
    ),
    COMPUTING,
)
LANES = NIGHT if NIGHTLY else DAY  # the longest first
TIERS = tuple(tier for lane in LANES for tier in lane)
CHECKS = {
    "ruff check": ("-m", "ruff", "check", "operator", "tests", "tools"),
    "ruff format": ("-m", "ruff", "format", "--check", "operator", "tests", "tools"),
    "mypy": ("-m", "mypy"),
}


SPEAKING = threading.RLock()  # the lanes speak, and count, one at a time


@dataclass
class Count:
    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def add(self, other: "Count") -> None:
        with SPEAKING:
            self.passed += other.passed
            self.failed += other.failed
            self.skipped += other.skipped

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed" + (
            f", {self.skipped} skipped" if self.skipped else ""
        )


def say(text: str) -> None:
    minutes, seconds = divmod(int(time.monotonic() - BEGAN), 60)
    print(f"[{minutes:2d}:{seconds:02d}] {text}", flush=True)


@dataclass
class Bed:
    """A bed that is brought up in the background. `started`: by us, so that we take it down again.

    `after`: one that makes what both are made of, so it is to be up first.
    """

    name: str
    log: Path
    after: "Bed | None" = None
    started: bool = False
    process: subprocess.Popen[bytes] | None = None

    def command(self, *words: str) -> tuple[str, ...]:
        program, environment = COMMANDS[self.name]
        return (
            "env",
            *(f"{name}={value}" for name, value in environment.items()),
            str(program),
            *words,
        )

    def start(self) -> None:
        """A cloud that we start begins empty: what an earlier one kept (servers, disabled hosts) is no part of a test."""
        self.started = not self.runs()
        if self.started and "cloud" in self.name:
            subprocess.run(self.command("down", "--wipe"), capture_output=True, check=False)
        say(
            f"bed {self.name}: "
            + ("starts in the background" if self.started else "is up already, and stays so")
        )
        with self.log.open("wb") as log:  # `up` also mends a bed of which a part has ended
            self.process = subprocess.Popen(
                self.command("up"),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def runs(self) -> bool:
        """By its central process: a bed with a compute host stopped by hand is somebody's all the same."""
        shown = subprocess.run(
            self.command("status"), capture_output=True, text=True, check=False
        ).stdout
        return re.search(r"^(nova-api\s+\d|kube-apiserver: pid)", shown, re.MULTILINE) is not None

    def await_up(self) -> bool:
        if self.after and not self.after.await_up():
            return False
        if self.process is None:
            self.start()
        assert self.process
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                up = self.process.wait(TELL_EVERY) == 0
                break
            say(f"bed {self.name}: {self.words(1)}")
        say(f"bed {self.name}: {'up' if up else 'DID NOT COME UP; its last words:'}")
        if not up:
            print(self.words(30), flush=True)
        return up

    def words(self, lines: int) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def stop(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait()
        if self.started:
            subprocess.run(self.command("down"), capture_output=True, check=False)
            say(f"bed {self.name}: stopped")


@dataclass
class Run:
    """One run: what was counted, and which steps failed. Two lanes add to it."""

    work: Path
    beds: dict[str, Bed] = field(default_factory=dict)
    count: Count = field(default_factory=Count)
    broken: list[str] = field(default_factory=list)
    processes: set[subprocess.Popen[bytes]] = field(default_factory=set)
    stopping: bool = False

    def lane(self, tiers: Sequence[Tier], *, live: bool) -> None:
        for tier in tiers:
            if not self.stopping:
                self.tier(tier, live=live)

    def check(self, name: str, arguments: Sequence[str]) -> None:
        good = self.python(name, arguments, {}) == 0
        self.count.add(Count(passed=int(good), failed=int(not good)))
        if not good:
            self.broken.append(name)

    def tier(self, tier: Tier, *, live: bool) -> None:
        ups = [self.beds[bed].await_up() for bed in tier.beds]
        if not all(ups):
            self.count.failed += 1
            self.broken.append(f"{tier.name} (no bed)")
            return
        report = self.work / f"{tier.name}.xml"
        pytest = (*tier.pytest(), "-o", f"cache_dir={self.work / tier.name}")
        code = self.python(
            tier.name, (*pytest, f"--junitxml={report}"), tier.environment, live=live
        )
        counted = read(report)
        if tier.beds and 0 < counted.failed <= SECOND_TRIES and not self.stopping:
            code, counted = self.again(tier, pytest, counted, live=live)
        if code and not counted.failed:
            counted.failed = (
                1  # pytest itself failed: a usage error, an interrupt, or no test at all
            )
        self.count.add(counted)
        if code:
            self.broken.append(f"{tier.name} (no tests)" if code == NO_TESTS else tier.name)

    def again(
        self, tier: Tier, pytest: Sequence[str], first: Count, *, live: bool
    ) -> tuple[int, Count]:
        """A few failures on real beds get a second try, said aloud: a busy machine is no defect, but one that stays is."""
        say(f"{tier.name}: {first.failed} failed; they are tried once more")
        report = self.work / f"{tier.name}-again.xml"
        arguments = (*pytest, "--last-failed", f"--junitxml={report}")
        code = self.python(f"{tier.name}, second try", arguments, tier.environment, live=live)
        still = read(report).failed or int(code != 0)
        say(
            f"{tier.name}: UNSTEADY: {first.failed - still} of {first.failed} passed only at the second try"
        )
        return code, Count(first.passed + first.failed - still, still, first.skipped)

    def python(
        self,
        name: str,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        *,
        live: bool = True,
    ) -> int:
        """Run it; its output as it comes, or, of a lane beside, when it has ended."""
        say(f"{name} ..." + ("" if live else " (its output comes when it has ended)"))
        began, log = time.monotonic(), self.work / f"{name}.log"
        with log.open("wb") as quiet:
            code = self.call([sys.executable, *arguments], environment, None if live else quiet)
        said = log.read_text(errors="replace")
        with SPEAKING:
            print(said, end="", flush=True)
            say(
                f"{name}: {'ok' if code == 0 else f'FAILED (exit code {code})'} in {time.monotonic() - began:.0f} s"
            )
        return code

    def call(
        self, command: Sequence[str], environment: Mapping[str, str], output: BinaryIO | None
    ) -> int:
        """In a session of its own: on a signal to us it is interrupted (`interrupt`), and given time to put away its things."""
        with subprocess.Popen(
            command,
            cwd=ROOT,
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output and subprocess.STDOUT,
            start_new_session=True,
        ) as process:
            self.processes.add(process)
            try:
                return process.wait()
            finally:
                self.processes.discard(process)
                if process.poll() is None:
                    self.put_away(process)

    def interrupt(self) -> None:
        self.stopping = True
        for process in tuple(self.processes):
            self.put_away(process)

    def put_away(self, process: subprocess.Popen[bytes]) -> None:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(PUT_AWAY)
        process.kill()


def read(report: Path) -> Count:
    """What pytest counted, from its JUnit report; nothing if it wrote none."""
    if not report.exists():
        return Count()
    count = Count()
    for suite in ET.parse(report).getroot().iter("testsuite"):
        tests, failures, errors, skipped = (
            int(suite.get(key, 0)) for key in ("tests", "failures", "errors", "skipped")
        )
        count.add(Count(max(0, tests - failures - errors - skipped), failures + errors, skipped))
    return count


def end(number: int, _frame: object) -> None:
    sys.exit(128 + number)


@contextlib.contextmanager
def beds(run: Run, names: Sequence[str]) -> Iterator[None]:
    try:
        for name in names:
            run.beds[name] = bed = Bed(name, run.work / f"bed-{name}.log")
            if name == "second cloud" and "cloud" in run.beds:
                bed.after = run.beds["cloud"]
            else:
                bed.start()
        yield
    finally:
        for bed in run.beds.values():
            bed.stop()


def go(run: Run, tiers: Sequence[Tier], *, checks: bool) -> None:
    """The longest lane is shown as it comes; the others run in threads beside it."""
    lanes = [wanted for lane in LANES if (wanted := [tier for tier in lane if tier in tiers])]

    def check() -> None:
        for name, arguments in CHECKS.items():
            run.check(name, arguments)

    def beside(lane: Sequence[Tier]) -> None:
        if checks and lane[0] in COMPUTING:
            check()
        run.lane(lane, live=False)

    threads = [threading.Thread(target=beside, args=(lane,)) for lane in lanes[1:]]
    for thread in threads:
        thread.start()
    try:
        run.lane(lanes[0], live=True)
    except BaseException:
        run.interrupt()
        raise
    finally:
        for thread in threads:
            thread.join()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "tiers",
        nargs="*",
        help=f"of {', '.join(t.name for t in TIERS)}; all of them by default, and lint",
    )
    wanted = parser.parse_args().tiers
    tiers = [tier for tier in TIERS if not wanted or tier.name in wanted]
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)
    os.environ["PYTHONPATH"] = str(ROOT / "operator")
    with tempfile.TemporaryDirectory(prefix="quiesce-test-") as work:
        run = Run(Path(work))
        try:
            with beds(run, [name for name in COMMANDS if any(name in tier.beds for tier in tiers)]):
                go(run, tiers, checks=not wanted)
        except (SystemExit, KeyboardInterrupt):
            run.broken.append("interrupted")
            run.count.failed += 1
    say("all is well" if not run.broken else f"failed: {', '.join(run.broken)}")
    print(run.count, flush=True)
    return int(bool(run.broken))


if __name__ == "__main__":
    sys.exit(main())
