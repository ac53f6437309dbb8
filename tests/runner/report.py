"""What a run prints and counts: lines with the time, totals from JUnit reports, closing lines."""

import threading
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

BEGAN = time.monotonic()
PRINTING = threading.RLock()  # the lanes print, and count, one at a time


def log(text: str) -> None:
    minutes, seconds = divmod(int(time.monotonic() - BEGAN), 60)
    print(f"[{minutes:2d}:{seconds:02d}] {text}", flush=True)


@dataclass(frozen=True)
class Outcome:
    """What became of some tests.

    `failed`: their names as pytest takes them, `file.py::test[case]`.
    """

    passed: int = 0
    failed: frozenset[str] = frozenset()
    skipped: int = 0

    @classmethod
    def read(cls, junit: Path) -> "Outcome":
        """From a report of JUnit family xunit1, which names files; nothing where there is none."""
        if not junit.exists():
            return cls()
        # A test that fails, and whose clean-up fails too, is there twice.
        found: dict[str, str] = {}
        for case in ET.parse(junit).getroot().iter("testcase"):
            name = name_of(case)
            if case.find("failure") is not None or case.find("error") is not None:
                found[name] = "failed"
            else:
                found.setdefault(name, "passed" if case.find("skipped") is None else "skipped")
        results = list(found.values())
        failed = frozenset(name for name, result in found.items() if result == "failed")
        return cls(results.count("passed"), failed, results.count("skipped"))

    def after_second_try(self, second: "Outcome", exit_code: int) -> "Outcome":
        """The failed tests were run again.

        Where pytest itself failed at it, none of them is taken for passed.
        """
        still = second.failed or (self.failed if exit_code else frozenset())
        return Outcome(self.passed + len(self.failed - still), still, self.skipped)


def name_of(case: ET.Element) -> str:
    """The file, the class where there is one, and the test: as pytest's command line takes it."""
    file, classes = case.get("file", ""), case.get("classname", "").split(".")
    stem = file.removesuffix(".py").replace("/", ".").split(".")
    return "::".join([file, *classes[len(stem) :], case.get("name", "")])


@dataclass
class Totals:
    """Of a whole run; several lanes add to it. `broken`: the steps that failed."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    broken: list[str] = field(default_factory=list)
    second_try: list[str] = field(default_factory=list)  # tests that passed only then

    def add(self, outcome: Outcome) -> None:
        with PRINTING:
            self.passed += outcome.passed
            self.failed += len(outcome.failed)
            self.skipped += outcome.skipped

    def step_failed(self, name: str) -> None:
        """One failure that is not a test's: a check of lint, a bed that does not start, an
        interrupt.
        """
        with PRINTING:
            self.failed += 1
            self.broken.append(name)

    def passed_at_second_try(self, names: Iterable[str]) -> None:
        with PRINTING:
            self.second_try += sorted(names)

    def closing_lines(self) -> list[str]:
        """The last one is the plain count, by itself."""
        skipped = f", {self.skipped} skipped" if self.skipped else ""
        unsteady = (
            f"passed only at the second try: {len(self.second_try)} ({', '.join(self.second_try)})"
        )
        return [
            f"failed: {', '.join(self.broken)}" if self.broken else "everything passed",
            *([unsteady] if self.second_try else []),
            f"{self.passed} passed, {self.failed} failed{skipped}",
        ]
