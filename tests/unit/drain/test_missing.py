"""What Nova's lists lack of what is known, and when that is believed."""

from datetime import timedelta
from typing import Any

import pytest
from tests.unit.drain.build import (
    FOUND,
    HOST,
    NOW,
    TENANT,
    ago,
    at,
    begun,
    drain,
    migration,
    observed,
    server,
    service,
    tried,
)
from tests.unit.openstack.answers import Wire, answer

from quiesce.api.errors import CloudUnreachable
from quiesce.drain.model.drain import Drain
from quiesce.drain.model.missing import (
    BELIEVED_AFTER,
    OVER,
    IncompleteList,
    missing_records,
    missing_servers,
)
from quiesce.drain.model.observation import Observation
from quiesce.drain.observe.lists import check_lists
from quiesce.openstack.cloud import Cloud
from quiesce.openstack.records import Migration

pytestmark = pytest.mark.promise("never-5")
MOVES = drain(record=begun(tries={"s1": tried()}))
GONE = answer(404, {"itemNotFound": {"message": "no such server"}})


@pytest.mark.parametrize(
    ("before", "found", "lacks"),
    [
        (migration(status_="migrating"), (), True),
        (migration(status_="finished"), (), True),
        (migration(status_="error"), (), True),
        (migration(status_="migrating", user_id=TENANT), (), True),
        (migration(status_="migrating"), (migration(status_="confirmed"),), False),
        (migration(status_="confirmed"), (), False),
        (migration(FOUND, "migrating"), (), False),
        (migration(status_="migrating", source="cmp2", dest=HOST), (), False),
    ],
    ids=[
        "open",
        "to confirm",
        "failed",
        "another user's",
        "ended since",
        "ended well",
        "older than the drain",
        "to this host, or by now to another one",
    ],
)
def test_which_records_a_list_lacks(
    before: Migration, found: tuple[Migration, ...], lacks: bool
) -> None:
    expected = {"s1"} if lacks else set()
    assert missing_records((before,), MOVES, observed(migrations=found)) == expected


@pytest.mark.parametrize(
    ("tries", "what", "lacks"),
    [
        ({"s1": tried()}, observed(), True),
        ({"s1": tried(method="live")}, observed(), True),
        ({"s1": tried()}, observed([server("s1")]), False),
        ({"s1": tried()}, observed(migrations=[migration(FOUND - 9, "confirmed")]), False),
        ({"s1": tried(method="offload")}, observed(), False),
        ({}, observed(), False),
    ],
    ids=["cold", "live", "here", "named by a migration", "offloaded", "untried"],
)
def test_which_servers_lists_lack(tries: dict[str, Any], what: Observation, lacks: bool) -> None:
    found = missing_servers(drain(record=begun(tries=tries)), what)
    assert found == ({"s1"} if lacks else set())


def shown(status: str, host: str | None = "cmp2", task: str | None = None) -> dict[str, Any]:
    where = {"OS-EXT-SRV-ATTR:host": host, "OS-EXT-STS:task_state": task}
    return {"server": {"id": "s1", "name": "web", "status": status, "flavor": {}, **where}}


def checked(
    reply: Any, what: Observation, *before: Migration, of: Drain = MOVES
) -> tuple[Observation, int]:
    """-> and how many servers were read."""
    wire = Wire(lambda *_: reply)
    return check_lists(Cloud(wire), of, before, what), len(wire.sent)


@pytest.mark.parametrize(
    "reply",
    [
        shown("VERIFY_RESIZE"),
        shown("ACTIVE", HOST),
        shown("ACTIVE", task="rebooting"),
        shown("ERROR"),
        shown("MIGRATING", HOST, "migrating"),
        {"server": {"id": "s1", "status": "UNKNOWN"}},
        answer(500, {}),
    ],
    ids=["arrived", "here", "busy", "in error", "moving", "its cell is down", "not known"],
)
def test_a_list_that_lacks_a_server_that_is_not_over_is_no_answer(reply: Any) -> None:
    with pytest.raises(IncompleteList, match="lack a server") as raised:
        checked(reply, observed())
    assert isinstance(raised.value, CloudUnreachable)
    assert raised.value.missed == {"s1": NOW}


@pytest.mark.parametrize("reply", [GONE, shown("ACTIVE"), shown("SHELVED_OFFLOADED", None)])
def test_a_list_may_lack_what_is_over(reply: Any) -> None:
    found, reads = checked(reply, observed())
    assert (reads, found.history.missed) == (1, {"s1": OVER})
    assert checked(reply, found)[1] == 0


def test_a_record_that_was_read_goes_only_with_its_server() -> None:
    before = migration(status_="error")
    assert checked(GONE, observed(), before)[1] == 1
    with pytest.raises(IncompleteList):
        checked(shown("ACTIVE"), observed(), before)


def test_a_list_that_lacks_nothing_costs_nothing() -> None:
    what = observed(migrations=[migration()], missed={"s1": ago(9)})
    found, reads = checked(GONE, what, migration(status_="migrating"))
    assert (reads, found.history.missed) == (0, {})


def test_what_lists_lack_again_and_again_is_believed() -> None:
    def missed(seconds: float, **fields: Any) -> Observation:
        return observed(missed={"s1": NOW - timedelta(seconds=seconds)}, **fields)

    enough = BELIEVED_AFTER.total_seconds()
    assert checked(shown("VERIFY_RESIZE"), missed(enough))[1] == 0
    with pytest.raises(IncompleteList) as raised:
        checked(shown("VERIFY_RESIZE"), missed(enough - 1))
    assert raised.value.missed == {"s1": ago(enough - 1)}
    down = missed(enough, service=service("UNKNOWN", state="unknown"))
    with pytest.raises(IncompleteList) as raised:
        checked(shown("VERIFY_RESIZE"), down)
    assert raised.value.missed == {"s1": NOW}


def test_of_many_servers_that_lists_lack_a_few_are_read_at_a_time() -> None:
    names = [f"s{number}" for number in range(12)]
    many, what, reads = drain(record=begun(tries={n: tried() for n in names})), observed(), []
    for later in range(2):
        wire = Wire(lambda *_: GONE)
        with pytest.raises(IncompleteList) as raised:
            check_lists(Cloud(wire), many, (), what)
        what = observed(missed=raised.value.missed)
        reads.append([path for _, _, path, *_ in wire.sent])
        what = at(what, later)
    found, last = checked(GONE, what, of=many)
    assert ([len(each) for each in reads], last) == ([5, 5], 2)
    assert found.history.missed == dict.fromkeys(names, OVER)
