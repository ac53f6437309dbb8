"""`make demo`: one compute node drained, on a real Nova and a real Kubernetes API server.

Everything that it starts ends with it, except the two beds: they make the next run start in seconds.
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

from tests.demo.screen import Stream, put, say, shell
from tests.harness import kubernetes, openstack
from tests.harness.kubernetes import Drain, Kube, Operator
from tests.harness.openstack import Lab, until

ROOT = Path(__file__).parents[2]
KUBE, CLOUD = (str(ROOT / "tests" / "beds" / part) for part in ("kube/kube.py", "cloud/cloud"))
WORK = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "quiesce" / "demo"
NAMESPACE, HOST, NAME, AGGREGATE = "quiesce-demo", "cmp2", "compute-07", "demo-rack-7"
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
    method: LiveThenCold   # live where it works; a guest that cannot live-migrate is restarted elsewhere
    attempts: 1
"""
SERVERS = {
    "ACTIVE": tuple(f"demo-web-{n}" for n in range(1, 7)),
    "SHUTOFF": tuple(f"demo-batch-{n}" for n in range(1, 4)),
    "PAUSED": ("demo-pause-1", "demo-pause-2"),
    "SUSPENDED": ("demo-sleep-1",),
}
STUBBORN = "demo-web-6"  # its live migration fails


@dataclass
class Demo:
    kube: Kube
    cloud: Lab
    drain: Drain
    servers: dict[str, str] = field(default_factory=dict)  # id: status before

    # The stage

    def install(self) -> None:
        say(
            "Install: namespace, CRDs, roles, Deployment (no kubelet here, so the operator runs as a process beside it)"
        )
        self.run("apply", "-k", "manifests/base")
        self.kube.kubectl(
            "wait",
            "--for=condition=Established",
            "crd",
            "-l",
            "app.kubernetes.io/name=quiesce",
            "--timeout=60s",
        )
        self.kube.kubectl("create", "namespace", NAMESPACE, check=False)
        self.kube.credentials(NAMESPACE, self.cloud.operator_clouds_yaml)
        put(
            f"secret/openstack-clouds applied in namespace {NAMESPACE} (from the cloud's clouds.yaml)"
        )

    def reset(self) -> None:
        """Whatever an earlier run left behind, of this demo alone."""
        if self.drain.get():
            self.drain.annotate("quiesce.dev/abandon=true")
            patch = '{"metadata": {"finalizers": null}}'  # no operator runs that could let go
            self.kube.kubectl(
                "patch", f"cnd/{NAME}", "-n", NAMESPACE, "--type=merge", "-p", patch, check=False
            )
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
        # Nova may refuse to cold-migrate from a host whose service was deleted and came back a few times.
        subprocess.run([CLOUD, "purge-deleted"], check=True, capture_output=True)

    def boot(self) -> None:
        say(f"Boot a dozen servers on {HOST}: running, stopped, paused, one suspended")
        self.cloud.aggregate(AGGREGATE, HOST)
        for status, names in SERVERS.items():
            self.servers |= dict.fromkeys(self.cloud.boot(HOST, names, status), status)
        self.table("STATUS", lambda server: server["status"])
        self.cloud.fault(f"server:{STUBBORN}", live_migration="fail")  # the first match counts
        self.cloud.fault("server:demo-*", live_migration="sleep:2", finish_migration="sleep:2")

    # The play

    def play(self) -> None:
        say(f"Drain {HOST}: this manifest is all there is to write")
        put(MANIFEST.rstrip())
        self.run("apply", "-f", "-", stdin=MANIFEST)
        with self.watching():
            self.ask_a_person()
            self.retire()
            self.come_back()
        self.give_back()

    @contextmanager
    def watching(self) -> Iterator[None]:
        with ExitStack() as streams:
            columns = "custom-columns=TYPE:.type,REASON:.reason,NOTE:.note"
            for mark, words in {
                "cnd": ("get", "cnd", "-n", NAMESPACE, "--watch"),
                "event": (
                    "get",
                    "events.events.k8s.io",
                    "-n",
                    NAMESPACE,
                    "--watch",
                    "--no-headers",
                    "-o",
                    columns,
                ),
            }.items():
                streams.callback(Stream(mark, self.kube.environment, *words).stop)
            yield

    def ask_a_person(self) -> None:
        self.drain.until(
            "the drain to ask for a person", lambda s: s.get("phase") == "Stalled", PATIENCE
        )
        say(
            "Eleven have moved. Nova moves no suspended server, and nothing is done to it unasked. The status says what to do:"
        )
        problem = "{range .status.problems[*]}{.name}: {.reason}: {.message}{'\\n'}{end}".replace(
            "'", '"'
        )
        self.run("get", f"cnd/{NAME}", "-n", NAMESPACE, "-o", f"jsonpath={problem}")
        say("So be it: resume it, then live-migrate it")
        self.run(
            "patch",
            f"cnd/{NAME}",
            "-n",
            NAMESPACE,
            "--type=merge",
            "-p",
            '{"spec": {"servers": {"suspended": "Resume"}}}',
        )
        self.drain.wait("Drained", PATIENCE)

    def retire(self) -> None:
        say(
            f"Proven empty. Now nova-compute on {HOST} has to be stopped: that is for a person, or the power button"
        )
        shell("systemctl", "disable", "--now", "nova-compute")
        self.cloud.stop_compute(HOST)
        self.drain.wait("Ready", PATIENCE)
        say(
            f"The service is deleted from Nova, its resource provider from Placement. Compute hosts now: {self.hosts()}"
        )
        say(
            f"All are alive elsewhere. {STUBBORN} could not live-migrate (an injected fault), so it went cold:"
        )
        self.table(
            "NOW", lambda server: server["status"], "BY", lambda server: self.moves(server["id"])
        )

    def come_back(self) -> None:
        say(
            "A drain is a desired state. Somebody starts nova-compute again: it registers as enabled, and is disabled at once"
        )
        self.cloud.start_compute(HOST)
        until(
            f"{HOST} disabled again",
            lambda: (self.cloud.service(HOST) or {}).get("status") == "disabled",
            PATIENCE,
        )
        self.drain.until("the drain to rest", lambda s: s["phase"] == "Drained", PATIENCE)

    def give_back(self) -> None:
        say(
            "Delete the drain: the host is given back as it was found, enabled and in its aggregate"
        )
        self.run("delete", f"cnd/{NAME}", "-n", NAMESPACE, "--timeout=120s")
        service = self.cloud.service(HOST) or {}
        inside = [
            a["name"]
            for a in self.cloud.admin.get("/os-aggregates")["aggregates"]
            if HOST in a["hosts"]
        ]
        put(
            f"{HOST}: {service.get('status')}, {service.get('state')}, in aggregates {', '.join(inside) or 'none'}"
        )

    # What is there

    def run(self, *words: str, stdin: str | None = None) -> None:
        shell("kubectl", *words)
        put(self.kube.kubectl(*words, stdin=stdin).stdout.rstrip())

    def hosts(self) -> str:
        rows = self.cloud.admin.get("/os-services?binary=nova-compute")["services"]
        return ", ".join(sorted(row["host"] for row in rows))

    def moves(self, server_id: str) -> str:
        shown = {
            "live-migration": "live",
            "migrate": "cold",
            "confirmResize": "confirm",
            "resume": "resume",
        }
        return ", ".join(
            shown[action] for action in self.cloud.actions(server_id) if action in shown
        )

    def table(self, *columns: Any) -> None:
        """`columns`: heading, value of a server, heading, value, …"""
        headings, values = columns[::2], columns[1::2]
        put(
            f"  {'SERVER':14} {'WAS':10} {'HOST':6} "
            + " ".join(f"{heading:10}" for heading in headings).rstrip()
        )
        for server_id, was in self.servers.items():
            server = self.cloud.server(server_id) or {}
            cells = " ".join(f"{value(server):10}" for value in values)
            put(
                f"  {server['name']:14} {was:10} {server['OS-EXT-SRV-ATTR:host']:6} {cells}".rstrip()
            )


def beds_up() -> None:
    say(
        "Beds: a real Kubernetes control plane and a real OpenStack, on loopback (the first time builds them: 10 to 20 minutes)"
    )
    starting = [subprocess.Popen([bed, "up"], stdout=subprocess.DEVNULL) for bed in (KUBE, CLOUD)]
    try:
        codes = [process.wait() for process in starting]
        if any(codes):
            sys.exit("demo: a bed did not come up; its words are above")
    finally:
        for process in starting:
            if process.poll() is None:
                process.terminate()
                process.wait()


def closing() -> None:
    say("Done. The beds are still up; look around:")
    put(f'  eval "$({KUBE} env)"; kubectl get cnd -A; kubectl explain cnd.spec.migration')
    put(
        f'  eval "$({CLOUD} env)"      # for any OpenStack client: OS_CLIENT_CONFIG_FILE and OS_CLOUD=lab'
    )
    put(
        "  OS_CLOUD=operator make run # in that shell: the operator in the foreground, for drains of your own"
    )
    put(f"  less {WORK / 'operator.log'}")
    put(
        "  make beds-down            # stop the beds;  make clean-beds also forgets what was in them"
    )


def main() -> int:
    os.chdir(ROOT)
    openstack.silence_environment()
    WORK.mkdir(parents=True, exist_ok=True)
    beds_up()
    kube, cloud = Kube(kubernetes.bed_environment()), Lab.of_bed()
    os.environ["PATH"] = kube.environment["PATH"]
    demo = Demo(kube, cloud, Drain(kube, NAMESPACE, NAME))
    demo.install()
    demo.reset()
    demo.boot()
    log = WORK / "operator.log"
    log.unlink(missing_ok=True)
    say(
        f"Run the operator under its service account, with no right but those of manifests/base. Log: {log}"
    )
    operator = Operator(
        kube.account_kubeconfig(WORK / "kubeconfig"),
        log,
        ("--namespace", NAMESPACE),
        kubernetes.FLAGS,
    )
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
        put("\ndemo: stopped. The beds may still be up: make beds-down stops them")
        return 130
    except (AssertionError, TimeoutError, subprocess.CalledProcessError) as error:
        put(
            f"\ndemo: {error}\nThe operator's log: {WORK / 'operator.log'}. The beds are still up: make beds-down stops them"
        )
        return 1


if __name__ == "__main__":
    sys.exit(interruptible(main))
