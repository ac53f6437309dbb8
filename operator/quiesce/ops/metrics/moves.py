"""Moves of servers: how many, how they ended, and how long each part of them took."""

from prometheus_client import Counter, Histogram

from quiesce.ops.metrics.registry import REGISTRY

_started = Counter(
    "quiesce_moves_started", "Moves of servers requested from Nova", ["method"], registry=REGISTRY
)
_finished = Counter(
    "quiesce_moves_finished",
    "Moves of servers that ended",
    ["method", "result"],
    registry=REGISTRY,
)
_stage_seconds = Histogram(
    "quiesce_move_stage_duration_seconds",
    "Parts of moves that ended well: wait (on the host, for its turn), move (from Nova's accepting "
    "the call to the arrival), verify (to the confirm), confirm (until Nova has done it)",
    ["method", "stage"],
    buckets=(1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600),
    registry=REGISTRY,
)

_PARTS = {"cold": ("wait", "move", "verify", "confirm"), "live": ("wait", "move")}
# They begin at 0: Prometheus does not see the increase of one that begins at 1.
for _method, _parts in _PARTS.items():
    _started.labels(_method)
    for _part in _parts:
        _stage_seconds.labels(_method, _part)


def move_started(method: str) -> None:
    """`method`: cold, live or offload."""
    _started.labels(method).inc()


def move_finished(method: str, result: str) -> None:
    """`result`: the status in which Nova's record of it ended, such as confirmed or error."""
    _finished.labels(method, result).inc()


def move_stage(method: str, stage: str, seconds: float) -> None:
    """`stage`: wait, move, verify or confirm."""
    _stage_seconds.labels(method, stage).observe(max(0.0, seconds))
