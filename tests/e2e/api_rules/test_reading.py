"""What a person sees: defaults, explain, columns, wait."""

import json

import pytest
from tests.e2e.api_rules.manifests import FULL_STATUS, drain, fields, read, schema, write_status
from tests.harness.kubernetes import Kube

DEFAULTS = {
    "host": "compute-07.example.org",
    "cloudCredentialsRef": {"secretName": "openstack-clouds", "cloudName": "openstack"},
    "mode": "Drain",
    "suspend": False,
    "reason": "",
    "migration": {
        "method": "Cold",
        "maxParallel": 4,
        "attempts": 3,
        "timeout": "1h",
        "onLiveTimeout": "Abort",
        "requireCapacity": False,
    },
    "servers": {
        "shelved": "Offload",
        "suspended": "Block",
        "locked": "Move",
        "encryptedVolumes": "Block",
    },
    "confirmation": {
        "policy": "Automatic",
        "checks": {"power": True, "ports": True, "soak": "0s"},
        "onFailedCheck": "Hold",
        "foreign": "Wait",
    },
    "service": {
        "afterDrain": "Delete",
        "whileRunning": "Wait",
        "stop": {"kind": "Systemd", "name": "nova-compute"},
    },
    "onDelete": "Restore",
}
HOST_ACCESS_DEFAULTS = {
    "user": "root",
    "port": 22,
    "become": "None",
    "privateKeySecretRef": {"name": "login", "key": "ssh-privatekey"},
    "knownHostsRef": {"kind": "ConfigMap", "name": "hosts", "key": "known_hosts"},
    "trustOnFirstUse": False,
}


def test_the_smallest_manifest_shows_every_default(kube: Kube, namespace: str) -> None:
    kube.kubectl("create", "-n", namespace, "-f", "-", stdin=json.dumps(drain()))
    assert read(kube, namespace)["spec"] == DEFAULTS


def test_access_to_the_host_has_defaults_too(kube: Kube, namespace: str) -> None:
    given = {"privateKeySecretRef": {"name": "login"}, "knownHostsRef": {"name": "hosts"}}
    kube.kubectl(
        "create", "-n", namespace, "-f", "-", stdin=json.dumps(drain({"hostAccess": given}))
    )
    assert read(kube, namespace)["spec"] == DEFAULTS | {"hostAccess": HOST_ACCESS_DEFAULTS}


def test_a_new_drain_is_in_progress_for_kstatus_before_the_operator_saw_it(
    kube: Kube, namespace: str
) -> None:
    kube.kubectl("create", "-n", namespace, "-f", "-", stdin=json.dumps(drain()))
    found = read(kube, namespace)
    assert found["metadata"]["generation"] == 1
    assert found["status"] == {"observedGeneration": -1}


def test_explain_reads_as_documentation(kube: Kube) -> None:
    text = kube.kubectl("explain", "cnd.spec.migration").stdout
    words = " ".join(text.split())
    assert "method <string> -required- enum: Cold, Live, LiveThenCold" in words
    assert "A RUNNING GUEST IS SHUT DOWN" in words
    assert "How many servers of this host may be in flight at once, 1 to 100." in words
    assert "as a duration such as 90s, 15m or 1h30m. Default 1h." in words
    for path, _ in fields(schema(kube, "spec")["properties"]["migration"]):
        assert f"  {path}\t<" in text


@pytest.mark.parametrize("part", ["spec", "status"])
def test_every_field_is_documented_and_bounded(kube: Kube, part: str) -> None:
    for path, node in fields(schema(kube, part)):
        if not path.endswith("[]"):
            assert node.get("description", "").endswith("."), path
        if node["type"] == "string":
            assert "maxLength" in node or "enum" in node or node.get("format") == "date-time", path
        if node["type"] == "array":
            assert "maxItems" in node, path
            assert "x-kubernetes-list-type" in node, path


def test_the_definition_is_accepted_whole(kube: Kube) -> None:
    crd = json.loads(
        kube.kubectl("get", "crd", "computenodedrains.quiesce.dev", "-o", "json").stdout
    )
    states = {c["type"]: c["status"] for c in crd["status"]["conditions"]}
    assert states == {"NamesAccepted": "True", "Established": "True"}


def test_columns_tell_how_it_goes(kube: Kube, namespace: str) -> None:
    kube.kubectl("create", "-n", namespace, "-f", "-", stdin=json.dumps(drain()))
    write_status(kube, namespace, FULL_STATUS)
    head, row = kube.kubectl("get", "cnd", "-n", namespace).stdout.splitlines()
    assert head.split() == [
        "NAME",
        "HOST",
        "PHASE",
        "SERVERS",
        "MOVING",
        "BLOCKED",
        "SERVICE",
        "AGE",
    ]
    assert row.split()[:-1] == [
        "compute-07", "compute-07.example.org", "Draining", "12/40", "1", "1", "disabled",
    ]  # fmt: skip
    head, row = kube.kubectl("get", "cnd", "-n", namespace, "-o", "wide").stdout.splitlines()
    assert head.split()[-3:] == ["AGE", "METHOD", "MESSAGE"]
    assert row.endswith("Cold     moving 1 of 40 servers; 1 blocked: db-3 (suspended)")


@pytest.mark.parametrize("kind", ["openstack", "cnd", "computenodedrain"])
def test_it_is_listed_under_its_names(kube: Kube, namespace: str, kind: str) -> None:
    kube.kubectl("create", "-n", namespace, "-f", "-", stdin=json.dumps(drain()))
    listed = kube.kubectl("get", kind, "-n", namespace, "-o", "name").stdout
    assert listed == "computenodedrain.quiesce.dev/compute-07\n"


def test_kubectl_waits_for_conditions(kube: Kube, namespace: str) -> None:
    kube.kubectl("create", "-n", namespace, "-f", "-", stdin=json.dumps(drain()))
    write_status(kube, namespace, FULL_STATUS)
    wait = ("wait", "-n", namespace, "cnd/compute-07")
    kube.kubectl(*wait, "--for=condition=Drained", "--timeout=30s")
    assert kube.kubectl(*wait, "--for=condition=Ready", "--timeout=0", check=False).returncode != 0
