"""Clouds that list all they can: 16 MiB at a time, or page by page without end."""

import itertools
import json
from collections.abc import Callable

from quiesce.openstack.transport import LIST
from tests.security.hostile_cloud import Connection, Reply, answer

SERVICES, SERVERS = "/v2.1/os-services", "/v2.1/servers/detail"
ONE_SERVICE = {
    "id": "3f8e1c52-1d0c-4f0e-8a59-5a3f2c1f9e11",
    "host": "compute-1",
    "binary": "nova-compute",
    "status": "enabled",
    "state": "up",
    "zone": "nova",
    "disabled_reason": None,
    "forced_down": False,
    "updated_at": "2026-01-01T00:00:00.000000",
}


def sixteen_mib_of(rows: Callable[[int], str]) -> bytes:
    """A list of services that is as large as that."""
    found, size = [], 0
    for number in itertools.count():
        found.append(rows(number))
        size += len(found[-1].encode()) + 1
        if size > 2**24:
            return f'{{"services": [{",".join(found)}]}}'.encode()
    raise AssertionError


def a_service(number: int) -> str:
    return json.dumps(ONE_SERVICE | {"host": f"compute-{number}"})


def short_words(number: int) -> str:
    return f'"é{number % 10}"'


def empty_lists(_: int) -> str:
    return "[]"


def pages_without_end(many: int) -> Reply:
    """Each has fifty servers with this many properties of their own."""
    numbers = itertools.count()
    specs = {f"k{number}": f"é{number}" for number in range(many)}

    def page(connection: Connection) -> None:
        rows = [
            {
                "id": f"s{next(numbers)}",
                "status": "ACTIVE",
                "OS-EXT-SRV-ATTR:host": "compute-1",
                "flavor": {"extra_specs": specs},
            }
            for _ in range(50)
        ]
        body = json.dumps({"servers": rows, "servers_links": [{}]}, ensure_ascii=False)
        answer(body.encode())(connection)

    return page


LARGEST_TEXT = f'{{"services": [], "x": "\N{GRINNING FACE}{"x" * (LIST.size - 100)}"}}'.encode()
"""One character makes Python keep four bytes for each of the others."""
ENDLESS: dict[str, dict[str, Callable[[], Reply]]] = {
    "services": {SERVICES: lambda: answer(sixteen_mib_of(a_service))},
    "short words": {SERVICES: lambda: answer(sixteen_mib_of(short_words))},
    "empty lists": {SERVICES: lambda: answer(sixteen_mib_of(empty_lists))},
    "the largest text": {SERVICES: lambda: answer(LARGEST_TEXT)},
    "pages": {SERVERS: lambda: pages_without_end(400)},
}
