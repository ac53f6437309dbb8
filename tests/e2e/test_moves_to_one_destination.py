"""`--max-arrivals`: of two drains side by side no two servers go to the same host at once."""

import time
from collections import Counter
from pathlib import Path

from tests.harness.kubernetes import FLAGS, Drain, Kube, Operator
from tests.harness.openstack import Lab

ARRIVED = ("finished", "confirming", "confirmed", "completed", "error", "failed", "cancelled")


def on_their_way(cloud: Lab) -> Counter[str]:
    """By destination, as Nova shows it now."""
    moves = cloud.admin.get("/os-migrations")["migrations"]
    return Counter(m["dest_compute"] for m in moves if m["status"] not in ARRIVED)


def test_each_destination_has_one_arrival_at_a_time(
    kube: Kube,
    cloud: Lab,
    account: Path,
    credentials: str,
    hosts: tuple[str, ...],
    tmp_path: Path,
) -> None:
    for host in hosts[:2]:
        cloud.boot(host, [f"{host}-{number}" for number in range(5)])
    flags = ("--namespace", credentials, "--max-arrivals", "1")
    operator = Operator(account, tmp_path / "operator.log", flags, FLAGS).start()
    most = 0
    try:
        keep = {"afterDrain": "KeepDisabled"}
        drains = [Drain.apply(kube, credentials, host, service=keep) for host in hosts[:2]]
        deadline = time.monotonic() + 300
        while not all(drain.condition("Ready").get("status") == "True" for drain in drains):
            arriving = on_their_way(cloud)
            del arriving[None]
            most = max(most, *arriving.values(), 0)
            assert time.monotonic() < deadline, [drain.status for drain in drains]
        assert most == 1
        for drain in drains:
            assert drain.status["progress"]["moved"] == 5
            drain.delete()
        assert operator.healthy()
    finally:
        operator.kill()
        print(operator.text()[-20000:])
