"""Run the stand-in by hand: `python -m tests.beds.sim --port 0 --speed 1`."""

import argparse
import shlex
import signal
import threading
import time

from tests.beds.sim.model import Cloud
from tests.beds.sim.simulator import Simulator


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.beds.sim", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="port on loopback; 0: any free one")
    parser.add_argument(
        "--speed", type=float, default=1.0, help="seconds in the cloud per real second"
    )
    parser.add_argument(
        "--hosts", type=int, default=5, help="number of compute hosts, cmp1 and so on"
    )
    parser.add_argument("--servers", type=int, default=0, help="servers to boot on cmp1")
    arguments = parser.parse_args()
    hosts = [f"cmp{number}" for number in range(1, arguments.hosts + 1)]
    cloud = Cloud(hosts, start=time.time(), speed=arguments.speed)
    for number in range(1, arguments.servers + 1):
        cloud.boot(f"server-{number}", host=hosts[0])
    ended = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: ended.set())
    with Simulator(cloud, port=arguments.port) as simulator:
        path = shlex.quote(str(simulator.clouds_yaml))
        print(f"export OS_CLIENT_CONFIG_FILE={path} OS_CLOUD=lab", flush=True)
        ended.wait()


if __name__ == "__main__":
    main()
