"""The table of states in the documentation is that of the program, and leaves nothing out."""

from pathlib import Path
from typing import get_args

import pytest
from tools import states

from quiesce.api.drain.spec import Method
from quiesce.drain.decide.rules import RULES
from quiesce.drain.model.verdict import Verdict

PAGE = Path(__file__).parents[3] / "docs" / "states.md"
CASES = [case for _, section in states.SECTIONS for case in section]
# nova/api/openstack/common.py _STATE_MAP
STATUSES = (
    "ACTIVE",
    "BUILD",
    "DELETED",
    "ERROR",
    "HARD_REBOOT",
    "MIGRATING",
    "PASSWORD",
    "PAUSED",
    "REBOOT",
    "REBUILD",
    "RESCUE",
    "RESIZE",
    "REVERT_RESIZE",
    "SHELVED",
    "SHELVED_OFFLOADED",
    "SHUTOFF",
    "SOFT_DELETED",
    "SUSPENDED",
    "UNKNOWN",
    "VERIFY_RESIZE",
)


def test_the_page_is_what_the_program_decides() -> None:
    made = "PYTHONPATH=operator python -m tools.states > docs/states.md"
    assert PAGE.read_text() == states.page(), f"docs/states.md is stale: {made}"


@pytest.mark.parametrize("status", STATUSES)
def test_every_status_of_nova_is_in_it(status: str) -> None:
    assert any(case.status == status for case in CASES)


@pytest.mark.parametrize("question", [f.__name__ for f in RULES])
def test_every_question_decides_a_case(question: str) -> None:
    assert any(case.judged(method)[0] == question for case in CASES for method in Method)


def test_every_kind_of_verdict_is_in_it() -> None:
    found = {type(case.judged(method)[1]) for case in CASES for method in Method}
    assert found >= set(get_args(Verdict))


def test_no_case_is_there_twice() -> None:
    rows = [
        (case.status, case.task, case.when) for case in CASES if case.subject.host == states.HOST
    ]
    assert len(rows) == len(set(rows))
