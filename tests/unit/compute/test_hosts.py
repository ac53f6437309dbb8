"""Which hosts take part, and by which names they are known."""

import pytest

from quiesce.compute import compute_hosts
from quiesce.openstack.records import Hypervisor


def test_by_host_ip_with_every_name_once() -> None:
    (host,) = compute_hosts([Hypervisor("cmp1.example.org", "cmp1", "192.0.2.1")])
    assert (host.name, host.address) == ("cmp1", "192.0.2.1")
    assert host.names == ("cmp1", "cmp1.example.org", "192.0.2.1")


def test_an_address_of_the_spec_wins_and_the_other_is_published_too() -> None:
    (host,) = compute_hosts([Hypervisor("cmp1", "cmp1", "192.0.2.1")], {"cmp1": "198.51.100.1"})
    assert host.address == "198.51.100.1"
    assert set(host.names) == {"cmp1", "198.51.100.1", "192.0.2.1"}


def test_an_address_that_several_hosts_show_identifies_none() -> None:
    rows = [
        Hypervisor("a", "a", "192.0.2.1"),
        Hypervisor("b", "b", "192.0.2.1"),
        Hypervisor("c", "c", "127.0.0.1"),
    ]
    places = {"a": "198.51.100.1", "b": "198.51.100.2", "c": "198.51.100.3"}
    names = [host.names for host in compute_hosts(rows, places)]
    assert names == [("a", "198.51.100.1"), ("b", "198.51.100.2"), ("c", "198.51.100.3")]


def test_excluded_hosts_and_second_hypervisors() -> None:
    rows = [
        Hypervisor("n2", "b", "192.0.2.2"),
        Hypervisor("n1", "b", "192.0.2.2"),
        Hypervisor("a", "a", "192.0.2.1"),
    ]
    assert [host.name for host in compute_hosts(rows, exclude=("a",))] == ["b"]


@pytest.mark.finding("S3")
def test_names_that_are_no_names_are_not_used() -> None:
    rows = [
        Hypervisor("x y", "cmp1", "192.0.2.1\nHost *"),
        Hypervisor("*", "cmp2", "-oProxyCommand=id"),
    ]
    first, second = compute_hosts(rows)
    assert (first.address, first.names) == ("", ("cmp1",))
    assert (second.address, second.names) == ("", ("cmp2",))


@pytest.mark.field_case("F20")
def test_hosts_reach_each_other_elsewhere_than_the_operator_does() -> None:
    rows = [Hypervisor("cmp1", "cmp1", "192.0.2.1"), Hypervisor("cmp2", "cmp2", "192.0.2.2")]
    given, peers = {"cmp1": "203.0.113.1"}, {"cmp1": "198.51.100.1"}
    first, second = compute_hosts(rows, given, peers=peers)
    assert (first.address, first.peer_address) == ("203.0.113.1", "198.51.100.1")
    assert set(first.names) == {"cmp1", "203.0.113.1", "198.51.100.1", "192.0.2.1"}
    assert (second.address, second.peer_address) == ("192.0.2.2", "192.0.2.2")
    (alone,) = compute_hosts(rows[:1], given)
    assert alone.peer_address == "203.0.113.1", "one map serves both, unless there are two"
