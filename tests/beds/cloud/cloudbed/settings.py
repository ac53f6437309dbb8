"""Settings of one cloud: where it lives, its ports and its knobs.

Every field of `Knobs` is overridden by the environment variable
`QUIESCE_CLOUD_<FIELD>`. A running cloud remembers the knobs it was started with
(`settings.json` in its run folder), so that later commands need no environment.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from .errors import BedError
from .releases import NEWEST, Release, find_release

HERE = Path(__file__).resolve().parent.parent
LOOPBACK = "127.0.0.1"
PASSWORD = "secret"  # of every user; the cloud listens on loopback only
PREFIX = "QUIESCE_CLOUD_"
MARK = ".quiesce-cloud"  # in every run folder; it holds the release of the cloud in it
PORTS = ("keystone", "placement", "glance", "neutron", "nova", "rabbitmq", "erlang", "epmd")


@dataclass(frozen=True)
class Knobs:
    """What a user may choose. Times are seconds, sizes MiB (memory) and GiB (disk)."""

    computes: int = 5  # 0: all compute hosts are another bed's
    host_prefix: str = "cmp"
    report_interval: int = 2  # Nova's default is 10
    service_down_time: int = 10  # Nova's default is 60
    max_live_migrations: int = 4  # at once per source host; Nova's default is 1
    notify_driver: str = "noop"  # or "log", "messagingv2"
    compute_vcpus: int = 64
    compute_memory_mb: int = 65536
    compute_disk_gb: int = 2000
    api_threads: int = 8
    vif_type: str = (
        "ovs"  # of every port's binding; "tap" needs nothing but a kernel where it is plugged
    )
    # Below the range the kernel takes outgoing ports from (32768 and up), where a
    # connection of anybody could hold the port for the moment it is wanted.
    port_base: int = 21500
    port_keystone: int = 0
    port_placement: int = 0
    port_glance: int = 0
    port_neutron: int = 0
    port_nova: int = 0
    port_rabbitmq: int = 0
    port_erlang: int = 0
    port_epmd: int = 0

    def hosts(self) -> list[str]:
        return [f"{self.host_prefix}{number}" for number in range(1, self.computes + 1)]

    def port(self, service: str) -> int:
        """Return the port of one of PORTS: its own knob, or its place after port_base."""
        return int(getattr(self, f"port_{service}")) or self.port_base + PORTS.index(service)


def chosen(environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the knobs the environment sets; BedError names one that makes no sense."""
    values: dict[str, Any] = {}
    for field in fields(Knobs):
        name = PREFIX + field.name.upper()
        text = environ.get(name)
        if not text:
            continue
        if isinstance(field.default, int) and not text.isdecimal():
            raise BedError(f"{name}={text!r} is not a whole number; correct or unset it")
        values[field.name] = int(text) if isinstance(field.default, int) else text
    return values


def checked(knobs: Knobs) -> Knobs:
    """Return the knobs unchanged, or raise BedError for a combination that cannot work."""
    if knobs.service_down_time < 3 * knobs.report_interval:
        raise BedError(
            f"{PREFIX}SERVICE_DOWN_TIME={knobs.service_down_time} is less than three times"
            f" {PREFIX}REPORT_INTERVAL={knobs.report_interval}: computes would flap; raise it"
        )
    taken: dict[int, str] = {}
    for service in PORTS:
        other = taken.setdefault(knobs.port(service), service)
        if other != service:
            raise BedError(
                f"{service} and {other} both have port {knobs.port(service)}; "
                f"change {PREFIX}PORT_{service.upper()}"
            )
    return knobs


def file_hash(*names: str) -> str:
    """Return a short hash over the contents of files of this bed."""
    digest = hashlib.sha256()
    for name in names:
        digest.update((HERE / name).read_bytes())
    return digest.hexdigest()[:12]


@dataclass(frozen=True)
class Paths:
    """Where things are; nothing is ever written into the checkout."""

    run: Path
    home: Path  # of what outlives a wipe: a folder for each lock
    release: Release

    @property
    def kept(self) -> Path:
        """The folder of this release: its virtual environment and the dump of fresh databases."""
        return self.home / file_hash(self.release.lock)

    @property
    def venv(self) -> Path:
        """The newest release's virtual environment; an older Nova and Placement have theirs."""
        return self.home / file_hash("requirements.txt") / "venv"

    @property
    def nova_venv(self) -> Path:
        return self.kept / "venv"

    @property
    def golden(self) -> Path:
        made_by = (
            "requirements.txt",
            self.release.lock,
            "cloudbed/databases.py",
            "cloudbed/seed.py",
        )
        return self.kept / f"golden-{file_hash(*made_by)}"

    @property
    def log(self) -> Path:
        return self.run / "log"

    @property
    def socket(self) -> Path:
        return self.run / "mysql.sock"

    @property
    def clouds(self) -> Path:
        return self.run / "clouds.yaml"

    @property
    def faults(self) -> Path:
        return self.run / "faults.json"

    @property
    def settings(self) -> Path:
        return self.run / "settings.json"

    def bin(self, program: str) -> str:
        return str(self.venv / "bin" / program)

    def nova_bin(self, program: str) -> str:
        return str(self.nova_venv / "bin" / program)


def find_paths(environ: Mapping[str, str]) -> Paths:
    """Return the paths.

    `QUIESCE_CLOUD_RUN` names the run folder, `QUIESCE_CLOUD_RELEASE` the release of a new one.
    """
    cache = environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    home = Path(cache) / "quiesce" / "cloud"
    run = Path(environ.get(PREFIX + "RUN") or home / "run").absolute()
    if len(str(run)) > 80:  # a unix socket path may have 107 bytes
        raise BedError(f"{PREFIX}RUN={run} is too long for a unix socket; choose a shorter path")
    return Paths(run, home, find_release(_release_of(run, environ.get(PREFIX + "RELEASE", ""))))


def _release_of(run: Path, wanted: str) -> str:
    """Return the name of the release of a run folder; its databases are of one, so it stays."""
    try:
        there = (run / MARK).read_text().strip() or NEWEST
    except FileNotFoundError:
        return wanted or NEWEST
    if wanted and wanted != there:
        raise BedError(
            f"{run} holds a cloud of {there}, not of {wanted}; unset {PREFIX}RELEASE or name"
            f" another folder in {PREFIX}RUN"
        )
    return there


def remembered(paths: Paths) -> Knobs | None:
    """Return the knobs the cloud in this run folder was started with, if it is started."""
    try:
        return Knobs(**json.loads(paths.settings.read_text()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise BedError(f"{paths.settings} is damaged ({error}); run `cloud down`") from error


def remember(paths: Paths, knobs: Knobs) -> None:
    paths.settings.write_text(json.dumps(asdict(knobs), indent=1) + "\n")


def settle(started_with: Knobs | None, wanted: dict[str, Any]) -> Knobs:
    """Return the knobs in force; only the number of computes of a started cloud may change."""
    if started_with is None:
        return checked(Knobs(**wanted))
    for name, value in wanted.items():
        present = getattr(started_with, name)
        if name != "computes" and value != present:
            variable = PREFIX + name.upper()
            raise BedError(
                f"the running cloud has {variable}={present}, not {value}; "
                f"run `cloud down` first or unset {variable}"
            )
    values = asdict(started_with)
    values["computes"] = wanted.get("computes", started_with.computes)
    return checked(Knobs(**values))


def current(paths: Paths) -> Knobs:
    """Return the knobs for a command about the cloud in this environment."""
    return settle(remembered(paths), chosen(os.environ))
