"""Which tests are run, on which beds, and what runs beside what.

A new tier or bed is one line here (docs/testing.md says how).
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "quiesce"
NIGHTLY = "QUIESCE_NIGHTLY" in os.environ


@dataclass(frozen=True)
class Bed:
    """A program under tests/beds with the commands `up`, `down` and `status`.

    `running`: a pattern for a line of `status`, true while its central process runs.
    `environment`: for the program, and for the tests of a tier on this bed.
    `after`: a bed that builds what both are made of, so it has to be up first.
    `wipe`: one that we start begins empty; what an earlier run left in it would disturb tests.
    """

    name: str
    program: str
    running: str
    environment: Mapping[str, str] = field(default_factory=dict)
    after: str | None = None
    wipe: bool = False

    def command(self, *words: str) -> tuple[str, ...]:
        variables = (f"{name}={value}" for name, value in self.environment.items())
        return ("env", *variables, str(ROOT / "tests" / "beds" / self.program), *words)


# A cloud beside the first one, and a network for hosts: what reads all hosts of a cloud runs beside
# what changes them.
SECOND_CLOUD = {
    "QUIESCE_HOSTS_NETWORK": "10.213.78",
    "QUIESCE_CLOUD_RUN": os.environ.get("QUIESCE_CLOUD_RUN", str(CACHE / "cloud" / "run"))
    + "-second",
    "QUIESCE_CLOUD_PORT_BASE": str(int(os.environ.get("QUIESCE_CLOUD_PORT_BASE", "21500")) + 100),
}


def _kube_beside(name: str, above: int) -> dict[str, str]:
    """An API server beside the first one, with ports so far above those."""
    ports = {"API_PORT": 26443, "ETCD_PORT": 26379, "ETCD_PEER_PORT": 26380}
    first = {f"QUIESCE_KUBE_{each}": port for each, port in ports.items()}
    run = os.environ.get("QUIESCE_KUBE_RUN", str(CACHE / "kube" / "run"))
    return {
        "QUIESCE_KUBE_RUN": f"{run}-{name}",
        **{each: str(int(os.environ.get(each, port)) + above) for each, port in first.items()},
    }


# One is ended and its CRDs are removed while it is in use; CRDs of the other are changed.
SECOND_KUBE, INSTALLS = _kube_beside("second", 10), _kube_beside("install", 100)
CLOUD = ("cloud/cloud", r"nova-api\s+\d")
KUBE = ("kube/kube.py", "kube-apiserver: pid")
BEDS = (
    Bed("kube", *KUBE),
    Bed("second kube", *KUBE, SECOND_KUBE, after="kube"),
    Bed("kube of installs", *KUBE, INSTALLS, after="kube"),
    Bed("cloud", *CLOUD, wipe=True),
    Bed("second cloud", *CLOUD, SECOND_CLOUD, after="cloud", wipe=True),
)


@dataclass(frozen=True)
class Tier:
    """Folders and files of tests, that of its name by default, but for `without`; and the beds it
    needs.

    `patient`: it only computes, and takes what tests with clouds and hosts leave of the processors.
    """

    name: str
    beds: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    patient: bool = False

    def pytest(self) -> tuple[str, ...]:
        """Arguments for Python, from the root of the checkout."""
        return (
            "-m",
            "pytest",
            *(f"tests/{path}" for path in self.paths or (self.name,)),
            *(f"--ignore=tests/{path}" for path in self.without),
            *("--durations=12", "--durations-min=5"),  # in seconds: where the time goes
            *("-o", "junit_family=xunit1"),  # it names the file of each test
            *(("--timeout=0",) if NIGHTLY else ()),  # thousands of histories are one test
        )

    @property
    def environment(self) -> Mapping[str, str]:
        """What its beds are known by."""
        return {
            name: value
            for bed in BEDS
            if bed.name in self.beds
            for name, value in bed.environment.items()
        }


KEYRING = ("e2e/keyring",)  # reads all hosts of a cloud; other stories take hosts out of it
TROUBLE = (  # the longest stories, and as many more as make the lanes of a day equally long
    "e2e/test_nova_compute_dies.py",
    "e2e/test_moves_fail.py",
    "e2e/test_operator_is_killed_at_requests.py",
    "e2e/test_guest_dies_on_arrival.py",
    "e2e/test_node_is_retired_cold.py",
    "e2e/test_servers_in_every_state.py",
    "e2e/test_moves_to_one_destination.py",
    "e2e/test_tenant_resizes_server.py",
)
NEIGHBOURS = ("e2e/test_hostile_neighbours.py",)
RIGHTS = ("e2e/api_rules", "e2e/plugin", *NEIGHBOURS)  # without a cloud
REPLICAS = ("e2e/replicas",)  # on the stand-in; they end the API server
CALLS = ("nightly/test_every_call_fails.py",)  # longer than all the rest of a night
CHART = ("install/test_chart.py",)  # without a cluster
LONG_STORIES = ("hypervisors/nightly",)  # minutes each: a break is noticed late
BROWSER = ("site/browser",)  # a download of 100 MB, and minutes for all pages
FIRST, SECOND = ("kube", "cloud"), ("kube", "second cloud")
COMPUTING = (  # without a cloud; lint goes first in this lane
    Tier("docs"),
    Tier("site", without=BROWSER),
    Tier("unit"),
    Tier("security"),
    Tier("monitoring"),
    Tier("beds"),
    Tier("model"),
    Tier("faults"),
    Tier("supervisors"),
    Tier("rights", ("kube",), RIGHTS),
    Tier("gitops"),
    Tier("chart", ("kube of installs",), CHART),
)
DAY = (
    (
        Tier("contract", ("cloud",)),  # Kubernetes may still be built meanwhile
        Tier("e2e", FIRST, without=KEYRING + TROUBLE + RIGHTS + REPLICAS),
    ),
    (
        Tier("keyring", SECOND, KEYRING),
        Tier("trouble", SECOND, TROUBLE),
        Tier("hypervisors", ("kube",), without=LONG_STORIES),  # it starts its cloud itself
    ),
    COMPUTING,
)
NIGHT = (  # what a day leaves out, and what has a longer profile
    (
        Tier("nightly", SECOND, without=CALLS),
        Tier("credentials", SECOND),
        Tier("demo", SECOND),
    ),
    (
        Tier("hypervisors by night", ("kube",), LONG_STORIES),
        # What takes minutes, and breaks by a change of its own part only.
        Tier("procedures", ("kube",)),
        Tier("tour", ("kube",)),
        Tier("install", ("kube of installs",), without=CHART),
    ),
    (
        Tier("calls", FIRST, CALLS),
        Tier("contract by night", ("cloud",), ("contract",)),
        Tier("neighbours", ("kube",), NEIGHBOURS),
        Tier("replicas", ("second kube",), REPLICAS),
    ),
    (Tier("random input", paths=("security",), patient=True),),
    (
        Tier("histories", paths=("model",), patient=True),
        Tier("browser", paths=BROWSER),
    ),
)
LANES = NIGHT if NIGHTLY else DAY  # side by side, the longest first
TIERS = tuple(tier for lane in LANES for tier in lane)

SOURCE = ("operator", "tests", "tools")
LINT_IMPORTS = "from importlinter.cli import lint_imports_command; lint_imports_command()"
CHECKS = {  # of lint
    "ruff check": ("-m", "ruff", "check", *SOURCE),
    "ruff format": ("-m", "ruff", "format", "--check", *SOURCE),
    "mypy": ("-m", "mypy"),
    "import contracts": ("-c", LINT_IMPORTS, "--no-cache", "--no-logo"),
}
