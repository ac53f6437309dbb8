"""The clouds that the cases run on."""

import json
import os
import subprocess
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from openstack.config import OpenStackConfig
from openstack.connection import Connection
from tests.beds.cloud.cloudbed.releases import NEWEST, RELEASES
from tests.beds.cloud.cloudbed.settings import PREFIX, Knobs, find_paths
from tests.beds.sim.model import Cloud
from tests.beds.sim.simulator import Simulator
from tests.beds.sim.state import Config
from tests.contract.changes import numbers
from tests.contract.lab import Lab


class SimLab(Lab):
    """The stand-in; time passes only while somebody waits."""

    name = "sim"
    source, spare = "cmp5", "cmp4"

    def __init__(self) -> None:
        super().__init__(numbers(RELEASES[NEWEST].nova))
        config = Config(max_concurrent_live_migrations=4)  # as the real bed has it
        self.simulator = Simulator(Cloud(start=time.time(), config=config)).start()
        self.cloud = self.simulator.cloud
        self.cloud.clock.advance(10)  # past the first periodic tasks, as a cloud that has been up

    def pause(self, seconds: float) -> None:
        self.cloud.clock.advance(seconds)

    def clock(self) -> float:
        return self.cloud.clock.now()

    def connect(self, user: str) -> Connection:
        config = OpenStackConfig(config_files=[str(self.simulator.clouds_yaml)], load_envvars=False)
        return Connection(config=config.get_one(cloud=user))

    def find_image(self) -> str:
        return "tiny"

    def kill_compute(self, host: str) -> None:
        self.cloud.kill_compute(host)

    def start_compute(self, host: str) -> None:
        self.cloud.start_compute(host)
        self.wait(f"nova-compute on {host}", lambda: _ready(self.cloud, host))

    def set_extra_specs(self, server: str, specs: dict[str, str]) -> None:
        self.cloud.set_extra_specs(self.cloud.state.servers[server], specs)

    def forget_deleted_services(self) -> None:
        """Nothing to do: the stand-in forgets them by itself."""

    def close(self) -> None:
        self.simulator.__exit__(None, None, None)


def _ready(cloud: Cloud, host: str) -> bool:
    service = cloud.service(host)
    return service is not None and cloud.state.is_up(service) and service.mapped


class RealLab(Lab):
    """A real Nova: the bed of tests/beds/cloud, started when it is not up."""

    name = "real"
    command = Path(__file__).parents[1] / "beds" / "cloud" / "cloud"

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        super().__init__(numbers(find_paths(environment).release.nova))
        self.run("up")
        self._began = time.monotonic()
        exports = self.run("env")
        self._config_file = exports.split("OS_CLIENT_CONFIG_FILE=")[1].split()[0].strip("'\"")
        self.source, self.spare = self._quietest()

    def _quietest(self) -> list[str]:
        """Return the two hosts with the fewest servers: others may be at work on this cloud."""
        used = Counter(
            row["OS-EXT-SRV-ATTR:host"]
            for row in self.get("/servers/detail?all_tenants=1", "servers")
        )
        services = self.get("/os-services?binary=nova-compute", "services")
        usable = [
            row["host"] for row in services if (row["status"], row["state"]) == ("enabled", "up")
        ]
        return sorted(sorted(usable, reverse=True), key=lambda host: used[host])[:2]

    def run(self, *arguments: str) -> str:
        done = subprocess.run(
            [self.command, *arguments],
            env=self._environment,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        return done.stdout

    def pause(self, seconds: float) -> None:
        time.sleep(seconds)

    def clock(self) -> float:
        return time.monotonic() - self._began

    def connect(self, user: str) -> Connection:
        config = OpenStackConfig(config_files=[self._config_file], load_envvars=False)
        return Connection(config=config.get_one(cloud=user))

    def entry(self, user: str) -> dict[str, Any]:
        """Return the entry of clouds.yaml for a user."""
        clouds = yaml.safe_load(Path(self._config_file).read_text())["clouds"]
        return dict(clouds[user])

    def find_image(self) -> str:
        return str(next(iter(self.connection("operator").image.images(name="tiny"))).id)

    def kill_compute(self, host: str) -> None:
        self.run("compute", "kill", host)

    def start_compute(self, host: str) -> None:
        self.run("compute", "start", host)

    def set_extra_specs(self, server: str, specs: dict[str, str]) -> None:
        """In the database: such a flavor could not be booted without Cyborg, Barbican and
        the like.
        """
        old, new = '"extra_specs": {}', f'"extra_specs": {json.dumps(specs)}'
        row = f"instance_uuid = '{server}'"
        self.run(
            "sql",
            f"UPDATE instance_extra SET flavor = REPLACE(flavor, '{old}', '{new}') WHERE {row}",
        )
        shown = self.show(server)["flavor"]["extra_specs"]
        assert shown == specs, f"{server} has {shown}"

    def forget_deleted_services(self) -> None:
        self.run("purge-deleted")

    def close(self) -> None:
        """Nothing to do: the bed stays up."""


class OlderLab(RealLab):
    """A real Nova of an older release, in a bed beside the others.

    It is stopped and forgotten afterwards unless it was up.
    """

    name = "older"

    def __init__(self, release: str) -> None:
        environment = beside(os.environ, release)
        status = subprocess.run(
            [self.command, "status"], env=environment, capture_output=True, check=False
        )
        self._was_up = status.returncode == 0
        super().__init__(environment)

    def close(self) -> None:
        if not self._was_up:
            self.run("down", "--wipe")


def beside(environ: Mapping[str, str], release: str) -> dict[str, str]:
    """Return the environment of the bed of an older release: a run folder and ports of its own."""
    run = find_paths(environ).run
    base = int(environ.get(PREFIX + "PORT_BASE") or Knobs.port_base) + 20 * list(RELEASES).index(
        release
    )
    own = {"RELEASE": release, "RUN": f"{run}-{release}", "PORT_BASE": str(base)}
    return {**environ, **{PREFIX + name: value for name, value in own.items()}}
