"""Where this bed lives: its folder, its network, and the cloud that is its control plane."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.beds.cloud.cloudbed.settings import Knobs, Paths, find_paths, remembered
from tests.beds.hosts.hosts import BedError

PREFIX = "QUIESCE_HYPERVISORS_"
ROOT = Path(__file__).resolve().parents[3]
# What a host needs of the control plane; MariaDB is the conductor's alone.
FORWARDED = ("keystone", "placement", "glance", "neutron", "nova", "rabbitmq")
DECIDED_HERE = (
    "RUN",
    "PORT",
    "COMPUTES",
    "HOST_PREFIX",
    "VIF_TYPE",
)  # knobs of the cloud that are not the caller's


@dataclass(frozen=True)
class Settings:
    """`virt_type` as in nova.conf: `kvm`, or `qemu`, which emulates."""

    cache: Path
    run: Path
    network: str
    port_base: int
    virt_type: str

    @property
    def leg(self) -> str:
        """This machine's address in the hosts' network."""
        return f"{self.network}.254"

    @property
    def hosts(self) -> Path:
        return self.run / "hosts"

    @property
    def cloud_environment(self) -> dict[str, str]:
        """Variables on top of the caller's for the cloud bed: a separate cloud without computes."""
        decided = tuple(f"QUIESCE_CLOUD_{knob}" for knob in DECIDED_HERE)
        unset = {name: "" for name in os.environ if name.startswith(decided)}
        return unset | {
            "QUIESCE_CLOUD_RUN": str(self.run / "cloud"),
            "QUIESCE_CLOUD_PORT_BASE": str(self.port_base),
            "QUIESCE_CLOUD_COMPUTES": "0",
            "QUIESCE_CLOUD_HOST_PREFIX": "fake",
            "QUIESCE_CLOUD_VIF_TYPE": "tap",
        }

    @property
    def cloud(self) -> Paths:
        return find_paths(os.environ | self.cloud_environment)

    @property
    def knobs(self) -> Knobs:
        """Of the cloud that runs. Raises BedError where none does."""
        known = remembered(self.cloud)
        if known is None:
            raise BedError("the cloud is not up; run `bed up`")
        return known


def settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """From the environment. Raises BedError for a value that makes no sense."""
    cache = (
        Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "quiesce" / "hypervisors"
    )
    network = environ.get(f"{PREFIX}NETWORK") or "10.213.191"
    if not re.fullmatch(r"\d{1,3}\.\d{1,3}\.\d{1,3}", network):
        raise BedError(
            f"{PREFIX}NETWORK={network!r}: set it to the first three numbers of the hosts' "
            "addresses"
        )
    port_base = environ.get(f"{PREFIX}PORT_BASE") or "21800"
    if not port_base.isdecimal():
        raise BedError(
            f"{PREFIX}PORT_BASE={port_base!r} is not a whole number; correct or unset it"
        )
    virt_type = environ.get(f"{PREFIX}VIRT_TYPE") or ("kvm" if has_kvm() else "qemu")
    if virt_type not in ("kvm", "qemu"):
        raise BedError(f"{PREFIX}VIRT_TYPE={virt_type!r}: it can be kvm or qemu")
    run = Path(environ.get(f"{PREFIX}RUN") or cache / "run").absolute()
    return Settings(cache, run, network, int(port_base), virt_type)


def has_kvm() -> bool:
    """Whether the processor virtualizes. Without it a /dev/kvm was seen to be slower than TCG."""
    flags = re.search(r"^flags\s*:.*\b(vmx|svm)\b", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return flags is not None and os.access("/dev/kvm", os.R_OK | os.W_OK)
