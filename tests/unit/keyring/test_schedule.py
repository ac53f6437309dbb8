"""Who is visited when."""

import threading
from dataclasses import replace
from typing import cast

from tests.unit.keyring.build import NEW, OLD, UNTOUCHED, wants
from tests.unit.keyring.test_report import NAMES, fleet

from quiesce.api.keyring.spec import Probe
from quiesce.keyring.fleet import Fleet, HostMemory, Lanes, retry_after
from quiesce.keyring.schedule import PROBES_A_VISIT, due, next_due, paths
from quiesce.keyring.visit import Failure, Order, Pair, Visit

HOUR = 3600.0
ALL = frozenset(NAMES)


def names(hosts: dict[str, HostMemory], now: float, key: object = None) -> list[str]:
    return [each.host for each in due(hosts, wants(), Probe.ALL, ALL, HOUR, now)]


def test_an_unchanged_keyring_is_left_alone_until_its_time() -> None:
    hosts = fleet()
    assert names(hosts, 2.0) == []
    assert names(hosts, HOUR + 2) == ["cmp1", "cmp2", "cmp3"]
    assert due(hosts, wants(), Probe.ALL, ALL, HOUR, HOUR + 2)[0].targets == ("cmp2", "cmp3")
    assert next_due(hosts, HOUR, 2.0) == HOUR - 1


def test_new_hosts_and_hosts_that_differ_are_due_at_once() -> None:
    hosts = fleet()
    hosts["cmp4"] = HostMemory()
    hosts["cmp2"].sight = UNTOUCHED
    assert sorted(names(hosts, 2.0)) == ["cmp2", "cmp4"]


def test_a_host_that_fails_waits_ever_longer_and_comes_after_the_healthy() -> None:
    hosts = fleet()
    failed = Visit(failure=Failure("Refused", "", person=False))
    hosts["cmp1"].take(failed, 10.0)
    assert names(hosts, 14.9) == []
    assert names(hosts, 15.1) == ["cmp1"]
    hosts["cmp1"].take(failed, 20.0)
    assert names(hosts, 29.0) == []
    assert [retry_after(count) for count in (0, 1, 2, 3, 9)] == [0.0, 5.0, 10.0, 20.0, 120.0]
    assert names(hosts, HOUR + 2)[-1] == "cmp1"


def test_paths_are_tried_only_between_hosts_that_are_in_order() -> None:
    hosts = fleet()
    for memory in hosts.values():
        memory.proofs = {}
    hosts["cmp3"].failure = Failure("Timeout", "", person=False)
    hosts["cmp3"].failures, hosts["cmp3"].at = 3, 1.0
    assert {each.host: each.targets for each in due(hosts, wants(), Probe.ALL, ALL, HOUR, 2.0)} == {
        "cmp1": ("cmp2",),
        "cmp2": ("cmp1",),
    }


def test_failed_paths_are_tried_again_and_others_are_not() -> None:
    hosts = fleet()
    hosts["cmp1"].take(
        Visit(sight=hosts["cmp1"].sight, pairs=(("cmp2", Pair("Timeout", "")),)), 10.0
    )
    assert due(hosts, wants(), Probe.ALL, ALL, HOUR, 14.0) == ()
    assert [each.targets for each in due(hosts, wants(), Probe.ALL, ALL, HOUR, 15.5)] == [("cmp2",)]


def test_with_another_key_in_use_every_path_is_tried_again() -> None:
    hosts = fleet()
    for memory in hosts.values():
        for proof in memory.proofs.values():
            proof.key_id = NEW.public.id
    assert len(due(hosts, wants(OLD), Probe.ALL, ALL, HOUR, 2.0)) == 3


def test_many_paths_take_several_visits_and_begin_at_different_hosts() -> None:
    hosts = fleet(tuple(f"cmp{number:03}" for number in range(200)))
    for memory in hosts.values():
        memory.proofs = {}
    found = due(hosts, wants(), Probe.ALL, ALL, HOUR, 2.0)
    assert {len(each.targets) for each in found} == {PROBES_A_VISIT}
    assert len({each.targets[0] for each in found}) == 200


def test_a_ring_leads_to_the_next_host_that_nova_can_move_to() -> None:
    assert paths(Probe.RING, NAMES, ALL) == {
        "cmp1": ("cmp2",),
        "cmp2": ("cmp3",),
        "cmp3": ("cmp1",),
    }
    assert paths(Probe.RING, NAMES, {"cmp1", "cmp3"}) == {
        "cmp1": ("cmp3",),
        "cmp2": ("cmp3",),
        "cmp3": ("cmp1",),
    }
    assert paths(Probe.RING, NAMES, {"cmp1"})["cmp1"] == ("cmp2",)
    assert paths(Probe.ALL, NAMES, {"cmp1"})["cmp1"] == ("cmp2", "cmp3")


def test_the_sick_have_a_lane_of_their_own() -> None:
    lanes = Lanes(healthy=1, sick=1)
    assert lanes.enter(sick=True)
    assert not lanes.enter(sick=True)
    assert lanes.enter(sick=False)
    lanes.leave(sick=True)
    assert lanes.enter(sick=True)


def test_on_request_every_host_and_path_is_due_and_what_is_known_holds_meanwhile() -> None:
    hosts = fleet()
    for memory in hosts.values():
        memory.ask()
    found = {
        each.host: set(each.targets) for each in due(hosts, wants(), Probe.ALL, ALL, HOUR, 2.0)
    }
    assert found == {name: ALL - {name} for name in NAMES}
    assert all(
        proof.pair == Pair() for memory in hosts.values() for proof in memory.proofs.values()
    )


def test_a_visit_that_began_before_the_request_is_not_the_look_that_was_asked_for() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow(order: Order) -> Visit:
        begun.set()
        go_on.wait()
        return Visit(sight=UNTOUCHED)

    visits = Fleet(Lanes(), slow)
    visits.hosts = fleet()
    assert visits.start("cmp1", cast("Order", None))
    begun.wait()
    visits.ask()
    go_on.set()
    for name, visit in visits.collect(60.0):
        visits.take(name, visit, 10.0)
    assert visits.hosts["cmp1"].sight == UNTOUCHED
    assert "cmp1" in names(visits.hosts, 11.0)

    visits.hosts = fleet()
    assert visits.start("cmp1", cast("Order", None))
    for name, visit in visits.collect(60.0):
        visits.take(name, replace(visit, sight=visits.hosts["cmp2"].sight), 10.0)
    assert names(visits.hosts, 11.0) == []
