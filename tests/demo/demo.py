"""`make demo`: drains one compute node of a real Nova, under a real Kubernetes API server.

Everything that it starts ends with it, except the two test beds: they let the next run start in
seconds.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.demo.scene import ACTIONS, PROBLEMS, SERVERS, STUBBORN
from tests.demo.screen import Stream, put, say, shell
from tests.harness import kubernetes, openstack
from tests.harness.kubernetes import Drain, Kube, Operator
from tests.harness.openstack import Lab, until

ROOT = Path(__file__).parents[2]
KUBE, CLOUD = (str(ROOT / "tests" / "beds" / part) for part in ("kube/kube.py", "cloud/cloud"))
WORK = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "quiesce" / "demo"
NAMESPACE, HOST, NAME, AGGREGATE = "openstack", "cmp2", "compute-07", "demo-rack-7"
PATIENCE = 300.0  # seconds for any one step
MANIFEST = f"""\
apiVersion: quiesce.dev/v1alpha1
kind: ComputeNodeDrain
metadata:
  name: {NAME}
  namespace: {NAMESPACE}
spec:
  host: {HOST}
  reason: end of life
  migration:
    method: LiveThenCold   # live-migrate; restart only guests that cannot be live-migrated
    attempts: 1
"""
DRAIN = (f"cnd/{NAME}", "-n", NAMESPACE)


@dataclass
class Demo:
    kube: Kube
    cloud: Lab
    drain: Drain
    servers: dict[str, str] = field(default_factory=dict)  # id: status before

    def prepare(self) -> None:
        self.install()
        self.reset()
        self.boot()

    def install(self) -> None:
        say("Install: namespace, CRDs, roles, Deployment")
        put("(There is no kubelet here, so the operator runs as a process on this machine.)")
        self.kube.kubectl("create", "namespace", NAMESPACE, check=False)
        self.run("apply", "-k", "manifests/base")
        crds = ("crd", "-l", "app.kubernetes.io/name=quiesce")
        self.kube.kubectl("wait", "--for=condition=Established", *crds, "--timeout=60s")
        self.kube.credentials(NAMESPACE, self.cloud.operator_clouds_yaml)
        put(f"secret/openstack-clouds applied in namespace {NAMESPACE}, from the bed's clouds.yaml")

    def reset(self) -> None:
        """Removes what an earlier run of this demo left behind."""
        if self.drain.get():
            self.drain.annotate("quiesce.dev/abandon=true")
            patch = '{"metadata": {"finalizers": null}}'  # no operator runs that could remove it
            self.kube.kubectl("patch", *DRAIN, "--type=merge", "-p", patch, check=False)
            self.drain.delete()
        self.kube.kubectl("delete", "events.events.k8s.io", "--all", "-n", NAMESPACE, check=False)
        self.clean_cloud()

    def clean_cloud(self) -> None:
        self.cloud.clear_faults()
        if not self.cloud.is_up(HOST):
            self.cloud.start_compute(HOST)
        rows = self.cloud.admin.get("/servers?all_tenants=1&name=demo-")["servers"]
        self.cloud.delete(row["id"] for row in rows)
        for aggregate in self.cloud.admin.get("/os-aggregates")["aggregates"]:
            if aggregate["name"] == AGGREGATE:
                self.cloud.drop_aggregate(aggregate["id"])
        self.cloud.set_service(HOST, "enabled")
        # Nova may reject cold migrations from a host whose service was deleted several times.
        subprocess.run([CLOUD, "purge-deleted"], check=True, capture_output=True)

    def boot(self) -> None:
        say(f"Boot twelve servers on {HOST}: running, stopped, paused, and one suspended")
        self.cloud.aggregate(AGGREGATE, HOST)
        for status, names in SERVERS.items():
            self.servers |= dict.fromkeys(self.cloud.boot(HOST, names, status), status)
        self.table("STATUS", lambda server: server["status"])
        self.cloud.fault(  # the first match counts
            f"server:{STUBBORN}", check_can_live_migrate_destination="fail:MigrationPreCheckError"
        )
        self.cloud.fault("server:demo-*", live_migration="sleep:2", finish_migration="sleep:2")

    def play(self) -> None:
        say(f"Drain {HOST}. This manifest is all that has to be written:")
        put(MANIFEST.rstrip())
        self.run("apply", "-f", "-", stdin=MANIFEST)
        with self.watching():
            self.decide()
            self.retire()
            self.return_of_the_host()
        self.restore()

    @contextmanager
    def watching(self) -> Iterator[None]:
        columns = "custom-columns=TYPE:.type,REASON:.reason,NOTE:.note"
        events = ("events.events.k8s.io", "-n", NAMESPACE, "--watch", "--no-headers", "-o", columns)
        with ExitStack() as streams:
            for mark, words in (("cnd", ("cnd", "-n", NAMESPACE, "--watch")), ("event", events)):
                streams.callback(Stream(mark, self.kube.environment, "get", *words).stop)
            yield

    def decide(self) -> None:
        self.drain.until("the drain to stall", lambda s: s.get("phase") == "Stalled", PATIENCE)
        say("Eleven servers have moved. Nova cannot migrate a suspended one. The status says so:")
        self.run("get", *DRAIN, "-o", f"jsonpath={PROBLEMS}")
        say("Decide: resume it, then live-migrate it")
        patch = '{"spec": {"servers": {"suspended": "Resume"}}}'
        self.run("patch", *DRAIN, "--type=merge", "-p", patch)
        self.drain.wait("Drained", PATIENCE)

    def retire(self) -> None:
        say(f"{HOST} is proven empty. Stop nova-compute there, or power the host off:")
        shell("systemctl", "disable", "--now", "nova-compute")
        self.cloud.stop_compute(HOST)
        self.drain.wait("Ready", PATIENCE)
        say("The service is deleted from Nova, and its resource provider from Placement")
        put(f"  compute hosts now: {self.hosts()}")
        say(f"All servers are on other hosts. {STUBBORN} had to go cold (an injected fault):")
        self.table(
            "NOW", lambda server: server["status"], "BY", lambda server: self.moves(server["id"])
        )

    def return_of_the_host(self) -> None:
        say("A drain is a desired state: nova-compute starts again, and is disabled at once")
        self.cloud.start_compute(HOST)

        def disabled() -> bool:
            return (self.cloud.service(HOST) or {}).get("status") == "disabled"

        until(f"{HOST} disabled again", disabled, PATIENCE)
        self.drain.until("the drain to rest", lambda s: s["phase"] == "Drained", PATIENCE)

    def restore(self) -> None:
        say("Delete the drain: the host is restored as it was found, enabled and in its aggregate")
        self.run("delete", *DRAIN, "--timeout=120s")
        service = self.cloud.service(HOST) or {}
        aggregates = self.cloud.admin.get("/os-aggregates")["aggregates"]
        names = ", ".join(each["name"] for each in aggregates if HOST in each["hosts"]) or "none"
        put(f"{HOST}: {service.get('status')}, {service.get('state')}, in aggregates {names}")

    def run(self, *words: str, stdin: str | None = None) -> None:
        shell("kubectl", *words)
        put(self.kube.kubectl(*words, stdin=stdin).stdout.rstrip())

    def hosts(self) -> str:
        rows = self.cloud.admin.get("/os-services?binary=nova-compute")["services"]
        return ", ".join(sorted(row["host"] for row in rows))

    def moves(self, server_id: str) -> str:
        actions = self.cloud.actions(server_id)
        return ", ".join(ACTIONS[action] for action in actions if action in ACTIONS)

    def table(self, *columns: Any) -> None:
        """`columns`: heading, value of a server, heading, value, …"""
        headings, values = columns[::2], columns[1::2]
        rows = [("SERVER", "WAS", "HOST", *headings)]
        for server_id, was in self.servers.items():
            server = self.cloud.server(server_id) or {}
            host = server["OS-EXT-SRV-ATTR:host"]
            rows.append((server["name"], was, host, *(value(server) for value in values)))
        for name, was, host, *cells in rows:
            put(f"  {name:14} {was:10} {host:6} {' '.join(f'{c:10}' for c in cells)}".rstrip())


def beds_up() -> None:
    say("Test beds: a real Kubernetes control plane and a real OpenStack, on loopback")
    put("(The first run builds them, which takes 10 to 20 minutes.)")
    starting = [subprocess.Popen([bed, "up"], stdout=subprocess.DEVNULL) for bed in (KUBE, CLOUD)]
    try:
        codes = [process.wait() for process in starting]
        if any(codes):
            sys.exit("demo: a test bed did not start; its output is above")
    finally:
        for process in starting:
            if process.poll() is None:
                process.terminate()
                process.wait()


def closing() -> None:
    say("Done. The test beds are still up. Look around:")
    put(f'  eval "$({KUBE} env)"; kubectl get cnd -A; kubectl explain cnd.spec.migration')
    put(f'  eval "$({CLOUD} env)"      # for any OpenStack client; sets OS_CLOUD=lab')
    put("  OS_CLOUD=operator make run # in that shell: the operator, for drains of your own")
    put(f"  less {WORK / 'operator.log'}")
    put(
        "  make beds-down             # stop the test beds; make clean-beds also deletes their data"
    )


def main() -> int:
    os.chdir(ROOT)
    openstack.silence_environment()
    WORK.mkdir(parents=True, exist_ok=True)
    beds_up()
    kube, cloud = Kube(kubernetes.bed_environment()), Lab.of_bed()
    os.environ["PATH"] = kube.environment["PATH"]
    demo = Demo(kube, cloud, Drain(kube, NAMESPACE, NAME))
    demo.prepare()
    log = WORK / "operator.log"
    log.unlink(missing_ok=True)
    say("Run the operator under its service account, with only the rights of manifests/base")
    scope = ("--namespace", NAMESPACE)
    account = kube.account_kubeconfig(WORK / "kubeconfig")
    operator = Operator(account, log, scope, kubernetes.FLAGS)
    shell("quiesce", "run", *operator.scope, *kubernetes.FLAGS)
    try:
        operator.start()
        demo.play()
    finally:
        if operator.alive:
            operator.stop()
    cloud.clear_faults()
    closing()
    return 0


def interruptible(program: Callable[[], int]) -> int:
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        return program()
    except KeyboardInterrupt:
        put("\ndemo: stopped. The test beds may still be up: make beds-down stops them")
        return 130
    except (AssertionError, TimeoutError, subprocess.CalledProcessError) as error:
        put(f"\ndemo: {error}\nThe operator's log: {WORK / 'operator.log'}")
        put("The test beds are still up: make beds-down stops them")
        return 1


if __name__ == "__main__":
    sys.exit(interruptible(main))
