"""A thousand drained hosts, with nothing to do: what the operator takes of its own machine.

By the clock of the wall, so it lasts: hosts are looked at less and less often, which takes half an
hour. Processor time and memory are the process's own, whatever else runs beside it.
"""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.beds.sim.model import Cloud
from tests.beds.sim.simulator import Simulator
from tests.bench.figures import FIGURES
from tests.harness.kubernetes import FLAGS, Json, Kube, Operator
from tests.harness.openstack import until

HOSTS = 1000
FALLS_WITHIN = 3600.0
WINDOW = 120.0
AT_REST = 12.0  # requests a minute: fewer, and no host is being drained or looked at any more
PROCESSOR, MEMORY, REQUESTS = 2.0, 100.0, 10.0  # per cent; MiB above an operator of no resource
TICKS = os.sysconf("SC_CLK_TCK")


def processor_seconds(operator: Operator) -> float:
    assert operator.process
    fields = Path(f"/proc/{operator.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS  # utime, stime


def memory_mib(operator: Operator) -> float:
    assert operator.process
    rollup = Path(f"/proc/{operator.process.pid}/smaps_rollup").read_text()
    return (
        int(next(line for line in rollup.splitlines() if line.startswith("Pss:")).split()[1]) / 1024
    )


@pytest.fixture
def sim(kube: Kube, namespace: str) -> Iterator[Simulator]:
    names = tuple(f"cmp{number}" for number in range(1, HOSTS + 1))
    with Simulator(Cloud(names, start=time.time(), speed=1.0)) as running:
        entry = running.cloud_entry("quiesce")
        kube.credentials(namespace, yaml.safe_dump({"clouds": {"openstack": entry}}))
        yield running


def drain(number: int) -> Json:
    return {
        "apiVersion": "quiesce.dev/v1alpha1",
        "kind": "ComputeNodeDrain",
        "metadata": {"name": f"drain-{number}"},
        "spec": {
            "host": f"cmp{number}",
            "migration": {"method": "Cold"},
            "service": {"afterDrain": "KeepDisabled"},
        },
    }


def drained(kube: Kube, namespace: str) -> int:
    listed = kube.get("cnd", namespace) or {"items": []}
    return sum((each.get("status") or {}).get("phase") == "Drained" for each in listed["items"])


def test_a_thousand_drained_hosts(
    kube: Kube, account: Path, namespace: str, sim: Simulator, tmp_path: Path
) -> None:
    operator = Operator(account, tmp_path / "operator.log", ("--namespace", namespace), FLAGS)
    operator.start()
    try:
        until("its start", lambda: "ComputeNodeDrains found" in operator.text(), timeout=120.0)
        time.sleep(30.0)  # what it allocates once it runs is there
        empty = memory_mib(operator)
        kube.apply(*map(drain, range(1, HOSTS + 1)), namespace=namespace)
        until(
            "all drained",
            lambda: drained(kube, namespace) == HOSTS,
            timeout=FALLS_WITHIN,
            pause=10.0,
        )
        at_rest(operator, sim, empty)
        assert operator.healthy()
    finally:
        operator.kill()
        free = '{"metadata": {"finalizers": null}}'
        for number in range(1, HOSTS + 1):
            kube.kubectl(
                "patch",
                f"cnd/drain-{number}",
                "-n",
                namespace,
                "--type=merge",
                "-p",
                free,
                check=False,
            )


def at_rest(operator: Operator, sim: Simulator, empty: float) -> None:
    """Measures in the first window in which it asks for so little."""
    deadline = time.monotonic() + FALLS_WITHIN
    while True:
        before, asked, began = processor_seconds(operator), sim.log.counts.total(), time.monotonic()
        time.sleep(WINDOW)
        minutes = (time.monotonic() - began) / 60
        requests = (sim.log.counts.total() - asked) / minutes
        used = (processor_seconds(operator) - before) / (minutes * 60) * 100
        above = memory_mib(operator) - empty
        print(f"{requests:.1f} requests a minute, {used:.2f} % of a core, {above:.0f} MiB more")
        if requests <= AT_REST or time.monotonic() > deadline:
            break
    FIGURES.note(f"{HOSTS} hosts at rest, by the clock: requests a minute", requests, REQUESTS)
    FIGURES.note(f"{HOSTS} hosts at rest: per cent of a core", used, PROCESSOR)
    FIGURES.note(f"{HOSTS} hosts at rest: MiB above an operator without any", above, MEMORY)
