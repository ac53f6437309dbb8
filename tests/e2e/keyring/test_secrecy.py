"""Unknown hosts are not trusted unless the spec says so, and then only once.

What looks like an attack is refused.
"""

import base64
import json
from typing import Any

import pytest
from tests.beds.hosts.hosts import Bed
from tests.e2e.keyring.conftest import NAME, Keyring
from tests.harness.kubernetes import Json, Kube, Operator, condition


@pytest.mark.promise("never-10")
def test_a_host_key_is_trusted_only_with_leave_and_only_once(
    keyring: Keyring, bed: Bed, operator: Operator
) -> None:
    lines = [line for line in bed.known_hosts.splitlines() if "cmp2" not in line]
    known = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "hosts"}}
    keyring.kube.apply(
        known | {"data": {"known_hosts": "\n".join(lines)}}, namespace=keyring.namespace
    )

    keyring.apply()

    assert "SHA256:" in keyring.trouble("cmp2", "HostKeyUnknown")
    assert bed["cmp2"].sessions() == 0

    keyring.apply(hostAccess={"knownHostsRef": None, "trustOnFirstUse": True}).ready()

    pinned = keyring.secret(f"{NAME}-keyring-state")["known_hosts"]
    for host in bed.hosts.values():
        assert f"{host.name} ssh-ed25519 " in base64.b64decode(pinned).decode()
    before = fingerprints(bed, "cmp2")

    bed["cmp2"].renew_host_keys()
    sessions = bed["cmp2"].sessions()
    keyring.annotate(requestedAt="1")

    message = keyring.trouble("cmp2", "HostKeyMismatch")
    assert any(each in message for each in before)
    assert any(each in message for each in fingerprints(bed, "cmp2"))
    assert keyring.secret(f"{NAME}-keyring-state")["known_hosts"] == pinned
    assert bed["cmp2"].sessions() == sessions
    status = keyring.until("the others", lambda s: s["hosts"]["summary"] == "4/5")
    assert condition(status, "Stalled")["status"] == "True"
    assert operator.healthy()


def fingerprints(bed: Bed, name: str) -> list[str]:
    return (
        bed[name]
        .run(
            "for file in /etc/ssh/ssh_host_*_key.pub; do ssh-keygen -lf $file | cut -d' ' -f2; done"
        )
        .split()
    )


ATTACKS: dict[str, Json] = {
    "user": {"nova": {"user": "nova; rm -rf /"}},
    "root": {"nova": {"user": "root"}},
    "option": {"nova": {"user": "-oProxyCommand=x"}},
    "home": {"nova": {"home": "/var/lib/../../etc"}},
    "system": {"nova": {"home": "/etc"}},
    "quote": {"nova": {"home": "/var/lib/nova'"}},
    "shell": {"nova": {"shell": "/bin/sh -c x"}},
    "passwd": {"knownHostsFile": "/etc/passwd"},
    "climb": {"knownHostsFile": "/etc/ssh/../known_hosts"},
    "address": {"hosts": {"addresses": {"cmp1": "-oProxyCommand=x"}}},
    "pattern": {"hosts": {"addresses": {"cmp1": "*"}}},
    "network": {"authorizedKeysFrom": ['10.0.0.0/8",command="x']},
    "negation": {"authorizedKeysFrom": ["!10.0.0.1"]},
    "unpinned": {"hostAccess": {"knownHostsRef": None}},
    "login": {"hostAccess": {"user": "root -p"}},
    "forever": {"checkEvery": "soon"},
}


@pytest.mark.finding("S3")
@pytest.mark.parametrize("attack", ATTACKS)
def test_the_crd_refuses(kube: Kube, attack: str) -> None:
    with pytest.raises(AssertionError, match=r"Invalid value|is invalid|invalid:"):
        try_out(kube, manifest(**ATTACKS[attack]))


def test_the_crd_refuses_only_that(kube: Kube) -> None:
    try_out(kube, manifest())


def test_what_is_installed_under_a_place_cannot_move(kube: Kube, namespace: str) -> None:
    kube.apply(manifest(), namespace=namespace)
    for change in (
        {"nova": {"home": "/home/nova"}},
        {"nova": {"user": "novb"}},
        {"knownHostsFile": "/etc/ssh/known_hosts"},
    ):
        with pytest.raises(AssertionError, match="immutable"):
            kube.apply(manifest(**change), namespace=namespace)
    with pytest.raises(AssertionError, match=r"metadata\.name"):
        try_out(kube, manifest() | {"metadata": {"name": "a.b"}})


def manifest(**spec: Any) -> Json:
    access = {
        "privateKeySecretRef": {"name": "login"},
        "knownHostsRef": {"name": "hosts"},
        **spec.get("hostAccess", {}),
    }
    return {
        "apiVersion": "quiesce.dev/v1alpha1",
        "kind": "MigrationKeyring",
        "metadata": {"name": NAME},
        "spec": {**spec, "hostAccess": access},
    }


def try_out(kube: Kube, document: Json) -> None:
    """As `kubectl apply`, but nothing is stored."""
    kube.kubectl(
        "apply", "--dry-run=server", "-n", "default", "-f", "-", stdin=json.dumps(document)
    )
