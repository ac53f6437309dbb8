"""Who is visited when."""

import threading
from dataclasses import replace
from typing import cast

import pytest
from tests.unit.keyring.build import NEW, OLD, UNTOUCHED, desired
from tests.unit.keyring.test_report import NAMES, fleet

from quiesce.api.keyring.spec import Probe
from quiesce.keyring.act import Fleet, Lane, Lanes, VisitOrder
from quiesce.keyring.decide import due_visits, paths_to_check, seconds_until_due
from quiesce.keyring.decide.schedule import CHECKS_PER_VISIT
from quiesce.keyring.model import HostFailure, HostObservation, HostRecord, PathCheck, VisitResult
from quiesce.keyring.model.hosts import RETRY

HOUR = 3600.0
ALL = frozenset(NAMES)


def names(hosts: dict[str, HostRecord], now: float, key: object = None) -> list[str]:
    return [each.host for each in due_visits(hosts, desired(), Probe.ALL, ALL, HOUR, now)]


def test_an_unchanged_keyring_is_left_alone_until_its_time() -> None:
    hosts = fleet()
    assert names(hosts, 2.0) == []
    assert names(hosts, HOUR + 2) == ["cmp1", "cmp2", "cmp3"]
    assert due_visits(hosts, desired(), Probe.ALL, ALL, HOUR, HOUR + 2)[0].targets == (
        "cmp2",
        "cmp3",
    )
    assert seconds_until_due(hosts, HOUR, 2.0) == HOUR - 1


def test_new_hosts_and_hosts_that_differ_are_due_at_once() -> None:
    hosts = fleet()
    hosts["cmp4"] = HostRecord()
    hosts["cmp2"] = replace(hosts["cmp2"], observation=UNTOUCHED)
    assert sorted(names(hosts, 2.0)) == ["cmp2", "cmp4"]


def test_a_host_that_fails_waits_ever_longer_and_comes_after_the_healthy() -> None:
    hosts = fleet()
    failed = VisitResult(failure=HostFailure("Refused", "", needs_person=False))
    hosts["cmp1"] = hosts["cmp1"].after(failed, 10.0)
    assert names(hosts, 14.9) == []
    assert names(hosts, 15.1) == ["cmp1"]
    hosts["cmp1"] = hosts["cmp1"].after(failed, 20.0)
    assert names(hosts, 29.0) == []
    assert [RETRY.delay(count) for count in (0, 1, 2, 3, 9)] == [0.0, 5.0, 10.0, 20.0, 120.0]
    assert names(hosts, HOUR + 2)[-1] == "cmp1"


def test_paths_are_tried_only_between_hosts_that_are_in_order() -> None:
    hosts = fleet()
    hosts = {name: replace(record, paths={}) for name, record in hosts.items()}
    failure = HostFailure("Timeout", "", needs_person=False)
    hosts["cmp3"] = replace(hosts["cmp3"], failure=failure, failures=3, at=1.0)
    assert {
        each.host: each.targets for each in due_visits(hosts, desired(), Probe.ALL, ALL, HOUR, 2.0)
    } == {
        "cmp1": ("cmp2",),
        "cmp2": ("cmp1",),
    }


def test_failed_paths_are_tried_again_and_others_are_not() -> None:
    hosts = fleet()
    failed = VisitResult(
        observation=hosts["cmp1"].observation, checks=(("cmp2", PathCheck("Timeout", "")),)
    )
    hosts["cmp1"] = hosts["cmp1"].after(failed, 10.0)
    assert due_visits(hosts, desired(), Probe.ALL, ALL, HOUR, 14.0) == ()
    assert [each.targets for each in due_visits(hosts, desired(), Probe.ALL, ALL, HOUR, 15.5)] == [
        ("cmp2",)
    ]


def test_with_another_key_in_use_every_path_is_tried_again() -> None:
    hosts = fleet()
    for name, record in hosts.items():
        paths = {to: replace(path, key_id=NEW.public.id) for to, path in record.paths.items()}
        hosts[name] = replace(record, paths=paths)
    assert len(due_visits(hosts, desired(OLD), Probe.ALL, ALL, HOUR, 2.0)) == 3


def test_many_paths_take_several_visits_and_begin_at_different_hosts() -> None:
    hosts = fleet(tuple(f"cmp{number:03}" for number in range(200)))
    hosts = {name: replace(record, paths={}) for name, record in hosts.items()}
    found = due_visits(hosts, desired(), Probe.ALL, ALL, HOUR, 2.0)
    assert {len(each.targets) for each in found} == {CHECKS_PER_VISIT}
    assert len({each.targets[0] for each in found}) == 200


def test_a_ring_leads_to_the_next_host_that_nova_can_move_to() -> None:
    assert paths_to_check(Probe.RING, NAMES, ALL) == {
        "cmp1": ("cmp2",),
        "cmp2": ("cmp3",),
        "cmp3": ("cmp1",),
    }
    assert paths_to_check(Probe.RING, NAMES, {"cmp1", "cmp3"}) == {
        "cmp1": ("cmp3",),
        "cmp2": ("cmp3",),
        "cmp3": ("cmp1",),
    }
    assert paths_to_check(Probe.RING, NAMES, {"cmp1"})["cmp1"] == ("cmp2",)
    assert paths_to_check(Probe.ALL, NAMES, {"cmp1"})["cmp1"] == ("cmp2", "cmp3")


def test_failing_hosts_have_a_lane_of_their_own() -> None:
    lanes = Lanes(dict.fromkeys(Lane, 1))
    assert lanes.enter(Lane.FAILING, "ns", "a")
    assert not lanes.enter(Lane.FAILING, "ns", "a")
    assert lanes.enter(Lane.HEALTHY, "ns", "a")
    assert lanes.enter(Lane.NEW, "ns", "a")
    lanes.leave(Lane.FAILING, "ns", "a")
    assert lanes.enter(Lane.FAILING, "ns", "a")


@pytest.mark.finding("M10")
def test_nobody_has_a_whole_lane() -> None:
    lanes = Lanes(dict.fromkeys(Lane, 9))
    assert sum(lanes.enter(Lane.NEW, "tarpits", "a") for _ in range(9)) == 4
    assert sum(lanes.enter(Lane.NEW, "tarpits", each) for each in "bcdefg") == 2
    assert sum(lanes.enter(Lane.NEW, "good", "b") for _ in range(9)) == 1
    for other in ("c", "d", "e"):
        assert lanes.enter(Lane.NEW, other, "b"), "each namespace always has one visit"
    lanes.leave(Lane.NEW, "tarpits", "a")
    assert not lanes.enter(Lane.NEW, "tarpits", "a"), "it shrinks to what the others leave"
    assert not lanes.enter(Lane.NEW, "tarpits", "z")


@pytest.mark.finding("M10")
def test_a_host_is_not_healthy_before_it_was_observed() -> None:
    assert Lane.of(HostRecord()) is Lane.NEW
    pinned = HostRecord().after(VisitResult(presented=OLD.public), 1.0)
    assert Lane.of(pinned) is Lane.NEW
    observed = pinned.after(VisitResult(observation=UNTOUCHED), 2.0)
    assert Lane.of(observed) is Lane.HEALTHY
    failed = observed.after(VisitResult(failure=HostFailure("Timeout", "", False)), 3.0)
    assert Lane.of(failed) is Lane.FAILING


def test_on_request_every_host_and_path_is_due_and_what_is_known_holds_meanwhile() -> None:
    hosts = fleet()
    hosts = {name: record.make_due() for name, record in hosts.items()}
    found = {
        each.host: set(each.targets)
        for each in due_visits(hosts, desired(), Probe.ALL, ALL, HOUR, 2.0)
    }
    assert found == {name: ALL - {name} for name in NAMES}
    assert all(
        path.check == PathCheck() for record in hosts.values() for path in record.paths.values()
    )


def test_a_visit_that_began_before_the_request_is_not_the_look_that_was_asked_for() -> None:
    begun, go_on = threading.Event(), threading.Event()
    answer: dict[str, HostObservation | None] = {"seen": UNTOUCHED}

    def slow(order: VisitOrder) -> VisitResult:
        begun.set()
        go_on.wait()
        return VisitResult(observation=answer["seen"])

    visits = Fleet(Lanes(), slow)
    visits.hosts = fleet()
    assert visits.start("cmp1", cast("VisitOrder", None))
    begun.wait()
    visits.handle_request("now")
    go_on.set()
    visits.collect(60.0, lambda: 10.0)
    assert visits.hosts["cmp1"].observation == UNTOUCHED
    assert "cmp1" in names(visits.hosts, 11.0)

    answer["seen"] = fleet()["cmp2"].observation
    visits.hosts = fleet()
    assert visits.start("cmp1", cast("VisitOrder", None))
    visits.collect(60.0, lambda: 10.0)
    assert names(visits.hosts, 11.0) == []
