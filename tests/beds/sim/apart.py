"""The stand-in in a process of its own, with a large cloud: it takes no time of the interpreter of
whoever measures.

    with Apart(hosts=200, servers=50) as cloud:     # 50 servers on each of 200 hosts
        cloud.entry                                 # of clouds.yaml
        cloud.ask("counts")                         # requests by service, method and route

`python -m tests.beds.sim.apart` is that process: a question is a line on its standard input, its
answer a line of JSON on its standard output; it ends with its input. See `Answers` for what it can
be asked.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

from tests.beds.sim.model import Cloud
from tests.beds.sim.simulator import Simulator
from tests.beds.sim.state import Config
from tests.beds.sim.web import HttpFault

ROOT = Path(__file__).parents[3]
TARGETS = 20  # hosts that take the servers
BOOTED_BEFORE = 60.0  # seconds
ENDED = ("confirmed", "completed")
WRITES = ("POST", "PUT", "DELETE")


class Apart:
    """`hosts`: `src0`, `src1` … with `servers` each; others take them. A move takes `seconds`, a
    quarter more or less. `latency`: seconds that every request takes.
    """

    def __init__(
        self,
        *,
        hosts: int,
        servers: int,
        seconds: int = 20,
        method: str = "Cold",
        latency: float = 0.05,
    ) -> None:
        options = {
            "hosts": hosts,
            "servers": servers,
            "seconds": seconds,
            "method": method,
            "latency": latency,
        }
        self._flags = [f"--{name}={value}" for name, value in options.items()]
        self._process: subprocess.Popen[str] | None = None
        self.entry: dict[str, Any] = {}

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.beds.sim.apart", *self._flags],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        self.entry = self.ask("entry")
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process and self._process.stdin
        self._process.stdin.close()
        self._process.wait(30)

    def ask(self, what: str) -> Any:
        """The answer. Raises AssertionError where the process has died."""
        process = self._process
        assert process and process.stdin and process.stdout
        print(what, file=process.stdin, flush=True)
        line = process.stdout.readline()
        assert line, f"the stand-in has ended with {process.poll()}"
        return json.loads(line)


class Answers:
    """What the process tells."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator, self._cloud = simulator, simulator.cloud
        self._hosts = {each.id: each.host for each in self._cloud.state.compute_services.values()}

    def entry(self) -> dict[str, Any]:
        """Of the operator's user in clouds.yaml."""
        return self._simulator.cloud_entry("quiesce")

    def counts(self) -> dict[str, int]:
        """Requests so far, by service, method and route."""
        return dict(self._simulator.log.counts)

    def moved(self) -> int:
        """Servers that have left for good."""
        return sum(m.status in ENDED for m in self._cloud.state.migrations)

    def disabled(self) -> dict[str, float]:
        """When each host was disabled first, in seconds since the epoch."""
        found: dict[str, float] = {}
        for entry in self._simulator.log.entries:
            if entry.name == "compute PUT /v2.1/os-services/{id}":
                found.setdefault(self._hosts[entry.path.rpartition("/")[2]], entry.at)
        return found

    def astray(self) -> int:
        """Moves to hosts that were disabled already, or are later: their servers move again."""
        return sum(str(m.dest).startswith("src") for m in self._cloud.state.migrations)

    def first_move(self) -> float:
        """When the first move was asked for, in seconds since the epoch; 0: none was."""
        asked = "compute POST /v2.1/servers/{id}/action"
        return next((e.at for e in self._simulator.log.entries if e.name == asked), 0.0)

    def last_write(self) -> float:
        """When the last request came that changes something, in seconds since the epoch."""
        log = reversed(self._simulator.log.entries)
        return next((e.at for e in log if e.service == "compute" and e.method in WRITES), 0.0)


def crowd(arguments: argparse.Namespace) -> Cloud:
    servers, hosts = arguments.servers, arguments.hosts
    config = Config(max_concurrent_live_migrations=4)
    cloud = Cloud((), start=time.time() - BOOTED_BEFORE, config=config)
    for number in range(hosts):
        cloud.computes.add(f"src{number}", vcpus=max(1, 2 * servers))
    for number in range(TARGETS if servers else 0):
        cloud.computes.add(
            f"dst{number}",
            vcpus=2 * servers * hosts,
            ram=1000 * servers * hosts,
            disk=1000 * servers * hosts,
        )
    step = "live_migration" if arguments.method == "Live" else "migrate_disk_and_power_off"
    least, most = int(0.75 * arguments.seconds), int(1.25 * arguments.seconds)
    for host in range(hosts):
        for number in range(servers):
            fault = {f"fault.{step}": f"sleep:{cloud.state.random.randint(least, most)}"}
            cloud.boot(f"src{host}-{number}", host=f"src{host}", metadata=fault)
    cloud.clock.advance(time.time() - cloud.clock.now())
    return cloud


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.beds.sim.apart", description=__doc__)
    parser.add_argument("--hosts", type=int, default=5, help="hosts to be drained")
    parser.add_argument("--servers", type=int, default=0, help="servers on each of them")
    parser.add_argument(
        "--seconds", type=int, default=20, help="that a move takes, a quarter more or less"
    )
    parser.add_argument("--method", choices=("Cold", "Live"), default="Cold", help="of the moves")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds that a request takes")
    arguments = parser.parse_args()
    cloud = crowd(arguments)
    with Simulator(cloud) as simulator:
        cloud.clock.speed = 1.0
        if arguments.latency:
            simulator.application.hook = lambda _: HttpFault("delay", seconds=arguments.latency)
        answers = Answers(simulator)
        for line in sys.stdin:
            with cloud.hold():
                answer = getattr(answers, line.strip())()
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
