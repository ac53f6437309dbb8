"""Hosts that hardly answer hold up their own keyring or drain, and no other."""

import threading
from contextlib import ExitStack
from typing import cast

import pytest

from quiesce.compute.access import session_of
from quiesce.keyring.act import Fleet, Lane, Lanes, VisitOrder
from quiesce.keyring.act.fleet import HEALTHY_LANE
from quiesce.keyring.act.kept import Kept
from quiesce.keyring.model import HostFailure, HostRecord, VisitResult
from quiesce.ssh.errors import TooManySessions
from tests.unit.keyring.build import UNTOUCHED

ORDER = cast("VisitOrder", None)
FAILED = HostFailure("Timeout", "", needs_person=False)
KNOWN = {
    "new": HostRecord(),
    "failing": HostRecord(failure=FAILED),
    "healthy": HostRecord(observation=UNTOUCHED),
}


@pytest.mark.finding("M10")
@pytest.mark.parametrize("kind", KNOWN)
def test_a_keyring_of_tarpits_leaves_room_for_every_other(kind: str) -> None:
    lanes, release = Lanes(), threading.Event()

    def tarpit(order: VisitOrder) -> VisitResult:
        release.wait()
        return VisitResult(failure=FAILED)

    fleets = [Fleet(lanes, tarpit, namespace=f"tarpits-{number}") for number in range(5)]
    try:
        for fleet in fleets:
            fleet.hosts = {f"cmp{number}": KNOWN[kind] for number in range(100)}
            started = [fleet.start(name, ORDER) for name in fleet.hosts]
            assert started[0], "each namespace has one at least"
            assert sum(started) < 20
        other = Fleet(lanes, lambda order: VisitResult(observation=UNTOUCHED), namespace="good")
        other.hosts = {"cmp1": KNOWN[kind]}
        assert other.start("cmp1", ORDER)
        assert [name for name, _ in other.collect(60.0, lambda: 1.0)] == ["cmp1"]
    finally:
        release.set()


@pytest.mark.finding("M10")
@pytest.mark.parametrize(
    ("lane", "at_once", "later"),
    [(Lane.HEALTHY, 5, 8), (Lane.NEW, 5, 8), (Lane.FAILING, 1, 2)],
)
def test_many_keyrings_of_one_namespace_leave_room_for_another(
    lane: Lane, at_once: int, later: int
) -> None:
    """At once, and more as their visits end, however many ask again."""
    lanes, tarpits, good = Lanes(), [object() for _ in range(500)], object()
    held = [each for each in tarpits if lanes.enter(lane, "tarpits", each)]
    assert len(held) <= 24
    mine = sum(lanes.enter(lane, "good", good) for _ in range(200))
    assert mine == at_once
    for _ in range(500):
        lanes.leave(lane, "tarpits", held.pop(0))
        mine += sum(lanes.enter(lane, "good", good) for _ in range(200))
        held += [each for each in tarpits if lanes.enter(lane, "tarpits", each)]
    assert mine == later


@pytest.mark.finding("M10")
def test_keyrings_of_one_namespace_share_what_it_has() -> None:
    lanes, tarpits, good = Lanes(), object(), object()
    assert sum(lanes.enter(Lane.HEALTHY, "ns", tarpits) for _ in range(100)) == HEALTHY_LANE
    assert sum(lanes.enter(Lane.HEALTHY, "ns", good) for _ in range(100)) >= 4


@pytest.mark.finding("M10")
def test_new_hosts_do_not_hold_up_healthy_ones_of_the_same_keyring() -> None:
    release = threading.Event()

    def visit(order: VisitOrder) -> VisitResult:
        release.wait()
        return VisitResult(failure=FAILED)

    fleet = Fleet(Lanes(), visit)
    fleet.hosts = {f"new{number}": HostRecord() for number in range(100)}
    fleet.hosts["healthy"] = KNOWN["healthy"]
    try:
        assert not all(fleet.start(name, ORDER) for name in list(fleet.hosts)[:100])
        assert fleet.start("healthy", ORDER)
    finally:
        release.set()


@pytest.mark.finding("M9")
def test_what_is_kept_of_all_hosts_is_bounded_and_each_keyring_has_its_own() -> None:
    """A cloud may lead thousands of names to one host that says all it can."""
    lanes, once = Lanes(), HostRecord(observation=UNTOUCHED).weight
    lanes.kept = Kept(most=10 * once, own=2 * once)
    large, small = (Fleet(lanes, lambda _: VisitResult(UNTOUCHED)) for _ in range(2))
    visit(large, [f"cmp{number}" for number in range(12)])
    refused = [name for name, record in large.hosts.items() if record.failure]
    assert len(refused) == 2 and all(large.hosts[name].observation is None for name in refused)
    told = large.hosts[refused[0]].failure
    assert told is not None and told.reason == "NoReport" and "not kept" in told.message
    visit(small, ["cmp1", "cmp2", "cmp3"])
    assert [bool(record.failure) for record in small.hosts.values()] == [False, False, True]
    visit(large, ["cmp1"])
    visit(small, ["cmp1", "cmp2", "cmp3"])
    assert not any(record.failure for record in small.hosts.values())
    del large
    visit(small, [f"cmp{number}" for number in range(10)])
    assert not any(record.failure for record in small.hosts.values()), "what is gone holds nothing"


def visit(fleet: Fleet, names: list[str]) -> None:
    """Each of them; all others are no part of the keyring any more."""
    fleet.keep_only(names)
    for name in names:
        assert fleet.start(name, ORDER)
        assert [done for done, _ in fleet.collect(60.0, lambda: 1.0)] == [name]


@pytest.mark.finding("M10")
def test_drains_of_one_namespace_do_not_have_all_sessions() -> None:
    with ExitStack() as sessions:
        for _ in range(2):
            sessions.enter_context(session_of("tarpits"))
        with pytest.raises(TooManySessions), session_of("tarpits"):
            pytest.fail("a third one")
        for other in ("a", "b", "c", "d"):
            sessions.enter_context(session_of(other))
    with session_of("tarpits"), session_of("tarpits"):
        pass
