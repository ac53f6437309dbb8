"""How fast a drain is, and what it costs Nova: ratios against a bare loop with perfect knowledge,
in the same run.
"""

import re
import statistics
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from tests.bench import bare_loop
from tests.bench.figures import FIGURES
from tests.harness.kubernetes import ALONE, Drain, Kube, Operator
from tests.harness.openstack import Lab, until

SERVERS, PARALLEL = 40, 8
METRICS = "127.0.0.1:18089"

# The bars. Seconds are of the operator's own making (a look every two seconds), not of the
# machine's speed.
DISABLE_WITHIN = 1.0
GAP_WITHIN = 3.0
REQUESTS_PER_SERVER = 5.0
TIME_AGAINST_BARE_LOOP = 1.2


@pytest.fixture
def operator(account: Path, namespace: str, tmp_path: Path) -> Iterator[Operator]:
    flags = ("--listen", METRICS, "--log-level", "info", *ALONE)
    scope = ("--namespace", namespace)
    running = Operator(account, tmp_path / "operator.log", scope, flags).start()
    until("the operator to be ready", lambda: fetch("/readyz") is not None)
    yield running
    running.kill()


def fetch(path: str) -> str | None:
    try:
        with urllib.request.urlopen(f"http://{METRICS}{path}", timeout=5) as answer:
            return str(answer.read().decode())
    except OSError:
        return None


def nova_requests() -> Counter[str]:
    """Requests to Nova so far by method and route, polling included, by the operator's own
    count.
    """
    found: Counter[str] = Counter()
    for line in (fetch("/metrics") or "").splitlines():
        labels = dict(re.findall(r'(\w+)="([^"]*)"', line))
        if line.startswith("quiesce_nova_requests_total{") and labels["service"] == "compute":
            found[f"{labels['method']} {labels['route']}"] += int(float(line.rsplit(" ", 1)[1]))
    return found


def seconds_between(earlier: str, later: str) -> float:
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()


def gaps(cloud: Lab, ids: list[str]) -> list[float]:
    """From the end of each migration in Nova (compute_finish_resize) to the confirm of it, by
    Nova's own action log (±1 s).
    """
    found = []
    for server_id in ids:
        log = cloud.admin.get(f"/servers/{server_id}/os-instance-actions")["instanceActions"]
        migrate = next(row for row in log if row["action"] == "migrate")
        confirm = next(row for row in log if row["action"] == "confirmResize")
        events = cloud.admin.get(
            f"/servers/{server_id}/os-instance-actions/{migrate['request_id']}"
        )["instanceAction"]["events"]
        end = next(e["finish_time"] for e in events if e["event"] == "compute_finish_resize")
        found.append(seconds_between(end, confirm["start_time"]))
    return found


def test_a_drain_is_as_fast_as_nova_lets_it_be(
    kube: Kube,
    cloud: Lab,
    operator: Operator,
    credentials: str,
    host: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    ids = cloud.boot(host, [f"bare-{i}" for i in range(SERVERS)])
    cloud.set_service(host, "disabled", "bench")
    bare = bare_loop.drain(cloud, host, ids, PARALLEL)
    cloud.wipe()
    cloud.set_service(host, "enabled")

    ids = cloud.boot(host, [f"drained-{i}" for i in range(SERVERS)])
    before = nova_requests()
    started = time.monotonic()
    drain = Drain.apply(
        kube,
        credentials,
        host,
        migration={"maxParallel": PARALLEL},
        service={"afterDrain": "KeepDisabled"},
    )
    until(
        "the service to be disabled",
        lambda: (cloud.service(host) or {})["status"] == "disabled",
        pause=0.05,
    )
    disabled = time.monotonic() - started
    drain.until(
        "all servers moved", lambda s: s.get("progress", {}).get("moved") == SERVERS, timeout=600
    )
    moved = time.monotonic() - started
    drain.wait("Ready")
    made = nova_requests() - before
    requests = made.total() / SERVERS
    gap = gaps(cloud, ids)

    drain.delete()
    with capsys.disabled():
        print("\nrequests: " + ", ".join(f"{count} {name}" for name, count in made.most_common()))
    on = f"real Nova, {SERVERS} servers, {PARALLEL} at once"
    FIGURES.note(f"total time over a bare loop's, {on}", moved / bare.seconds)
    FIGURES.note(f"requests to Nova a server, {on}", requests)
    FIGURES.note(f"seconds from apply to the service disabled, {on}", disabled)
    # Nova's action log has whole seconds.
    longest = statistics.quantiles(gap, n=20)[-1] - 1
    FIGURES.note(f"seconds from a move's end to its confirm, p95, {on}", longest)
    assert moved / bare.seconds <= TIME_AGAINST_BARE_LOOP
    assert requests <= REQUESTS_PER_SERVER
    assert disabled <= DISABLE_WITHIN
    assert longest <= GAP_WITHIN
