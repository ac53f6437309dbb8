"""Abort and force-complete of live migrations, and what is shown while they run."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import pytest
from tests.contract.changes import ABORT_IN_THE_QUEUE_CLEANS_UP
from tests.contract.lab import Answer, Json, Lab, different, in_order

LONG = {"fault.live_migration": "sleep:600"}


@dataclass
class Crowd:
    """Five live migrations that copy for long, of which one has to wait; migrations by server."""

    running: dict[str, Json]
    queued: tuple[str, Json]


@pytest.fixture(scope="module")
def crowd(cloud: Lab) -> Iterator[Crowd]:
    with cloud.case():
        servers = cloud.many({"metadata": LONG} for _ in range(5))
        for server in servers:
            assert cloud.migrate_live(server).status == 202

        def four_run() -> dict[str, Json] | None:
            rows = {server: cloud.migration(server) for server in servers}
            statuses = sorted(row["status"] for row in rows.values())
            return rows if statuses == ["queued"] + ["running"] * 4 else None

        rows = cloud.wait("four running and one queued", four_run)
        waiting = next(server for server, row in rows.items() if row["status"] == "queued")
        queued = waiting, rows.pop(waiting)
        yield Crowd(rows, queued)
        for server, row in rows.items():
            abort(cloud, server, row)
            cloud.until(server, "error", "completed")


def abort(nova: Lab, server: str, row: Json) -> Answer:
    return nova.api("DELETE", f"/servers/{server}/migrations/{row['id']}")


def force(nova: Lab, server: str, row: Json) -> Answer:
    return nova.api(
        "POST", f"/servers/{server}/migrations/{row['id']}/action", {"force_complete": None}
    )


def test_progress(nova: Lab, crowd: Crowd) -> None:
    """A running live migration shows under its server, with counters after a while."""
    server, migration = next(iter(crowd.running.items()))

    def counted() -> Json | None:
        rows = nova.get(f"/servers/{server}/migrations", "migrations")
        assert [row["id"] for row in rows] == [migration["id"]]
        assert (rows[0]["server_uuid"], rows[0]["status"]) == (server, "running")
        return rows[0] if rows[0]["memory_total_bytes"] else None

    row = nova.wait("counters", counted)
    assert row["memory_total_bytes"] == 64 * 2**20
    assert (
        row["memory_processed_bytes"] + row["memory_remaining_bytes"] == row["memory_total_bytes"]
    )
    alone = nova.get(f"/servers/{server}/migrations/{migration['id']}", "migration")
    assert set(alone) == set(row)
    assert "links" in nova.migration(server)


@pytest.mark.every_driver
def test_a_copy_that_does_not_converge(nova: Lab) -> None:
    """More is copied than there is, while what remains goes down and up; forced, it ends."""
    server = nova.active(host=nova.spare, metadata={"fault.live_migration": "busy"})
    assert nova.migrate_live(server, nova.source).status == 202
    migration = nova.until(server, "running")
    seen: list[tuple[int, int]] = []

    def look() -> bool:
        row = nova.get(f"/servers/{server}/migrations/{migration['id']}", "migration")
        numbers = row["memory_processed_bytes"], row["memory_remaining_bytes"]
        if None not in numbers and numbers not in seen:
            seen.append(numbers)
        steps = [new[1] - old[1] for old, new in pairwise(seen)]
        beyond = bool(seen) and seen[-1][0] > 3 * row["memory_total_bytes"]
        return beyond and min(steps) < 0 < max(steps)

    nova.wait("three times its memory copied, and not done", look)
    done = [numbers[0] for numbers in seen]
    assert done == sorted(done)
    assert force(nova, server, migration).status == 202
    nova.until(server, "completed")


def test_unknown_migration(nova: Lab, crowd: Crowd) -> None:
    server = next(iter(crowd.running))
    answer = abort(nova, server, {"id": 999999999})
    words = f"Migration 999999999 not found for instance {server}"
    assert (answer.status, answer.message) == (404, words)


def test_the_queue(nova: Lab, crowd: Crowd) -> None:
    """Beyond max_concurrent_live_migrations they wait: not to be forced, but to be aborted."""
    server, migration = crowd.queued
    forced = force(nova, server, migration)
    words = (
        f"Migration {migration['id']} state of instance {server} is queued."
        " Cannot force complete while the migration is in this state."
    )
    assert (forced.status, forced.message) == (400, words)
    aborted = abort(nova, server, migration)
    assert aborted.status == 202
    nova.until(server, "cancelled")
    if not nova.has(ABORT_IN_THE_QUEUE_CLEANS_UP):
        nova.wait(
            "the end of the abort", lambda: succeeded(nova.event(server, aborted.request_id)[1])
        )
        left = nova.sight(server)
        assert (left.status, left.task, left.host) == ("MIGRATING", "migrating", nova.source)
        assert server in nova.held(nova.spare)
        assert migration["uuid"] in nova.held(nova.source)
        assert nova.act(server, "os-resetState", {"state": "active"}).status == 202
    assert nova.settled(server, "ACTIVE")["OS-EXT-SRV-ATTR:host"] == nova.source


def succeeded(events: dict[str, Json]) -> bool:
    return events.get("compute_live_migration_abort", {}).get("result") == "Success"


def copying(nova: Lab) -> tuple[str, Json]:
    """Return a server whose live migration, from `spare`, goes on for long; and that migration."""
    server = nova.active(host=nova.spare, metadata=LONG)
    assert nova.migrate_live(server, nova.source).status == 202
    return server, nova.until(server, "running")


@pytest.mark.every_driver
def test_abort(nova: Lab) -> None:
    """202; ACTIVE where it was, for a moment, then ERROR there without a fault: `error`. Again:
    409.

    The guest was never touched: when the state is reset it is as before.
    """
    server, migration = copying(nova)
    assert abort(nova, server, migration).status == 202
    way = nova.watch(server, lambda sight: sight.status == "ERROR")
    statuses, records = (
        different(getattr(sight, what) for sight in way) for what in ("status", "migration")
    )
    assert in_order(statuses, ("MIGRATING", "ACTIVE", "ERROR"))
    assert in_order(records, ("running", "cancelled", "error"))
    shown = nova.settled(server, "ERROR")
    assert shown["OS-EXT-SRV-ATTR:host"] == nova.spare
    assert "fault" not in shown
    again = abort(nova, server, migration)
    assert again.status == 409
    assert again.message == f"Instance {server} is in an invalid state for 'abort live migration'"
    assert nova.api("GET", f"/servers/{server}/migrations/{migration['id']}").status == 404
    nova.wait("the resources back", lambda: server in nova.held(nova.spare))
    assert nova.act(server, "os-resetState", {"state": "active"}).status == 202
    assert nova.settled(server, "ACTIVE")["OS-EXT-STS:power_state"] == 1


def test_abort_in_2025_1(nova: Lab) -> None:
    """202, `cancelled`, ACTIVE where it was, and it stays so."""
    fault = {"fault.live_migration": "sleep:600,swallowed"}
    server = nova.active(host=nova.spare, metadata=fault)
    assert nova.migrate_live(server, nova.source).status == 202
    migration = nova.until(server, "running")
    assert abort(nova, server, migration).status == 202
    nova.until(server, "cancelled")
    nova.pause(2.0)  # nothing shows that nothing follows
    assert nova.sight(server).migration == "cancelled"
    assert nova.settled(server, "ACTIVE")["OS-EXT-SRV-ATTR:host"] == nova.spare


@pytest.mark.every_driver
def test_force_complete(nova: Lab) -> None:
    """202, `completed`, ACTIVE on the destination; again: 409."""
    server, migration = copying(nova)
    assert force(nova, server, migration).status == 202
    nova.until(server, "completed")
    assert nova.settled(server, "ACTIVE")["OS-EXT-SRV-ATTR:host"] == nova.source
    again = force(nova, server, migration)
    assert again.status == 409
    assert again.message == f"Instance {server} is in an invalid state for 'force_complete'"
