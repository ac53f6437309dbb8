"""PURE: Nova's hypervisors and the spec -> the hosts of a keyring, with every name that leads to each."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Protocol

from quiesce.api.keyring.spec import ADDRESS, Hosts


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
    """`name`: host of its nova-compute service. `address`: where the operator and the other hosts reach it.

    Empty where Nova shows none that is a plain name or address.
    """

    name: str
    address: str
    names: tuple[str, ...]
    """All of them, the address included: what Nova may use as the destination of a copy."""


def compute_hosts(hypervisors: Iterable[Hypervisor], spec: Hosts) -> tuple[ComputeHost, ...]:
    """Sorted by name. A host with several hypervisors (Ironic) counts once.

    Nova copies to the destination's `[libvirt]migration_inbound_addr`, by default `my_ip`, which is
    what it shows as `host_ip` (nova/virt/libvirt/driver.py get_host_ip_addr).
    """
    rows = {row.host: row for row in sorted(hypervisors, key=lambda row: row.hypervisor_hostname)}
    kept = {name: row for name, row in sorted(rows.items()) if name not in spec.exclude}
    shared = Counter(row.host_ip for row in kept.values())
    return tuple(_host(row, spec.addresses, shared[row.host_ip] == 1) for row in kept.values())


def _host(row: Hypervisor, addresses: Mapping[str, str], own_ip: bool) -> ComputeHost:
    address = addresses.get(row.host) or row.host_ip or row.host
    candidates = [row.host, row.hypervisor_hostname, address]
    if own_ip and not _loopback(row.host_ip):
        candidates.append(row.host_ip)
    names = tuple(name for name in dict.fromkeys(candidates) if _plain(name))
    return ComputeHost(row.host, address if _plain(address) else "", names)


def _plain(name: str) -> bool:
    """No pattern, no white space, no option: fit for a known hosts line, an ssh config and a command line."""
    return re.fullmatch(ADDRESS, name) is not None


def _loopback(text: str) -> bool:
    """An address that leads every host to itself identifies none."""
    try:
        return ip_address(text).is_loopback
    except ValueError:
        return False
