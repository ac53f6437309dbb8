"""What the status keeps for the next process, and nothing more."""

from tests.unit.drain.build import FOUND, begun, migration, seen, server, service, status_of

from quiesce.api.drain.record import Record


def test_an_empty_status_is_an_empty_memory() -> None:
    assert Record.read({}) == Record()
    assert not Record().begun


def test_the_first_status_is_the_memory_of_the_drain() -> None:
    past = [migration(7, "confirmed", "x"), migration(9, "error", "y")]
    first = status_of(
        seen([server()], past, service=service(disabled_reason="rack"), aggregates=()),
        memory=Record(),
    )
    memory = Record.read(first)
    assert memory.begun
    assert (memory.found_status, memory.found_reason, memory.found_id) == (
        "disabled",
        "rack",
        "svc-1",
    )
    assert (memory.found_migration, memory.attempts_from) == (9, 9)
    assert memory.started == first["startTime"]


def test_a_status_without_a_first_write_is_no_beginning() -> None:
    assert not Record.read(
        {"service": {"id": "svc-1", "status": "enabled"}, "startTime": "2026-03-01T12:00:00Z"}
    ).begun


def test_rows_of_both_tables_are_remembered_by_server() -> None:
    status = {
        "moving": [{"id": "a", "was": "ACTIVE"}],
        "problems": [{"id": "b", "was": "SHUTOFF"}, {"id": "c"}],
    }
    memory = Record.read(status)
    assert [memory.was(name) for name in "abcd"] == ["ACTIVE", "SHUTOFF", None, None]


def test_a_new_request_gives_new_attempts_once() -> None:
    memory = begun()
    assert memory.acknowledge(None, 200) == memory
    asked = memory.acknowledge("monday", 200)
    assert (asked.handled_request, asked.attempts_from, asked.found_migration) == (
        "monday",
        200,
        FOUND,
    )
    assert asked.acknowledge("monday", 300) == asked
    assert asked.acknowledge("tuesday", 300).attempts_from == 300


def test_a_request_of_any_length_is_handled_once() -> None:
    asked = begun().acknowledge("x" * 1000, 200)
    after = Record.read(status_of(seen([server()]), memory=asked))
    assert after.acknowledge("x" * 1000, 300).attempts_from == 200


def test_older_objects_without_a_mark_of_attempts_count_from_the_beginning() -> None:
    assert Record.read({"foundMigration": 5}).attempts_from == 5


def test_proven_is_what_the_condition_says() -> None:
    for status, proven in (("True", True), ("False", False), ("Unknown", False)):
        assert Record.read({"conditions": [{"type": "Drained", "status": status}]}).proven is proven
