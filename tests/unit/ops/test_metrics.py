from collections.abc import Callable, Iterator
from typing import Any

import pytest
from prometheus_client.exposition import generate_latest

from quiesce.ops import metrics
from quiesce.ops.metrics import DrainFacts
from quiesce.ops.metrics import drains as named


def shown() -> list[str]:
    return generate_latest(metrics.REGISTRY).decode().splitlines()


def value(sample: str) -> float:
    return next(
        (float(line.rpartition(" ")[2]) for line in shown() if line.startswith(f"{sample} ")), 0.0
    )


def test_ticks() -> None:
    sample = 'quiesce_ticks_total{kind="drain",outcome="ok"}'
    before = value(sample)
    metrics.tick("drain", "ok", 0.2)
    assert value(sample) == before + 1
    assert value('quiesce_tick_duration_seconds_count{kind="drain"}') >= 1


def test_requests_and_moves() -> None:
    metrics.nova_request("compute", "POST", "/servers/{id}/action", "202", 0.2)
    metrics.move_started("live")
    metrics.move_finished("live", "done")
    assert value(
        'quiesce_nova_requests_total{method="POST",route="/servers/{id}/action",service="compute",status="202"}'
    )
    assert value('quiesce_moves_started_total{method="live"}')
    assert value('quiesce_moves_finished_total{method="live",result="done"}')


def test_the_queue_is_asked_at_each_scrape() -> None:
    backlog = [1, 2]
    metrics.queue_depth("test", lambda: len(backlog))
    assert value('quiesce_queue_depth{kind="test"}') == 2
    backlog.clear()
    assert 'quiesce_queue_depth{kind="test"} 0.0' in shown()


def facts(name: str, phase: str = "Draining", **more: Any) -> DrainFacts:
    known: dict[str, Any] = {
        "namespace": "openstack",
        "host": f"{name}.example.org",
        "reason": "Migrating",
        "stalled": False,
        "progress_at": 1000.0,
        "read_at": 2000.0,
        "migration_timeout": 3600.0,
        "ratio": 0.5,
        "progress": {"moved": 1, "moving": 1},
        "servers": {("Migrating", ""): 1},
    }
    return DrainFacts(name=name, phase=phase, **(known | more))


@pytest.fixture
def drains(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[DrainFacts], None]]:
    """Drains that are gone after the test; those of other tests are not seen."""
    known: list[DrainFacts] = []
    monkeypatch.setattr(named._drains, "_of", {})

    def put(one: DrainFacts) -> None:
        known.append(one)
        metrics.drain((one.namespace, one.name), one)

    yield put
    for one in known:
        metrics.drain((one.namespace, one.name), None)


def test_drains_are_counted_and_an_emptied_phase_shows_nought(
    drains: Callable[[DrainFacts], None],
) -> None:
    drains(facts("a"))
    drains(facts("b"))
    assert value('quiesce_drains{phase="Draining",reason="Migrating"}') == 2
    assert value('quiesce_servers{reason="",state="Migrating"}') == 2
    drains(facts("a", "Drained", reason="Drained", servers={}))
    metrics.drain(("openstack", "b"), None)
    metrics.drain("never seen", None)
    assert 'quiesce_drains{phase="Draining",reason="Migrating"} 0.0' in shown()
    assert 'quiesce_servers{reason="",state="Migrating"} 0.0' in shown()
    assert value('quiesce_drains{phase="Drained",reason="Drained"}') == 1


def test_a_drain_has_series_by_its_name_until_it_is_gone(
    drains: Callable[[DrainFacts], None],
) -> None:
    drains(facts("a", stalled=True, guests_off=2, verify_resize_since=500.0))
    labels = 'name="a",namespace="openstack"'
    assert value(f"quiesce_drain_stalled{{{labels}}}") == 1
    assert value(f"quiesce_drain_guests_off{{{labels}}}") == 2
    assert value(f"quiesce_drain_verify_resize_since_timestamp_seconds{{{labels}}}") == 500
    assert value(f'quiesce_drain_servers{{{labels},state="moved"}}') == 1
    drains(facts("a"))
    assert not [line for line in shown() if "verify_resize_since" in line and labels in line]
    metrics.drain(("openstack", "a"), None)
    assert not [line for line in shown() if 'name="a"' in line]


@pytest.mark.finding("L5")
def test_a_namespace_with_thousands_of_drains_takes_no_series_from_another(
    drains: Callable[[DrainFacts], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(named, "MOST_DRAINS", 20)
    for number in range(200):
        drains(facts(f"h{number}", namespace="hostile", stalled=True))
    for number in range(5):
        drains(facts(f"good{number}"))
    drains(facts("late", namespace="another"))
    series = [line for line in shown() if line.startswith("quiesce_drain_info{")]
    assert len(series) == 20
    assert sum("good" in line for line in series) == 5
    assert sum("late" in line for line in series) == 1
    assert value("quiesce_drains_without_series") == 186
    assert value('quiesce_drains{phase="Draining",reason="Migrating"}') == 206


def test_within_a_namespace_those_in_trouble_come_first(
    drains: Callable[[DrainFacts], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(named, "MOST_DRAINS", 2)
    for number in range(4):
        drains(facts(f"d{number}"))
    drains(facts("off", guests_off=1))
    drains(facts("stalled", stalled=True))
    series = [line for line in shown() if line.startswith("quiesce_drain_info{")]
    assert sorted(line.split('name="')[1].split('"')[0] for line in series) == ["off", "stalled"]


def test_keyrings_are_counted_by_where_they_stand() -> None:
    metrics.keyring("k", ("Stalled", "HostUnreachable"))
    assert value('quiesce_keyrings{phase="Stalled",reason="HostUnreachable"}') == 1
    metrics.keyring("k", None)
    assert 'quiesce_keyrings{phase="Stalled",reason="HostUnreachable"} 0.0' in shown()


def test_counters_of_a_kind_begin_at_nought() -> None:
    metrics.queue_depth("other", lambda: 0)
    assert 'quiesce_ticks_total{kind="other",outcome="bug"} 0.0' in shown()
