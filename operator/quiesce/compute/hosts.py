"""PURE. Nova's hypervisors -> compute hosts, with every name by which each is known."""

import re
from bisect import bisect_right
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from ipaddress import ip_address
from typing import Protocol

from quiesce.api.host import ADDRESS


class Hypervisor(Protocol):
    """What is read of a row of `GET /os-hypervisors/detail`."""

    @property
    def host(self) -> str: ...
    @property
    def host_ip(self) -> str: ...
    @property
    def hypervisor_hostname(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Conflict:
    """A name or address of a host that others claim too. `others`: their service's hosts, the first
    few of `total`: a cloud may list thousands.
    """

    name: str
    others: tuple[str, ...]
    total: int = 1


@dataclass(frozen=True, slots=True)
class ComputeHost:
    """`name`: host of its nova-compute service. `address`: where the operator reaches it.
    `peer_address`: where the other hosts reach it.

    An address is empty where Nova shows none that is a plain name or address.
    """

    name: str
    address: str
    peer_address: str
    names: tuple[str, ...]
    """All of its names, with the addresses: what Nova may use as the other end of a copy.
    Without those that may be another host's."""
    conflicts: tuple[Conflict, ...] = ()
    """Those that do not count, although it is reached by them or bears them."""


class _Rank(IntEnum):
    """How a host comes by a name. What its nova-compute reports to Nova comes last: on a host that
    was taken over, that can be anything."""

    OWN = 0  # the host of its service, by which Nova sends it messages
    GIVEN = 1  # an address in the spec
    REPORTED = 2


class _Claims:
    """Who claims one name or address (host of the service), and how."""

    def __init__(self) -> None:
        self._by: dict[str, _Rank] = {}

    def add(self, host: str, rank: _Rank) -> None:
        self._by[host] = min(rank, self._by.get(host, rank))

    @cached_property
    def _ordered(self) -> Sequence[tuple[_Rank, str]]:
        """The best first."""
        return sorted((rank, host) for host, rank in self._by.items())

    def conflict(self, name: str, host: str) -> Conflict | None:
        """With the hosts whose claim is as good as that of `host`, or better; None: with none."""
        rank = self._by[host]
        as_good = bisect_right(self._ordered, rank, key=lambda claim: claim[0])
        others = [other for _, other in self._ordered[: min(as_good, _NAMED + 1)] if other != host]
        return Conflict(name, tuple(sorted(others[:_NAMED])), as_good - 1) if others else None


_NAMED = 3


def compute_hosts(
    hypervisors: Iterable[Hypervisor],
    addresses: Mapping[str, str] | None = None,
    exclude: Container[str] = (),
    peers: Mapping[str, str] | None = None,
) -> tuple[ComputeHost, ...]:
    """Sorted by name. A host with several hypervisors (Ironic) counts once.

    `addresses`: host -> where it is reached, instead of its `host_ip`. `exclude`: hosts to omit.
    `peers`: host -> where the other hosts reach it, if elsewhere.

    A name that two hosts claim counts for none of them, but for the one whose service is called so
    or that has it from the spec.

    Nova copies to the destination's `[libvirt]migration_inbound_addr`, by default `my_ip`, which is
    what it shows as `host_ip` (nova/virt/libvirt/driver.py get_host_ip_addr).
    """
    rows = {row.host: row for row in sorted(hypervisors, key=lambda row: row.hypervisor_hostname)}
    given = (addresses or {}, peers or {})
    kept = {name: row for name, row in sorted(rows.items()) if name not in exclude}
    names = {name: _names(row, *given) for name, row in kept.items()}
    claims = _claims(rows, names)
    return tuple(_host(row, names[row.host], claims, *given) for row in kept.values())


def _names(
    row: Hypervisor, addresses: Mapping[str, str], peers: Mapping[str, str]
) -> Mapping[str, _Rank]:
    """The best first. Nothing that leads every host to itself: that identifies none."""
    found = (
        (row.host, _Rank.OWN),
        (addresses.get(row.host, ""), _Rank.GIVEN),
        (peers.get(row.host, ""), _Rank.GIVEN),
        (row.hypervisor_hostname, _Rank.REPORTED),
        (row.host_ip, _Rank.REPORTED),
    )
    best: dict[str, _Rank] = {}
    for name, rank in found:
        if _is_plain(name) and (rank is not _Rank.REPORTED or not _is_everywhere(name)):
            best.setdefault(name, rank)
    return best


def _claims(
    hosts: Iterable[str], names: Mapping[str, Mapping[str, _Rank]]
) -> Mapping[str, _Claims]:
    """By name or address, in one spelling.

    `hosts`: of all services, those of excluded ones too: their names stay theirs.
    """
    claims: dict[str, _Claims] = {}
    for host in hosts:
        for name, rank in {host: _Rank.OWN, **names.get(host, {})}.items():
            claims.setdefault(_spelling(name), _Claims()).add(host, rank)
    return claims


def _host(
    row: Hypervisor,
    names: Mapping[str, _Rank],
    claims: Mapping[str, _Claims],
    addresses: Mapping[str, str],
    peers: Mapping[str, str],
) -> ComputeHost:
    address = addresses.get(row.host) or row.host_ip or row.host
    peer = peers.get(row.host) or address
    rivals = {name: claims[_spelling(name)].conflict(name, row.host) for name in names}
    needed = {address, peer, row.host, row.hypervisor_hostname}
    return ComputeHost(
        row.host,
        _plain(address),
        _plain(peer),
        tuple(name for name in names if not rivals[name]),
        tuple(each for each in rivals.values() if each is not None and each.name in needed),
    )


def _spelling(name: str) -> str:
    """One for all spellings: OpenSSH compares names without regard to case."""
    try:
        return str(ip_address(name))
    except ValueError:
        return name.lower().rstrip(".")


def _plain(address: str) -> str:
    return address if _is_plain(address) else ""


def _is_plain(name: str) -> bool:
    """No pattern, space or option: safe in known_hosts, in an ssh config and on a command line."""
    return re.fullmatch(ADDRESS, name) is not None


def _is_everywhere(name: str) -> bool:
    """A name or address that leads every host to itself, or nowhere."""
    try:
        found = ip_address(name)
    except ValueError:
        return _spelling(name).partition(".")[0] == "localhost"
    return found.is_loopback or found.is_unspecified or found.is_multicast
