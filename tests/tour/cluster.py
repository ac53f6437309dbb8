"""Where the tour's resources are: the stand-in for an API server, or a cluster that was named."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.demo.screen import put, shell
from tests.tour.standin.server import serving

ROOT = Path(__file__).parents[2]
PLURALS = ("computenodedrains", "migrationkeyrings")
NAMESPACE = "quiesce-tour"
MINE = {"quiesce.dev/tour": "true"}
"""Label of what the tour creates in a cluster: it deletes nothing else there."""
LITE = (sys.executable, "-m", "tests.tour.kubectl")

Json = dict[str, Any]


class NotHere(Exception):
    """The tour does not start on this cluster. The text says why, and what to do."""


@dataclass(frozen=True)
class Cluster:
    """kubectl, real or our own, on one API server."""

    program: Sequence[str]
    environment: Mapping[str, str]
    context: tuple[str, ...] = ()
    """Flags that choose a cluster."""

    def kubectl(
        self, *words: str, stdin: str | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Raises AssertionError with kubectl's message where it fails and `check` is set."""
        done = subprocess.run(
            [*self.program, *self.context, *words],
            input=stdin,
            text=True,
            capture_output=True,
            env=os.environ | self.environment,
            cwd=ROOT,
        )
        message = f"kubectl {' '.join(words)}: {done.stderr or done.stdout}"
        assert not check or done.returncode == 0, message
        return done

    def shown(self, *words: str, stdin: str | None = None) -> None:
        """Run it, with the command and its output on the screen."""
        shell("kubectl", *self.context, *words)
        put(self.kubectl(*words, stdin=stdin).stdout.rstrip())

    def get(self, *words: str) -> Json:
        """{} where there is none."""
        done = self.kubectl("get", *words, "-o", "json", check=False)
        found: Json = json.loads(done.stdout) if done.returncode == 0 else {}
        return found

    def install(self) -> None:
        documents: list[Json] = [yaml.safe_load(path.read_text()) for path in _crds()]
        documents.append({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        for document in documents:
            document["metadata"].setdefault("labels", {}).update(MINE)
        self.shown("apply", "-f", "-", stdin=yaml.safe_dump_all(documents, sort_keys=False))
        established = ("--for=condition=Established", "crd/computenodedrains.quiesce.dev")
        self.kubectl("wait", *established, "--timeout=60s")

    def remove(self) -> None:
        """What the tour has created, and the CRDs only while nothing else uses them."""
        self.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout=120s")
        in_use = [
            item["metadata"]["namespace"]
            for plural in PLURALS
            for item in self.get(f"{plural}.quiesce.dev", "-A").get("items", ())
        ]
        if in_use:
            put(f"The CRDs are kept: namespace {in_use[0]} has resources of these kinds")
            return
        label = next(f"{name}={value}" for name, value in MINE.items())
        self.kubectl("delete", "crd", "-l", label, "--timeout=60s")


@contextmanager
def stand_in(folder: Path) -> Iterator[Cluster]:
    """A stand-in for an API server in this process, and kubectl for it."""
    with serving() as url:
        path = folder / "kubeconfig"
        path.write_text(json.dumps(_kubeconfig(url)))
        environment = {"KUBECONFIG": str(path), "KUBECACHEDIR": str(folder / "kubectl-cache")}
        kubectl = shutil.which("kubectl")
        if kubectl is None:
            environment["PYTHONPATH"] = str(ROOT)
        yield Cluster((kubectl,) if kubectl else LITE, environment)


def named(context: str) -> Cluster:
    """A cluster of the person's kubeconfig. Raises NotHere where the tour could do harm."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        raise NotHere("CONTEXT needs kubectl, and none is on PATH: run make tour without CONTEXT")
    cluster = Cluster((kubectl,), {}, ("--context", context))
    for verb, what in (("create", "customresourcedefinitions"), ("create", "namespaces")):
        asked = cluster.kubectl("auth", "can-i", verb, what, check=False)
        if asked.stdout.strip() != "yes":
            why = asked.stderr.strip().splitlines()[-1:] or ["no"]
            raise NotHere(f"context {context}: you may not {verb} {what} there: {why[0]}")
    crds = (f"crd/{plural}.quiesce.dev" for plural in PLURALS)
    for what in (*crds, f"namespace/{NAMESPACE}"):
        labels = cluster.get(what).get("metadata", {"labels": MINE}).get("labels", {})
        if not MINE.items() <= labels.items():
            raise NotHere(
                f"context {context}: {what} exists and is not of a tour: the tour deletes what it "
                "creates, so it does not begin where Quiesce is installed. Name another cluster"
            )
    return cluster


def current_context() -> str | None:
    """The one that kubectl would use; no request is sent."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        return None
    done = subprocess.run(
        [kubectl, "config", "current-context"], capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or None


def _crds() -> list[Path]:
    return [ROOT / "crds" / f"quiesce.dev_{plural}.yaml" for plural in PLURALS]


def _kubeconfig(url: str) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "tour",
        "contexts": [{"name": "tour", "context": {"cluster": "tour", "user": "tour"}}],
        "clusters": [{"name": "tour", "cluster": {"server": url}}],
        "users": [{"name": "tour", "user": {}}],
    }
