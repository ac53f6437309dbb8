"""A TCP connect to a server's addresses, from where the operator runs."""

import socket
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from quiesce.openstack.records import Server

_TIMEOUT = 2.0  # seconds for each address


def unreachable(servers: Iterable[Server], port: int) -> dict[str, str]:
    """server id -> why no address of it takes a connection on `port`; servers that answer are
    absent.
    """
    todo = list(servers)
    with ThreadPoolExecutor(max_workers=8) as pool:
        results = pool.map(lambda server: _try(server, port), todo)
        return {server.id: text for server, text in zip(todo, results, strict=True) if text}


def _try(server: Server, port: int) -> str:
    if not server.addresses:
        return f"no answer on TCP port {port}: the server has no address"
    for address in server.addresses:
        try:
            socket.create_connection((address, port), _TIMEOUT).close()
        except OSError as error:
            text = f"no answer on {address} TCP port {port}: {error}"
        else:
            return ""
    return text
