"""PURE. Nova's hypervisors -> compute hosts, with every name by which each is known."""

import re
from collections import Counter
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
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
class ComputeHost:
    """`name`: host of its nova-compute service. `address`: where the operator reaches it.
    `peer_address`: where the other hosts reach it.

    An address is empty where Nova shows none that is a plain name or address.
    """

    name: str
    address: str
    peer_address: str
    names: tuple[str, ...]
    """All of its names, with the addresses: what Nova may use as the other end of a copy."""


def compute_hosts(
    hypervisors: Iterable[Hypervisor],
    addresses: Mapping[str, str] | None = None,
    exclude: Container[str] = (),
    peers: Mapping[str, str] | None = None,
) -> tuple[ComputeHost, ...]:
    """Sorted by name. A host with several hypervisors (Ironic) counts once.

    `addresses`: host -> where it is reached, instead of its `host_ip`. `exclude`: hosts to omit.
    `peers`: host -> where the other hosts reach it, if elsewhere.

    Nova copies to the destination's `[libvirt]migration_inbound_addr`, by default `my_ip`, which is
    what it shows as `host_ip` (nova/virt/libvirt/driver.py get_host_ip_addr).
    """
    rows = {row.host: row for row in sorted(hypervisors, key=lambda row: row.hypervisor_hostname)}
    kept = {name: row for name, row in sorted(rows.items()) if name not in exclude}
    shared = Counter(row.host_ip for row in kept.values())
    given, among = addresses or {}, peers or {}
    return tuple(_host(row, given, among, shared[row.host_ip] == 1) for row in kept.values())


def _host(
    row: Hypervisor, addresses: Mapping[str, str], peers: Mapping[str, str], own_ip: bool
) -> ComputeHost:
    address = addresses.get(row.host) or row.host_ip or row.host
    peer = peers.get(row.host) or address
    candidates = [row.host, row.hypervisor_hostname, address, peer]
    if own_ip and not _is_loopback(row.host_ip):
        candidates.append(row.host_ip)
    names = tuple(name for name in dict.fromkeys(candidates) if _is_plain(name))
    return ComputeHost(row.host, _plain(address), _plain(peer), names)


def _plain(address: str) -> str:
    return address if _is_plain(address) else ""


def _is_plain(name: str) -> bool:
    """No pattern, space or option: safe in known_hosts, in an ssh config and on a command line."""
    return re.fullmatch(ADDRESS, name) is not None


def _is_loopback(text: str) -> bool:
    """An address that leads every host to itself identifies none."""
    try:
        return ip_address(text).is_loopback
    except ValueError:
        return False
