"""All tests in one go: `make test`. Tier by tier, and a plain last line: `N passed, N failed`.

Lanes run side by side: one computes, the others wait for Nova most of their time, each for a cloud
of its own. The output of the longest lane is shown as it comes, that of the others a tier at a
time. The beds start in the background at once. What this run started it stops again, also after a
failure, a signal or Ctrl-C; what was up before stays up.
"""

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from tests.runner import beds
from tests.runner.report import PRINTING, Outcome, Totals, log
from tests.runner.tiers import BEDS, CHECKS, COMPUTING, LANES, ROOT, TIERS, Tier

NO_TESTS = 5  # pytest's exit code
SECOND_TRIES = 5  # so many failed tests of a tier on real beds are run once more; more is a defect
CLEAN_UP = 60.0  # seconds that interrupted tests have for it


@dataclass
class Run:
    """One run. Lanes share it. `work`: a folder for reports and output."""

    work: Path
    beds: Mapping[str, beds.StartingBed]
    totals: Totals
    processes: set[subprocess.Popen[bytes]] = field(default_factory=set)
    stopping: bool = False

    def lane(self, tiers: Sequence[Tier], *, live: bool) -> None:
        for tier in tiers:
            if not self.stopping:
                self.tier(tier, live=live)

    def lint(self) -> None:
        for name, arguments in CHECKS.items():
            if self.python(name, arguments, {}, live=False) == 0:
                self.totals.add(Outcome(passed=1))
            else:
                self.totals.step_failed(name)

    def tier(self, tier: Tier, *, live: bool) -> None:
        if not all(self.beds[bed].await_up() for bed in tier.beds):
            self.totals.step_failed(f"{tier.name} (no bed)")
            return
        code, outcome = self.pytest(tier, tier.name, live=live)
        if tier.beds and 0 < len(outcome.failed) <= SECOND_TRIES and not self.stopping:
            code, outcome = self.second_try(tier, outcome, live=live)
        self.totals.add(outcome)
        if outcome.failed:
            self.totals.broken.append(tier.name)
        elif code:  # pytest itself failed: a usage error, an interrupt, or no test at all
            self.totals.step_failed(f"{tier.name} (no tests)" if code == NO_TESTS else tier.name)

    def second_try(self, tier: Tier, first: Outcome, *, live: bool) -> tuple[int, Outcome]:
        """A few failures on real beds are run once more: a busy machine is no defect.

        What passes then is reported.
        """
        log(f"{tier.name}: {len(first.failed)} failed; they are run once more")
        code, second = self.pytest(tier, f"{tier.name}, second try", "--last-failed", live=live)
        outcome = first.after_second_try(second, code)
        self.totals.passed_at_second_try(first.failed - outcome.failed)
        return code, outcome

    def pytest(self, tier: Tier, title: str, *options: str, live: bool) -> tuple[int, Outcome]:
        """Its exit code, and what it counted."""
        report = self.work / f"{title}.xml"
        cache = f"cache_dir={self.work / tier.name}"
        arguments = (*tier.pytest(), "-o", cache, f"--junitxml={report}", *options)
        code = self.python(title, arguments, tier.environment, live=live, patient=tier.patient)
        return code, Outcome.read(report)

    def python(
        self,
        title: str,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        *,
        live: bool,
        patient: bool = False,
    ) -> int:
        """Run it; its output as it comes, or, of a lane beside, when it has ended.

        -> its exit code.
        """
        log(f"{title} ..." + ("" if live else " (its output comes when it has ended)"))
        began, path = time.monotonic(), self.work / f"{title}.log"
        with path.open("wb") as output:
            command = [sys.executable, *arguments]
            code = self.call(command, environment, None if live else output, patient=patient)
        result = "ok" if code == 0 else f"FAILED (exit code {code})"
        with PRINTING:
            print(path.read_text(errors="replace"), end="", flush=True)
            log(f"{title}: {result} in {time.monotonic() - began:.0f} s")
        return code

    def call(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        output: BinaryIO | None,
        *,
        patient: bool,
    ) -> int:
        """In a session of its own: on a signal to us it is interrupted (`interrupt`), and given
        time to clean up.
        """
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
            if patient:
                let_others_first(process.pid)
            try:
                return process.wait()
            finally:
                self.processes.discard(process)
                if process.poll() is None:
                    end(process)

    def interrupt(self) -> None:
        self.stopping = True
        for process in tuple(self.processes):
            end(process)


def let_others_first(process: int) -> None:
    """Between sessions the kernel weighs their groups, not the processes in them (sched(7))."""
    os.setpriority(os.PRIO_PROCESS, process, 5)
    with contextlib.suppress(OSError):  # a kernel without such groups
        Path(f"/proc/{process}/autogroup").write_text("5")


def end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGINT)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(CLEAN_UP)
    process.kill()


def run_lanes(run: Run, tiers: Sequence[Tier], *, lint: bool) -> None:
    """The longest lane is shown as it comes; the others run in threads beside it."""
    lanes = [wanted for lane in LANES if (wanted := [tier for tier in lane if tier in tiers])]

    def beside(lane: Sequence[Tier]) -> None:
        if lint and lane[0] in COMPUTING:
            run.lint()
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


def heed_signals() -> None:
    """SIGINT as well: a shell that starts a command in the background has it ignored. All that is
    started from there inherits that, and tests could neither be interrupted nor interrupt anything.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, exit_on_signal)


def exit_on_signal(number: int, _frame: object) -> None:
    sys.exit(128 + number)


def wanted_tiers() -> tuple[Sequence[Tier], bool]:
    """From the command line, and whether lint belongs to them."""
    parser = argparse.ArgumentParser(prog="python -m tests.runner", description=__doc__)
    names = [tier.name for tier in TIERS]
    everything = f"of {', '.join(names)}; all of them by default, and lint"
    parser.add_argument("tiers", nargs="*", help=everything, metavar="tier")
    wanted = parser.parse_args().tiers
    if unknown := set(wanted) - set(names):
        parser.error(f"no such tier: {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    return [tier for tier in TIERS if not wanted or tier.name in wanted], not wanted


def main() -> int:
    tiers, lint = wanted_tiers()
    heed_signals()
    os.environ["PYTHONPATH"] = str(ROOT / "operator")
    totals = Totals()
    needed = [bed.name for bed in BEDS if any(bed.name in tier.beds for tier in tiers)]
    with tempfile.TemporaryDirectory(prefix="quiesce-test-") as work:
        try:
            with beds.running(needed, Path(work)) as started:
                run_lanes(Run(Path(work), started, totals), tiers, lint=lint)
        except (SystemExit, KeyboardInterrupt):
            totals.step_failed("interrupted")
    *lines, count = totals.closing_lines()
    for line in lines:
        log(line)
    print(count, flush=True)
    return int(bool(totals.broken))


if __name__ == "__main__":
    sys.exit(main())
