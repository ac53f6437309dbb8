"""The bound: the same moves on the same Nova by a loop that knows everything at once and does
nothing else.

It keeps `parallel` slots busy, looks every 100 ms at all servers in one request, confirms the
moment a server is in VERIFY_RESIZE, and starts the next move the moment a slot is free. It checks
nothing, reports nothing and survives nothing: no drain tool can be faster than Nova lets it be.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tests.harness.openstack import Lab

LOOK = 0.1  # seconds


@dataclass(frozen=True)
class Result:
    seconds: float


def drain(cloud: Lab, host: str, ids: list[str], parallel: int) -> Result:
    """Cold-migrate and confirm these servers of `host`; seconds from the first call to the last
    server settled.
    """
    started = time.monotonic()
    waiting, moving, confirming = list(ids), set[str](), set[str]()
    with ThreadPoolExecutor(parallel) as pool:
        while waiting or moving or confirming:
            while waiting and len(moving) + len(confirming) < parallel:
                server_id = waiting.pop(0)
                moving.add(server_id)
                pool.submit(cloud.admin.action, server_id, "migrate")
            rows = {
                row["id"]: row
                for row in cloud.admin.get("/servers/detail?all_tenants=1")["servers"]
            }
            for server_id in list(moving):
                row = rows[server_id]
                if row["status"] == "VERIFY_RESIZE" and row["OS-EXT-STS:task_state"] is None:
                    moving.remove(server_id)
                    confirming.add(server_id)
                    pool.submit(cloud.admin.action, server_id, "confirmResize")
            confirming -= {
                s
                for s in confirming
                if rows[s]["status"] == "ACTIVE" and rows[s]["OS-EXT-SRV-ATTR:host"] != host
            }
            time.sleep(LOOK)
    return Result(time.monotonic() - started)
