"""What manifests/base gives and leaves open, as it stands in the files."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from quiesce.app import _STOP_SECONDS, _TICKS_SECONDS
from quiesce.settings import LOOPBACK, Settings

BASE = Path(__file__).parents[2] / "manifests" / "base"


def documents(*kinds: str) -> Iterator[dict[str, Any]]:
    for file in sorted(BASE.glob("*.yaml")):
        for document in yaml.safe_load_all(file.read_text()):
            if document["kind"] in kinds:
                yield document


@pytest.mark.finding("H7", "S9")
def test_the_base_gives_nothing_in_the_whole_cluster() -> None:
    assert not list(documents("ClusterRoleBinding"))
    bindings = list(documents("RoleBinding"))
    where = {binding["roleRef"]["name"]: binding["metadata"]["namespace"] for binding in bindings}
    assert where.pop("quiesce-lease") == "quiesce-system"
    assert set(where.values()) == {"openstack"}


def test_a_rollout_and_an_eviction_leave_one_replica_that_is_ready() -> None:
    (deployment,), (budget,) = documents("Deployment"), documents("PodDisruptionBudget")
    spec, pod = deployment["spec"], deployment["spec"]["template"]
    assert spec["replicas"] > budget["spec"]["maxUnavailable"] > 0
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    selected = budget["spec"]["selector"]["matchLabels"]
    assert selected.items() <= pod["metadata"]["labels"].items()
    assert budget["metadata"]["namespace"] == deployment["metadata"]["namespace"]
    assert pod["spec"]["terminationGracePeriodSeconds"] > _STOP_SECONDS + _TICKS_SECONDS
    (spread,) = pod["spec"]["topologySpreadConstraints"]
    assert spread["labelSelector"] == spec["selector"]


def test_one_replica_alone_can_be_evicted() -> None:
    """A patch or a value that leaves one does not touch the budget."""
    (budget,) = documents("PodDisruptionBudget")
    assert budget["spec"]["maxUnavailable"] == 1
    assert "minAvailable" not in budget["spec"]


@pytest.mark.finding("H7")
def test_only_reading_is_added_to_the_roles_of_the_cluster() -> None:
    for role in documents("ClusterRole"):
        added = [label for label in role["metadata"].get("labels", {}) if "aggregate" in label]
        if added:
            verbs = {verb for rule in role["rules"] for verb in rule["verbs"]}
            assert verbs == {"get", "list", "watch"}
            assert "secrets" not in {what for rule in role["rules"] for what in rule["resources"]}


@pytest.mark.finding("H7")
def test_every_role_for_people_says_what_it_amounts_to() -> None:
    roles = {
        role["metadata"]["name"]: role["metadata"].get("annotations", {})
        for role in documents("ClusterRole")
        if role["metadata"]["name"].endswith(("viewer", "editor"))
    }
    described = {name: notes.get("kubernetes.io/description", "") for name, notes in roles.items()}
    assert "OpenStack admin credentials" in described["quiesce-drain-editor"]
    assert "root on every compute host" in described["quiesce-keyring-editor"]
    assert all(described.values())


@pytest.mark.finding("L5")
def test_metrics_are_for_the_machine_itself_or_for_those_whom_the_policy_lets_in() -> None:
    assert Settings().listen == LOOPBACK
    (deployment,), (policy,) = documents("Deployment"), documents("NetworkPolicy")
    pod = deployment["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    (port,) = container["ports"]
    (rule,) = policy["spec"]["ingress"]
    assert f":{port['containerPort']}" in container["args"]
    assert [each["port"] for each in rule["ports"]] == [port["containerPort"]]
    assert rule["from"]
    selected = policy["spec"]["podSelector"]["matchLabels"]
    assert selected.items() <= pod["metadata"]["labels"].items()
    assert policy["metadata"]["namespace"] == deployment["metadata"]["namespace"]


def test_logs_are_read_of_all_replicas() -> None:
    """`logs deployment/quiesce` reads one pod, which may be the one that stands by."""
    root = BASE.parents[1]
    files = [
        *root.glob("*.md"),
        *(root / "docs").rglob("*.md"),
        *(root / "manifests").rglob("*.yaml"),
    ]
    shown = [
        line for file in files for line in re.findall(r"kubectl .*\blogs (.*)", file.read_text())
    ]
    (deployment,) = documents("Deployment")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    whole = {"app.kubernetes.io/name": "quiesce"} | labels
    assert shown
    for command in shown:
        selector = re.match(r"-l (\S+)=(\S+) --prefix --tail=", command)
        assert command.startswith("POD") or (selector and whole[selector[1]] == selector[2]), (
            command
        )


def test_prometheus_scrapes_the_port_that_the_policy_opens() -> None:
    monitoring = BASE.parent / "monitoring"
    monitor = yaml.safe_load((monitoring / "pod-monitor.yaml").read_text())
    (deployment,) = documents("Deployment")
    pod = deployment["spec"]["template"]
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    (port,) = pod["spec"]["containers"][0]["ports"]
    assert endpoint["port"] == port["name"]
    assert endpoint["honorLabels"], "series of drains have the namespace of the drain"
    selected = monitor["spec"]["selector"]["matchLabels"]
    assert selected.items() <= pod["metadata"]["labels"].items()
    assert monitor["metadata"]["namespace"] == deployment["metadata"]["namespace"]


@pytest.mark.finding("M11")
def test_connections_go_to_known_ports_only() -> None:
    (policy,) = documents("NetworkPolicy")
    assert "Egress" in policy["spec"]["policyTypes"]
    assert all(rule["ports"] for rule in policy["spec"]["egress"])
    ports = {each["port"] for rule in policy["spec"]["egress"] for each in rule["ports"]}
    assert 80 not in ports  # where clouds answer for the metadata of nodes


@pytest.mark.parametrize("name", ["base", "crds", "all-namespaces"])
def test_the_chart_has_no_objects_of_its_own(name: str) -> None:
    root = BASE.parents[1]
    target = root / "crds" if name == "crds" else next((root / "manifests").rglob(name))
    link = root / "chart" / "files" / name
    assert link.is_symlink()
    assert link.resolve() == target
    assert not link.readlink().is_absolute()
