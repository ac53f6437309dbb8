"""A host with a supervisor of nova-compute: told over SSH by `systemctl`, it stops and starts the real one."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.beds.hosts.hosts import Bed, Host
from tests.e2e.keyring.conftest import bed, keyring
from tests.harness.openstack import Lab

__all__ = ["bed", "keyring", "supervised"]

UNIT = "/var/lib/unit"  # on the host; the bed keeps what changes there in the host's own directory


class Supervisor(threading.Thread):
    """What systemd is to nova-compute: it runs while the unit is to run, and not otherwise."""

    def __init__(self, host: Host, cloud: Lab) -> None:
        super().__init__(daemon=True)
        self.unit, self.name_of_host, self.cloud = host.dir / "lib" / "unit", host.name, cloud
        self.ended = threading.Event()
        self.runs = True

    @property
    def boot(self) -> str:
        return (self.unit / "boot").read_text().strip()

    @property
    def wanted(self) -> bool:
        return (self.unit / "running").exists()

    def run(self) -> None:
        while not self.ended.wait(0.2):
            if self.wanted != self.runs:
                self.runs = self.wanted
                (self.cloud.start_compute if self.runs else self.cloud.stop_compute)(self.name_of_host)


@pytest.fixture
def supervised(bed: Bed, cloud: Lab, host: str) -> Iterator[Supervisor]:
    """nova-compute of `host`, enabled and running, under a stand-in for systemd on the host of the same name."""
    place = bed[host]
    (place.dir / "systemctl").write_text((Path(__file__).parent / "systemctl").read_text())
    place.run(f"mkdir {UNIT}; echo enabled > {UNIT}/boot; touch {UNIT}/running")
    place.run(f"cat > /usr/bin/systemctl <<'END'\n{(place.dir / 'systemctl').read_text()}END\nchmod 755 /usr/bin/systemctl")
    supervisor = Supervisor(place, cloud)
    supervisor.start()
    yield supervisor
    supervisor.ended.set()
    supervisor.join()
