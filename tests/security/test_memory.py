"""Clouds that list as much as they can, four at once: the process stays far below its limit."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from quiesce.openstack.budget import MOST_VALUES, budget
from quiesce.openstack.cloud import Cloud
from quiesce.openstack.session import Clouds
from quiesce.openstack.transport import OBJECT, RESULT
from tests.security.endless import ENDLESS, SERVERS, pages_without_end
from tests.security.hostile_cloud import HostileCloud, answer

pytestmark = pytest.mark.timeout(300)

AT_ONCE = 4
MOST_MIB = 256


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
        assert len(there.paths()) < 5 + MOST_VALUES // (50 * 400)


@pytest.mark.finding("M9")
def test_more_properties_than_a_flavor_can_have_are_misread() -> None:
    with HostileCloud({SERVERS: pages_without_end(501)}) as there:
        cloud = Clouds().get(there.secret(), "openstack")
        with pytest.raises(Exception, match="extra_specs has more than 500 entries"):
            cloud.servers_on("compute-1")
