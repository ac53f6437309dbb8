"""Who is visited when."""

from tests.unit.keyring.build import NEW, OLD, UNTOUCHED, wants
from tests.unit.keyring.test_report import fleet

from quiesce.api.keyring import Probe
from quiesce.keyring.fleet import HostMemory, Lanes, retry_after
from quiesce.keyring.schedule import PROBES_A_VISIT, due, next_due
from quiesce.keyring.visit import Failure, Pair, Visit

HOUR = 3600.0


def names(hosts: dict[str, HostMemory], now: float, key: object = None) -> list[str]:
    return [each.host for each in due(hosts, wants(), Probe.ALL, HOUR, now)]


def test_an_unchanged_keyring_is_left_alone_until_its_time() -> None:
    hosts = fleet()
    assert names(hosts, 2.0) == []
    assert names(hosts, HOUR + 2) == ["cmp1", "cmp2", "cmp3"]
    assert due(hosts, wants(), Probe.ALL, HOUR, HOUR + 2)[0].targets == ("cmp2", "cmp3")
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
    assert {each.host: each.targets for each in due(hosts, wants(), Probe.ALL, HOUR, 2.0)} == {
        "cmp1": ("cmp2",),
        "cmp2": ("cmp1",),
    }


def test_failed_paths_are_tried_again_and_others_are_not() -> None:
    hosts = fleet()
    hosts["cmp1"].take(Visit(sight=hosts["cmp1"].sight, pairs=(("cmp2", Pair("Timeout", "")),)), 10.0)
    assert due(hosts, wants(), Probe.ALL, HOUR, 14.0) == ()
    assert [each.targets for each in due(hosts, wants(), Probe.ALL, HOUR, 15.5)] == [("cmp2",)]


def test_with_another_key_in_use_every_path_is_tried_again() -> None:
    hosts = fleet()
    for memory in hosts.values():
        for proof in memory.proofs.values():
            proof.key_id = NEW.public.id
    assert len(due(hosts, wants(OLD), Probe.ALL, HOUR, 2.0)) == 3


def test_many_paths_take_several_visits_and_begin_at_different_hosts() -> None:
    hosts = fleet(tuple(f"cmp{number:03}" for number in range(200)))
    for memory in hosts.values():
        memory.proofs = {}
    found = due(hosts, wants(), Probe.ALL, HOUR, 2.0)
    assert {len(each.targets) for each in found} == {PROBES_A_VISIT}
    assert len({each.targets[0] for each in found}) == 200


def test_the_sick_have_a_lane_of_their_own() -> None:
    lanes = Lanes(healthy=1, sick=1)
    assert lanes.enter(sick=True)
    assert not lanes.enter(sick=True)
    assert lanes.enter(sick=False)
    lanes.leave(sick=True)
    assert lanes.enter(sick=True)
