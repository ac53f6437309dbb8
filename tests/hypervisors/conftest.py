"""One bed of real hypervisors for all stories, the API server, and the operator."""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.e2e.conftest import account, beside_others, kube, kube_bed, namespace, up
from tests.harness import openstack
from tests.harness.hypervisors import BED, Guest, Hypervisors, Report
from tests.harness.kubernetes import FLAGS, SOONER, Json, Kube, Operator, condition
from tests.harness.openstack import until

__all__ = ["account", "beside_others", "kube", "kube_bed", "namespace"]

KEYRING = "compute"


@pytest.fixture(scope="session")
def bed() -> Iterator[Hypervisors]:
    for _ in up([str(BED), "status"], [str(BED), "up"], [str(BED), "down"]):
        openstack.silence_environment()
        yield Hypervisors.of_bed()


@pytest.fixture
def hypervisors(bed: Hypervisors) -> Iterator[Hypervisors]:
    """Empty hosts as packages leave them: no key, no guest, nothing broken. What happened on them
    is shown where the test fails.
    """
    bed.tidy()
    yield bed
    for host in bed.hosts:
        print(host.evidence())


@pytest.fixture
def operator(account: Path, namespace: str, tmp_path: Path) -> Iterator[Operator]:
    """The operator, under the rights of manifests/base; its log is shown where the test fails."""
    running = Operator(
        account, tmp_path / "operator.log", ("--namespace", namespace), FLAGS + SOONER
    ).start()
    yield running
    running.kill()
    print(running.text()[-20000:])


@dataclass(frozen=True)
class Keyring:
    """The MigrationKeyring of all hosts, which it finds through Nova."""

    kube: Kube
    namespace: str

    def apply(self, **spec: Any) -> None:
        access = {
            "privateKeySecretRef": {"name": "host-login"},
            "knownHostsRef": {"name": "compute-host-keys"},
        }
        body = {
            "apiVersion": "quiesce.dev/v1alpha1",
            "kind": "MigrationKeyring",
            "metadata": {"name": KEYRING},
        }
        self.kube.apply(body | {"spec": {"hostAccess": access, **spec}}, namespace=self.namespace)

    def pin(self, hypervisors: Hypervisors) -> None:
        """The host keys that the hosts have now."""
        pinned = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "compute-host-keys"},
        }
        known = {"data": {"known_hosts": hypervisors.cluster.known_hosts}}
        self.kube.apply(pinned | known, namespace=self.namespace)

    def check(self) -> None:
        """Asks for a new look at every host and path."""
        now = f"quiesce.dev/requestedAt={secrets.token_hex(4)}"
        self.kube.kubectl("annotate", f"mkr/{KEYRING}", "-n", self.namespace, now, "--overwrite")

    @property
    def status(self) -> Json:
        return (self.kube.get(f"mkr/{KEYRING}", self.namespace) or {}).get("status") or {}

    def ready(self, timeout: float = 240.0) -> Json:
        """Its status once it is Ready. Raises TimeoutError with the whole status."""
        try:
            found = until("a keyring that is Ready", self._ready_status, timeout, pause=0.5)
        except TimeoutError as error:
            raise TimeoutError(f"{error}\n{yaml.safe_dump(self.status)}") from error
        assert found
        return found

    def _ready_status(self) -> Json | None:
        status = self.status
        return status if condition(status, "Ready").get("status") == "True" else None

    def delete(self) -> None:
        self.kube.kubectl("delete", f"mkr/{KEYRING}", "-n", self.namespace, "--timeout=120s")

    def drop_finalizers(self) -> None:
        """Without the operator its finalizer would keep it, and with it the namespace."""
        free = [
            "patch",
            f"mkr/{KEYRING}",
            "-n",
            self.namespace,
            "--type=merge",
            "-p",
            '{"metadata": {"finalizers": null}}',
        ]
        self.kube.kubectl(*free, check=False)


@pytest.fixture
def keyring(kube: Kube, hypervisors: Hypervisors, namespace: str) -> Iterator[Keyring]:
    """Everything that a keyring and a drain need, but not the keyring itself."""
    kube.kubectl(
        "wait", "--for=condition=Established", "crd/migrationkeyrings.quiesce.dev", "--timeout=30s"
    )
    kube.credentials(namespace, hypervisors.lab.operator_clouds_yaml)
    login = {
        "type": "kubernetes.io/ssh-auth",
        "stringData": {"ssh-privatekey": hypervisors.cluster.login_key},
    }
    kube.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "host-login", "labels": {"quiesce.dev/host-login": "true"}},
        }
        | login,
        namespace=namespace,
    )
    made = Keyring(kube, namespace)
    made.pin(hypervisors)
    yield made
    made.drop_finalizers()


def same_disk(before: Report, after: Report) -> None:
    """The disk is the one that it was, whole, and nothing that was written to it is lost."""
    assert (after.marker, after.whole) == (before.marker, True)
    assert after.counter > before.counter


def never_stopped(before: Report, after: Report) -> None:
    """The same, and the guest has not been restarted."""
    same_disk(before, after)
    assert (after.boot, after.boot_id) == (before.boot, before.boot_id)


def restarted_once(before: Report, after: Report) -> None:
    same_disk(before, after)
    assert after.boot == before.boot + 1
    assert after.boot_id != before.boot_id


def runs_once(guest: Guest) -> None:
    """On the host that Nova names; no other host has even a definition of it."""
    assert guest.domain_states() == {guest.host: "running"}
