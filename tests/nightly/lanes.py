"""Up to four drains side by side, each with a host, an operator and a proxy of its own.

Each is one point of a matrix. All servers go to the fifth host, so that no drain meets a server of
another one.
"""

import contextlib
import secrets
import traceback
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.harness.books import NeverWronglyDrained
from tests.harness.kubernetes import Drain, Kube, Operator
from tests.harness.mixed import METHOD, Mixed
from tests.harness.openstack import Lab
from tests.harness.promises import nothing_left
from tests.harness.proxy import Proxy

HOSTS = ("cmp1", "cmp2", "cmp3", "cmp4")
DESTINATION = "cmp5"
WITHIN = 1800.0  # seconds for a drain that meets faults or kills

Prepare = Callable[[Proxy, Operator], None]


@dataclass
class Lanes:
    kube: Kube
    cloud: Lab
    account: Path
    folder: Path

    def run(self, points: Mapping[str, Prepare], **servers: int) -> dict[str, str]:
        """A whole drain for each of up to four points, prepared before it begins.

        -> what went wrong, by the point's name.
        """
        self.cloud.tidy((*HOSTS, DESTINATION))
        with ThreadPoolExecutor(len(HOSTS)) as pool:
            found = pool.map(
                lambda host, prepare: self.drained(host, prepare, servers), HOSTS, points.values()
            )
            return {name: wrong for name, wrong in zip(points, found, strict=True) if wrong}

    def drained(self, host: str, prepare: Prepare, servers: Mapping[str, int]) -> str:
        """What went wrong.

        Empty: each server was moved once, nothing remains, and every planned fault has occurred.
        """
        try:
            mixed = Mixed.boot(self.cloud, host, **servers)
            with self.operator() as (namespace, proxy, operator):
                prepare(proxy, operator)
                self.drain(namespace, host, mixed)
                assert operator.healthy(), operator.text()[-5000:]
                missed = [name for name, plan in proxy.plans.items() if not plan.struck]
                assert not missed, f"never asked for: {missed}"
        except Exception:  # noqa: BLE001 one point must not end the others
            return traceback.format_exc()
        return ""

    def drain(self, namespace: str, host: str, mixed: Mixed) -> None:
        """To its end; AssertionError unless it is the right one."""
        migration = {"maxParallel": 6, "targetHost": DESTINATION}
        drain = Drain.apply(self.kube, namespace, host, METHOD, migration=migration)
        with NeverWronglyDrained(self.cloud, drain, host):
            drain.wait("Drained", WITHIN)
            self.cloud.kill_compute(host)
            drain.wait("Ready", WITHIN)
        mixed.all_moved_once()
        nothing_left(self.cloud, host)
        status, count = drain.status, len(mixed.ids)
        found = (status["phase"], status["progress"]["summary"], status["problems"])
        assert found == ("Deleted", f"{count}/{count}", []), status

    @contextlib.contextmanager
    def operator(self) -> Iterator[tuple[str, Proxy, Operator]]:
        """One in a namespace of its own, whose credentials lead to the proxy only."""
        namespace, entry = f"n-{secrets.token_hex(3)}", self.cloud.entries["operator"]
        self.kube.make_namespace(namespace)
        operator = Operator(
            self.account, self.folder / f"{namespace}.log", ("--namespace", namespace)
        )
        try:
            with Proxy(entry["auth"]["auth_url"]) as proxy:
                self.kube.credentials(namespace, proxy.clouds_yaml(entry))
                yield namespace, proxy, operator.start()
        finally:
            operator.kill()
            self.release(namespace)

    def release(self, namespace: str) -> None:
        """Without restoring hosts, and without waiting."""
        gone = '{"metadata": {"finalizers": null}}'
        for drain in self.kube.kubectl("get", "cnd", "-n", namespace, "-o", "name").stdout.split():
            self.kube.kubectl(
                "patch", drain, "-n", namespace, "--type=merge", "-p", gone, check=False
            )
        self.kube.kubectl("delete", "namespace", namespace, "--wait=false")
