"""Servers in mixed states on one host, and how each has to end after a drain by LiveThenCold."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tests.harness.openstack import Lab
from tests.harness.promises import COLD, LIVE, moved

METHOD = "LiveThenCold"


@dataclass
class Mixed:
    """Their ids, by the state they were brought to."""

    cloud: Lab
    host: str
    running: list[str]
    stopped: list[str]
    paused: list[str]
    shelved: list[str]

    @classmethod
    def boot(
        cls,
        cloud: Lab,
        host: str,
        running: int = 7,
        stopped: int = 3,
        paused: int = 1,
        shelved: int = 1,
    ) -> "Mixed":
        """Twelve by default: seven that run, three that are shut off, one paused, one shelved."""
        ids = cloud.boot(
            host, [f"{host}-{number:02}" for number in range(running + stopped + paused + shelved)]
        )
        cuts = (running, running + stopped, running + stopped + paused)
        found = cls(
            cloud,
            host,
            ids[: cuts[0]],
            ids[cuts[0] : cuts[1]],
            ids[cuts[1] : cuts[2]],
            ids[cuts[2] :],
        )
        states = (("SHUTOFF", found.stopped), ("PAUSED", found.paused), ("SHELVED", found.shelved))
        with ThreadPoolExecutor(len(states)) as pool:
            list(pool.map(lambda wanted: cloud.bring(wanted[1], wanted[0]), states))
        return found

    @property
    def ids(self) -> Sequence[str]:
        return [*self.running, *self.stopped, *self.paused, *self.shelved]

    def all_moved_once(self) -> None:
        """By Nova's own action log.

        One live migration, or one cold one and its confirm, or one offload each; nothing else.
        """
        for server_id in self.running:
            moved(self.cloud, server_id, self.host, "ACTIVE", LIVE)
        for server_id in self.paused:
            moved(self.cloud, server_id, self.host, "PAUSED", LIVE, before=("create", "pause"))
        for server_id in self.stopped:
            moved(self.cloud, server_id, self.host, "SHUTOFF", COLD, before=("create", "stop"))
        for server_id in self.shelved:
            offloaded(self.cloud, server_id)


def offloaded(cloud: Lab, server_id: str) -> None:
    server = cloud.server(server_id)
    assert server is not None
    assert (server["status"], server["OS-EXT-STS:task_state"]) == ("SHELVED_OFFLOADED", None), (
        server.get("fault")
    )
    assert server["OS-EXT-SRV-ATTR:host"] is None
    assert cloud.allocations(server_id) == {}
    assert cloud.actions(server_id) == ["create", "shelve", "shelveOffload"]
