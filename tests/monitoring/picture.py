"""The picture in docs/monitoring.md: some minutes of three drains, seen by a real Prometheus.

PYTHONPATH=operator python -m tests.monitoring.picture > docs/dashboard.svg
"""

import json
import sys
import tempfile
import time
from pathlib import Path

from tests.monitoring.conftest import free_port
from tests.monitoring.prometheus import prometheus
from tests.monitoring.scene import Scene, scene
from tools import draw_dashboard

HOSTS = [f"compute-{number:02}" for number in range(1, 9)]
KEEP = {"afterDrain": "KeepDisabled"}
PACE = ("--poll-interval", "2", "--idle-interval", "10", "--settle", "10", "--log-format", "json")


def drain(found: Scene) -> None:
    """One goes well; the copy of one server of the second fails, which is off then; the third waits
    for decisions. They begin some time apart, so that the curves have something to show.
    """
    for host, name, number in zip(HOSTS, ("web", "db", "app"), (16, 8, 4), strict=False):
        found.boot(host, *(f"{name}-{count}" for count in range(1, number + 1)))
    found.put("MigrationKeyring", "keys", {"hostAccess": {"privateKeySecretRef": {"name": "none"}}})
    found.cloud.faults.set("migrate_disk_and_power_off", "scp", server="db-3")
    few = {"maxParallel": 2}
    found.apply(HOSTS[0], HOSTS[0], migration=few, service=KEEP)
    time.sleep(30)
    found.apply(HOSTS[1], HOSTS[1], migration=few, service=KEEP)
    time.sleep(40)
    manual = {"policy": "Manual"}
    found.apply(HOSTS[2], HOSTS[2], migration=few, service=KEEP, confirmation=manual)
    found.wait_phase(HOSTS[0], "Drained", timeout=300)
    found.wait_phase(HOSTS[1], "Stalled", timeout=300)
    found.wait_phase(HOSTS[2], "Stalled", timeout=300)
    time.sleep(60)


def main() -> None:
    began, port = time.time(), free_port()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (
            scene(folder, port, *PACE, speed=1.0, hosts=HOSTS) as found,
            prometheus(folder, free_port(), port) as base,
        ):
            drain(found)
            source = draw_dashboard.Source(base, began + 20, time.time())
            dashboard = json.loads(draw_dashboard.DASHBOARD.read_text())
            sys.stdout.writelines(f"{line}\n" for line in draw_dashboard.draw(dashboard, source))


if __name__ == "__main__":
    main()
