"""A drain that is idle while the other stories run: begun before them, and read after them."""

import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.harness.kubernetes import FLAGS, Drain, Kube, Operator
from tests.harness.openstack import Lab

HOST = "cmp5"  # no other story drains it


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first of all tests and the last one: five minutes pass between them anyway."""
    items.sort(
        key=lambda item: {"test_no_drift": -1, "test_idle_for_five_minutes": 1}.get(item.name, 0)
    )


@dataclass
class Idle:
    """The manifests as a user has them in Git, applied, and what was observed of the drain."""

    kube: Kube
    namespace: str
    operator: Operator
    files: dict[str, Path]
    drain: Drain
    at_rest: float = 0.0  # time.monotonic()
    found: dict[str, dict[str, Any]] = field(default_factory=dict)  # then, by name

    def drift(self, *flags: str) -> str:
        """What `kubectl diff -f` prints for all manifests; empty: nothing differs from them."""
        names = [word for path in self.files.values() for word in ("-f", str(path))]
        done = self.kube.kubectl("diff", "-n", self.namespace, *flags, *names, check=False)
        assert done.returncode in (0, 1), done.stderr
        return done.stdout

    def drains(self) -> dict[str, dict[str, Any]]:
        """By name, as they are stored, `resourceVersion` included."""
        printed = self.kube.kubectl("get", "cnd", "-n", self.namespace, "-o", "json").stdout
        return {each["metadata"]["name"]: each for each in json.loads(printed)["items"]}


def manifest(kind: str, name: str, version: str, **rest: Any) -> dict[str, Any]:
    labels = {"quiesce.dev/cloud-credentials": "true"} if kind == "Secret" else {}
    metadata = {"name": name, "labels": labels}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **rest}


@pytest.fixture(scope="session")
def idle(
    kube: Kube, cloud: Lab, account: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Idle]:
    """Applied client-side, as kubectl does by default; the operator is not started yet.

    It connects as the administrator: the password of the operator's user changes in another story.
    """
    namespace, folder = f"idle-{secrets.token_hex(3)}", tmp_path_factory.mktemp("idle")
    api = "quiesce.dev/v1alpha1"
    cold = {"method": "Cold"}
    documents = {
        "secret": manifest(
            "Secret",
            "openstack-clouds",
            "v1",
            stringData={
                "clouds.yaml": yaml.safe_dump({"clouds": {"openstack": cloud.entries["lab"]}})
            },
        ),
        "reboot": manifest(
            "ComputeNodeDrain",
            "reboot",
            api,
            spec={"host": HOST, "migration": cold, "service": {"afterDrain": "KeepDisabled"}},
        ),
        "unknown": manifest(
            "ComputeNodeDrain", "unknown", api, spec={"host": "cmp55", "migration": cold}
        ),
    }
    files = {name: folder / f"{name}.yaml" for name in documents}
    for name, document in documents.items():
        files[name].write_text(yaml.safe_dump(document))
    operator = Operator(account, folder / "operator.log", ("--namespace", namespace), FLAGS)
    kube.make_namespace(namespace)
    cloud.tidy([HOST])
    yield Idle(kube, namespace, operator, files, Drain(kube, namespace, "reboot"))
    operator.kill()
    for drain in kube.kubectl("get", "cnd", "-n", namespace, "-o", "name").stdout.split():
        kube.kubectl(
            "patch",
            drain,
            "-n",
            namespace,
            "--type=merge",
            "-p",
            '{"metadata": {"finalizers": null}}',
            check=False,
        )
    kube.kubectl("delete", "namespace", namespace, "--wait=false")
    cloud.tidy([HOST])
