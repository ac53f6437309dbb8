"""Two dozen hostile drains and keyrings in one operator, beside four drains that do their work.

Their clouds hang, drip, flood, lie and list without end, and so do their hosts. The four take no
longer than without them, or hardly; memory stays bounded, the probes stay green, and no secret of
theirs is shown. At night for ten minutes.
"""

import json
import os
import re
import secrets
import socket
import threading
import time
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml
from tests.beds.sim.model import Cloud
from tests.beds.sim.simulator import Simulator
from tests.harness.kubernetes import ALONE, SOONER, Drain, Kube, Operator
from tests.harness.openstack import until
from tests.security.hostile_host import SECRET
from tests.security.neighbours import Neighbour, neighbours

from quiesce.api import labels
from quiesce.api.host import KeyType
from quiesce.ssh.private_keys import generate

KINDS = "cnd,mkr,events"
SECONDS = 600.0 if "QUIESCE_NIGHTLY" in os.environ else 0.0  # one round of good drains at least
TENANTS = 4
GOOD = ("cmp1", "cmp2", "cmp3", "cmp4")
SPARE = ("cmp5", "cmp6", "cmp7", "cmp8")
SERVERS = 5  # on each of them
MOST_MIB = 256.0
SLOWER = 1.5


@dataclass
class Probe:
    """Asks /healthz every second, as a kubelet does. `bad`: what was not a 200."""

    port: int
    bad: list[str] = field(default_factory=list)
    asked: int = 0

    @contextmanager
    def running(self) -> Iterator[None]:
        ended = threading.Event()
        thread = threading.Thread(target=self._ask, args=(ended,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def _ask(self, ended: threading.Event) -> None:
        while not ended.wait(1.0):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/healthz", timeout=5):
                    self.asked += 1
            except OSError as error:
                self.bad.append(str(error))


@pytest.fixture
def good(kube: Kube, namespace: str) -> str:
    return namespace


@pytest.fixture
def tenants(kube: Kube) -> Iterator[list[str]]:
    names = [kube.make_namespace(f"t-{secrets.token_hex(3)}") for _ in range(TENANTS)]
    yield names
    for name in names:
        for one in kube.kubectl("get", "cnd,mkr", "-n", name, "-o", "name").stdout.split():
            free = '{"metadata": {"finalizers": null}}'
            kube.kubectl("patch", one, "-n", name, "--type=merge", "-p", free)
        kube.kubectl("delete", "namespace", name, "--wait=false")


def round_of_good_drains(kube: Kube, namespace: str) -> float:
    """Seconds from the first apply until all four are Drained, each on a fresh cloud's host."""
    cloud = Cloud([*GOOD, *SPARE], start=time.time(), speed=1.0)
    with Simulator(cloud) as sim:
        for host in GOOD:
            for number in range(SERVERS):
                cloud.boot(f"{host}-{number}", host=host)
        until("the servers", lambda: all_active(cloud))
        entry = sim.cloud_entry("quiesce")
        kube.credentials(namespace, yaml.safe_dump({"clouds": {"openstack": entry}}))
        began = time.monotonic()
        drains = [
            Drain.apply(
                kube,
                namespace,
                host,
                service={"afterDrain": "KeepDisabled"},
                migration={"maxParallel": 2},
            )
            for host in GOOD
        ]
        for drain in drains:
            drain.wait("Drained", timeout=300)
        took = time.monotonic() - began
        for drain in drains:
            drain.delete()
    return took


def all_active(cloud: Cloud) -> bool:
    with cloud.clock.lock:
        cloud.clock.catch_up()
        return all(server.vm_state == "active" for server in cloud.state.servers.values())


def apply(kube: Kube, tenant: str, number: int, one: Neighbour, private_key: str) -> None:
    name = f"hostile-{number}"
    kube.credentials(tenant, one.clouds_yaml, name)
    reference = {"cloudCredentialsRef": {"secretName": name}}
    drain = {"host": "compute-1", "migration": {"method": "Cold"}, **reference}
    kind, spec = "ComputeNodeDrain", drain
    if one.port is not None:
        login = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": f"{name}-login", "labels": {labels.HOST_LOGIN: "true"}},
            "type": "kubernetes.io/ssh-auth",
            "stringData": {"ssh-privatekey": private_key},
        }
        kube.apply(login, namespace=tenant)
        access = {"privateKeySecretRef": {"name": f"{name}-login"}, "port": one.port}
        kind, spec = (
            "MigrationKeyring",
            {"hostAccess": access | {"trustOnFirstUse": True}, **reference},
        )
    body = {"apiVersion": "quiesce.dev/v1alpha1", "kind": kind, "metadata": {"name": name}}
    kube.apply(body | {"spec": spec}, namespace=tenant)


def peak_mib(operator: Operator) -> float:
    """The most memory that the process has had at once."""
    assert operator.process
    status = Path(f"/proc/{operator.process.pid}/status").read_text()
    found = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    assert found
    return int(found[1]) / 1024


def looked_at(kube: Kube, tenants: list[str]) -> int:
    """How many of the tenants' resources have a status."""
    found = [kube.get("cnd,mkr", tenant) or {} for tenant in tenants]
    return sum("status" in item for listed in found for item in listed.get("items", ()))


def everything_said(kube: Kube, namespaces: Iterable[str], operator: Operator, port: int) -> str:
    """What others than the tenants may read: as it is, not as a program escapes it."""
    shown = [
        json.loads(kube.kubectl("get", KINDS, "-n", n, "-o", "json").stdout) for n in namespaces
    ]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        return "\n".join((*texts(shown), operator.text(), answer.read().decode()))


def texts(value: object) -> Iterator[str]:
    match value:
        case dict():
            for key, each in value.items():
                yield key
                yield from texts(each)
        case list():
            for each in value:
                yield from texts(each)
        case str():
            yield value


def answers(port: int) -> bool:
    with socket.socket() as asking:
        return asking.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        return int(asked.getsockname()[1])


@pytest.mark.timeout(1800)
@pytest.mark.finding("C1", "H2", "H3", "H4", "M9", "M10", "M12", "L2")
@pytest.mark.promise("never-10", "never-11")
def test_the_good_ones_hardly_notice_them(
    kube: Kube, account: Path, good: str, tenants: list[str], tmp_path: Path
) -> None:
    port = free_port()
    flags = ("--listen", f"127.0.0.1:{port}", "--log-level", "debug", *ALONE, *SOONER)
    scope = ("--namespace", ",".join([good, *tenants]))
    operator = Operator(account, tmp_path / "operator.log", scope, flags).start()
    canary, key, probe = f"canary-{secrets.token_hex(8)}", generate(KeyType.ED25519), Probe(port)
    try:
        until("the probe", lambda: answers(port), timeout=60)
        alone = round_of_good_drains(kube, good)
        with neighbours(canary) as hostile, probe.running():
            for number, one in enumerate(hostile):
                apply(kube, tenants[number % TENANTS], number, one, key.private)
            until("all of them looked at", lambda: looked_at(kube, tenants) == len(hostile), 180)
            end, beside = time.monotonic() + SECONDS, list[float]()
            while not beside or time.monotonic() < end:
                beside.append(round_of_good_drains(kube, good))
            said = everything_said(kube, [good, *tenants], operator, port)
        print(
            f"alone {alone:.1f} s, beside {[round(each, 1) for each in beside]} s, "
            f"peak {peak_mib(operator):.0f} MiB, {probe.asked} probes"
        )
        assert max(beside) < SLOWER * alone
        assert peak_mib(operator) < MOST_MIB
        assert probe.asked
        assert probe.bad == []
        for secret in (canary, SECRET, *key.private.splitlines()[1:-1]):
            assert secret not in said
        assert sorted({each for each in said if not each.isprintable()}) == ["\n"]
        assert operator.healthy()
    finally:
        operator.kill()
        print(operator.text()[-20000:])
