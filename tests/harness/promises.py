"""What a drain promises, as assertions over the records of Nova and Placement themselves."""

from collections.abc import Sequence

from tests.harness.openstack import Json, Lab

COLD, LIVE = ("migrate", "confirmResize"), ("live-migration",)
POWER = {"ACTIVE": 1, "PAUSED": 3, "SHUTOFF": 4}  # nova/compute/power_state.py


def moved(
    cloud: Lab,
    server_id: str,
    host: str,
    status: str,
    actions: Sequence[str],
    before: Sequence[str] = ("create",),
) -> None:
    """The server left `host` by exactly these actions.

    It is in its old state without a task, and has allocations on one host only.
    """
    server = cloud.server(server_id)
    assert server is not None
    assert (server["status"], server["OS-EXT-STS:task_state"]) == (status, None), server.get(
        "fault"
    )
    assert server["OS-EXT-STS:power_state"] == POWER[status]
    assert server["OS-EXT-SRV-ATTR:host"] != host
    assert len(cloud.allocations(server_id)) == 1
    done = cloud.actions(server_id)
    assert done == [*before, *actions], (server["name"], done)


def nothing_left(cloud: Lab, host: str) -> None:
    """The host is gone from Nova, and from Placement with all that was held on it."""
    assert cloud.service(host) is None
    assert cloud.servers_on(host) == []
    assert cloud.provider(host) is None


def most_at_once(migrations: Sequence[Json]) -> int:
    """How many migrations were in progress at the same time.

    Each counts from the call to the end of the confirm, in whole seconds.
    """
    ends = [(row["updated_at"], -1) for row in migrations]
    starts = [(row["created_at"], 1) for row in migrations]
    highest = level = 0
    for _, step in sorted(ends + starts):
        level += step
        highest = max(highest, level)
    return highest
