"""Events mark what changed, never a tick."""

from typing import Any

import pytest
from tests.unit.drain.build import at, seen, server, status_of
from tests.unit.drain.test_report import SIGHTS, shown

from quiesce.api.errors import CloudUnreachable
from quiesce.drain.report.events import AT_ONCE, events
from quiesce.drain.report.status import troubled


def of(before: Any, after: Any) -> list[tuple[str, str]]:
    return [(event.type, event.reason) for event in events(before, after)]


@pytest.mark.parametrize("name", SIGHTS)
def test_the_same_status_again_is_no_event(name: str) -> None:
    assert not events(shown(name), shown(name))


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
    assert not of(shown("moving"), status_of(seen([server("s1")])))


def test_trouble_and_its_end_are_events() -> None:
    before = shown("moving")
    after = troubled(CloudUnreachable("refused"), before, 1, "2026-03-01T13:00:00Z", deleting=False)
    assert of(before, after) == [("Warning", "CloudUnreachable")]
    assert of(after, before) == [("Normal", "Migrating")]


def test_each_new_problem_is_a_warning_with_its_words_and_a_known_one_is_not() -> None:
    before = status_of(seen([server("a", "SUSPENDED"), server("b")]))
    after = status_of(
        at(seen([server("a", "SUSPENDED"), server("b", "ERROR", fault="disk full")]), 60),
        previous=before,
    )
    found = [event for event in events(before, after) if event.action == "Move"]
    assert [event.reason for event in found] == ["ServerInError"]
    assert "name-b" in found[0].message
    assert "disk full" in found[0].message


def test_a_flood_of_problems_is_not_a_flood_of_events() -> None:
    many = status_of(seen([server(f"s{n}", "SUSPENDED") for n in range(50)]))
    assert len([event for event in events({}, many) if event.action == "Move"]) == AT_ONCE
