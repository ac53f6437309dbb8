"""Several reconciliations at once by the real code, in a process of its own, to see its memory.

`python -m tests.security.reader HOST CLOUDS_YAML…` reads, of each cloud in a thread of its own and
within the budget of a reconciliation, its services and the servers of HOST. Prints as JSON how each
ended in `found`, and the `peak` of memory of the whole process (MiB).
"""

import json
import sys
import threading

from quiesce.api.errors import CloudUnreachable
from quiesce.kube.secrets import Secret
from quiesce.openstack.cloud import Cloud
from quiesce.openstack.session import Clouds
from quiesce.runtime.turn import turn
from tests.security.visitor import peak


def main() -> None:
    host, found = sys.argv[1], list[str]()
    clouds = [
        Clouds().get(
            Secret(f"ns{number}", "clouds", "1", {"clouds.yaml": text.encode()}), "openstack"
        )
        for number, text in enumerate(sys.argv[2:])
    ]
    all_ready = threading.Barrier(len(clouds))

    def read(cloud: Cloud) -> None:
        all_ready.wait()
        with turn(lambda _: True):
            try:
                found.append(f"{len(cloud.services())} {len(cloud.servers_on(host))}")
            except CloudUnreachable as error:
                found.append(str(error))

    threads = [threading.Thread(target=read, args=(cloud,)) for cloud in clouds]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps({"found": found, "peak": peak() // 1024}))


if __name__ == "__main__":
    main()
