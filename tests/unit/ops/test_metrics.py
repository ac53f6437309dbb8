from prometheus_client.exposition import generate_latest

from quiesce.ops import metrics


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
    metrics.nova_request("compute", "POST", "/servers/{id}/action", "202")
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


def test_drains_are_counted_by_phase_and_an_emptied_phase_shows_nought() -> None:
    metrics.drain_phase("a", "Draining")
    metrics.drain_phase("b", "Draining")
    assert value('quiesce_drains{phase="Draining"}') == 2
    metrics.drain_phase("a", "Drained")
    metrics.drain_phase("b", None)
    metrics.drain_phase("never seen", None)
    assert 'quiesce_drains{phase="Draining"} 0.0' in shown()
    assert value('quiesce_drains{phase="Drained"}') == 1
    metrics.drain_phase("a", None)
