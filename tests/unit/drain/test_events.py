"""Events mark what changed, never a tick."""

from typing import Any

import pytest
from tests.unit.drain.build import NOW, at, observed, server, status_of
from tests.unit.drain.test_report import SIGHTS, shown

from quiesce.api.drain.spec import Confirmation, ConfirmationPolicy
from quiesce.api.drain.status import DrainStatus
from quiesce.api.errors import CloudUnreachable
from quiesce.api.events import Event
from quiesce.drain.model.history import ForeignConfirm
from quiesce.drain.report import events, foreign_confirms, status_of_problem
from quiesce.drain.report.events import AT_ONCE


def between(before: Any, after: Any) -> tuple[Event, ...]:
    return events(DrainStatus.read(before), DrainStatus.read(after))


def of(before: Any, after: Any) -> list[tuple[str, str]]:
    return [(event.type, event.reason) for event in between(before, after)]


@pytest.mark.parametrize("name", SIGHTS)
def test_the_same_status_again_is_no_event(name: str) -> None:
    assert not between(shown(name), shown(name))


@pytest.mark.parametrize(
    ("before", "after", "wanted"),
    [
        (None, "pending", [("Normal", "Pending")]),
        ("pending", "moving", [("Normal", "Draining")]),
        ("moving", "proving", [("Normal", "Proving")]),
        ("proving", "wait", [("Normal", "Drained")]),
        ("wait", "refused", [("Warning", "DeleteRefused")]),
        ("pending", "disable refused", [("Warning", "Draining")]),
        ("enabled by hand", "disable refused", [("Warning", "DisableRefused")]),
        ("disable refused", "disable refused, blocked", [("Warning", "Suspended")] * 3),
        ("disable refused", "moving", [("Normal", "Migrating")]),
        ("deleting", "deleted", [("Normal", "Deleted")]),
        ("moving", "suspended", [("Normal", "Suspended")]),
        ("wait", "restoring", [("Normal", "Restoring")]),
        ("deleted", "left behind", [("Warning", "Stalled")]),
    ],
)
def test_transitions(before: str | None, after: str, wanted: list[tuple[str, str]]) -> None:
    assert of(shown(before) if before else {}, shown(after)) == wanted


def test_progress_alone_is_no_event() -> None:
    assert not of(shown("moving"), status_of(observed([server("s1")])))


def test_trouble_and_its_end_are_events() -> None:
    before = shown("moving")
    problem, last = CloudUnreachable("refused"), DrainStatus.read(before)
    after = status_of_problem(problem, last, 1, NOW, restoring=None).to_json()
    assert of(before, after) == [("Warning", "CloudUnreachable")]
    assert of(after, before) == [("Normal", "Migrating")]


def test_each_new_problem_is_a_warning_with_its_words_and_a_known_one_is_not() -> None:
    before = status_of(observed([server("a", "SUSPENDED"), server("b")]))
    after = status_of(
        at(observed([server("a", "SUSPENDED"), server("b", "ERROR", fault="disk full")]), 60),
        previous=before,
    )
    found = [event for event in between(before, after) if event.action == "Move"]
    assert [event.reason for event in found] == ["ServerInError"]
    assert "name-b" in found[0].message
    assert "disk full" in found[0].message


def test_a_flood_of_problems_is_not_a_flood_of_events() -> None:
    many = status_of(observed([server(f"s{n}", "SUSPENDED") for n in range(50)]))
    assert len([event for event in between({}, many) if event.action == "Move"]) == AT_ONCE


@pytest.mark.field_case("F25")
@pytest.mark.parametrize("policy", list(ConfirmationPolicy))
def test_a_confirm_that_was_not_ours_is_a_warning(policy: ConfirmationPolicy) -> None:
    found = [ForeignConfirm(1, "s1", by_nova=True), ForeignConfirm(2, "s2", by_nova=False)]
    told = foreign_confirms(found, {"s1": "web-1"}, Confirmation(policy=policy))
    assert [(e.type, e.reason) for e in told] == [
        ("Warning", "ConfirmedByNova"),
        ("Warning", "ConfirmedByOthers"),
    ]
    assert told[0].message.startswith("web-1: ")
    assert "resize_confirm_window" in told[0].message
    assert told[1].message.startswith("s2: ")
    assert ("Manual" in told[0].message) == (policy is ConfirmationPolicy.MANUAL)
