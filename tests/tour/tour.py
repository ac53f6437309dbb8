"""`make tour`: drains one compute node of the stand-in for Nova, in about a minute.

The operator is the real one, and so is kubectl where there is one. Nova is a stand-in, and the API
server too unless a cluster is named. Everything that the tour starts or creates ends with it.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.beds.sim.simulator import Simulator
from tests.demo.scene import PROBLEMS, STUBBORN
from tests.demo.screen import Stream, put, say, shell
from tests.harness.kubernetes import Operator
from tests.harness.openstack import until
from tests.tour.cloud import AGGREGATE, HOST, Racks
from tests.tour.cluster import LITE, NAMESPACE, Cluster, NotHere, current_context, named, stand_in

ROOT = Path(__file__).parents[2]
WORK = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "quiesce" / "tour"
NAME = "compute-07"
PATIENCE = 120.0  # seconds for any one step
MANIFEST = f"""\
apiVersion: quiesce.dev/v1alpha1
kind: ComputeNodeDrain
metadata:
  name: {NAME}
  namespace: {NAMESPACE}
spec:
  host: {HOST}
  mode: Plan               # first see what would happen
  reason: end of life
  migration:
    method: LiveThenCold   # live-migrate; restart only guests that cannot be live-migrated
    attempts: 1
  confirmation:
    policy: Manual         # a person approves each cold migration
"""
DRAIN = (f"cnd/{NAME}", "-n", NAMESPACE)
PLAN = (
    '{.status.message}{"\\n"}'
    '{range .status.plan.servers[*]}  {.name}: {.action}: {.message}{"\\n"}{end}'
)

Json = dict[str, Any]


@dataclass
class Tour:
    cluster: Cluster
    racks: Racks
    clouds_yaml: Path
    operator: Operator = field(init=False)

    def __post_init__(self) -> None:
        log = WORK / "operator.log"
        log.unlink(missing_ok=True)
        kubeconfig = self.cluster.environment.get("KUBECONFIG", os.environ.get("KUBECONFIG", ""))
        scope = ("--namespace", NAMESPACE, *self.cluster.context)
        # Nothing that it guards against takes longer in this cloud, whose clock is faster.
        sooner = ("--poll-interval", "1s", "--idle-interval", "3s", "--settle", "4s")
        flags = ("--listen", "none", *sooner)
        self.operator = Operator(Path(kubeconfig), log, scope, flags)
        if not kubeconfig:  # ~/.kube/config
            self.operator.environment["KUBECONFIG"] = str(Path.home() / ".kube" / "config")

    def play(self) -> None:
        self.install()
        say(f"Twelve servers run on {HOST}, one of five compute hosts:")
        self.table("STATUS", moves=False)
        self.plan()
        with self.watching():
            self.drain()
            self.decide()
            self.retire()
            self.host_returns()
        self.restore()

    def install(self) -> None:
        say("Install: the CRDs, and a Secret with the cloud's credentials")
        self.cluster.install()
        words = ("credentials", "--cloud", "operator", "--namespace", NAMESPACE)
        shell("quiesce", *words, *self.cluster.context)
        environment = {
            "OS_CLIENT_CONFIG_FILE": str(self.clouds_yaml),
            "PYTHONPATH": str(ROOT / "operator"),
        }
        done = subprocess.run(
            [sys.executable, "-m", "quiesce", *words, *self.cluster.context],
            env=os.environ | self.cluster.environment | environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        put((done.stdout + done.stderr).rstrip())
        say("Run the operator")
        shell("quiesce", "run", *self.operator.scope, *self.operator.flags)
        self.operator.start()

    def plan(self) -> None:
        say("A drain, as it stands in Git. It begins as a plan, which writes nothing to the cloud:")
        put(MANIFEST.rstrip())
        self.cluster.shown("apply", "-f", "-", stdin=MANIFEST)
        self.until("the plan", lambda status: status.get("phase") == "Planned")
        self.cluster.shown("get", *DRAIN, "-o", f"jsonpath={PLAN}")

    @contextmanager
    def watching(self) -> Iterator[None]:
        columns = "custom-columns=TYPE:.type,REASON:.reason,NOTE:.note"
        events = ("events.events.k8s.io", "-n", NAMESPACE, "--watch", "--no-headers", "-o", columns)
        say("Watch it from now on, in two more terminals:")
        with ExitStack() as streams:
            for mark, words in (("cnd", ("cnd", "-n", NAMESPACE, "--watch")), ("event", events)):
                environment, program = self.cluster.environment, self.cluster.program
                command = (*self.cluster.context, "get", *words)
                stream = Stream(mark, environment, *command, program=program)
                streams.callback(stream.stop)
                stream.wait(PATIENCE)  # else it may come after what is to be seen
            yield

    def drain(self) -> None:
        say("The plan is accepted. Drain:")
        self.patch({"mode": "Drain"})
        self.until(
            "the drain to stall",
            lambda status: status.get("phase") == "Stalled" and len(self.racks.waiting()) == 4,
        )

    def decide(self) -> None:
        say("Seven servers have moved. The others wait for a person; the status says for what:")
        self.cluster.shown("get", *DRAIN, "-o", f"jsonpath={PROBLEMS}")
        say("Look at the four that were moved cold, then approve them: until then their source")
        put(f"#         keeps its copy of the disk. (No host could take {STUBBORN} live.) And have")
        put("#         the suspended one resumed, so that it can be live-migrated:")
        waiting = [{"server": each.id, "action": "Confirm"} for each in self.racks.waiting()]
        self.patch({"servers": {"suspended": "Resume"}, "confirmation": {"decisions": waiting}})
        self.until("the empty host", lambda status: status.get("phase") == "Drained")

    def retire(self) -> None:
        say(f"{HOST} is proven empty. Stop nova-compute there, or power the host off:")
        shell("systemctl", "disable", "--now", "nova-compute")
        self.racks.cloud.kill_compute(HOST)
        self.until("the service to be deleted", lambda status: status.get("phase") == "Deleted")
        say("The service is deleted from Nova, and all servers are on other hosts")
        put(f"  compute hosts now: {', '.join(self.racks.hosts())}")
        self.table("NOW", moves=True)

    def host_returns(self) -> None:
        say("A drain is a desired state: nova-compute starts again, and is disabled at once")
        self.racks.cloud.start_compute(HOST)
        until(f"{HOST} disabled again", lambda: "disabled" in self.racks.host(), PATIENCE)
        self.until("the drain to rest", lambda status: status["phase"] == "Drained")

    def restore(self) -> None:
        say("Delete the drain: the host is restored as it was found, enabled and in its aggregate")
        self.cluster.shown("delete", *DRAIN, "--timeout=120s")
        put(f"  {HOST}: {self.racks.host()}")
        assert self.racks.host() == f"enabled, in aggregates: {AGGREGATE}", self.racks.host()

    def patch(self, spec: Json) -> None:
        self.cluster.shown("patch", *DRAIN, "--type=merge", "-p", json.dumps({"spec": spec}))

    def status(self) -> Json:
        found: Json = self.cluster.get(*DRAIN).get("status", {})
        return found

    def until(self, what: str, holds: Callable[[Json], bool]) -> None:
        def seen() -> bool:
            assert self.operator.alive, f"the operator has ended: see {self.operator.log}"
            return holds(self.status())

        until(what, seen, PATIENCE, pause=0.5)

    def table(self, heading: str, moves: bool) -> None:
        put("\n".join(self.racks.table(heading, moves)))

    def clean(self) -> None:
        """Leaves no drain behind that would wait for a cloud that is gone."""
        if self.operator.alive:
            self.operator.stop()
        if not self.cluster.context:
            return  # it ends with this process
        say("Clean up: delete what the tour has created in the cluster")
        if self.status():
            patch = '{"metadata": {"finalizers": null}}'
            self.cluster.kubectl("delete", *DRAIN, "--wait=false", check=False)
            self.cluster.kubectl("patch", *DRAIN, "--type=merge", "-p", patch, check=False)
        self.cluster.remove()


def opening(cluster: Cluster) -> None:
    say("Quiesce: the tour")
    lite = cluster.program == LITE
    real = "the operator" if lite else "the operator and kubectl"
    put(f"  real:      {real}")
    put("  stand-ins: Nova, Keystone, Placement and Neutron, in one process, with a faster clock")
    if lite:
        put("             kubectl, which is not installed: the commands below are sent by the tour")
    if not cluster.context:
        put("             the Kubernetes API server: in memory; no validation, users or rights")
        if current := current_context():
            put(f"  `make tour CONTEXT={current}` runs the tour on that cluster instead")
    put("  `make demo` shows the same on a real Nova and a real API server")


def run(context: str) -> None:
    WORK.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="quiesce-tour-")))
        cluster = named(context) if context else stack.enter_context(stand_in(folder))
        opening(cluster)
        racks = Racks()
        racks.boot()
        simulator = stack.enter_context(Simulator(racks.cloud))
        tour = Tour(cluster, racks, simulator.clouds_yaml)
        stack.callback(tour.clean)
        tour.play()
    say("Done. Nothing is left running.")
    put(f"  less {tour.operator.log}   # what the operator did")
    put("  make demo                  # a real Nova and a real API server, built at the first run")
    put("  docs/usage.md              # the manifest, recipes, GitOps")


def main() -> int:
    parser = argparse.ArgumentParser(prog="make tour", description=__doc__)
    parser.add_argument("--context", default="", help="a context of your kubeconfig")
    context = parser.parse_args().context
    os.chdir(ROOT)
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        run(context)
    except NotHere as reason:
        put(f"tour: {reason}")
        return 2
    except KeyboardInterrupt:
        put("\ntour: stopped, and nothing is left running")
        return 130
    except (AssertionError, TimeoutError) as error:
        put(f"\ntour: {error}\nThe operator's log: {WORK / 'operator.log'}")
        return 1
    return 0


if __name__ == "__main__":
    with suppress(BrokenPipeError):
        sys.exit(main())
