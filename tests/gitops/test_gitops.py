"""What GitOps tools make of our statuses, by their own code: kstatus, which Flux waits with, and
the interpreter that runs Argo CD's health checks.
"""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from quiesce.api.drain.reasons import Phase
from tests.gitops.judges import verdicts
from tests.gitops.statuses import (
    CASES,
    DRAIN,
    GROUP,
    KEYRING,
    NEW,
    PATCH,
    SCRIPTS,
    Case,
    layout,
    thing,
)

PAGE = Path(__file__).parents[2] / "docs" / "gitops.md"
ROW = re.compile(r"^\| `(\w+)` \| `?([\w—]+)`? \| `(\w+)` \| `(\w+)` \| `(\w+)` \|", re.MULTILINE)
KINDS = pytest.mark.parametrize("kind", [DRAIN, KEYRING])

Json = dict[str, Any]


@pytest.fixture(scope="module")
def found() -> dict[str, tuple[str, str]]:
    """-> kstatus' and Argo CD's verdict, by kind and name."""
    judged = zip(CASES, verdicts(case.object for case in CASES), strict=True)
    return {
        f"{case.kind} {case.name}": (each["kstatus"]["status"], each["argo"]["status"])
        for case, each in judged
    }


def test_every_phase_is_judged() -> None:
    phases = {case.object["status"]["phase"] for case in CASES if case.kind == DRAIN}
    assert phases == set(Phase)


def test_the_page_says_what_the_tools_say(found: dict[str, tuple[str, str]]) -> None:
    def row(case: Case) -> tuple[str, ...]:
        phase = case.object["status"].get("phase", "—")
        return case.kind, phase, case.ready["status"], *found[f"{case.kind} {case.name}"]

    written = set(ROW.findall(PAGE.read_text()))
    assert written == {row(case) for case in CASES}


def test_a_verdict_is_that_of_ready_and_of_stalled(found: dict[str, tuple[str, str]]) -> None:
    """Current, and Healthy, where the end state holds and nowhere else; Failed, and Degraded, where
    only a person helps and nowhere else.
    """
    for case in CASES:
        kstatus, argo = found[f"{case.kind} {case.name}"]
        ready = case.ready["status"] == "True"
        stalled = any(each["type"] == "Stalled" for each in case.object["status"]["conditions"])
        deleting = "deletionTimestamp" in case.object["metadata"]
        assert (kstatus == "Terminating") == deleting, case.name
        assert (kstatus == "Current") == (argo == "Healthy") == ready, case.name
        if not deleting:
            assert (kstatus == "Failed") == (argo == "Degraded") == stalled, case.name


@KINDS
def test_what_the_operator_has_not_seen_yet_is_in_progress(kind: str) -> None:
    """A new one, and one whose spec has changed since: whatever the status says of before."""
    unseen = [thing(kind, NEW, 1, False)]
    unseen += [thing(kind, case.object["status"], 99, False) for case in CASES if case.kind == kind]
    for each in verdicts(unseen):
        assert each["kstatus"]["status"] == "InProgress"
        assert each["argo"] == {"status": "Progressing", "message": "waiting for the operator"}


def test_messages_reach_a_person() -> None:
    for case, each in zip(CASES, verdicts(case.object for case in CASES), strict=True):
        assert each["argo"]["message"] == case.ready["message"]
        if each["kstatus"]["status"] == "Failed":
            assert each["kstatus"]["message"] == case.ready["message"]


@KINDS
def test_argo_cds_own_tests_of_the_script_pass(kind: str) -> None:
    """As argoproj/argo-cd's util/lua/health_test.go reads them."""
    folder = SCRIPTS / GROUP / kind
    tests = yaml.safe_load((folder / "health_test.yaml").read_text())["tests"]
    objects = [yaml.safe_load((folder / test["inputPath"]).read_text()) for test in tests]
    judged = [each["argo"] for each in verdicts(objects)]
    assert judged == [test["healthStatus"] for test in tests]
    data = {f"testdata/{path.name}" for path in (folder / "testdata").iterdir()}
    assert data == {test["inputPath"] for test in tests}


@pytest.mark.parametrize("path", layout(), ids=lambda path: path.name)
def test_the_test_data_are_what_the_operator_writes_today(path: Path) -> None:
    """To write them again: PYTHONPATH=operator python -m tests.gitops.statuses"""
    assert path.read_text() == layout()[path]


def test_the_patch_of_argocd_cm_has_the_scripts() -> None:
    data = yaml.safe_load(PATCH.read_text())["data"]
    assert data == {
        f"resource.customizations.health.{GROUP}_{kind}": (
            SCRIPTS / GROUP / kind / "health.lua"
        ).read_text()
        for kind in (DRAIN, KEYRING)
    }
