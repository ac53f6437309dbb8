"""What drains ask of Nova, alone and side by side, and how soon a new one is disabled: in virtual
time, so that no machine is too slow for it.
"""

import random

import pytest

from tests.bench.figures import FIGURES
from tests.harness.fleet import Fleet

SECONDS = 20  # of each move; four at once
WINDOW = 3 * SECONDS  # several moves of each slot: reads come in bursts where they end
# Of one drain, per server: requests of all kinds. What is more than the three that a cold move
# takes (migrate, diagnostics, confirm; live: one) are polls and lists.
ALONE = {"Cold": 9.5, "Live": 7.0}
# By drains: seconds from apply to the request that disables (p99), reads a second while all move.
TOGETHER = {20: (0.5, 16.0), 100: (0.5, 85.0)}
BIG, AT_ONCE = 200, 10
SHARED = {10: 11.0, 100: 12.5}  # requests a server, by drains
REST = {100: 10.0, 1000: 10.0}  # requests a minute, by drains


@pytest.mark.parametrize("method", list(ALONE))
def test_requests_of_one_drain(method: str) -> None:
    servers = 24
    fleet = Fleet(1, servers, SECONDS, method=method)
    while fleet.moved < servers:
        fleet.run(5)
    each = fleet.made.total() / servers
    FIGURES.note(f"requests a server, one drain of {servers}, {method}", each, ALONE[method])


def test_a_large_host() -> None:
    """Moves of 5 to 60 s whatever moves beside them: what is lost between them shows most."""
    chance = random.Random(3)
    lasts = [chance.randint(5, 60) for _ in range(BIG)]
    fleet = Fleet(1, BIG, lasts, parallel=AT_ONCE)
    while fleet.moved < BIG:
        fleet.run(1)
    took = fleet.model.clock.now() - fleet.began
    bound = max(max(lasts), sum(lasts) / AT_ONCE)
    FIGURES.note("time over the bound, 200 servers of 5 to 60 s, ten at once", took / bound, 1.25)
    FIGURES.note("requests a server, the same", fleet.made.total() / BIG, 11.0)
    FIGURES.note("writes to Kubernetes a server, the same", fleet.store.writes / BIG, 2.0)


@pytest.mark.parametrize("drains", list(TOGETHER))
def test_many_drains(drains: int) -> None:
    fleet = Fleet(drains, 16, SECONDS, spread=0.1)
    fleet.run(drains * 0.1 + 5)
    waits = fleet.waits()
    fleet.made.clear()
    fleet.run(WINDOW)
    reads = sum(count for name, count in fleet.made.items() if name.startswith("GET"))
    latest, most = TOGETHER[drains]
    side_by_side = f"{drains} drains side by side"
    FIGURES.note(f"seconds until disabled, p99, {side_by_side}", waits[-1 - drains // 100], latest)
    FIGURES.note(f"reads a second while all move, {side_by_side}", reads / WINDOW, most)
    FIGURES.note(f"servers moved to hosts to be drained, {side_by_side}", fleet.moved_astray, 0)


@pytest.mark.parametrize("drains", list(SHARED))
def test_drains_that_share_the_moves(drains: int) -> None:
    servers, moves = 8, 20
    fleet = Fleet(drains, servers, SECONDS, spread=0.04, max_moves=moves)
    while fleet.moved < drains * servers:
        fleet.run(5)
    name, each = f"{drains} drains share {moves} moves", fleet.made.total() / fleet.servers
    took, bound = fleet.model.clock.now() - fleet.began, fleet.servers * SECONDS / moves
    FIGURES.note(f"requests a server, {name}", each, SHARED[drains])
    FIGURES.note(f"time over the bound, {name}", took / bound, 1.4)


@pytest.mark.parametrize("drains", list(REST))
def test_drains_at_rest(drains: int) -> None:
    """Half an hour after the last move."""
    fleet = Fleet(drains, 1, 2)
    while fleet.moved < drains:
        fleet.run(5)
    fleet.run(1800)
    fleet.made.clear()
    fleet.run(1800)
    FIGURES.note(
        f"requests a minute at rest, {drains} drains", fleet.made.total() / 30, REST[drains]
    )
