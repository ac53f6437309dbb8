"""`--max-arrivals` and `--max-moves`: of two drains side by side no two servers go to the same host
at once, and no three are on their way, also when the operator is killed in between.
"""

import time
from collections import Counter
from pathlib import Path

from tests.harness.kubernetes import FLAGS, Drain, Kube, Operator
from tests.harness.openstack import Lab

ENDED = ("confirmed", "completed", "error", "failed", "cancelled")
ARRIVED = ("finished", "confirming")
SERVERS = 5
SOAK = {"soak": "3s"}  # one that has arrived stays in flight while the next one is on its way


def in_flight(cloud: Lab) -> list[tuple[str, str | None]]:
    """Status and destination of each move, as Nova shows it now."""
    moves = cloud.admin.get("/os-migrations")["migrations"]
    return [(m["status"], m["dest_compute"]) for m in moves if m["status"] not in ENDED]


def test_both_limits_hold_whatever_becomes_of_the_operator(
    kube: Kube,
    cloud: Lab,
    account: Path,
    credentials: str,
    hosts: tuple[str, ...],
    tmp_path: Path,
) -> None:
    for host in hosts[:2]:
        cloud.boot(host, [f"{host}-{number}" for number in range(SERVERS)])
    flags = ("--namespace", credentials, "--max-arrivals", "1", "--max-moves", "2")
    operator = Operator(account, tmp_path / "operator.log", flags, FLAGS).start()
    most = most_to_one = kills = 0
    try:
        keep, soaks = {"afterDrain": "KeepDisabled"}, {"checks": SOAK}
        drains = [
            Drain.apply(kube, credentials, host, service=keep, confirmation=soaks)
            for host in hosts[:2]
        ]
        deadline = time.monotonic() + 300
        while not all(drain.condition("Ready").get("status") == "True" for drain in drains):
            assert time.monotonic() < deadline, [drain.status for drain in drains]
            moves = in_flight(cloud)
            to = Counter(host for status, host in moves if host and status not in ARRIVED)
            most, most_to_one = max(most, len(moves)), max(most_to_one, *to.values(), 0)
            moved = sum(drain.status.get("progress", {}).get("moved", 0) for drain in drains)
            if moved >= 3 * (kills + 1) and len(moves) == 2 and kills < 2:
                operator.kill()
                operator.start()
                kills += 1
        assert (most, most_to_one) == (2, 1)
        assert kills == 2
        for drain in drains:
            assert drain.status["progress"]["moved"] == SERVERS
            drain.delete()
        assert operator.healthy()
    finally:
        operator.kill()
        print(operator.text()[-20000:])
