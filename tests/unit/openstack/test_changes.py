"""Whether anything has happened to the migrations of a host: never a wrong "no" for long.

Random histories of a Nova of a few dictionaries, with what makes its changes hard to follow: clocks
that are apart, changes that are written some seconds after their time, records never updated, cells
that do not answer, rows that change while pages are read.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from tests.unit.openstack.answers import Wire, answer

from quiesce.openstack import changes, cloud
from quiesce.openstack.changes import AGE, REST, SHARED_BY
from quiesce.openstack.cloud import Cloud
from quiesce.openstack.shared import Shared

CELLS = {"h1": "a", "h2": "a", "h3": "b"}
HOSTS = tuple(CELLS)
EPOCH = 1_900_000_000.0
SKEW = (-15, 0, 15)  # seconds
PAGE = 2
READ_EVERY = 10.0  # seconds after which a drain reads its records in any case
REQUEST = 0.05


@dataclass
class Row:
    """A record. `past`: (since when, how it was shown); `written`: how often."""

    id: int
    source: str
    dest: str | None = None
    version: int = 0
    updated: float | None = None
    past: list[tuple[float, Any]] = field(default_factory=list)

    @property
    def shown(self) -> tuple[int, str, str | None]:
        return self.id, f"status-{self.version}", self.dest

    def note(self, now: float) -> None:
        self.past.append((now, self.shown))

    def within(self, since: float) -> set[Any]:
        ends = [*(at for at, _ in self.past[1:]), math.inf]
        return {shown for (_, shown), end in zip(self.past, ends, strict=True) if end > since}


class Nova:
    def __init__(self, skews: list[int]) -> None:
        self.now = EPOCH
        self.rows: list[Row] = []
        self.down: set[str] = set()
        self.was_down = -math.inf  # when a cell last answered again
        self.skews = skews
        self.fails = False
        self.queries: list[dict[str, Any]] = []
        self.late: list[tuple[float, Callable[[], None]]] = []
        self.between: list[Callable[[], None]] = []  # what happens between two pages
        self.restart()

    def restart(self) -> None:
        """A new process of the operator: the records that its drains have read."""
        self.cloud = Cloud(Wire(self.reply), lambda: self.now)
        self.known: dict[str, tuple[float, set[Any]]] = {}

    def wait(self, seconds: float) -> None:
        end = self.now + seconds
        for at, change in sorted(self.late, key=lambda each: each[0]):
            if at <= end:
                self.now = max(self.now, at)
                change()
        self.late = [each for each in self.late if each[0] > end]
        self.now = end

    def start(self, index: int) -> None:
        row = Row(len(self.rows) + 1, HOSTS[index % len(HOSTS)])
        row.note(self.now)
        self.rows.append(row)

    def write(self, index: int, delay: int) -> None:
        """Stamped now, by the clock of one of Nova's processes, and there after the delay."""
        if not self.rows:
            return
        row = self.rows[index % len(self.rows)]
        stamp = self.now + self.skews[index % len(self.skews)]

        def take_effect() -> None:
            row.dest = row.dest or {"h1": "h2", "h2": "h1"}.get(row.source)
            row.version += 1
            row.updated = max(math.floor(stamp), row.updated or 0)
            row.note(self.now)

        if delay:
            self.late.append((self.now + delay, take_effect))
        else:
            take_effect()

    def reply(self, _service: str, _method: str, _path: str, query: Any, _body: Any) -> Any:
        self.wait(REQUEST)
        self.queries.append(dict(query))
        if self.fails and "changes-since" in query:
            return answer(503)
        if "marker" in query and self.between:
            self.between.pop()()
        rows = sorted((r for r in self.rows if self.passes(r, query)), key=lambda r: -r.id)
        if "marker" in query:
            rows = [row for row in rows if row.id < int(query["marker"][1:])]
        shown = [as_json_of(row) for row in rows[:PAGE]]
        links: list[Any] = [{}] if len(shown) == PAGE else []
        return answer(200, {"migrations": shown, "migrations_links": links})

    def passes(self, row: Row, query: Any) -> bool:
        if CELLS[row.source] in self.down:
            return False
        if "changes-since" in query:
            since = datetime.fromisoformat(query["changes-since"]).timestamp()
            return row.updated is not None and row.updated >= since
        return query["host"] in (row.source, row.dest)

    def look(self, host: str) -> None:
        """As a drain does that waits. What it goes on with is at most as old as an answer with
        changes may be, unless a cell has not answered since its records were read.
        """
        asked, records = self.known.get(host, (-math.inf, set()))
        began = self.now
        if self.now - asked >= READ_EVERY or not self.cloud.no_migration_changed(host, asked):
            asked = self.now
            listed = self.cloud.migrations(host)
            records = {(m.id, m.status, m.dest) for m in listed}
            self.known[host] = asked, records
        elif self.down or self.was_down >= asked - changes.OVERLAP.total_seconds():
            return
        told = {record[0]: record for record in records}
        for row in self.rows:
            if CELLS[row.source] in self.down or host not in (row.source, row.dest):
                continue
            if row.id in told:
                assert told[row.id] in row.within(began - AGE), f"{told[row.id]} is out of date"
            elif row.updated is not None:
                then = row.within(began - AGE - REQUEST)
                assert (row.id, "status-0", None) in then or any(
                    host not in (row.source, shown[2]) for shown in then
                ), f"{row.id} is overlooked"

    def take(self, step: tuple[str, int, int]) -> None:
        kind, index, delay = step
        if kind == "write":
            self.write(index, delay)
        elif kind == "start":
            self.start(index)
        elif kind == "wait":
            self.wait((0.5, 1, 5, 20, 90)[index % 5])
        elif kind == "look":
            self.look(HOSTS[index % len(HOSTS)])
        elif kind == "down":
            self.down ^= {"ab"[index % 2]}
            self.was_down = self.now
        else:
            self.restart()


def as_json(row: Row) -> dict[str, Any]:
    updated = row.updated and datetime.fromtimestamp(row.updated, UTC).isoformat()
    return {
        "id": row.id,
        "uuid": f"m{row.id}",
        "instance_uuid": "s1",
        "migration_type": "migration",
        "status": f"status-{row.version}",
        "source_compute": row.source,
        "dest_compute": row.dest,
        "user_id": "me",
        "created_at": "2030-01-01T00:00:00.000000",
        "updated_at": updated,
    }


as_json_of: Callable[[Row], dict[str, Any]] = as_json


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "SHARED_BY", 1)
    for module in (changes, cloud):
        monkeypatch.setattr(module, "MOST", 7)


# Random histories

ACTS = ("start", "write", "write", "write")
KINDS = (*ACTS, "wait", "wait", "wait", *["look"] * 7, "down", "restart")
steps = st.tuples(st.sampled_from(KINDS), st.integers(0, 11), st.sampled_from((0, 0, 10)))
histories = st.lists(st.tuples(steps, st.booleans()), min_size=5, max_size=60)
skews = st.lists(st.sampled_from(SKEW), min_size=3, max_size=3)


def live(history: list[tuple[tuple[str, int, int], bool]], skews: list[int]) -> None:
    nova = Nova(skews)
    for number in range(3):
        nova.start(number)
        nova.write(number, 0)
        nova.look(HOSTS[number])
    for step, between in history:
        if between and step[0] in ACTS:
            nova.between.append(lambda step=step: nova.take(step))  # type: ignore[misc]
        else:
            nova.take(step)


COMMON = settings(max_examples=100, deadline=None, derandomize=True, database=None)


@COMMON
@given(histories, skews)
def test_what_drains_go_on_with_is_what_a_read_would_show(
    history: list[tuple[tuple[str, int, int], bool]], skews: list[int]
) -> None:
    live(history, skews)


def no_overlap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "OVERLAP", timedelta(0))


def never_old(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Shared, "_counts", lambda *_: True)


@pytest.mark.parametrize("mutate", [no_overlap, never_old])
def test_a_feed_that_misses_changes_is_noticed(
    mutate: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    mutate(monkeypatch)
    found = settings(COMMON, phases=[Phase.generate], max_examples=1000)(
        given(histories, skews)(live)
    )
    with pytest.raises(AssertionError, match=r"out of date|overlooked"):
        found()


# One case each


def nova_at_work() -> Nova:
    """Three hosts whose records were read, with a move each that goes on."""
    nova = Nova([0, 0, 0])
    for number in range(len(HOSTS)):
        nova.start(number)
        nova.write(number, 0)
    for seconds in (60, 2, READ_EVERY):  # the first changes show records of others, as if new
        nova.wait(seconds)
        for host in HOSTS:
            nova.look(host)
    return nova


def sent(nova: Nova, seconds: int) -> list[str]:
    """What is asked for while all three look every two seconds."""
    nova.queries.clear()
    for _ in range(seconds // 2):
        for host in HOSTS:
            nova.look(host)
        nova.wait(2 - len(HOSTS) * REQUEST)
    firsts = [query for query in nova.queries if "marker" not in query]
    return ["changes" if "changes-since" in query else "host" for query in firsts]


def test_one_request_serves_all_who_wait() -> None:
    nova = nova_at_work()
    assert sent(nova, 8) == ["changes"] * 4


def test_only_the_host_that_changed_is_read_again() -> None:
    nova = nova_at_work()
    sent(nova, 2)
    nova.write(2, 0)
    assert sent(nova, 6) == ["changes", "host", "changes", "changes"]
    assert {query["host"] for query in nova.queries if "host" in query} == {"h3"}


def test_the_progress_of_a_live_migration_is_no_change() -> None:
    """Nova writes it to the record every few seconds, which stays `running` meanwhile."""
    nova = nova_at_work()
    sent(nova, 2)
    nova.rows[2].updated = math.floor(nova.now)
    assert sent(nova, 6) == ["changes"] * 3


def test_the_time_asked_for_is_utc_whatever_zone_the_records_have(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def zoned(row: Row) -> dict[str, Any]:
        shown = as_json(row)
        east = datetime.fromtimestamp(row.updated or 0, timezone(timedelta(hours=5)))
        return shown | {"updated_at": east.isoformat()}

    monkeypatch.setattr(f"{__name__}.as_json_of", zoned)
    nova = nova_at_work()
    asked = {q["changes-since"] for q in nova.queries if "changes-since" in q}
    newest = datetime.fromtimestamp(max(row.updated or 0 for row in nova.rows), UTC)
    assert asked == {f"{newest - changes.OVERLAP:%Y-%m-%dT%H:%M:%SZ}"}


def test_for_few_hosts_each_is_read_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "SHARED_BY", SHARED_BY)
    nova = nova_at_work()
    nova.wait(READ_EVERY)
    nova.look("h1")
    nova.wait(2)
    nova.queries.clear()
    assert not nova.cloud.no_migration_changed("h1", nova.known["h1"][0])
    assert not nova.queries


@pytest.mark.parametrize("trouble", ["no answer", "too much"])
def test_a_cloud_that_cannot_be_followed_is_left_alone_for_a_while(
    trouble: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And its hosts are read as ever."""
    nova = nova_at_work()
    if trouble == "no answer":
        nova.fails = True
    else:
        for module in (changes, cloud):
            monkeypatch.setattr(module, "MOST", 2)
        nova.write(0, 0)
        nova.write(1, 0)
    assert sent(nova, 4).count("changes") == 1
    assert sent(nova, 8).count("host") == 12
    nova.fails = False
    nova.wait(REST)
    for host in HOSTS:
        nova.look(host)
    assert sent(nova, 8).count("changes") > 0
