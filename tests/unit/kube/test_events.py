import re

import pytest
from tests.unit.clock import Clock
from tests.unit.kube.fake_api import FakeApi, drain

from quiesce.kube.events import Events
from quiesce.kube.resource import Resource

DRAIN = Resource(drain())


@pytest.fixture
def events(api: FakeApi, clock: Clock) -> Events:
    return Events(api.client(), clock)


def emit(events: Events, message: str = "all 40 servers moved", resource: Resource = DRAIN) -> None:
    events.emit(resource, "Normal", "Drained", "Drain", message)


def test_an_event_says_what_happened_to_which_object(api: FakeApi, events: Events) -> None:
    emit(events)
    (write,) = api.writes
    assert (write.method, write.path) == ("POST", "/apis/events.k8s.io/v1/namespaces/ns/events")
    body = write.body
    assert (body["type"], body["reason"], body["action"], body["note"]) == (
        "Normal", "Drained", "Drain", "all 40 servers moved",
    )  # fmt: skip
    assert body["reportingController"] == "quiesce.dev" and body["reportingInstance"]
    assert body["regarding"]["uid"] == DRAIN.uid and body["regarding"]["kind"] == "ComputeNodeDrain"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", body["eventTime"]), "a MicroTime"


@pytest.mark.finding("S7")
@pytest.mark.parametrize("message", ["x" * 5000, "é" * 5000, "x" + "€" * 5000])
def test_a_note_is_cut_to_what_the_api_server_takes(
    api: FakeApi, events: Events, message: str
) -> None:
    emit(events, message)
    note = api.writes[0].body["note"]
    assert 1000 < len(note.encode()) <= 1024
    assert note.endswith("…") and message.startswith(note[:-1])


@pytest.mark.parametrize(
    "name", ["a" * 253, "a" * 235 + "-" + "b" * 17, "a" * 235 + "." + "b" * 17]
)
def test_the_name_is_a_valid_one_whatever_the_object_is_called(
    api: FakeApi, events: Events, name: str
) -> None:
    emit(events, resource=Resource(drain(name)))
    event = api.writes[0].body["metadata"]["name"]
    assert len(event) <= 253
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*", event)


def test_later_events_sort_after_earlier_ones(api: FakeApi, events: Events) -> None:
    for number in range(5):
        emit(events, f"message {number}")
    names = [write.body["metadata"]["name"] for write in api.writes]
    assert len(set(names)) == 5
    assert names == sorted(names)


def test_repeats_are_counted_in_one_event_at_most_once_a_minute(
    api: FakeApi, events: Events, clock: Clock
) -> None:
    for _ in range(30):
        emit(events)
        clock.now += 10
    created, *patched = api.writes
    assert created.method == "POST"
    assert [write.method for write in patched] == ["PATCH"] * 4
    assert all(write.path.endswith(created.body["metadata"]["name"]) for write in patched)
    assert [write.body["series"]["count"] for write in patched] == [7, 13, 19, 25]


def test_after_ten_minutes_a_repeat_is_news_again(
    api: FakeApi, events: Events, clock: Clock
) -> None:
    emit(events)
    clock.now += 600
    emit(events)
    assert [write.method for write in api.writes] == ["POST", "POST"]


def test_different_events_are_not_folded(api: FakeApi, events: Events) -> None:
    emit(events)
    emit(events, "other words")
    emit(events, resource=Resource(drain(uid="made anew")))
    events.emit(DRAIN, "Warning", "Drained", "Drain", "all 40 servers moved")
    assert [write.method for write in api.writes] == ["POST"] * 4


def test_an_event_that_cannot_be_recorded_is_logged_and_harms_nothing(
    api: FakeApi, events: Events, caplog: pytest.LogCaptureFixture
) -> None:
    api.fail(403, 'cannot create resource "events"')
    emit(events)
    (line,) = caplog.records
    assert line.levelname == "WARNING" and 'cannot create resource "events"' in line.getMessage()


@pytest.mark.finding("M1", "M2", "L2")
def test_a_note_is_one_clean_line_without_secrets(api: FakeApi, events: Events) -> None:
    emit(events, "no answer of https://u:hunter2@h/v3\nError: \x1b[2J\ud83d \U0001f600")
    note = api.writes[0].body["note"]
    assert note == "no answer of https://u:***@h/v3 Error: \ufffd \ufffd"
