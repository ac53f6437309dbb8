"""What drains ask of Nova, alone and side by side, and how soon a new one is disabled: in virtual
time, so that no machine is too slow for it. `QUIESCE_BENCH=file` gets the figures as JSON.
"""

import json
import os
from pathlib import Path

import pytest

from tests.harness.fleet import Fleet

SECONDS = 20  # of each move; four at once
# Of one drain, per server: requests of all kinds. What is more than the three that a cold move
# takes (migrate, diagnostics, confirm; live: one) are polls and lists.
ALONE = {"Cold": 9.5, "Live": 7.0}
# By drains: seconds from apply to the request that disables (p99), reads a second while all move.
TOGETHER = {20: (0.5, 16.0), 100: (0.5, 66.0)}


def tell(capsys: pytest.CaptureFixture[str], **figures: float | str) -> None:
    with capsys.disabled():
        print("\n" + ", ".join(f"{name} {value}" for name, value in figures.items()))
    if path := os.environ.get("QUIESCE_BENCH"):
        with Path(path).open("a") as file:
            file.write(json.dumps(figures) + "\n")


@pytest.mark.parametrize("method", list(ALONE))
def test_requests_of_one_drain(method: str, capsys: pytest.CaptureFixture[str]) -> None:
    servers = 24
    fleet = Fleet(1, servers, SECONDS, method=method)
    while fleet.moved < servers:
        fleet.run(5)
    each = round(fleet.made.total() / servers, 2)
    tell(capsys, drains=1, method=method, requests_per_server=each)
    assert each <= ALONE[method]


@pytest.mark.parametrize("drains", list(TOGETHER))
def test_many_drains(drains: int, capsys: pytest.CaptureFixture[str]) -> None:
    fleet = Fleet(drains, 16, SECONDS, spread=0.1)
    fleet.run(drains * 0.1 + 5)
    waits = fleet.waits()
    fleet.made.clear()
    fleet.run(SECONDS)
    reads = sum(count for name, count in fleet.made.items() if name.startswith("GET"))
    late, rate = waits[-1 - drains // 100], reads / SECONDS
    tell(
        capsys,
        drains=drains,
        disabled_p99=round(late, 2),
        reads_per_second=round(rate, 1),
        moved_to_drained=fleet.moved_astray,
        **dict(fleet.made.most_common(6)),
    )
    latest, most = TOGETHER[drains]
    assert late <= latest
    assert rate <= most
    assert fleet.moved_astray == 0
