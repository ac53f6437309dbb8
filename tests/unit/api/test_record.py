"""What the status keeps for the next process, and nothing more."""

import pytest
from tests.unit.drain.build import (
    FOUND,
    HOST,
    TENANT,
    begun,
    migration,
    observed,
    server,
    service,
    status_of,
    tried,
)

from quiesce.api.drain.record import IN_FLIGHT, Record, Try


def test_an_empty_status_is_an_empty_record() -> None:
    assert Record.read({}) == Record()
    assert not Record().begun


def test_the_first_status_is_the_record_of_the_drain() -> None:
    past = [migration(7, "confirmed", "x"), migration(9, "error", "y")]
    first = status_of(
        observed([server()], past, service=service(disabled_reason="rack"), aggregates=()),
        record=Record(),
    )
    record = Record.read(first)
    assert record.begun
    assert (record.found_status, record.found_reason, record.found_id) == (
        "disabled",
        "rack",
        "svc-1",
    )
    assert (record.found_migration, record.attempts_from) == (9, 9)
    assert record.started == first["startTime"]


def test_a_status_without_a_first_write_is_no_beginning() -> None:
    assert not Record.read(
        {"service": {"id": "svc-1", "status": "enabled"}, "startTime": "2026-03-01T12:00:00Z"}
    ).begun


def test_tries_are_remembered_by_server() -> None:
    rows = [{"id": "a", "was": "ACTIVE", "method": "cold", "attempt": 2}, {"id": "b"}]
    record = Record.read({"tries": rows})
    assert [record.was(name) for name in "abc"] == ["ACTIVE", None, None]
    assert record.tries["a"] == Try("ACTIVE", "cold", 2, "")


def test_an_older_release_remembered_them_in_its_rows() -> None:
    """A drain in progress goes on after an upgrade."""
    status = {
        "moving": [{"id": "a", "was": "ACTIVE"}],
        "problems": [{"id": "b", "was": "SHUTOFF"}, {"id": "c"}],
    }
    record = Record.read(status)
    assert [record.was(name) for name in "abcd"] == ["ACTIVE", "SHUTOFF", None, None]
    assert not Record.read(status | {"tries": []}).tries


def test_tries_outlive_any_number_of_problems() -> None:
    """How a server was is not lost because the report of problems is cut."""
    many = {f"s{n:03}": tried() for n in range(300)}
    sight = observed([server(name, "SUSPENDED") for name in many])
    after = status_of(sight, record=begun(tries=many))
    assert len(after["problems"]) == 20
    assert Record.read(after).tries == many


def test_a_new_request_gives_new_attempts_once() -> None:
    record = begun()
    assert record.acknowledge(None, 200) == record
    asked = record.acknowledge("monday", 200)
    assert (asked.handled_request, asked.attempts_from, asked.found_migration) == (
        "monday",
        200,
        FOUND,
    )
    assert asked.acknowledge("monday", 300) == asked
    assert asked.acknowledge("tuesday", 300).attempts_from == 300


def test_a_request_of_any_length_is_handled_once() -> None:
    asked = begun().acknowledge("x" * 1000, 200)
    after = Record.read(status_of(observed([server()]), record=asked))
    assert after.acknowledge("x" * 1000, 300).attempts_from == 200


@pytest.mark.promise("always-6")
def test_what_was_in_flight_at_the_beginning_is_recorded() -> None:
    """Where one of them fails since, the only good copy of the disk may be on this host."""
    moves = [
        migration(3, "error"),  # has failed before
        migration(4, "finished", user_id=TENANT, type="resize"),
        migration(5, "confirmed"),
        migration(6, "running", source="cmp2", dest=HOST),
        migration(7, "migrating"),
        migration(9, "completed"),
    ]
    first = status_of(observed(migrations=moves, aggregates=()), record=Record())
    record = Record.read(first)
    assert record.found_in_flight == (4, 7)
    assert [n for n in range(12) if record.in_its_time(n)] == [4, 7, 10, 11]
    assert Record.read(record.to_json()).found_in_flight == (4, 7)
    later = status_of(observed(migrations=[migration(8, "running")]), record=record)
    assert Record.read(later).found_in_flight == (4, 7)


def test_a_status_of_an_older_release_has_nothing_in_flight() -> None:
    record = Record.read({"foundMigration": 9})
    assert record.found_in_flight == ()
    assert [n for n in (8, 9, 10) if record.in_its_time(n)] == [10]


def test_of_more_in_flight_than_are_recorded_none_is_left_out() -> None:
    many = range(10, 10 + 2 * (IN_FLIGHT + 20), 2)
    moves = [migration(n, "running") for n in many]
    first = status_of(observed(migrations=moves, aggregates=()), record=Record())
    assert len(first["foundInFlight"]) == IN_FLIGHT
    record = Record.read(first)
    assert all(map(record.in_its_time, many))
    assert not any(map(record.in_its_time, (8, 9, 11, 13)))


def test_older_objects_without_a_mark_of_attempts_count_from_the_beginning() -> None:
    assert Record.read({"foundMigration": 5}).attempts_from == 5


def test_proven_is_what_the_condition_says() -> None:
    for status, proven in (("True", True), ("False", False), ("Unknown", False)):
        assert Record.read({"conditions": [{"type": "Drained", "status": status}]}).proven is proven
