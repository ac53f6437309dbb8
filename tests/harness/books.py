"""Nova's and Placement's own records of a host, against which every `Drained` is checked."""

import os
import subprocess
import threading
from types import TracebackType
from typing import Self

from tests.harness.kubernetes import Drain
from tests.harness.openstack import Lab

# The statuses in which a migration has ended for Nova itself (nova/db/main/api.py
# migration_get_in_progress_by_host_and_node).
ENDED = {"confirmed", "reverted", "error", "failed", "completed", "cancelled", "done"}


def records_of(cloud: Lab, host: str) -> list[str]:
    """What Nova and Placement still have on the host, as text; empty: nothing.

    Servers that are on it, migrations from or to it that have not ended, allocations, and servers
    in ERROR elsewhere that were moved away from it last: the only good copy of their disks may be
    here.
    """
    servers, moves = cloud.servers(), cloud.migrations(host)
    last_from = {
        row["instance_uuid"]: row["source_compute"]
        for row in sorted(moves, key=lambda row: int(row["id"]))
    }
    there = [s for s in servers if s["OS-EXT-SRV-ATTR:host"] == host]
    lost = [
        s
        for s in servers
        if s["status"] == "ERROR" and s not in there and last_from.get(s["id"]) == host
    ]
    return [
        *(f"{s['name']} is there, {s['status']}" for s in there),
        *(f"{s['name']} came from there and is in ERROR" for s in lost),
        *(
            f"migration {row['id']} is {row['status']}"
            for row in moves
            if row["status"] not in ENDED
        ),
        *(f"{consumer} holds an allocation" for consumer in cloud.holders(host)),
    ]


class NeverWronglyDrained:
    """Follows a drain; each time that it says Drained the records are read at once.

    `wrong`: what they had then.
    """

    def __init__(self, cloud: Lab, drain: Drain, host: str) -> None:
        self.cloud, self.drain, self.host = cloud, drain, host
        self.wrong: list[str] = []
        self.times = 0

    def __enter__(self) -> Self:
        self._watch = subprocess.Popen(
            [
                *(
                    "kubectl",
                    "get",
                    f"cnd/{self.drain.name}",
                    "-n",
                    self.drain.namespace,
                    "--watch",
                ),
                *("-o", """jsonpath={.status.conditions[?(@.type=="Drained")].status}{"\\n"}"""),
            ],
            env=os.environ | self.drain.kube.environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Raises AssertionError where the drain was ever wrong, or never said Drained at all.

        An error of the block goes first.
        """
        self._watch.terminate()
        self._watch.wait()
        self._reader.join()
        assert not self.wrong, (
            f"{self.drain.name} said Drained, and {self.host} still had: {self.wrong}"
        )
        assert self.times or kind, f"{self.drain.name} never said Drained: nothing was checked"

    def _read(self) -> None:
        assert self._watch.stdout
        for line in self._watch.stdout:
            if line.strip() == "True":
                self.times += 1
                self.wrong += records_of(self.cloud, self.host)
