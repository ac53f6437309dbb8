"""What a run counts, from reports that pytest itself writes, and its closing lines."""

import subprocess
import sys
from pathlib import Path

from tests.runner.report import Outcome, Totals

TESTS = """
import pytest

class TestStory:
    @pytest.mark.parametrize("case", ["good", "bad"])
    def test_case(self, case):
        assert case == "good"

@pytest.fixture
def unclean():
    yield
    raise RuntimeError("clean-up")

def test_fails_twice(unclean):
    assert False

def test_skips():
    pytest.skip("no")
"""


def reported(folder: Path) -> Outcome:
    story = folder / "stories" / "test_story.py"
    story.parent.mkdir()
    story.write_text(TESTS)
    report = folder / "report.xml"
    options = ("-q", "-p", "no:cacheprovider", "-o", "junit_family=xunit1")
    subprocess.run(
        [sys.executable, "-m", "pytest", *options, f"--junitxml={report}", "stories"],
        cwd=folder,
        check=False,
        capture_output=True,
    )
    return Outcome.read(report)


def test_failed_tests_are_counted_once_and_named_as_pytest_takes_them(tmp_path: Path) -> None:
    file = "stories/test_story.py"
    failed = {f"{file}::TestStory::test_case[bad]", f"{file}::test_fails_twice"}
    assert reported(tmp_path) == Outcome(passed=1, failed=frozenset(failed), skipped=1)


def test_no_report_counts_nothing(tmp_path: Path) -> None:
    assert Outcome.read(tmp_path / "none.xml") == Outcome()


FIRST = Outcome(passed=10, failed=frozenset({"a", "b"}), skipped=1)


def test_a_second_try_moves_what_passes_then() -> None:
    second = Outcome(passed=1, failed=frozenset({"b"}))
    assert FIRST.after_second_try(second, 1) == Outcome(11, frozenset({"b"}), 1)


def test_a_second_try_in_which_pytest_breaks_off_proves_nothing() -> None:
    assert FIRST.after_second_try(Outcome(), 4) == FIRST


def test_the_last_line_is_the_count_alone() -> None:
    totals = Totals()
    totals.add(Outcome(passed=3))
    assert totals.closing_lines() == ["everything passed", "3 passed, 0 failed"]


def test_second_tries_and_failed_steps_are_named_before_the_count() -> None:
    totals = Totals()
    totals.add(Outcome(passed=3, skipped=2))
    totals.passed_at_second_try({"e2e/test_b.py::test_b", "e2e/test_a.py::test_a"})
    totals.step_failed("contract (no bed)")
    assert totals.closing_lines() == [
        "failed: contract (no bed)",
        "passed only at the second try: 2 (e2e/test_a.py::test_a, e2e/test_b.py::test_b)",
        "3 passed, 1 failed, 2 skipped",
    ]
