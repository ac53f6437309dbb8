"""A TCP connect to a server's addresses, from where the operator runs."""

import socket
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from quiesce.openstack.budget import time_left
from quiesce.openstack.records import Server
from quiesce.ops.resolve import is_this_machine

_TIMEOUT = 2.0  # seconds for each address
_MOST_ADDRESSES = 16
"""Of one server. Its owner may give it many, of which none answers."""
_AT_ONCE = 8


def unreachable(servers: Iterable[Server], port: int) -> dict[str, str]:
    """server id -> why no address of it takes a connection on `port`; servers that answer are
    absent.

    Raises CloudUnreachable where the time of the reconciliation is used up.
    """
    todo, found = list(servers), dict[str, str]()
    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        for first in range(0, len(todo), _AT_ONCE):
            time_left(_TIMEOUT)
            some = todo[first : first + _AT_ONCE]
            results = pool.map(lambda server: _try(server, port), some)
            found |= {s.id: text for s, text in zip(some, results, strict=True) if text}
    return found


def _is_of_this_machine(address: str) -> bool:
    """A server may have any address in a network of its owner's."""
    try:
        return is_this_machine(address)
    except ValueError:
        return False


def _try(server: Server, port: int) -> str:
    if not server.addresses:
        return f"no answer on TCP port {port}: the server has no address"
    for address in server.addresses[:_MOST_ADDRESSES]:
        if _is_of_this_machine(address):
            text = f"{address} is an address of the operator's own machine, and is not asked"
            continue
        try:
            socket.create_connection((address, port), _TIMEOUT).close()
        except OSError as error:
            text = f"no answer on {address} TCP port {port}: {error}"
        else:
            return ""
    return text
