"""A move that begins in a poll: of the host's servers only that one is read."""

from collections.abc import Collection, Iterable
from typing import Any, cast

import pytest
from tests.harness.inprocess import KEY
from tests.unit.drain.build import (
    FOUND,
    NEVER_SET,
    NOW,
    arrived_elsewhere,
    begun,
    decided,
    drain,
    migration,
    observed,
    refusal,
    server,
    was,
)
from tests.unit.drain.test_reconcile import Still, operator

from quiesce.api.errors import CloudUnreachable
from quiesce.drain.decide import suffices, to_read
from quiesce.drain.model.history import History
from quiesce.drain.model.observation import Observation
from quiesce.drain.observe import complete, poll
from quiesce.openstack.cloud import Cloud
from quiesce.openstack.records import ROWS_FOR_ONE, Port, Server

GONE = migration(FOUND + 1, "confirmed", "s0")
"""The record of a move that has ended well."""


OTHERS = [server(f"x{number}", task="rebooting") for number in range(ROWS_FOR_ONE)]
"""So many that a list of all costs more than a request for one."""


def polled(*servers: Server, others: list[Server] = OTHERS, **fields: Any) -> Observation:
    return observed([*servers, *others], whole=False, **{"migrations": [GONE], **fields})


def needs(observation: Observation) -> tuple[str, ...]:
    it = drain()
    return to_read(it, observation, decided(observation))


def test_the_one_that_is_to_move_is_read() -> None:
    assert needs(polled(server("s1"))) == ("s1",)


@pytest.mark.parametrize(
    "what",
    [
        pytest.param(polled(server("s1"), unchanged=True), id="records of an earlier tick"),
        pytest.param(
            polled(server("s1"), migrations=[migration(FOUND + 1, "error", "s0")]),
            id="a move has failed",
        ),
        pytest.param(
            polled(server("s1"), refusals={"s0": refusal("migrate")}), id="a call was refused"
        ),
        pytest.param(polled(server("s1"), unanswered={"s0": NOW}), id="a call was not answered"),
        pytest.param(
            polled(server("s1"), server("s0", task="resize_migrating")), id="one moved meanwhile"
        ),
        pytest.param(polled(server("s1"), others=OTHERS[2:]), id="a list of so few costs less"),
        pytest.param(observed([server("s1")], whole=True), id="all were read"),
        pytest.param(polled(), id="nothing is to be moved"),
    ],
)
def test_else_all_of_them_are_listed(what: Observation) -> None:
    assert needs(what) == ()


@pytest.mark.parametrize(("rows", "alone"), [(47, False), (48, True)])
def test_several_are_read_by_themselves_only_on_a_host_with_many(rows: int, alone: bool) -> None:
    others = [server(f"x{number}", task="rebooting") for number in range(rows)]
    found = needs(polled(server("s1"), server("s2"), others=others))
    assert found == (("s1", "s2") if alone else ())


def test_a_guest_that_was_off_on_arrival_holds_the_others_back() -> None:
    """Which one may try next is decided by how all of them are."""
    it = drain(record=begun(arrived_off={FOUND + 1: "2026-03-01T11:59:00Z"}))
    what = polled(server("s1"), read=frozenset({"s1"}))
    decision = decided(what, record=it.record)
    assert not (decision.started and suffices(it, what, decision))


def test_a_poll_is_enough_for_what_it_has_read() -> None:
    it = drain(record=was(s0="ACTIVE"))
    seen: dict[str, Any] = {
        "migrations": [migration(FOUND + 1, server_id="s0")],
        "elsewhere": [arrived_elsewhere("s0")],
        "running": {"s0": True},
    }
    for read, enough in ((frozenset({"s1"}), True), (frozenset({"s2"}), False)):
        what = polled(server("s1"), read=read, **seen)
        decision = decided(what, record=it.record)
        assert len(decision.actions) == 2
        assert suffices(it, what, decision) is enough


# The tick


class Moving(Still):
    """Two servers, of which the first has been moved: its confirm has freed the only slot. `lists`:
    how often all of the host were listed since. `alone`: the second one, read by itself.
    """

    def __init__(self) -> None:
        super().__init__()
        self.lists = 0
        self.the_servers = (server("s1"), server("s2"), *OTHERS)
        self.alone: Server | Exception | None = server("s2")

    def servers_on(self, host: str) -> tuple[Server, ...]:
        self.lists += 1
        return self.the_servers

    def server(self, server_id: str) -> Server | None:
        assert server_id == "s2"
        if isinstance(self.alone, Exception):
            raise self.alone
        return self.alone

    def to_verify(self, ids: Collection[str]) -> dict[str, Server]:
        return {"s1": arrived_elsewhere()}

    def is_running(self, server_id: str) -> bool:
        return True

    def moves(self) -> list[str]:
        return [call for call in self.calls if call in ("migrate", "confirm")]


def next_move(cloud: Moving) -> None:
    """Its first tick that may begin the second one."""
    process, store = operator(cloud)
    store.objects[KEY]["spec"]["migration"]["maxParallel"] = 1

    def tick(seconds: float) -> None:
        process.passed = seconds
        process.reconcile()

    tick(0)
    cloud.shows_it_disabled()
    tick(1)
    cloud.the_migrations = (migration(),)
    cloud.the_servers = (server("s2"), *OTHERS)
    tick(3)
    assert cloud.moves() == ["migrate", "confirm"]
    cloud.the_migrations = (migration(status_="confirmed"),)
    cloud.lists = 0
    tick(5)


@pytest.mark.promise("never-1")
def test_the_next_server_is_moved_without_a_list_of_all() -> None:
    cloud = Moving()
    next_move(cloud)
    assert (cloud.moves(), cloud.lists) == (["migrate", "confirm", "migrate"], 0)


@pytest.mark.promise("never-1")
@pytest.mark.parametrize(
    "alone",
    [
        pytest.param(None, id="gone"),
        pytest.param(server("s2", host="cmp2"), id="moved away"),
        pytest.param(server("s2", task="rebooting"), id="busy"),
        pytest.param(server("s2", "UNKNOWN", host=None, partial=True), id="its cell is down"),
    ],
)
def test_a_server_that_is_not_as_it_was_listed_is_not_moved(alone: Server | None) -> None:
    class Changed(Moving):
        def servers_on(self, host: str) -> tuple[Server, ...]:
            if self.moves()[1:]:
                self.the_servers = (server("s2", task="rebooting"),)
            return super().servers_on(host)

    cloud = Changed()
    cloud.alone = alone
    next_move(cloud)
    assert cloud.moves() == ["migrate", "confirm"]


def test_where_nova_cannot_show_it_all_are_listed() -> None:
    cloud = Moving()
    cloud.alone = CloudUnreachable("HTTP 500")
    next_move(cloud)
    assert (cloud.moves(), cloud.lists) == (["migrate", "confirm", "migrate"], 1)


LIVE = migration(status_="completed", type="live-migration")


@pytest.mark.parametrize(
    ("shown", "left"),
    [
        pytest.param(server("s1", host="cmp2"), True, id="there"),
        pytest.param(server("s1"), False, id="still here"),
        pytest.param(None, False, id="deleted since"),
    ],
)
def test_a_live_move_that_has_ended_is_seen_without_a_list(
    shown: Server | None, left: bool
) -> None:
    """Where it is still shown here, all are listed, and it is read again."""

    class Live(Still):
        def server(self, server_id: str) -> Server | None:
            return shown

    cloud = Live()
    cloud.shows_it_disabled()
    cloud.the_migrations = (LIVE,)
    listed = (server("s1", task="migrating"), server("s2"), *OTHERS)
    history = History(servers=listed, listed=NOW, full_list=NOW, completed=frozenset())
    it = drain()
    found = poll(cast(Cloud, cloud), it, history, NOW, NEVER_SET)
    assert found is not None
    assert [each.id for each in found.servers][:2] == (["s2", "x0"] if left else ["s1", "s2"])
    assert (LIVE.id in found.history.arrived) is not left
    assert bool(to_read(it, found, decided(found))) is left


@pytest.mark.promise("never-3")
def test_ports_that_a_poll_has_read_are_not_those_of_who_has_arrived_since() -> None:
    asked: list[str] = []

    class Arriving(Still):
        def ports(self, ids: Iterable[str]) -> tuple[Port, ...]:
            asked.extend(ids)
            return ()

        def to_verify(self, ids: Collection[str]) -> dict[str, Server]:
            return {id_: arrived_elsewhere(id_) for id_ in ids}

    cloud = Arriving()
    cloud.the_servers = ()
    cloud.the_migrations = (migration(), migration(FOUND + 2, server_id="s2"))
    seen = Port("p1", "s1", "cmp2", "ACTIVE", "ovs", enabled=True)
    before = polled(migrations=[migration()], elsewhere=[arrived_elsewhere()], ports=(seen,))
    complete(cast(Cloud, cloud), drain(record=was(s1="ACTIVE", s2="ACTIVE")), before)
    assert {"s1", "s2"} <= set(asked)
