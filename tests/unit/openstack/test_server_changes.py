"""Whether a server has come to a host: never a wrong "no" for long.

Random histories as in test_changes.py: clocks that are apart, changes that are written some seconds
after their time, a cell that does not answer for a moment, an operator that starts again. What
Nova's time is the reports of services say.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from tests.unit.openstack.answers import Wire, answer
from tests.unit.openstack.test_changes import REQUEST, SKEW, never_old, no_overlap

from quiesce.openstack import changes, cloud
from quiesce.openstack.budget import budget
from quiesce.openstack.cloud import Cloud

HOSTS = ("h1", "h2", "h3")
EPOCH = 1_900_000_000.0
AGE, SERVICES_AGE = 30.0, 15.0
REPORTS = 10.0
OUTAGE = 5.0  # of a cell


@dataclass
class Row:
    id: str
    host: str
    updated: float
    there: float


@dataclass
class Nova:
    skews: list[int]  # of the processes that write the reports of services
    now: float = EPOCH
    rows: list[Row] = field(default_factory=list)
    down_until: float = -math.inf
    queries: list[dict[str, Any]] = field(default_factory=list)
    looks: int = 0
    denied: bool = False

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        self.cloud = Cloud(Wire(self.reply), lambda: self.now)
        self.known: dict[str, tuple[float, set[str]]] = {}

    def wait(self, seconds: float) -> None:
        self.now += seconds

    def arrive(self, index: int, delay: int) -> None:
        """Stamped now, by the clock of one of Nova's processes, and there after the delay."""
        stamp = math.floor(self.now + SKEW[index % len(SKEW)])
        name = f"{len(self.rows):08}-0000-4000-8000-000000000000"
        self.rows.append(Row(name, HOSTS[index % len(HOSTS)], stamp, self.now + delay))

    def reply(self, _service: str, _method: str, path: str, query: Any, _body: Any) -> Any:
        self.wait(REQUEST)
        if path == "/os-services":
            return answer(200, {"services": [self.service(n) for n in range(len(HOSTS))]})
        self.queries.append(dict(query))
        if self.denied:
            return answer(403)
        since = datetime.fromisoformat(query["changes-since"]).timestamp()
        found = [] if self.now < self.down_until else [
            {"id": row.id, "updated": in_utc(row.updated), "OS-EXT-SRV-ATTR:host": row.host}
            for row in self.rows
            if row.there <= self.now and row.updated >= since
        ]  # fmt: skip
        return answer(200, {"servers": found, "servers_links": []})

    def service(self, number: int) -> dict[str, Any]:
        reported = math.floor(self.now / REPORTS) * REPORTS + self.skews[number % len(self.skews)]
        return {
            "id": f"{number:08}-0000-4000-8000-00000000000a",
            "host": HOSTS[number],
            "binary": "nova-compute",
            "status": "enabled",
            "state": "up",
            "disabled_reason": None,
            "forced_down": False,
            "updated_at": in_utc(reported),
        }

    def on(self, host: str, at: float) -> set[str]:
        return {row.id for row in self.rows if row.host == host and row.there <= at}

    def look(self, host: str) -> None:
        """As a drain at rest does. What has come is known once an answer is older than it."""
        self.cloud.services(age=SERVICES_AGE)
        began, servers = self.known.get(host, (-math.inf, set()))
        changed = self.cloud.server_changed(host, began, age=AGE)
        if changed is False:
            oldest = self.now - AGE - REQUEST
            if self.now >= self.down_until + 2 * AGE:
                assert self.on(host, oldest) <= servers, f"a server on {host} is overlooked"
            return
        self.looks += 1
        self.known[host] = self.now, self.on(host, self.now)

    def take(self, step: tuple[str, int, int]) -> None:
        kind, index, delay = step
        if kind == "arrive":
            self.arrive(index, delay)
        elif kind == "wait":
            self.wait((1, 5, 15, 29, 40, 150)[index % 6])
        elif kind == "look":
            self.look(HOSTS[index % len(HOSTS)])
        elif kind == "down":
            self.down_until = self.now + OUTAGE
        else:
            self.restart()


def in_utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


KINDS = ("arrive", "arrive", "wait", "wait", "wait", *["look"] * 7, "down", "restart")
steps = st.tuples(st.sampled_from(KINDS), st.integers(0, 11), st.sampled_from((0, 0, 10)))
histories = st.lists(steps, min_size=5, max_size=60)
skews = st.lists(st.sampled_from(SKEW), min_size=3, max_size=3)


def live(history: list[tuple[str, int, int]], skews: list[int]) -> None:
    nova = Nova(skews)
    for host in HOSTS:
        nova.look(host)
    for step in history:
        nova.take(step)


COMMON = settings(max_examples=200, deadline=None, derandomize=True, database=None)


@COMMON
@given(histories, skews)
def test_a_host_to_which_nothing_is_said_to_have_come_has_nothing_new(
    history: list[tuple[str, int, int]], skews: list[int]
) -> None:
    live(history, skews)


def forgets_what_it_saw(monkeypatch: pytest.MonkeyPatch) -> None:
    """A change is told in the answer that has it, and not to who asks later."""
    advance = changes._Known.advance

    def forgetful(self: Any, *args: Any) -> Any:
        return advance(changes._Known(self.since, self.read, self.newest, self.versions), *args)

    monkeypatch.setattr(changes._Known, "advance", forgetful)


@pytest.mark.parametrize("mutate", [no_overlap, never_old, forgets_what_it_saw])
def test_a_feed_that_misses_changes_is_noticed(
    mutate: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    mutate(monkeypatch)
    found = settings(COMMON, phases=[Phase.generate], max_examples=2000)(
        given(histories, skews)(live)
    )
    with pytest.raises(AssertionError, match="overlooked"):
        found()


def followed() -> Nova:
    nova = Nova([0, 0, 0])
    for _ in range(3):
        for host in HOSTS:
            nova.look(host)
        nova.wait(AGE)
    nova.queries.clear()
    nova.looks = 0
    return nova


def test_one_request_in_half_a_minute_serves_all_hosts() -> None:
    nova = followed()
    for _ in range(40):
        for host in HOSTS:
            nova.look(host)
        nova.wait(15)
    assert len(nova.queries) <= 21
    assert nova.looks == 0


def test_only_the_host_to_which_a_server_came_is_looked_at() -> None:
    nova = followed()
    nova.arrive(1, 0)
    nova.wait(AGE)
    for host in HOSTS:
        nova.look(host)
    assert nova.looks == 1
    assert nova.known["h2"][1]


def test_a_process_with_a_fast_clock_hides_no_change_of_another() -> None:
    nova = Nova([0, 3600, 0])
    for _ in range(3):
        nova.look("h1")
        nova.arrive(1, 0)
        nova.rows[-1].updated += 3600
        nova.wait(AGE)
    nova.arrive(0, 0)
    nova.wait(AGE)
    nova.look("h1")
    assert nova.known["h1"][1]


def test_what_changed_long_ago_is_not_read_again_and_again() -> None:
    nova = followed()
    nova.wait(600)
    for _ in range(10):
        nova.look("h1")
        nova.wait(AGE)
    asked = datetime.fromisoformat(nova.queries[-1]["changes-since"]).timestamp()
    assert nova.now - asked < 180


def test_a_cloud_that_names_hosts_without_end_fills_no_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(changes, "MOST_HOSTS", 20)
    nova = followed()
    for number in range(30):
        nova.arrive(0, 0)
        nova.rows[-1].host = f"host-{number}"
        nova.wait(AGE)
        nova.look("h1")
        known = nova.cloud._server_changes._known
        assert known is None or len(known.changed) <= 20
    assert known is None or len(known.changed) < 15, "it starts again"


@pytest.mark.parametrize("trouble", ["denied", "too much"])
def test_a_cloud_that_cannot_be_followed_says_that_nothing_is_known(
    trouble: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    nova = followed()
    if trouble == "denied":
        nova.denied = True
    else:
        for module in (changes, cloud):
            monkeypatch.setattr(module, "MOST", 7)
        for number in range(10):
            nova.arrive(number, 0)
    nova.wait(AGE)
    began = nova.known["h1"][0]
    assert nova.cloud.server_changed("h1", began, age=AGE) is None
    nova.queries.clear()
    nova.wait(5)
    assert nova.cloud.server_changed("h1", began, age=AGE) is None
    assert not nova.queries


def test_what_other_servers_have_changed_counts_for_no_reconciliation() -> None:
    """It is only told where there were changes: their rows are not kept."""
    user_data, rows = "x" * 60_000, 500

    def reply(_service: Any, _method: str, path: str, query: Any, _body: Any) -> Any:
        asked = dict(query)
        if path == "/os-services":
            row = {"id": "svc", "host": "h1", "status": "disabled", "state": "up"}
            return {"services": [row | {"updated_at": "2026-01-31T13:00:00Z"}]}
        if "host" in asked:
            return {"servers": []}
        first = int(asked.get("marker", "0" * 8)[:8])
        page = [
            {
                "id": f"{number:08}-0000-4000-8000-000000000000",
                "updated": "2026-01-31T13:00:00Z",
                "OS-EXT-SRV-ATTR:user_data": user_data,
            }
            for number in range(first + 1, first + 51)
        ]
        return {"servers": page, "servers_links": [{}] if first + 50 < rows else []}

    now = [100.0]
    cloud = Cloud(Wire(reply), lambda: now[0])
    cloud.services()
    now[0] += 20
    with budget(180):
        assert cloud.server_changed("h1", now[0], age=AGE) is False
        assert cloud.servers_on("h1") == ()


def test_services_are_listed_again_after_a_change_of_one() -> None:
    """Also where another thread has listed them while it was under way."""
    status = ["enabled"]

    def reply(_service: Any, method: str, *_: Any) -> Any:
        if method == "PUT":
            assert there.services()[0].status == "enabled"
            status[0] = "disabled"
            return {}
        return {"services": [{"id": "svc", "host": "h1", "status": status[0], "state": "up"}]}

    there = Cloud(Wire(reply), lambda: 100.0)
    there.services()
    there.disable_service("svc", "why")
    assert there.services()[0].status == "disabled"
