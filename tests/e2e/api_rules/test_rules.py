"""What the API server refuses, with messages that say what to do instead, and what it accepts."""

import json
import subprocess
from typing import Any

import pytest
from tests.e2e.api_rules.manifests import (
    OTHER_SERVER,
    SERVER,
    at,
    drain,
    fields,
    look,
    merged,
    read,
    schema,
)
from tests.harness.kubernetes import Kube

HOST_ACCESS = {"privateKeySecretRef": {"name": "login"}, "knownHostsRef": {"name": "hosts"}}
DURATION = "is a duration"

# What is wrong, the spec with it (None removes a field), and words that the message must have.
REFUSED: list[tuple[str, dict[str, Any], tuple[str, ...]]] = [
    ("no host", at("host", None), ("spec.host: Required value",)),
    ("empty host", at("host", ""), ("spec.host", "exact name")),
    ("host is a pattern", at("host", "compute-*"), ("spec.host", "exact name", "patterns")),
    ("host is a shell line", at("host", "a; reboot"), ("spec.host", "exact name")),
    ("host is an option", at("host", "-oProxyCommand=x"), ("spec.host", "exact name")),
    ("host is too long", at("host", "h" * 256), ("spec.host: Too long", "255")),
    ("no migration", at("migration", None), ("spec.migration: Required value",)),
    ("no method", at("migration.method", None), ("spec.migration.method: Required value",)),
    (
        "unknown method",
        at("migration.method", "Hot"),
        ("spec.migration.method", '"Live", "LiveThenCold"'),
    ),
    (
        "no move at a time",
        at("migration.maxParallel", 0),
        ("spec.migration.maxParallel", "greater than", "1"),
    ),
    (
        "101 moves at a time",
        at("migration.maxParallel", 101),
        ("spec.migration.maxParallel", "less than", "100"),
    ),
    ("no attempt", at("migration.attempts", 0), ("spec.migration.attempts", "greater than", "1")),
    (
        "timeout in words",
        at("migration.timeout", "soon"),
        ("spec.migration.timeout", DURATION, "15m"),
    ),
    ("timeout in days", at("migration.timeout", "1d"), ("spec.migration.timeout", DURATION)),
    (
        "timeout of zero",
        at("migration.timeout", "0h0m"),
        ("spec.migration.timeout", "longer than zero"),
    ),
    (
        "timeout as a number",
        at("migration.timeout", 60),
        ("spec.migration.timeout", "must be of type string"),
    ),
    (
        "onLiveTimeout",
        at("migration.onLiveTimeout", "Kill"),
        ("spec.migration.onLiveTimeout", '"ForceComplete"'),
    ),
    (
        "target is the host itself",
        at("migration.targetHost", "compute-07.example.org"),
        ("spec.migration.targetHost", "is the host that is drained", "leave it out"),
    ),
    (
        "target is a pattern",
        at("migration.targetHost", "*"),
        ("spec.migration.targetHost", "exact name"),
    ),
    ("mode", at("mode", "DryRun"), ("spec.mode", '"Drain", "Plan"')),
    ("reason too long", at("reason", "x" * 201), ("spec.reason: Too long", "200")),
    ("reason of two lines", at("reason", "disk\nfan"), ("spec.reason", "one line of text")),
    (
        "reason with an escape",
        at("reason", "\x1b[31mred"),
        ("spec.reason", "without control characters"),
    ),
    ("shelved", at("servers.shelved", "Delete"), ("spec.servers.shelved", '"Offload"')),
    ("suspended", at("servers.suspended", "Move"), ("spec.servers.suspended", '"Resume"')),
    ("locked", at("servers.locked", "Unlock"), ("spec.servers.locked", '"Move"')),
    (
        "encrypted volumes",
        at("servers.encryptedVolumes", "Copy"),
        ("spec.servers.encryptedVolumes", '"Move"'),
    ),
    (
        "soak below zero",
        at("confirmation.checks.soak", "-5s"),
        ("spec.confirmation.checks.soak", DURATION),
    ),
    (
        "TCP port 0",
        at("confirmation.checks.tcpPort", 0),
        ("spec.confirmation.checks.tcpPort", "greater than", "1"),
    ),
    (
        "TCP port 65536",
        at("confirmation.checks.tcpPort", 65536),
        ("spec.confirmation.checks.tcpPort", "less than", "65535"),
    ),
    (
        "two decisions on a server",
        at(
            "confirmation.decisions",
            [{"server": SERVER, "action": a} for a in ("Confirm", "Revert")],
        ),
        ("spec.confirmation.decisions[1]: Duplicate value", SERVER),
    ),
    (
        "decision by name",
        at("confirmation.decisions", [{"server": "web-1", "action": "Confirm"}]),
        ("spec.confirmation.decisions[0].server", "ID of a server", "not identify"),
    ),
    (
        "decision without an action",
        at("confirmation.decisions", [{"server": SERVER}]),
        ("spec.confirmation.decisions[0].action: Required value",),
    ),
    ("whileRunning", at("service.whileRunning", "Kill"), ("spec.service.whileRunning", '"Stop"')),
    (
        "Stop without access",
        at("service.whileRunning", "Stop"),
        ("spec.service.whileRunning", "give keyringRef or hostAccess"),
    ),
    (
        "unit is a shell line",
        at("service.stop.name", "nova-compute; reboot"),
        ("spec.service.stop.name", "should match"),
    ),
    (
        "access without a key",
        at("hostAccess", {"trustOnFirstUse": True}),
        ("spec.hostAccess.privateKeySecretRef: Required value",),
    ),
    (
        "access without known hosts",
        at("hostAccess", {"privateKeySecretRef": {"name": "login"}}),
        ("spec.hostAccess", "needs knownHostsRef", "trustOnFirstUse"),
    ),
    (
        "user is a shell line",
        at("hostAccess", HOST_ACCESS | {"user": "root; x"}),
        ("spec.hostAccess.user",),
    ),
    (
        "secret of another namespace",
        at("cloudCredentialsRef.secretName", "x/y"),
        ("spec.cloudCredentialsRef",),
    ),
    ("onDelete", at("onDelete", "Forget"), ("spec.onDelete", '"Leave"')),
    ("typing error", at("migration.maxParalel", 2), ('unknown field "spec.migration.maxParalel"',)),
]


def test_a_wrong_manifest_is_refused_and_told_why(
    kube: Kube, namespace: str, subtests: pytest.Subtests
) -> None:
    for wrong, spec, words in REFUSED:
        with subtests.test(wrong):
            answer = kube.kubectl(
                "create", "-n", namespace, "-f", "-", stdin=json.dumps(drain(spec)), check=False
            )
            assert answer.returncode != 0
            for word in words:
                assert word in answer.stderr
    assert kube.kubectl("get", "cnd", "-n", namespace, "-o", "name").stdout == ""


FORBIDDEN: list[tuple[str, dict[str, Any], tuple[str, ...]]] = [
    (
        "another host",
        at("host", "compute-08.example.org"),
        ("spec.host", "host is immutable", "Create another"),
    ),
    ("host taken away", at("host", None), ("spec.host: Required value",)),
    (
        "another Secret",
        at("cloudCredentialsRef.secretName", "other"),
        ("spec.cloudCredentialsRef", "is immutable", "change the content of the Secret"),
    ),
    (
        "another cloud",
        at("cloudCredentialsRef.cloudName", "other"),
        ("spec.cloudCredentialsRef", "is immutable"),
    ),
    (
        "credentials back to the default",
        at("cloudCredentialsRef", None),
        ("spec.cloudCredentialsRef", "is immutable"),
    ),
    ("method taken away", at("migration.method", None), ("spec.migration.method: Required value",)),
    (
        "host becomes the target",
        at("migration.targetHost", "compute-07.example.org"),
        ("spec.migration.targetHost", "is the host that is drained"),
    ),
    (
        "access for Stop taken away",
        at("hostAccess", None),
        ("spec.service.whileRunning", "give keyringRef"),
    ),
    (
        "known hosts taken away",
        at("hostAccess.knownHostsRef", None),
        ("spec.hostAccess", "needs knownHostsRef"),
    ),
]


def test_a_forbidden_edit_is_refused_and_told_why(
    kube: Kube, namespace: str, subtests: pytest.Subtests
) -> None:
    spec = {
        "cloudCredentialsRef": {"secretName": "cloud-north", "cloudName": "north"},
        "service": {"whileRunning": "Stop"},
        "hostAccess": HOST_ACCESS,
    }
    kube.kubectl("create", "-n", namespace, "-f", "-", stdin=json.dumps(drain(spec)))
    before = read(kube, namespace)
    for edit, patch, words in FORBIDDEN:
        with subtests.test(edit):
            answer = _edit(kube, namespace, patch, check=False)
            assert answer.returncode != 0
            for word in words:
                assert word in answer.stderr
    assert read(kube, namespace) == before


# In this order: access to the host has to be there before Stop.
ALLOWED: list[tuple[str, Any]] = [
    ("mode", "Plan"),
    ("suspend", True),
    ("reason", "Lüfter defekt, Tausch am 4. März"),
    ("migration.method", "LiveThenCold"),
    ("migration.maxParallel", 100),
    ("migration.attempts", 1),
    ("migration.timeout", "1h30m"),
    ("migration.onLiveTimeout", "ForceComplete"),
    ("migration.targetHost", "compute-08.example.org"),
    ("migration.requireCapacity", True),
    ("servers.shelved", "Block"),
    ("servers.suspended", "Resume"),
    ("servers.locked", "Block"),
    ("servers.encryptedVolumes", "Move"),
    ("confirmation.policy", "Manual"),
    ("confirmation.checks.power", False),
    ("confirmation.checks.ports", False),
    ("confirmation.checks.soak", "15m"),
    ("confirmation.checks.tcpPort", 22),
    ("confirmation.onFailedCheck", "Revert"),
    ("confirmation.decisions", [{"server": SERVER, "action": "Confirm"}]),
    ("confirmation.foreign", "Confirm"),
    ("keyringRef.name", "nova-keys"),
    (
        "hostAccess",
        HOST_ACCESS | {"user": "ops", "port": 2222, "become": "Sudo", "trustOnFirstUse": False},
    ),
    ("service.afterDrain", "KeepDisabled"),
    ("service.whileRunning", "Stop"),
    ("service.stop.kind", "Podman"),
    ("service.stop.name", "nova_compute"),
    ("onDelete", "Leave"),
]


def test_every_other_field_can_be_edited(
    kube: Kube, namespace: str, subtests: pytest.Subtests
) -> None:
    kube.kubectl("create", "-n", namespace, "-f", "-", stdin=json.dumps(drain()))
    for path, value in ALLOWED:
        with subtests.test(path):
            _edit(kube, namespace, at(path, value))
            spec = read(kube, namespace)["spec"]
            assert merged(spec, at(path, value)) == spec
    edited = tuple(path for path, _ in ALLOWED)
    assert {
        path for path in _leaves(kube) if not f"{path}.".startswith(tuple(f"{e}." for e in edited))
    } == {
        "host",
        "cloudCredentialsRef.secretName",
        "cloudCredentialsRef.cloudName",
    }


def _leaves(kube: Kube) -> set[str]:
    every = fields(schema(kube, "spec"))
    return {path for path, node in every if "properties" not in node and "[]" not in path}


def test_an_optional_field_can_be_taken_away(kube: Kube, namespace: str) -> None:
    spec = at("migration.targetHost", "compute-08.example.org") | at("keyringRef.name", "nova-keys")
    spec["migration"]["maxParallel"] = 9
    kube.kubectl("create", "-n", namespace, "-f", "-", stdin=json.dumps(drain(spec)))
    _edit(
        kube,
        namespace,
        {"migration": {"targetHost": None, "maxParallel": None}, "keyringRef": None},
    )
    spec = read(kube, namespace)["spec"]
    assert "targetHost" not in spec["migration"]
    assert "keyringRef" not in spec
    assert spec["migration"]["maxParallel"] == 4


def test_two_people_decide_on_servers_without_undoing_each_other(
    kube: Kube, namespace: str
) -> None:
    kube.kubectl("create", "-n", namespace, "-f", "-", stdin=json.dumps(drain()))
    for person, server, action in (("ann", SERVER, "Confirm"), ("bob", OTHER_SERVER, "Revert")):
        word = drain()
        word["spec"] = at("confirmation.decisions", [{"server": server, "action": action}])
        _apply_partly(kube, namespace, person, word)
    assert look(read(kube, namespace), "spec.confirmation.decisions") == [
        {"server": SERVER, "action": "Confirm"},
        {"server": OTHER_SERVER, "action": "Revert"},
    ]


def _apply_partly(kube: Kube, namespace: str, person: str, document: dict[str, Any]) -> None:
    flags = ("--server-side", f"--field-manager={person}")
    kube.kubectl("apply", "-n", namespace, *flags, "-f", "-", stdin=json.dumps(document))


def _edit(
    kube: Kube, namespace: str, spec: dict[str, Any], check: bool = True
) -> subprocess.CompletedProcess[str]:
    patch = json.dumps({"spec": spec})
    return kube.kubectl(
        "patch", "cnd", "compute-07", "-n", namespace, "--type=merge", "-p", patch, check=check
    )


def keyring(name: str = "cold", key: str | None = None, login: str = "login") -> dict[str, Any]:
    access = {"privateKeySecretRef": {"name": login}, "trustOnFirstUse": True}
    spec = {"hostAccess": access, "key": {"secretName": key} if key else {}}
    head = {"apiVersion": "quiesce.dev/v1alpha1", "kind": "MigrationKeyring"}
    return {**head, "metadata": {"name": name}, "spec": spec}


@pytest.mark.finding("H1")
@pytest.mark.parametrize(
    ("manifest", "words"),
    [
        (keyring(key="login"), ("spec.key.secretName", "would be copied to every host")),
        (keyring(login="cold-migration-key"), ("is copied to every host", "is another one")),
    ],
)
def test_the_login_key_is_not_the_migration_key(
    kube: Kube, namespace: str, manifest: dict[str, Any], words: tuple[str, ...]
) -> None:
    answer = kube.kubectl(
        "create", "-n", namespace, "-f", "-", stdin=json.dumps(manifest), check=False
    )
    assert answer.returncode != 0
    for word in words:
        assert word in answer.stderr
    kube.kubectl("create", "-n", namespace, "-f", "-", stdin=json.dumps(keyring(key="own")))
