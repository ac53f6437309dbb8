"""Abort and force-complete of live migrations, and what is shown while they run."""

from collections.abc import Iterator

import pytest
from tests.contract.lab import Lab

SLOW = {"fault.live_migration": "sleep:300"}


@pytest.fixture
def running(nova: Lab) -> Iterator[tuple[str, int]]:
    """A live migration that copies for long: server and migration id."""
    server = nova.active(metadata=SLOW)
    nova.migrate_live(server)
    yield server, nova.until(server, "running")["id"]
    nova.api("DELETE", f"/servers/{server}/migrations/{nova.migration(server)['id']}")
    nova.until(server, "cancelled", "completed")


def test_progress(nova: Lab, running: tuple[str, int]) -> None:
    """A running live migration shows under its server, with counters after a while."""
    server, number = running

    def counted() -> dict[str, int] | None:
        rows = nova.get(f"/servers/{server}/migrations", "migrations")
        assert [row["id"] for row in rows] == [number]
        assert rows[0]["server_uuid"] == server
        assert rows[0]["status"] == "running"
        return rows[0] if rows[0]["memory_total_bytes"] else None

    row = nova.wait("counters", counted)
    assert row["memory_total_bytes"] == 64 * 2**20
    assert row["memory_processed_bytes"] + row["memory_remaining_bytes"] == row["memory_total_bytes"]
    assert nova.get(f"/servers/{server}/migrations/{number}", "migration")["status"] == "running"


def test_abort(nova: Lab, running: tuple[str, int]) -> None:
    """202, `cancelled`, ACTIVE where it was; again: 409."""
    server, number = running
    path = f"/servers/{server}/migrations/{number}"
    assert nova.api("DELETE", path).status == 202
    nova.until(server, "cancelled")
    assert nova.settled(server, "ACTIVE")["OS-EXT-SRV-ATTR:host"] == nova.source
    again = nova.api("DELETE", path)
    assert again.status == 409
    assert again.message == f"Instance {server} is in an invalid state for 'abort live migration'"
    assert nova.api("GET", path).status == 404
    nova.wait("the resources back", lambda: server in nova.held(nova.source))


def test_force_complete(nova: Lab, running: tuple[str, int]) -> None:
    """202, `completed`, ACTIVE on the destination; again: 409."""
    server, number = running
    path = f"/servers/{server}/migrations/{number}/action"
    assert nova.api("POST", path, {"force_complete": None}).status == 202
    nova.until(server, "completed")
    assert nova.settled(server, "ACTIVE")["OS-EXT-SRV-ATTR:host"] == nova.spare
    again = nova.api("POST", path, {"force_complete": None})
    assert again.status == 409
    assert again.message == f"Instance {server} is in an invalid state for 'force_complete'"


def test_unknown_migration(nova: Lab, running: tuple[str, int]) -> None:
    server, _ = running
    answer = nova.api("DELETE", f"/servers/{server}/migrations/999999999")
    words = f"Migration 999999999 not found for instance {server}"
    assert (answer.status, answer.message) == (404, words)


def test_queue(nova: Lab) -> None:
    """More than max_concurrent_live_migrations wait as `queued`, and can be aborted but not forced."""
    servers = nova.many({"metadata": SLOW} for _ in range(5))
    for server in servers:
        assert nova.migrate_live(server).status == 202
    rows = {server: nova.until(server, "running", "queued") for server in servers}

    def four_run() -> bool:
        rows.update({server: nova.migration(server) for server in servers})
        return sorted(row["status"] for row in rows.values()) == ["queued"] + ["running"] * 4

    nova.wait("four running and one queued", four_run)
    last = next(server for server, row in rows.items() if row["status"] == "queued")
    number = rows[last]["id"]
    forced = nova.api("POST", f"/servers/{last}/migrations/{number}/action", {"force_complete": None})
    words = f"Migration {number} state of instance {last} is queued. Cannot force complete while the migration is in this state."
    assert (forced.status, forced.message) == (400, words)
    assert nova.api("DELETE", f"/servers/{last}/migrations/{number}").status == 202
    nova.until(last, "cancelled")
    assert nova.settled(last, "ACTIVE")["OS-EXT-SRV-ATTR:host"] == nova.source
    for server in servers:
        if server != last:
            assert nova.api("DELETE", f"/servers/{server}/migrations/{rows[server]['id']}").status == 202
    for server in servers:
        nova.until(server, "cancelled")
