"""The real API server for tests and the demo: kubectl, and the operator as a process.

The operator has the rights of its own service account.
"""

import json
import os
import re
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from quiesce.api.labels import CLOUD_CREDENTIALS
from tests.harness.openstack import until

ROOT = Path(__file__).parents[2]
BED = ROOT / "tests" / "beds" / "kube"
BASE = ROOT / "manifests" / "base"
EVERYWHERE = ROOT / "manifests" / "overlays" / "all-namespaces" / "operator-rights.yaml"
WATCHED = "openstack"  # the namespace that manifests/base watches
ACCOUNT = ("quiesce-system", "quiesce")  # the service account's namespace and name

# Without a Lease: stories start the operator again right after they killed it.
ALONE = ("--lease", "none")
OUTPUT = ("--listen", "none", "--log-level", "debug")
FLAGS = OUTPUT + ALONE
# Shorter than the defaults: stories wait for them, dozens of times.
SOONER = ("--idle-interval", "10s", "--settle", "3s")

Json = dict[str, Any]


def bed_environment() -> dict[str, str]:
    """What `kube.py env` prints, as variables for a child process.

    Raises CalledProcessError where the bed is not up.
    """
    printed = subprocess.run(
        [BED / "kube.py", "env"], check=True, capture_output=True, text=True
    ).stdout
    found = dict(re.findall(r"^export (\w+)=(.*)$", printed, re.MULTILINE))
    return found | {"PATH": found["PATH"].replace("$PATH", os.environ["PATH"])}


@dataclass
class Kube:
    """kubectl with admin rights on one cluster."""

    environment: dict[str, str]

    def kubectl(
        self, *args: str, stdin: str | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl. Raises AssertionError with its message where it fails and `check` is set."""
        done = subprocess.run(
            ["kubectl", *args],
            input=stdin,
            text=True,
            capture_output=True,
            check=False,
            env=os.environ | self.environment,
        )
        assert not check or done.returncode == 0, (
            f"kubectl {' '.join(args)}: {done.stderr or done.stdout}"
        )
        return done

    def apply(self, *documents: Json, namespace: str) -> None:
        self.kubectl("apply", "-n", namespace, "-f", "-", stdin=yaml.safe_dump_all(documents))

    def get(self, what: str, namespace: str) -> Json | None:
        done = self.kubectl("get", what, "-n", namespace, "-o", "json", check=False)
        return json.loads(done.stdout) if done.returncode == 0 else None

    def install(self) -> None:
        """Everything of manifests/base (namespace, CRDs, RBAC, Deployment), as users install it."""
        self.kubectl("create", "namespace", WATCHED, check=False)  # it may be there already
        self.kubectl("apply", "-k", str(BASE))
        for crd in ("computenodedrains.quiesce.dev",):
            self.kubectl("wait", "--for=condition=Established", f"crd/{crd}", "--timeout=30s")

    def make_namespace(self, name: str) -> str:
        """One where the operator has the rights that manifests/base gives it in WATCHED."""
        self.kubectl("create", "namespace", name)
        bindings = list(yaml.safe_load_all((BASE / "operator-rights.yaml").read_text()))
        for binding in bindings:
            binding["metadata"]["namespace"] = name
        self.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(bindings))
        self.await_rights(name)
        return name

    def await_rights(self, namespace: str) -> None:
        """The API server learns of a binding by a watch, a moment after it is written."""
        account = f"--as=system:serviceaccount:{':'.join(ACCOUNT)}"

        def granted() -> bool:
            asked = (("list", "computenodedrains"), ("patch", "secrets"))
            return all(
                self.kubectl(
                    "auth", "can-i", *ask, account, "-n", namespace, check=False
                ).returncode
                == 0
                for ask in asked
            )

        until(f"the operator's rights in {namespace}", granted, timeout=30)

    def credentials(self, namespace: str, clouds_yaml: str, name: str = "openstack-clouds") -> None:
        """The Secret with clouds.yaml that a drain names."""
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "labels": {CLOUD_CREDENTIALS: "true"}},
            "stringData": {"clouds.yaml": clouds_yaml},
        }
        self.apply(secret, namespace=namespace)

    def account_kubeconfig(self, path: Path, account: tuple[str, str] = ACCOUNT) -> Path:
        """A kubeconfig for a service account, by default the operator's: exactly the rights of
        manifests/base.
        """
        namespace, name = account
        token = self.kubectl(
            "create", "token", name, "-n", namespace, "--duration=12h"
        ).stdout.strip()
        config = yaml.safe_load(Path(self.environment["KUBECONFIG"]).read_text())
        config["users"] = [
            {"name": user["name"], "user": {"token": token}} for user in config["users"]
        ]
        path.write_text(yaml.safe_dump(config))
        path.chmod(0o600)
        return path


@dataclass
class Operator:
    """`quiesce run` as a process: started, killed and started again as a test likes."""

    kubeconfig: Path
    log: Path
    scope: tuple[str, ...] = ("--all-namespaces",)
    flags: tuple[str, ...] = FLAGS + SOONER
    environment: dict[str, str] = field(default_factory=dict)
    program: tuple[str, ...] = (sys.executable, "-m", "quiesce")
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> "Operator":
        environment = {k: v for k, v in os.environ.items() if not k.startswith("OS_")} | {
            "KUBECONFIG": str(self.kubeconfig),
            "PYTHONPATH": str(ROOT / "operator"),
            **self.environment,
        }
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                [*self.program, "run", *self.scope, *self.flags],
                stdout=out,
                stderr=out,
                env=environment,
                start_new_session=True,
            )
        return self

    def kill(self) -> None:
        """kill -9: no work is finished, no status is written."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def stop(self) -> int:
        """SIGTERM, as a rollout does; the exit code."""
        assert self.process
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(timeout=60)
        return self.process.returncode

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def text(self) -> str:
        return self.log.read_text(errors="replace")

    @property
    def polls(self) -> int:
        """How often it has listed servers: awaited by tests of what it leaves alone."""
        return self.text().count("GET /servers/detail 200")

    def healthy(self) -> bool:
        """Runs, and has met no bug: nothing is logged with a traceback."""
        return self.alive and "Traceback" not in self.text()


def condition(status: Json, kind: str) -> Json:
    """One condition of a status; {} where it does not apply."""
    return next((c for c in status.get("conditions") or () if c["type"] == kind), {})


@dataclass
class Drain:
    """One ComputeNodeDrain on the API server, as a user handles it with kubectl."""

    kube: Kube
    namespace: str
    name: str

    @classmethod
    def apply(
        cls, kube: Kube, namespace: str, host: str, method: str = "Cold", **spec: Any
    ) -> "Drain":
        """`spec`: further fields; `migration` is merged with the method."""
        drain = cls(kube, namespace, f"drain-{host}-{secrets.token_hex(2)}")
        drain.write(host, method, **spec)
        return drain

    def write(self, host: str, method: str = "Cold", **spec: Any) -> None:
        whole = {"host": host, **spec, "migration": {"method": method, **spec.get("migration", {})}}
        self.kube.apply(
            {
                "apiVersion": "quiesce.dev/v1alpha1",
                "kind": "ComputeNodeDrain",
                "metadata": {"name": self.name},
                "spec": whole,
            },
            namespace=self.namespace,
        )

    def get(self) -> Json | None:
        return self.kube.get(f"cnd/{self.name}", self.namespace)

    @property
    def status(self) -> Json:
        return (self.get() or {}).get("status") or {}

    def condition(self, kind: str) -> Json:
        return condition(self.status, kind)

    def wait(self, condition: str, timeout: float = 400.0) -> None:
        """`kubectl wait --for=condition=…`, with the whole status where it does not come."""
        done = self.kube.kubectl(
            "wait",
            f"--for=condition={condition}",
            f"cnd/{self.name}",
            "-n",
            self.namespace,
            f"--timeout={timeout:.0f}s",
            check=False,
        )
        assert done.returncode == 0, f"{done.stderr}\n{yaml.safe_dump(self.status)}"

    def until(self, what: str, look: Callable[[Json], Any], timeout: float = 240.0) -> Json:
        """The first status of the operator's for which `look(status)` is true.

        Raises TimeoutError with the whole last status.
        """

        def matching() -> Json | None:
            status = self.status
            return status if "phase" in status and look(status) else None

        try:
            return until(what, matching, timeout, pause=0.5)
        except TimeoutError as error:
            raise TimeoutError(f"{error}\n{yaml.safe_dump(self.status)}") from error

    def annotate(self, annotation: str) -> None:
        self.kube.kubectl(
            "annotate", f"cnd/{self.name}", "-n", self.namespace, annotation, "--overwrite"
        )

    def patch(self, spec: Json) -> subprocess.CompletedProcess[str]:
        return self.kube.kubectl(
            "patch",
            f"cnd/{self.name}",
            "-n",
            self.namespace,
            "--type=merge",
            "-p",
            json.dumps({"spec": spec}),
        )

    def row(self, *flags: str) -> list[str]:
        """The line of `kubectl get`, split into words."""
        printed = self.kube.kubectl(
            "get", f"cnd/{self.name}", "-n", self.namespace, "--no-headers", *flags
        ).stdout
        return printed.split()

    def events(self) -> list[str]:
        """The reasons of its events as `kubectl describe` shows them, oldest first."""
        printed = self.kube.kubectl("describe", f"cnd/{self.name}", "-n", self.namespace).stdout
        table = printed.partition("\nEvents:")[2].splitlines()[3:]
        return [line.split()[1] for line in table]

    def delete(self, timeout: float = 240.0) -> None:
        self.kube.kubectl(
            "delete",
            f"cnd/{self.name}",
            "-n",
            self.namespace,
            "--ignore-not-found",
            f"--timeout={timeout:.0f}s",
        )
