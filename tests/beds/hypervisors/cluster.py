"""The whole bed: a cloud whose compute hosts are hypervisors in namespaces of this machine."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from tests.beds.cloud.cloudbed.errors import BedError as CloudError
from tests.beds.cloud.cloudbed.processes import Processes
from tests.beds.cloud.cloudbed.rest import Api
from tests.beds.hosts import hosts
from tests.beds.hosts.booted import packages, remove_groups
from tests.beds.hosts.hosts import BedError
from tests.beds.hypervisors import images
from tests.beds.hypervisors.hypervisor import Hypervisor, Surroundings
from tests.beds.hypervisors.settings import FORWARDED, ROOT, Settings

HERE = Path(__file__).resolve().parent
FORWARDER = "control-plane"
USABLE_SECONDS = 240.0
BEGAN = time.monotonic()


def say(text: str) -> None:
    print(f"[bed {time.monotonic() - BEGAN:5.1f} s] {text}", file=sys.stderr, flush=True)


class Bed(hosts.Bed):
    """The hosts. They reach the control plane by this machine's leg in their network."""

    def __init__(self, settings: Settings, count: int) -> None:
        addresses = {
            f"cmp{number}": f"{settings.network}.{number}" for number in range(1, count + 1)
        }
        knobs = settings.knobs
        ports = tuple(knobs.port(name) for name in FORWARDED)
        about = Surroundings(
            settings.cloud, knobs, ports, settings.leg, addresses, settings.virt_type
        )
        super().__init__(
            settings.hosts, count, network=settings.network, kind=partial(Hypervisor, about)
        )
        self.settings, self.ports = settings, ports
        self.processes = Processes(settings.run, settings.run / "pid", settings.run / "log")

    def __getitem__(self, name: str) -> Hypervisor:
        host = super().__getitem__(name)
        assert isinstance(host, Hypervisor)
        return host

    def _make_switch(self) -> None:
        super()._make_switch()
        ports = [str(port) for port in self.ports]
        self.processes.start(
            FORWARDER,
            [sys.executable, str(HERE / "forward.py"), self.settings.leg, "127.0.0.1", *ports],
        )

    def down(self) -> None:
        super().down()
        self.processes.stop(FORWARDER, 2)
        remove_groups([self[name].group for name in self.hosts])

    def attach(self) -> Bed:
        """The processes of the hosts that an earlier command has started."""
        for name, row in json.loads((self.run / "state.json").read_text()).items():
            if name == "-switch":
                self.switch = hosts.Tree(**row)
            else:
                self.hosts[name].tree = hosts.Tree(**row)
        return self

    @property
    def missing(self) -> list[str]:
        """Hosts that do not run, or that Nova cannot use."""
        usable = usable_hosts(Api(self.settings.knobs))
        return [
            name for name, host in self.hosts.items() if not host.tree.runs or name not in usable
        ]


def attached(settings: Settings) -> Bed:
    """The bed that is up. Raises BedError where none is."""
    try:
        state = json.loads((settings.hosts / "state.json").read_text())
    except FileNotFoundError:
        raise BedError(f"no hosts in {settings.hosts}; run `bed up`") from None
    return Bed(settings, len(state) - 1).attach()


def up(settings: Settings, count: int) -> None:
    """A new cloud and new hosts; nothing where it is up. Raises BedError where it is broken."""
    with locked(settings):
        if (settings.hosts / "state.json").exists():
            if missing := attached(settings).missing:
                raise BedError(
                    f"{' '.join(missing)} cannot be used; run `bed down` and `bed up`, or repair it"
                )
            say("it is up already")
            return
        try:
            start(settings, count)
        except BaseException:
            say("failed; ending what was started")
            end(settings)
            raise


def start(settings: Settings, count: int) -> None:
    for part in ("pid", "log"):
        (settings.run / part).mkdir(parents=True, exist_ok=True)
    packages(Hypervisor.PACKAGES)
    cloud(settings, "up")
    api = Api(settings.knobs)
    say("the guests' images")
    images.seed(api, settings.cache)
    bed = Bed(settings, count)
    say(f"hosts {' '.join(bed.hosts)}, virt_type {settings.virt_type}")
    bed.up()
    (bed.run / "known_hosts").write_text(bed.known_hosts)
    wait_for_computes(bed)
    say("ready")


def cloud(settings: Settings, *words: str) -> None:
    command = [str(ROOT / "tests/beds/cloud/cloud"), *words]
    if subprocess.run(command, env=os.environ | settings.cloud_environment, check=False).returncode:
        raise BedError(
            f"`cloud {' '.join(words)}` failed: its words are above, its logs in "
            f"{settings.cloud.log}"
        )


def wait_for_computes(bed: Bed) -> None:
    deadline = time.monotonic() + USABLE_SECONDS
    while missing := bed.missing:
        if time.monotonic() > deadline:
            logs = " ".join(str(bed[name].dir / "log/nova") for name in missing)
            raise BedError(
                f"not usable after {USABLE_SECONDS:.0f} s: {' '.join(missing)}; see {logs}"
            )
        time.sleep(0.5)


def usable_hosts(api: Api) -> set[str]:
    """Hosts that are up for Nova and have a hypervisor there: only mapped ones are listed."""
    services = api.call("nova", "GET", "/os-services?binary=nova-compute")["services"]
    hypervisors = api.call("nova", "GET", "/os-hypervisors")["hypervisors"]
    running = {service["host"] for service in services if service["state"] == "up"}
    return running & {hypervisor["hypervisor_hostname"] for hypervisor in hypervisors}


def down(settings: Settings) -> None:
    with locked(settings):
        end(settings)
    say("down")


def end(settings: Settings) -> None:
    """Whatever an `up` has started, also where it was interrupted."""
    with contextlib.suppress(BedError, CloudError):
        attached(settings).down()
    Processes(settings.run, settings.run / "pid", settings.run / "log").stop(FORWARDER, 2)
    cloud(settings, "down", "--wipe")
    shutil.rmtree(settings.hosts, ignore_errors=True)


@contextmanager
def locked(settings: Settings) -> Iterator[None]:
    """One command at a time changes this bed; others wait."""
    settings.run.mkdir(parents=True, exist_ok=True)
    with (settings.run / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
