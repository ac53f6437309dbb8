"""A nova-compute that dies: what is accepted, what sticks, and what is left when it returns."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from tests.contract.changes import END_ON_DESTINATION_COUNTS
from tests.contract.lab import Json, Lab

UNAVAILABLE = "Service is unavailable at this time."


@dataclass
class Story:
    """Servers on the source, by what they were doing when it was killed.

    accepted, waiting: migrated cold and live after the kill, while the service was still `up`;
    copying, running, queued: in the middle of a cold copy, a live copy, a live queue; finished:
    VERIFY_RESIZE on the other host; idle: nothing; evacuated: nothing, and evacuated to the other
    host while the source was down: then it held `held`. down, back: rows noted while the service
    was down and after the return, by name.
    """

    idle: str
    copying: str
    running: str
    finished: str
    accepted: str
    waiting: str
    queued: str
    evacuated: str
    held: set[str]
    down: dict[str, Json]
    down_moves: dict[str, str]
    refused_cold: str
    refused_live: str
    refused_confirm: str
    back: dict[str, Json]
    back_moves: dict[str, str]


NAMES = ("idle", "copying", "running", "finished", "accepted", "waiting", "queued", "evacuated")


@pytest.fixture(scope="module")
def story(cloud: Lab) -> Iterator[Story]:
    """One death and return of the source for all cases."""
    with cloud.case():
        servers = dict(zip(NAMES, begin(cloud), strict=True))
        cloud.kill_compute(cloud.source)
        try:
            down = while_down(cloud, servers)
        finally:  # later cases need it
            cloud.start_compute(cloud.source)
        cloud.pause(8)  # what waited in the queue is done by now
        back, back_moves = note(cloud, servers)
        yield Story(
            **(servers | down),
            back=back,
            back_moves=back_moves,
        )


def begin(nova: Lab) -> list[str]:
    """Boot the servers and bring the first ones into the middle of their moves."""
    slow = {"fault.migrate_disk_and_power_off": "sleep:300", "fault.live_migration": "sleep:300"}
    plain = {"idle", "finished", "accepted", "waiting", "evacuated"}
    metadata: list[Json] = [{} if name in plain else slow for name in NAMES]
    booted = nova.many({"metadata": faults} for faults in [*metadata, slow, slow, slow])
    servers, fillers = dict(zip(NAMES, booted[: len(NAMES)], strict=True)), booted[len(NAMES) :]
    nova.migrate(servers["finished"])
    nova.migrate(servers["copying"])
    crowd = [servers["running"], *fillers]  # four copy at a time
    for server in crowd:
        nova.migrate_live(server)
    for server in crowd:
        nova.until(server, "running")
    nova.migrate_live(servers["queued"])
    nova.until(servers["queued"], "queued")
    nova.until(servers["copying"], "migrating")
    nova.settled(servers["finished"], "VERIFY_RESIZE")
    return list(servers.values())


def while_down(nova: Lab, servers: dict[str, str]) -> dict[str, Any]:
    """Ask for moves before and after Nova has noticed; return what Story has of that time."""
    assert nova.migrate(servers["accepted"]).status == 202
    assert nova.migrate_live(servers["waiting"]).status == 202
    nova.wait("the service down", lambda: (nova.service(nova.source) or {}).get("state") == "down")
    refused = {
        "refused_cold": nova.migrate(servers["idle"]).message,
        "refused_live": str(nova.migrate_live(servers["idle"]).status),
        "refused_confirm": nova.act(servers["finished"], "confirmResize").message,
    }
    nova.until(servers["idle"], "error")
    held = evacuate(nova, servers["evacuated"])
    down, moves = note(nova, servers)
    return {**refused, "held": held, "down": down, "down_moves": moves}


def evacuate(nova: Lab, server: str) -> set[str]:
    """Evacuate a server to the spare host; return which of the two it holds resources of then."""
    answer = nova.act(server, "evacuate", {"host": nova.spare})
    assert answer.status == 200, answer.message
    nova.until(server, "done")
    nova.settled(server, nova.after_evacuation)
    return {host for host in (nova.source, nova.spare) if server in nova.held(host)}


def note(nova: Lab, servers: dict[str, str]) -> tuple[dict[str, Json], dict[str, str]]:
    shown = {name: nova.show(server) for name, server in servers.items()}
    moves = {
        name: next((row["status"] for row in nova.migrations(server)), "")
        for name, server in servers.items()
    }
    return shown, moves


def state(row: Json) -> tuple[str, str | None]:
    return row["status"], row["OS-EXT-STS:task_state"]


def test_within_service_down_time(nova: Lab, story: Story) -> None:
    """202, then stuck for as long as the host is away."""
    assert state(story.down["accepted"]) == ("RESIZE", "resize_prep")
    assert story.down_moves["accepted"] == "pre-migrating"
    assert state(story.down["waiting"]) == ("MIGRATING", "migrating")
    assert story.down_moves["waiting"] == "accepted"


def test_in_the_middle(nova: Lab, story: Story) -> None:
    """What was going on stays as it was."""
    assert state(story.down["copying"]) == ("RESIZE", "resize_migrating")
    assert story.down_moves["copying"] == "migrating"
    assert state(story.down["running"]) == ("MIGRATING", "migrating")
    assert story.down_moves["running"] == "running"
    assert story.down_moves["queued"] == "queued"


def test_refused_when_down(nova: Lab, story: Story) -> None:
    """Cold and confirm: 409; live: 202 and then `error`; host_status is UNKNOWN."""
    assert story.refused_cold == UNAVAILABLE
    assert story.refused_live == "202"
    assert story.refused_confirm == UNAVAILABLE
    assert state(story.down["idle"]) == ("ACTIVE", None)
    assert story.down_moves["idle"] == "error"
    assert story.down["idle"]["host_status"] == "UNKNOWN"
    assert state(story.down["finished"]) == ("VERIFY_RESIZE", None)
    assert story.down_moves["finished"] == "finished"


def test_a_cold_copy_after_the_return(nova: Lab, story: Story) -> None:
    """Where it was, and off: its guest is not started again, and Nova stops what it finds off.

    The record says `migrating` for ever; the stop is an action of nobody's.
    """
    shown = nova.settled(story.copying, "SHUTOFF")
    assert (shown["OS-EXT-SRV-ATTR:host"], shown["OS-EXT-STS:power_state"]) == (nova.source, 4)
    assert story.back_moves["copying"] == "migrating"
    path = f"/servers/{story.copying}/os-instance-actions"
    stopped = nova.get(path, "instanceActions")[0]
    assert (stopped["action"], stopped["user_id"], stopped["project_id"]) == ("stop", None, None)


def test_a_live_copy_after_the_return(nova: Lab, story: Story) -> None:
    assert state(story.back["running"]) == ("ACTIVE", None)
    assert story.back_moves["running"] == "error"


def test_a_queued_move_after_the_return(nova: Lab, story: Story) -> None:
    """ACTIVE where it was, and a record that says `queued` for ever."""
    assert state(story.back["queued"]) == ("ACTIVE", None)
    assert story.back_moves["queued"] == "queued"


def test_what_waited_in_the_queue(nova: Lab, story: Story) -> None:
    """The requests accepted while it was away are carried out when it is back, on servers it reset
    meanwhile.
    """
    assert (state(story.back["accepted"]), story.back_moves["accepted"]) == (
        ("ERROR", "resize_migrating"),
        "error",
    )
    assert story.back["accepted"]["OS-EXT-SRV-ATTR:host"] == nova.source
    # At the end of a live move the destination finds no task on the server, and fails before it
    # has written down the host.
    if nova.has(END_ON_DESTINATION_COUNTS):
        end, move, host = ("ERROR", None), "error", nova.spare
    else:
        end, move, host = ("ACTIVE", None), "completed", nova.source
    assert (state(story.back["waiting"]), story.back_moves["waiting"]) == (end, move)
    assert story.back["waiting"]["OS-EXT-SRV-ATTR:host"] == host


def test_an_evacuated_server(nova: Lab, story: Story) -> None:
    """It holds both hosts until the dead one is back, which then frees what it held there."""
    assert story.held == {nova.source, nova.spare}
    assert story.down["evacuated"]["OS-EXT-SRV-ATTR:host"] == nova.spare
    assert (story.down_moves["evacuated"], story.back_moves["evacuated"]) == ("done", "completed")
    nova.wait("the source freed", lambda: story.evacuated not in nova.held(nova.source))
    assert story.evacuated in nova.held(nova.spare)
    assert state(nova.show(story.evacuated)) == (nova.after_evacuation, None)


def test_finished_can_be_confirmed_after_the_return(nova: Lab, story: Story) -> None:
    assert nova.act(story.finished, "confirmResize").status == 204
    nova.settled(story.finished, "ACTIVE")
    nova.until(story.finished, "confirmed")
