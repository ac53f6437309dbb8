"""Two replicas with the rights of manifests/base, on a stand-in for OpenStack."""

import os
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from tests.beds.sim.model import Cloud
from tests.beds.sim.simulator import Simulator
from tests.e2e.api_rules import conftest as api_rules
from tests.harness.kubernetes import ACCOUNT, SOONER, Kube, Operator
from tests.harness.openstack import until
from tests.harness.replicas import Pair, Replica

installed = api_rules.installed
HOSTS = ("cmp1", "cmp2", "cmp3", "cmp4", "cmp5")
HOST, SERVERS = HOSTS[0], 40
FLAGS = ("--listen", "none", "--log-level", "debug", *SOONER)


@pytest.fixture
def sim(kube: Kube, namespace: str) -> Iterator[Simulator]:
    """40 servers on one host, in the time of the wall clock."""
    cloud = Cloud(HOSTS, start=time.time(), speed=1.0)
    with Simulator(cloud) as running:
        for number in range(SERVERS):
            cloud.boot(f"server-{number:02}", host=HOST)

        def all_active() -> bool:
            with cloud.hold():
                return all(each.vm_state == "active" for each in cloud.state.servers.values())

        until("the servers", all_active)
        entry = running.cloud_entry("quiesce")
        kube.credentials(namespace, yaml.safe_dump({"clouds": {"openstack": entry}}))
        yield running


@pytest.fixture
def audit(kube: Kube) -> Path:
    return Path(kube.environment["KUBECONFIG"]).parent / "logs" / "audit.log"


Make = Callable[..., Operator]


@pytest.fixture
def operators(account: Path, namespace: str, tmp_path: Path) -> Iterator[Make]:
    """Starts operators; their logs are shown where the test fails."""
    made: list[Operator] = []

    def make(*flags: str, program: tuple[str, ...] = Operator.program) -> Operator:
        log, scope = tmp_path / f"operator-{len(made)}.log", ("--namespace", namespace)
        operator = Operator(account, log, scope, (*FLAGS, *flags), program=program)
        made.append(operator.start())
        return made[-1]

    yield make
    for each in made:
        each.kill()
        print(f"---- {each.log.name}\n{each.text()[-12000:]}")


@pytest.fixture
def pair(kube: Kube, operators: Make, namespace: str) -> Iterator[Pair]:
    lease = f"l-{secrets.token_hex(3)}"
    flags = ("--lease", f"{ACCOUNT[0]}/{lease}")
    found = Pair(kube, lease, (Replica(operators(*flags)), Replica(operators(*flags))))
    yield found
    found.kill()
    kube.kubectl("delete", "lease", lease, "-n", ACCOUNT[0], check=False)


@pytest.fixture
def seed() -> int:
    found = int(os.environ.get("QUIESCE_SEED") or secrets.randbits(32))
    print(f"QUIESCE_SEED={found} draws the same moments again")
    return found
