"""A whole drain by the real process, seen by a real Prometheus: once for all tests."""

import json
import socket
import sys
import time
from dataclasses import dataclass

import pytest
from tests.harness.openstack import until
from tests.monitoring.prometheus import Json, prometheus
from tests.monitoring.scene import Scene, scene
from tools import draw_dashboard


@dataclass(frozen=True)
class Drained:
    """`scrape`: of /metrics while one server is held. `lines`: the whole log. `drawing`: the
    dashboard as an SVG. `servers`: name -> ID.
    """

    scrape: str
    lines: list[Json]
    drawing: str
    servers: dict[str, str]


def free_port() -> int:
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        return int(asked.getsockname()[1])


@pytest.fixture(scope="session")
def drained(tmp_path_factory: pytest.TempPathFactory) -> Drained:
    folder, port, began = tmp_path_factory.mktemp("drained"), free_port(), time.time()
    flags = ("--log-format", "json")
    with scene(folder, port, *flags) as found, prometheus(folder, free_port(), port) as base:
        servers = populate(found)
        # What happens before it would be no increase of anything.
        until("a first scrape", lambda: draw_dashboard.Source(base, began, time.time()).ask(UP))
        drain(found)
        source = draw_dashboard.Source(base, began, time.time())
        dashboard = json.loads(draw_dashboard.DASHBOARD.read_text())
        until("a scrape of the end", lambda: source.ask({"expr": HELD, "instant": True}))
        source = draw_dashboard.Source(base, began, time.time())
        drawing = "\n".join(draw_dashboard.draw(dashboard, source))
        scrape = found.scrape()
    text = found.operator.text()
    print(text[-20000:], file=sys.stderr)
    lines = [json.loads(line) for line in text.splitlines()]
    return Drained(scrape, lines, drawing, servers)


UP = {"expr": "quiesce_build_info", "instant": True}
HELD = "quiesce_drain_verify_resize_since_timestamp_seconds"


def populate(found: Scene) -> dict[str, str]:
    """Name of each server -> ID. One fails on its destination, one is shelved."""
    names = ("web-1", "web-2", "db-1", "bad-1", "shelved-1")
    ids = dict(zip(names, found.boot("cmp1", *names), strict=True))
    ids |= {"held-1": found.boot("cmp2", "held-1")[0], "live-1": found.boot("cmp3", "live-1")[0]}
    found.cloud.faults.set("finish_migration", "fail", server="bad-1")
    with found.cloud.hold():
        found.cloud.guests.act(found.cloud.as_user("admin"), ids["shelved-1"], "shelve")
    return ids


def drain(found: Scene) -> None:
    found.put("MigrationKeyring", "keys", {"hostAccess": {"privateKeySecretRef": {"name": "none"}}})
    keep = {"afterDrain": "KeepDisabled"}
    found.apply("cmp1", "cmp1", service=keep, migration={"maxParallel": 2})
    found.apply("cmp2", "cmp2", service=keep, confirmation={"policy": "Manual"})
    found.apply("cmp3", "cmp3", "Live", service=keep)
    found.wait_phase("cmp1", "Stalled")
    found.wait_phase("cmp2", "Stalled")
    found.wait_phase("cmp3", "Drained")
