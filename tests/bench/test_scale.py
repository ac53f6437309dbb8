"""Many drains by the clock of the wall: the operator as a process, a real API server, and the
stand-in in a process of its own.

What the operator takes of its machine is its own processor time and memory, whatever else runs
beside it. What depends on how fast the machine is has no bar.
"""

import math
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from tests.beds.sim.apart import Apart
from tests.bench.figures import FIGURES
from tests.harness.kubernetes import ALONE, Json, Kube, Operator
from tests.harness.openstack import until

SERVERS, SECONDS, WINDOW = 50, 20, 60.0  # a host's; of a move, four at once; of what is measured
MEMORY, RESTART, WRITES = 200.0, 10.0, 2.0  # MiB above idle; seconds; to Kubernetes a server
TEN_TIMES = 1.2  # what a server may cost among ten times as many
HOSTS, AT_REST = 1000, (10.0, 2.0, 100.0)  # requests a minute, per cent of a core, MiB above idle
FALLS_WITHIN = 2400.0
LEAST, MOST = 20, 5  # servers of one drain; seconds of a move of one
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Taken:
    """Up to a moment: by the operator's process, by requests to the cloud and of those by reads, by
    writes to Kubernetes; and how many servers have left.
    """

    at: float
    processor: float
    requests: int
    reads: int
    writes: int
    moved: int

    def since(self, before: "Taken") -> "Taken":
        return Taken(
            self.at - before.at,
            self.processor - before.processor,
            self.requests - before.requests,
            self.reads - before.reads,
            self.writes - before.writes,
            self.moved - before.moved,
        )


@dataclass
class Bed:
    kube: Kube
    namespace: str
    cloud: Apart
    operator: Operator
    applied: dict[str, float] = field(default_factory=dict)
    """When each host's drain was there, as kubectl tells it."""

    def taken(self) -> Taken:
        counts = self.cloud.ask("counts")
        reads = sum(number for name, number in counts.items() if " GET " in name)
        return Taken(
            time.monotonic(),
            self.processor(),
            sum(counts.values()),
            reads,
            self.writes(),
            self.cloud.ask("moved"),
        )

    def within(self, seconds: float) -> Taken:
        before = self.taken()
        time.sleep(seconds)
        return self.taken().since(before)

    def processor(self) -> float:
        """Seconds, of all threads."""
        assert self.operator.process
        stat = Path(f"/proc/{self.operator.process.pid}/stat").read_text()
        fields = stat.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS  # utime, stime

    def memory(self) -> float:
        """MiB that are resident."""
        assert self.operator.process
        rollup = Path(f"/proc/{self.operator.process.pid}/smaps_rollup").read_text()
        resident = next(line for line in rollup.splitlines() if line.startswith("Rss:"))
        return int(resident.split()[1]) / 1024

    def writes(self) -> int:
        """As the API server counts them, without Events."""
        metrics = self.kube.kubectl("get", "--raw", "/metrics").stdout
        return sum(
            int(float(line.rpartition(" ")[2]))
            for line in metrics.splitlines()
            if line.startswith("apiserver_request_total{")
            and 'resource="computenodedrains"' in line
            and any(f'verb="{verb}"' in line for verb in ("APPLY", "PATCH", "PUT"))
        )

    def waits(self) -> list[float]:
        """From apply to the request that disables; ascending."""
        disabled = self.cloud.ask("disabled")
        return sorted(disabled.get(host, math.inf) - at for host, at in self.applied.items())

    def apply(self, drains: int, parallel: int) -> None:
        """In one kubectl, which has a line for each as soon as it is there."""
        documents = yaml.safe_dump_all(drain(number, parallel) for number in range(drains))
        command = ("kubectl", "apply", "-n", self.namespace, "-f", "-")
        with subprocess.Popen(
            command,
            env=os.environ | self.kube.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as kubectl:
            assert kubectl.stdin and kubectl.stdout
            kubectl.stdin.write(documents)
            kubectl.stdin.close()
            for line in kubectl.stdout:
                _, _, number = line.removesuffix(" created\n").rpartition("-")
                self.applied[f"src{number}"] = time.time()
        assert len(self.applied) == drains

    def drained(self) -> int:
        found = self.kube.get("cnd", self.namespace) or {"items": []}
        return sum((each.get("status") or {}).get("phase") == "Drained" for each in found["items"])


@contextmanager
def bed(kube: Kube, account: Path, namespace: str, log: Path, cloud: Apart) -> Iterator[Bed]:
    with cloud:
        kube.credentials(namespace, yaml.safe_dump({"clouds": {"openstack": cloud.entry}}))
        flags = ("--listen", "none", *ALONE)  # logs as by default
        operator = Operator(account, log, ("--namespace", namespace), flags).start()
        try:
            until("its start", lambda: "ComputeNodeDrains found" in operator.text(), timeout=120.0)
            time.sleep(5.0)  # what it allocates once it runs is there
            yield Bed(kube, namespace, cloud, operator)
        finally:
            operator.kill()


def drain(number: int, parallel: int) -> Json:
    return {
        "apiVersion": "quiesce.dev/v1alpha1",
        "kind": "ComputeNodeDrain",
        "metadata": {"name": f"drain-{number}"},
        "spec": {
            "host": f"src{number}",
            "migration": {"method": "Cold", "maxParallel": parallel},
            "service": {"afterDrain": "KeepDisabled"},
        },
    }


@contextmanager
def applied(it: Bed, drains: int, parallel: int = 4) -> Iterator[None]:
    """At its end the operator is killed, and the drains are deleted."""
    it.apply(drains, parallel)
    try:
        yield
        assert it.operator.healthy()
    finally:
        it.operator.kill()
        free = '{"metadata": {"finalizers": null}}'
        names = [f"cnd/drain-{number}" for number in range(drains)]
        where = ("-n", it.namespace)
        it.kube.kubectl("patch", *names, *where, "--type=merge", "-p", free, check=False)
        it.kube.kubectl("delete", *names, *where, check=False)


def test_ten_times_as_many(kube: Kube, account: Path, namespace: str, tmp_path: Path) -> None:
    """1,000 and 10,000 servers in drain, and an operator that is killed among them."""
    few, many = (
        in_motion(drains, kube, account, namespace, tmp_path / f"{drains}.log")
        for drains in (20, 200)
    )
    FIGURES.note("processor time a server, of ten times as many drains", many / few, TEN_TIMES)


def in_motion(drains: int, kube: Kube, account: Path, namespace: str, log: Path) -> float:
    """-> milliseconds of processor time for each server."""
    cloud = Apart(hosts=drains, servers=SERVERS, seconds=SECONDS)
    with bed(kube, account, namespace, log, cloud) as it:
        idle, name = it.memory(), f"{drains} drains by the clock"
        with applied(it, drains):
            until("all are disabled", lambda: len(cloud.ask("disabled")) == drains, 300.0)
            latest = it.waits()[-1 - drains // 100]
            FIGURES.note(f"{name}: seconds until disabled, p99", latest)
            until("moves have ended", lambda: cloud.ask("moved") >= drains, 300.0)
            took = it.within(WINDOW)
            each = 1000 * took.processor / took.moved
            FIGURES.note(f"{name}: moves a second", took.moved / took.at)
            FIGURES.note(f"{name}: reads a second", took.reads / took.at)
            FIGURES.note(f"{name}: requests a server", took.requests / took.moved)
            FIGURES.note(f"{name}: of a core", took.processor / took.at)
            FIGURES.note(f"{name}: processor ms a server", each)
            FIGURES.note(f"{name}: writes a server", took.writes / took.moved, WRITES)
            FIGURES.note(f"{name}: MiB above idle", it.memory() - idle, MEMORY)
            FIGURES.note(f"{name}: servers moved to hosts to be drained", cloud.ask("astray"), 0)
            restart(it, name)
            return each


def restart(it: Bed, name: str) -> None:
    """From the start of the process to its first call that changes something in the cloud."""
    it.operator.kill()
    began = time.time()
    it.operator.start()
    until("its first action", lambda: it.cloud.ask("last_write") > began, 120.0, pause=0.2)
    FIGURES.note(
        f"{name}: seconds from a restart to an action", it.cloud.ask("last_write") - began, RESTART
    )


@pytest.mark.parametrize("parallel", [1, 4])
def test_one_drain(
    parallel: int, kube: Kube, account: Path, namespace: str, tmp_path: Path
) -> None:
    cloud = Apart(hosts=1, servers=LEAST, seconds=MOST)
    with bed(kube, account, namespace, tmp_path / "operator.log", cloud) as it:
        FIGURES.note("an idle operator: MiB", it.memory())
        FIGURES.note("an operator's start: seconds of a core", it.processor())
        before, began = it.taken(), time.time()
        with applied(it, 1, parallel):
            until("its first move", lambda: cloud.ask("first_move") > 0, 60.0, pause=0.1)
            name = f"one drain of {LEAST} servers, {parallel} at once"
            FIGURES.note(f"{name}: seconds to the first move", cloud.ask("first_move") - began)
            until("it is empty", lambda: cloud.ask("moved") == LEAST, 300.0)
            took = it.taken().since(before)
            bound = LEAST * MOST / parallel
            FIGURES.note(f"{name}: time over the bound", took.at / bound)
            FIGURES.note(f"{name}: requests a server", took.requests / LEAST)
            FIGURES.note(f"{name}: seconds of a core", took.processor)
            FIGURES.note(f"{name}: MiB", it.memory())


def test_a_thousand_hosts_at_rest(
    kube: Kube, account: Path, namespace: str, tmp_path: Path
) -> None:
    """Drained, and nothing happens; in the first window with so few requests."""
    cloud = Apart(hosts=HOSTS, servers=0)
    with bed(kube, account, namespace, tmp_path / "operator.log", cloud) as it:
        idle, began = it.memory(), time.monotonic()
        with applied(it, HOSTS):
            until("all are drained", lambda: it.drained() == HOSTS, FALLS_WITHIN, pause=15.0)
            name, (requests, core, memory) = f"{HOSTS} drained hosts", AT_REST
            while True:
                took = it.within(2 * WINDOW)
                minutely, used = 60 * took.requests / took.at, 100 * took.processor / took.at
                print(f"{minutely:.1f} requests a minute, {used:.2f} % of a core", flush=True)
                if minutely <= requests or time.monotonic() - began > FALLS_WITHIN:
                    break
            FIGURES.note(f"{name}: requests a minute", minutely, requests)
            FIGURES.note(f"{name}: MiB above idle", it.memory() - idle, memory)
            FIGURES.note(f"{name}: per cent of a core", used, core)
