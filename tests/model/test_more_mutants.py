"""Promises that are broken on purpose beside those of test_mutants.py, in the same form."""

import pytest

from quiesce.api import annotations
from quiesce.drain.decide import breaker
from quiesce.ops import logging
from tests.model.test_mutants import Patch, answer
from tests.model.test_scenarios import SCENARIOS

MORE_MUTANTS: dict[str, tuple[Patch, str]] = {
    "logs secrets as they come": (
        lambda m: m.setattr(logging, "redact", str),
        "logs_no_secret_and_no_line_that_is_not_its_own",
    ),
    "logs texts of several lines as they come": (
        lambda m: m.setattr(logging, "_one_line", str),
        "logs_no_secret_and_no_line_that_is_not_its_own",
    ),
    "lets every server try a broken SSH path": (
        answer(breaker, "_ssh_breaker", None),
        "lets_one_server_try_a_broken_ssh_path",
    ),
    "goes on although a cold move left a guest down": (
        answer(breaker, "_left_down_breaker", None),
        "takes_down_one_guest_beyond_those_in_flight",
    ),
    "moves guests cold for a cause of the host": (
        answer(breaker, "_live_breaker", None),
        "restarts_no_guest_for_a_cause_of_the_host",
    ),
    "ignores that it is abandoned": (
        lambda m: m.setattr(annotations, "ABANDON", "quiesce.dev/none"),
        "is_released_when_abandoned_whatever_the_cloud_answers",
    ),
}


@pytest.mark.parametrize("name", MORE_MUTANTS)
def test_a_broken_promise_is_noticed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    patch, scenario = MORE_MUTANTS[name]
    patch(monkeypatch)
    with pytest.raises((AssertionError, KeyError)):
        SCENARIOS[scenario]()
