"""What the log and Prometheus are told of servers: each change once, and no more than is known."""

import dataclasses
import logging
from datetime import timedelta
from typing import Any

import pytest
from tests.unit.drain.build import (
    FOUND,
    HOST,
    NOW,
    ago,
    arrived_elsewhere,
    begun,
    decided,
    drain,
    migration,
    observed,
    report,
    server,
    service,
    spec,
    was,
)

from quiesce.api.drain.record import Record
from quiesce.drain import telemetry as module
from quiesce.drain.model.observation import Observation
from quiesce.drain.report import standing, status
from quiesce.drain.telemetry import Telemetry
from quiesce.kube.resource import Resource
from quiesce.ops import metrics
from quiesce.ops.metrics import DrainFacts

RESOURCE = Resource(
    {
        "apiVersion": "quiesce.dev/v1alpha1",
        "kind": "ComputeNodeDrain",
        "metadata": {"namespace": "openstack", "name": "compute-1", "uid": "u1", "generation": 1},
        "spec": {"host": HOST},
        "status": {},
    }
)
Line = dict[str, Any]


class Told:
    """One process. `lines`: the fields of each transition that it has logged."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self.telemetry, self.caplog = Telemetry(), caplog
        caplog.set_level(logging.INFO, module.__name__)

    def tick(
        self, observation: Observation, record: Record | None = None, at: float = 0.0
    ) -> list[Line]:
        """The lines of one tick, `at` seconds after NOW."""
        observation = dataclasses.replace(observation, now=ago(-at))
        self.caplog.clear()
        record = record or begun()
        decision = decided(observation, None, record)
        self.telemetry.observed(RESOURCE, drain(spec(), record), observation, decision)
        return [vars(each) for each in self.caplog.records if hasattr(each, "state")]

    @property
    def facts(self) -> DrainFacts:
        return self.telemetry._of["u1"].facts


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Told:
    return Told(caplog)


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, float]]:
    """(method, stage, seconds) of every part of a move that is measured."""
    found: list[tuple[str, str, float]] = []
    monkeypatch.setattr(metrics, "move_stage", lambda *part: found.append(part))
    return found


RUNS = observed([server()])
MIGRATING = observed(
    [server(status_="RESIZE", task="resize_migrating")], [migration(status_="migrating")]
)
ARRIVED = observed(
    migrations=[migration(updated=ago(90))],
    elsewhere=[arrived_elsewhere()],
    running={"s1": True},
    requests={"s1": "req-1"},
)
MOVED = observed(migrations=[migration(status_="confirmed")])


def test_a_new_process_tells_nothing_of_what_another_one_has_told(told: Told) -> None:
    assert told.tick(MIGRATING, was(s1="ACTIVE")) == []
    assert told.caplog.messages == ["the operator has started, and continues it: 1 Migrating"]
    (line,) = told.tick(MOVED, was(s1="ACTIVE"))
    assert (line["state"], line["before"], line["destination"]) == ("Moved", "Migrating", "cmp2")
    assert told.tick(MOVED, was(s1="ACTIVE")) == []


def test_each_change_is_told_once_with_migration_and_request(
    told: Told, stages: list[tuple[str, str, float]]
) -> None:
    unbegun = Record(started="2026-03-01T11:00:00Z")
    assert told.tick(observed(service=service("enabled"), whole=False), unbegun) == []
    assert told.tick(RUNS) == [], "the line of its call tells that it starts"
    (line,) = told.tick(MIGRATING, was(s1="ACTIVE"), at=5)
    assert (line["server"], line["state"], line["attempt"]) == ("s1", "Migrating", 1)
    assert line["migration"] == migration().uuid
    assert told.tick(MIGRATING, was(s1="ACTIVE"), at=10) == []
    assert told.tick(ARRIVED, was(s1="ACTIVE"), at=25) == []
    assert told.telemetry.call_fields(RESOURCE)["s1"]["state"] == "Confirming"
    (line,) = told.tick(dataclasses.replace(MOVED, history=ARRIVED.history), was(s1="ACTIVE"), 30)
    assert (line["state"], line["request_id"], line["seconds"]) == ("Moved", "req-1", 30)
    assert stages == [
        ("cold", "wait", 0),
        ("cold", "move", 25),
        ("cold", "verify", 0),
        ("cold", "confirm", 5),
    ]


def test_a_server_that_is_deleted_did_not_move(told: Told) -> None:
    told.tick(RUNS)
    (line,) = told.tick(observed())
    assert line["state"] == "Gone"


def test_servers_of_a_cell_that_is_down_are_not_told_gone(told: Told) -> None:
    told.tick(RUNS)
    assert told.tick(observed(service=service("UNKNOWN"))) == []


def test_one_that_needs_a_person_is_a_warning(told: Told) -> None:
    told.tick(RUNS)
    (line,) = told.tick(observed([server(status_="SUSPENDED")]))
    assert (line["state"], line["reason"], line["levelname"]) == ("Blocked", "Suspended", "WARNING")


@pytest.mark.parametrize("set_by", [0.0, 86400.0, -86400.0])
def test_times_that_prometheus_compares_with_its_own_follow_the_machines_clock(
    told: Told, monkeypatch: pytest.MonkeyPatch, set_by: float
) -> None:
    shown: list[DrainFacts] = []
    monkeypatch.setattr(metrics, "drain", lambda _, facts: shown.append(facts))
    told.tick(MIGRATING, was(s1="ACTIVE"))
    by, later = timedelta(seconds=set_by), NOW + timedelta(seconds=9)
    told.telemetry.reported(RESOURCE, status(report(MIGRATING)), later, by)
    told.telemetry.rested("u1", later, by, waits=False)
    for facts in shown:
        assert facts.progress_at == (NOW + by).timestamp() + 9
    assert [facts.read_at for facts in shown] == [
        (NOW + by).timestamp(), (later + by).timestamp()
    ]  # fmt: skip


def test_a_move_that_began_in_another_process_has_no_duration(
    told: Told, stages: list[tuple[str, str, float]]
) -> None:
    told.tick(MIGRATING, was(s1="ACTIVE"))
    told.tick(ARRIVED, was(s1="ACTIVE"), at=20)
    told.tick(MOVED, was(s1="ACTIVE"), at=25)
    assert stages == []


def test_progress_is_what_leaves_arrives_or_begins_for_the_first_time(told: Told) -> None:
    failed = migration(FOUND + 1, "error")
    told.tick(RUNS)
    told.tick(MIGRATING, was(s1="ACTIVE"), at=10)
    assert told.facts.progress_at == NOW.timestamp() + 10
    told.tick(observed([server()], [failed], causes={}), was(s1="ACTIVE"), at=20)
    again = [migration(FOUND + 2, "migrating"), failed]
    second = begun(tries={"s1": dataclasses.replace(was(s1="ACTIVE").tries["s1"], attempt=2)})
    told.tick(observed([server(status_="RESIZE", task="resize_prep")], again), second, at=30)
    assert told.facts.progress_at == NOW.timestamp() + 10, "a second attempt is none"
    told.tick(observed(migrations=[migration(FOUND + 2, "confirmed"), failed]), second, at=40)
    assert told.facts.progress_at == NOW.timestamp() + 40


def left_off(what: Observation, record: Record) -> int:
    return standing(what, decided(what, None, record)).guests_off


@pytest.mark.promise("never-13")
def test_a_guest_that_a_move_left_off_is_counted() -> None:
    broken = [migration(status_="error")]
    off = observed([server(status_="SHUTOFF")], broken)
    in_error = observed([server(status_="ERROR", power_state=4)], broken)
    assert left_off(off, was(s1="ACTIVE")) == 1
    assert left_off(in_error, was(s1="ACTIVE")) == 1


def test_a_guest_is_not_left_off_that_was_off_runs_or_is_moving() -> None:
    broken = [migration(status_="error")]
    off = observed([server(status_="SHUTOFF")], broken)
    stopped = observed([server(status_="ERROR", power_state=4)], broken, stopped_by_user={"s1"})
    in_error = observed([server(status_="ERROR", power_state=1)], broken)
    moving = observed(
        [server(status_="RESIZE", task="resize_migrating", power_state=4)],
        [migration(status_="migrating")],
    )
    assert left_off(off, was(s1="SHUTOFF")) == 0
    assert left_off(stopped, was(s1="ACTIVE")) == 0
    assert left_off(in_error, was(s1="ACTIVE")) == 0
    assert left_off(moving, was(s1="ACTIVE")) == 0


def test_the_oldest_server_in_verify_resize_is_known_by_novas_record() -> None:
    newer = migration(FOUND + 2, server_id="s2", updated=ago(10))
    both = [migration(updated=ago(5000)), newer]
    elsewhere = [arrived_elsewhere(), arrived_elsewhere("s2")]
    found = observed(migrations=both, elsewhere=elsewhere)
    record = was(s1="ACTIVE", s2="ACTIVE")
    assert (
        standing(found, decided(found, None, record)).verify_resize_since == ago(5000).timestamp()
    )
    gone = standing(MOVED, decided(MOVED, None, record))
    assert gone.verify_resize_since is None
