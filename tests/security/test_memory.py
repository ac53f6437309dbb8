"""Clouds that list as much as they can, four at once: the process stays far below its limit."""

import itertools
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from quiesce.openstack.budget import MOST_VALUES, budget
from quiesce.openstack.cloud import Cloud
from quiesce.openstack.session import Clouds
from quiesce.openstack.transport import LIST, OBJECT, RESULT
from tests.security.hostile_cloud import Connection, HostileCloud, Reply, answer

pytestmark = pytest.mark.timeout(300)

AT_ONCE = 4
MOST_MIB = 256
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
    """Each has a hundred servers with this many properties of their own."""
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
            for _ in range(100)
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


@pytest.mark.finding("M9")
@pytest.mark.parametrize("how", ENDLESS)
def test_four_clouds_that_list_all_they_can(how: str) -> None:
    replies = {path: make() for path, make in ENDLESS[how].items()}
    with ExitStack() as stack:
        there = [stack.enter_context(HostileCloud(replies)) for _ in range(AT_ONCE)]
        texts = [each.secret().data["clouds.yaml"].decode() for each in there]
        argv = [sys.executable, "-m", "tests.security.reader", "compute-1", *texts]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=250, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    assert len(found["found"]) == AT_ONCE
    print(f"{how}: {found}")
    assert found["peak"] < MOST_MIB, found


@pytest.fixture
def small() -> Iterator[Cloud]:
    too_many = ", ".join(["1"] * (OBJECT.values + 1))
    replies = {
        "/v2.1/servers/s1": answer(f'{{"server": [{too_many}]}}'.encode()),
        "/v2.1/servers/s2": answer(b'"' + b"x" * OBJECT.size + b'"'),
    }
    with HostileCloud(replies) as there:
        yield Clouds().get(there.secret(), "openstack")


@pytest.mark.finding("M9")
@pytest.mark.parametrize("server", ["s1", "s2"])
def test_one_object_is_no_list(small: Cloud, server: str) -> None:
    """Dozens of them are read side by side."""
    with pytest.raises(Exception, match=r"larger than 1024 KiB|more values"):
        small.server(server)


@pytest.mark.finding("M9")
def test_a_token_that_is_kept_is_small() -> None:
    with HostileCloud() as there:
        token = there.token()
        token["token"]["roles"] = [{"id": "r" * 1000}] * (RESULT.size // 1000)
        there.replies = {"/v3/auth/tokens": answer(token, 201, "X-Subject-Token: t")}
        with pytest.raises(Exception, match="larger than 256 KiB"):
            Clouds().get(there.secret(), "openstack")


@pytest.mark.finding("M9")
def test_a_list_of_many_short_pages_is_given_up_as_well() -> None:
    with HostileCloud({SERVERS: pages_without_end(400)}) as there:
        cloud = Clouds().get(there.secret(), "openstack")
        with budget(60), pytest.raises(Exception, match="more than one reconciliation can hold"):
            cloud.servers_on("compute-1")
        assert len(there.paths()) < 5 + MOST_VALUES // (100 * 400)


@pytest.mark.finding("M9")
def test_more_properties_than_a_flavor_can_have_are_misread() -> None:
    with HostileCloud({SERVERS: pages_without_end(501)}) as there:
        cloud = Clouds().get(there.secret(), "openstack")
        with pytest.raises(Exception, match="extra_specs has more than 500 entries"):
            cloud.servers_on("compute-1")
