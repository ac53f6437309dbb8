"""What is read of a drain: cleaned, whatever its status says, and never more than is known."""

import json
from typing import Any

import pytest
from tests.unit.plugin.build import PHASES, now_of, recorded, view

from quiesce.plugin.commands.writes import _what_restore_does
from quiesce.plugin.document import plain
from quiesce.plugin.pages import changes, drain, overview, plan
from quiesce.plugin.view import DrainView, printable, seconds_to_go, to_json

ESCAPES = "\x1b]0;owned\x07\x1b[2Jweb\x9b31m\r\n\u202egpj"


def spoiled(value: Any) -> Any:
    """The same with an escape sequence in every text that is no time and no number."""
    match value:
        case str() if "T" not in value or not value.endswith("Z"):
            return ESCAPES + value
        case list():
            return [spoiled(each) for each in value]
        case dict():
            return {key: spoiled(each) for key, each in value.items()}
    return value


@pytest.mark.parametrize("name", PHASES)
def test_no_text_of_a_hostile_status_reaches_a_terminal_as_it_is(name: str) -> None:
    resource = recorded(name)
    resource["spec"], resource["status"] = spoiled(resource["spec"]), spoiled(resource["status"])
    found = DrainView.read(resource)
    now = now_of(found)
    pages = [
        drain(found, now),
        drain(found, now, (80, 24)),
        overview([found], now, namespaces=True),
    ]
    pages += [plan(found)] if found.status and found.status.plan else []
    shown = [text for page in pages for text in plain(page)] + list(changes(found))
    assert all(text.isprintable() for text in shown)
    assert all(32 <= ord(each) < 127 for each in json.dumps(to_json(found, now)))


@pytest.mark.parametrize(
    "status",
    [
        {"conditions": [{"type": "Ready"}]},
        {"problems": [{"name": "no id"}]},
        {"moving": "many"},
        {"plan": {"live": 1}},
        {"progress": [1]},
    ],
)
def test_a_status_of_another_version_is_said_and_shown_as_not_well(status: dict[str, Any]) -> None:
    found = view("draining", **status)
    assert found.phase == "Unreadable"
    assert found.is_stalled
    assert "different versions" in plain(drain(found, now_of(found)))[1]
    assert to_json(found, now_of(found))["stalled"] is True


@pytest.mark.parametrize(
    ("name", "stalled", "goal"),
    [
        ("new", False, False),
        ("pending", False, False),
        ("planned", False, True),
        ("draining", False, False),
        ("suspended", False, False),
        ("stalled", True, False),
        ("proving", False, False),
        ("drained", False, True),
        ("restoring", False, False),
        ("not_found", True, False),
    ],
)
def test_what_a_watch_and_an_exit_code_depend_on(name: str, stalled: bool, goal: bool) -> None:
    found = view(name)
    assert (found.is_stalled, found.is_at_goal) == (stalled, goal)


def test_an_answer_to_an_older_spec_is_none() -> None:
    resource = recorded("drained")
    resource["metadata"]["generation"] += 1
    found = DrainView.read(resource)
    assert not found.answered
    assert not found.is_at_goal


# Time to go


def draining(moved: int, waiting: int, **status: Any) -> DrainView:
    progress = {"total": moved + waiting + 2, "moved": moved, "moving": 2, "waiting": waiting}
    return view("draining", **{"progress": progress, "problems": [], **status})


def test_time_to_go_is_the_pace_so_far() -> None:
    found = draining(moved=8, waiting=14)
    assert seconds_to_go(found, now_of(found, 80)) == pytest.approx(160, rel=0.05)


def test_no_time_to_go_is_claimed_where_none_is_known() -> None:
    for found in (
        draining(moved=2, waiting=8),  # too few
        draining(moved=8, waiting=8, moving=[]),  # nothing moves
        draining(moved=8, waiting=8, problems=recorded("draining")["status"]["problems"]),
        view("suspended"),
        view("stalled"),
        view("new"),
    ):
        assert seconds_to_go(found, now_of(found)) is None


def test_printable_keeps_what_is_fit() -> None:
    given = {"a": ["openstack server resume 57d8", 3, None, True], "b": {"c": "für"}}
    assert printable(given) == given


def test_a_restore_does_not_promise_a_service_that_is_deleted() -> None:
    kept = recorded("drained")["status"]
    gone = view("drained", service=kept["service"] | {"status": "deleted"})
    assert "stays deleted" in _what_restore_does(gone)
    assert "will be put back as it was found: nova-compute enabled" in _what_restore_does(
        view("drained")
    )
