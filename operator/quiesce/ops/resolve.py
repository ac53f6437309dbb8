"""Names to addresses within a time: the C library's resolver has no deadline of its own.

Where name servers do not answer it takes a minute and more, by /etc/resolv.conf; the owner of
a name also chooses who answers for it.
"""

import queue
import socket
import threading
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

Found = Sequence[tuple[Any, Any, int, str, Any]]


def is_link_local(address: str) -> bool:
    """Whether an IP address is one of the machine's own link, where platforms serve what is meant
    for the machine alone: 169.254.169.254 has credentials.
    """
    return _address(address).is_link_local


def is_this_machine(address: str) -> bool:
    """Whether an IP address is the machine's own, or one of its link. `0.0.0.0` leads to itself."""
    found = _address(address)
    return found.is_loopback or found.is_unspecified or found.is_link_local


def _address(text: str) -> IPv4Address | IPv6Address:
    """One of IPv4 that is written as IPv6 is one of IPv4. Raises ValueError."""
    found = ip_address(text.partition("%")[0])
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return mapped or found


def resolve(host: str, port: int, seconds: float) -> Found:
    """For TCP, as socket.getaddrinfo does it. Raises OSError, UnicodeError, TimeoutError.

    A thread that is not waited for any more ends when the resolver has an answer.
    """
    ended: queue.SimpleQueue[Found | Exception] = queue.SimpleQueue()

    def ask() -> None:
        try:
            ended.put(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except Exception as error:  # noqa: BLE001 -- whatever it is, it is raised below
            ended.put(error)

    threading.Thread(target=ask, name="resolve", daemon=True).start()
    try:
        found = ended.get(timeout=seconds)
    except queue.Empty as error:
        raise TimeoutError("the name is not resolved in time") from error
    if isinstance(found, Exception):
        raise found
    return found
