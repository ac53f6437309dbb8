"""Real hosts with real sshd, and a MigrationKeyring as a user handles it with kubectl.

The real Nova lists its computes cmp1 to cmp5 at 127.0.0.1; `hosts.addresses` leads to the hosts of
this bed.
"""

import json
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.beds.hosts.hosts import Bed, running
from tests.harness.kubernetes import FLAGS, Json, Kube, Operator, condition
from tests.harness.openstack import Lab, until

NAME = "cold"
RARELY = "1h"  # for checkEvery, where a test says itself when to look


@dataclass
class Keyring:
    """One MigrationKeyring on the API server and the hosts that it is for."""

    kube: Kube
    namespace: str
    bed: Bed

    def apply(self, **spec: Any) -> "Keyring":
        """`spec`: more fields; `hosts` and `hostAccess` are merged with those of the bed."""
        addresses = {host.name: host.address for host in self.bed.hosts.values()}
        access = {"privateKeySecretRef": {"name": "login"}, "knownHostsRef": {"name": "hosts"}}
        whole = {
            "checkEvery": "10s",
            **spec,
            "hosts": {"addresses": addresses, **spec.get("hosts", {})},
            "hostAccess": {**access, **spec.get("hostAccess", {})},
        }
        self.kube.apply(
            {
                "apiVersion": "quiesce.dev/v1alpha1",
                "kind": "MigrationKeyring",
                "metadata": {"name": NAME},
                "spec": whole,
            },
            namespace=self.namespace,
        )
        return self

    def pin(self) -> None:
        """The hosts' present keys as the user's known hosts."""
        known = {
            "kind": "ConfigMap",
            "metadata": {"name": "hosts"},
            "data": {"known_hosts": self.bed.known_hosts},
        }
        self.kube.apply({"apiVersion": "v1", **known}, namespace=self.namespace)

    def login(self) -> None:
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "kubernetes.io/ssh-auth",
            "metadata": {"name": "login", "labels": {"quiesce.dev/host-login": "true"}},
            "stringData": {"ssh-privatekey": self.bed.login_key},
        }
        self.kube.apply(secret, namespace=self.namespace)

    def get(self) -> Json | None:
        return self.kube.get(f"mkr/{NAME}", self.namespace)

    @property
    def status(self) -> Json:
        return (self.get() or {}).get("status") or {}

    def ready(self, timeout: float = 120.0) -> Json:
        """Waits until it is Ready, with everything that this status speaks of as it is now."""
        return self.until(
            "Ready", lambda status: condition(status, "Ready").get("status") == "True", timeout
        )

    def until(self, what: str, look: Callable[[Json], Any], timeout: float = 120.0) -> Json:
        """The first status for which `look(status)` is true."""

        def matching() -> Json | None:
            status = self.status
            return status if status and look(status) else None

        return until(f"{what} of the keyring", matching, timeout, pause=0.3)

    def trouble(self, host: str, reason: str, timeout: float = 120.0) -> str:
        """Waits until `host` is named with this cause; the message."""

        def named(status: Json) -> list[str]:
            rows = status.get("problems") or ()
            return [
                row["message"] for row in rows if (row["host"], row["reason"]) == (host, reason)
            ]

        return str(named(self.until(f"{reason} on {host}", named, timeout))[0])

    def annotate(self, **annotations: str | None) -> None:
        """None takes an annotation away."""
        words = [
            f"quiesce.dev/{name}-" if value is None else f"quiesce.dev/{name}={value}"
            for name, value in annotations.items()
        ]
        self.kube.kubectl("annotate", f"mkr/{NAME}", "-n", self.namespace, "--overwrite", *words)

    def delete(self, timeout: float = 120.0) -> None:
        self.kube.kubectl(
            "delete", f"mkr/{NAME}", "-n", self.namespace, f"--timeout={timeout:.0f}s"
        )

    def release(self) -> None:
        """Without an operator nothing else would release the keyring and its namespace."""
        free = [
            "patch",
            f"mkr/{NAME}",
            "-n",
            self.namespace,
            "--type=merge",
            "-p",
            '{"metadata": {"finalizers": null}}',
        ]
        self.kube.kubectl(*free, check=False)

    def events(self) -> list[Json]:
        found = self.kube.kubectl("get", "events", "-n", self.namespace, "-o", "json").stdout
        return [
            event for event in json.loads(found)["items"] if event["involvedObject"]["name"] == NAME
        ]

    def secret(self, name: str) -> dict[str, str]:
        found = self.kube.get(f"secret/{name}", self.namespace)
        return dict(found["data"]) if found else {}


@pytest.fixture(scope="session")
def kube(kube: Kube) -> Kube:
    kube.kubectl(
        "wait", "--for=condition=Established", "crd/migrationkeyrings.quiesce.dev", "--timeout=30s"
    )
    return kube


@pytest.fixture
def bed(tmp_path: Path) -> Iterator[Bed]:
    """Five hosts, new for each test."""
    with running(5, tmp_path / "hosts") as hosts:
        yield hosts


@pytest.fixture
def keyring(kube: Kube, cloud: Lab, credentials: str, bed: Bed) -> Iterator[Keyring]:
    """Everything that a keyring needs, but not the keyring itself."""
    cloud.bring_up(bed.hosts)
    made = Keyring(kube, credentials, bed)
    made.login()
    made.pin()
    yield made
    made.release()


@dataclass
class Standing:
    """A keyring that is Ready, for all tests of a module: each leaves it so."""

    keyring: Keyring
    operator: Operator

    @property
    def bed(self) -> Bed:
        return self.keyring.bed


@contextmanager
def standing_keyring(
    kube: Kube, cloud: Lab, account: Path, place: Path, flags: tuple[str, ...] = (), **spec: Any
) -> Iterator[Standing]:
    """Five hosts, an operator and a keyring in a namespace of its own; `spec` as in Keyring.apply.

    Hosts exist once at a time: a module with a standing keyring has no test with a bed of its own.
    """
    namespace = f"t-{secrets.token_hex(3)}"
    kube.make_namespace(namespace)
    kube.credentials(namespace, cloud.operator_clouds_yaml)
    operator = Operator(account, place / "operator.log", ("--namespace", namespace), FLAGS + flags)
    with running(5, place / "hosts") as hosts:
        cloud.bring_up(hosts.hosts)
        made = Keyring(kube, namespace, hosts)
        try:
            made.login()
            made.pin()
            operator.start()
            made.apply(**{"checkEvery": RARELY, **spec}).ready()
            yield Standing(made, operator)
        finally:
            operator.kill()
            print(operator.text()[-20000:])
            made.release()
            kube.kubectl("delete", "namespace", namespace, "--wait=false")


def nova_login(bed: Bed, source: str, target: str, command: str = "hostname") -> str:
    """What Nova's ssh would get: as nova, from host to host, by address; its error if it fails."""
    address = bed[target].address
    return (
        bed[source]
        .run(f"ssh -o BatchMode=yes {address} {command}", user="nova", check=False)
        .strip()
    )


def reached(bed: Bed, source: str) -> list[str]:
    """The names of the other hosts that answer, in order."""
    others = [bed[name].address for name in bed.hosts if name != source]
    script = "".join(f"ssh -n -o BatchMode=yes {address} hostname; " for address in others)
    return bed[source].run(f"{script}:", user="nova", check=False).split()


def everything(bed: Bed, name: str) -> str:
    """Content, owner, mode, inode and time of change of all that a keyring may touch on a host.

    A directory has no time here: the check of a path makes one for a moment.
    """
    return bed[name].run(
        "find /var/lib/nova /etc/ssh /etc/passwd /etc/shadow -type f "
        "-exec stat -c '%n %U:%G %a %i %y %s' {} + | sort; "
        "find /var/lib/nova /etc/ssh -type d -exec stat -c '%n %U:%G %a %i' {} + | sort; "
        "find /var/lib/nova /etc/ssh /etc/passwd -type f -exec sha256sum {} + | sort"
    )


def contents(bed: Bed, name: str) -> str:
    """The same without inodes and times."""
    return bed[name].run(
        "find /var/lib/nova /etc/ssh -exec stat -c '%n %U:%G %a' {} + | sort; "
        "find /var/lib/nova /etc/ssh /etc/passwd -type f -exec sha256sum {} + | sort"
    )
