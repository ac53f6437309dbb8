"""A host whose `systemctl`, called over SSH, stops and starts the nova-compute of the cloud bed."""

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.beds.hosts.hosts import Bed, Host
from tests.e2e.keyring.conftest import bed, keyring, kube
from tests.harness.kubernetes import FLAGS, Operator
from tests.harness.openstack import Lab

__all__ = ["bed", "keyring", "kube"]

UNIT = "/var/lib/unit"  # on the host; the bed keeps what changes there in the host's own directory


class Supervisor(threading.Thread):
    """What systemd is to nova-compute: it runs while the unit is to run, and not otherwise."""

    def __init__(self, host: Host, cloud: Lab) -> None:
        super().__init__(daemon=True)
        self.host, self.unit, self.cloud = host, host.dir / "lib" / "unit", cloud
        self.ended = threading.Event()
        self.runs = True

    @property
    def boot(self) -> str:
        return (self.unit / "boot").read_text().strip()

    @property
    def held(self) -> bool:
        """Kept from starting, by the drop-in that the operator lays."""
        return (self.host.dir / "etc/systemd/system/nova-compute.service.d/quiesce.conf").exists()

    @property
    def wanted(self) -> bool:
        return (self.unit / "running").exists()

    def run(self) -> None:
        while not self.ended.wait(0.2):
            if self.wanted != self.runs:
                self.runs = self.wanted
                (self.cloud.start_compute if self.runs else self.cloud.stop_compute)(self.host.name)


@pytest.fixture
def supervised(bed: Bed, cloud: Lab, host: str) -> Iterator[Supervisor]:
    """nova-compute of `host`, enabled and running, under a stand-in for that host's systemd."""
    place = bed[host]
    (place.dir / "systemctl").write_text((Path(__file__).parent / "systemctl").read_text())
    place.run(f"mkdir {UNIT}; echo enabled > {UNIT}/boot; touch {UNIT}/running")
    place.run(
        f"cat > /usr/bin/systemctl <<'END'\n{(place.dir / 'systemctl').read_text()}END\n"
        "chmod 755 /usr/bin/systemctl"
    )
    supervisor = Supervisor(place, cloud)
    supervisor.start()
    yield supervisor
    supervisor.ended.set()
    supervisor.join()


@pytest.fixture
def operator(account: Path, namespace: str, tmp_path: Path) -> Iterator[Operator]:
    """The operator with a short settle time; its log is shown where the test fails."""
    flags = (*FLAGS, "--settle", "2s", "--poll-interval", "1s")
    running = Operator(
        account, tmp_path / "operator.log", ("--namespace", namespace), flags
    ).start()
    yield running
    running.kill()
    print(running.text()[-20000:])


@pytest.fixture
def dead(bed: Bed, cloud: Lab) -> Iterator[str]:
    """A compute host that is off, and that Nova sees down."""
    name = "cmp4"  # cmp5 is the idle drain's
    bed[name].stop()
    cloud.stop_compute(name)
    yield name
    cloud.start_compute(name)


class Doorway(threading.Thread):
    """A port of 127.0.0.1 that leads to a host's sshd.

    That is the address that the cloud bed shows for every compute.
    """

    def __init__(self, leads_to: Host) -> None:
        super().__init__(daemon=True)
        self.leads_to = leads_to
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])

    def run(self) -> None:
        with suppress(OSError):  # it is closed
            while True:
                self._let_in(self._listener.accept()[0])

    def _let_in(self, guest: socket.socket) -> None:
        inside = socket.create_connection((self.leads_to.address, self.leads_to.port))
        for one, other in ((guest, inside), (inside, guest)):
            threading.Thread(target=self._pass_on, args=(one, other), daemon=True).start()

    def _pass_on(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while part := one.recv(65536):
                other.sendall(part)
        with suppress(OSError):
            other.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture
def doorway(bed: Bed, host: str) -> Iterator[Doorway]:
    found = Doorway(bed[host])
    found.start()
    yield found
    found.close()
