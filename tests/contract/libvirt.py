"""The bed of real hypervisors as a cloud of the contract: what a case asks for is done to a host.

The fake driver is told by a server's metadata what is to go wrong. Here the same words break the
real thing: a QEMU is killed, a disk is full, a link is slow.
"""

import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

from tests.beds.hypervisors.settings import PREFIX, settings
from tests.contract.clouds import RealLab
from tests.contract.lab import Answer, Json
from tests.harness.hypervisors import BED, Guest, Hypervisors

Value = TypeVar("Value")
SLOW = 16  # Mbit/s: guest-busy writes faster, so its copy never ends
DIES, FULL, BUSY = "dies on arrival", "destination full", "copies for long"
FAULTS = {
    ("finish_migration", "dies"): DIES,
    ("migrate_disk_and_power_off", "scp"): FULL,
    ("live_migration", "sleep:600"): BUSY,
    ("live_migration", "busy"): BUSY,
}


def beside(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of a bed beside the one of the stories: a folder, network and ports of its
    own, unless they are given.
    """
    own = {
        "RUN": f"{settings(environ).run}-contract",
        "NETWORK": "10.213.192",
        "PORT_BASE": "22100",
    }
    return {**{PREFIX + name: value for name, value in own.items()}, **environ}


class LibvirtLab(RealLab):
    """A real Nova with Nova's libvirt driver; started when it is not up, and stopped then."""

    name = "libvirt"
    command = BED

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._bed = beside(environment)
        found = settings(self._bed)
        up = subprocess.run([BED, "status"], env=self._bed, capture_output=True, check=False)
        self._was_up = up.returncode == 0
        self._faults: dict[str, str] = {}
        self._fresh: set[str] = set()
        super().__init__({**self._bed, **found.cloud_environment})
        self.hypervisors = Hypervisors.of_bed(found)
        self.hypervisors.tidy()
        self.hypervisors.share_keys()

    def run(self, *arguments: str) -> str:
        """By the bed's own program, in the environment that it reads."""
        done = subprocess.run(
            [self.command, *arguments],
            env=self._bed,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        return done.stdout

    def close(self) -> None:
        if not self._was_up:
            self.run("down")

    # What takes longer here

    def wait(
        self, what: str, look: Callable[[], Value | None], within: float = 90.0, every: float = 0.25
    ) -> Value:
        return super().wait(what, look, 4 * within, every)

    # Guests

    def find_image(self) -> str:
        return self._image_called("guest")

    def _image_called(self, name: str) -> str:
        images = self.connection("operator").image.images(name=name)
        return str(next(iter(images)).id)

    def boot(
        self,
        *,
        metadata: Json | None = None,
        group: str = "",
        host: str = "",
        flavor: str = "guest",
    ) -> str:
        """A guest, and what is to be broken of it later."""
        self._look_up()
        faults = [
            FAULTS[key.removeprefix("fault."), value] for key, value in (metadata or {}).items()
        ]
        busy = BUSY in faults
        self._image = self._image_called("guest-busy" if busy else "guest")
        server = super().boot(group=group, host=host, flavor="guest-large" if busy else flavor)
        self._faults |= dict.fromkeys([server], *faults) if faults else {}
        self._fresh.add(server)
        return server

    def settled(self, server: str, *statuses: str) -> Json:
        """One that is new has reported: before that it does not heed the power button."""
        shown = super().settled(server, *statuses)
        guest = Guest(self.hypervisors, server, shown["name"])
        if server in self._fresh and shown["status"] == "ACTIVE":
            self._fresh.discard(server)
            guest.next_report()
        if shown["status"] == "VERIFY_RESIZE" and self._faults.get(server) == DIES:
            del self._faults[server]
            self.hypervisors[guest.host].kill_guest(guest)
        return shown

    def migrate(self, server: str, host: str | None = None) -> Answer:
        if self._faults.get(server) == FULL:
            self.hypervisors[host or self.spare].fill_disk()
        return super().migrate(server, host)

    def migrate_live(self, server: str, host: str | None = None) -> Answer:
        if self._faults.get(server) == BUSY:
            self.hypervisors[str(self.show(server)["OS-EXT-SRV-ATTR:host"])].slow(SLOW)
        return super().migrate_live(server, host)

    @contextmanager
    def case(self) -> Iterator[None]:
        with super().case():
            yield
        for host in self.hypervisors.hosts:
            host.fast()
            host.free_disk()

    # Hosts

    def kill_compute(self, host: str) -> None:
        self.hypervisors[host].kill_compute()

    def start_compute(self, host: str) -> None:
        self.hypervisors[host].start_compute()
        self.hypervisors[host].await_compute()

    def forget_deleted_services(self) -> None:
        self.hypervisors.lab.bed("purge-deleted")
