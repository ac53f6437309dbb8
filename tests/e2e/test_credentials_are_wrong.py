"""Credentials that are missing, malformed, wrong, too weak or unreachable, or that change.

Each problem is a condition that says what to do. Once it is fixed the drain continues by itself:
the operator is not restarted. No secret shows in a status, an event or the log.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml
from tests.harness.kubernetes import Drain, Kube, Operator, condition
from tests.harness.openstack import Lab
from tests.harness.promises import COLD, moved

KEEP = {"afterDrain": "KeepDisabled"}
OTHER_PASSWORD = "tr0ub4dor-and-3"


def clouds_yaml(entry: dict[str, Any], **auth: str) -> str:
    return yaml.safe_dump({"clouds": {"openstack": entry | {"auth": entry["auth"] | auth}}})


def secret(kube: Kube, namespace: str, name: str, **data: str) -> None:
    kube.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "labels": {"quiesce.dev/cloud-credentials": "true"}},
            "stringData": data,
        },
        namespace=namespace,
    )


def begin(kube: Kube, namespace: str, host: str, name: str) -> Drain:
    return Drain.apply(
        kube, namespace, host, service=KEEP, cloudCredentialsRef={"secretName": name}
    )


def says(drain: Drain, kind: str, reason: str, words: str) -> None:
    """The condition comes, and tells what to do."""
    status = drain.until(words, lambda s: words in condition(s, kind).get("message", ""))
    assert condition(status, kind)["reason"] == reason
    assert condition(status, "Ready")["status"] == "False"
    assert words in status["message"]


@pytest.mark.promise("never-10", "never-11")
def test_what_is_wrong_is_said_and_what_is_put_right_is_taken_up(
    kube: Kube, cloud: Lab, operator: Operator, namespace: str, hosts: tuple[str, ...]
) -> None:
    good = cloud.entries["operator"]
    secret(kube, namespace, "malformed", **{"clouds.yaml": "clouds: ["})
    secret(kube, namespace, "wrong", **{"clouds.yaml": clouds_yaml(good, password=OTHER_PASSWORD)})
    secret(
        kube,
        namespace,
        "away",
        **{"clouds.yaml": clouds_yaml(good, auth_url="http://127.0.0.1:9/v3")},
    )
    names = ("missing", "malformed", "wrong", "away")
    drains = {
        name: begin(kube, namespace, host, name) for name, host in zip(names, hosts, strict=True)
    }

    says(
        drains["malformed"],
        "Stalled",
        "BadCredentials",
        f"Secret {namespace}/malformed: clouds.yaml is not valid YAML at line 1",
    )
    says(drains["wrong"], "Stalled", "BadCredentials", "Keystone refused the credentials")
    says(drains["away"], "Reconciling", "CloudUnreachable", "127.0.0.1:9")
    says(
        drains["missing"],
        "Stalled",
        "BadCredentials",
        f"Secret {namespace}/missing does not exist: create it with a key clouds.yaml",
    )
    assert [drain.row()[2] for drain in drains.values()] == [
        "Stalled",
        "Stalled",
        "Stalled",
        "Pending",
    ]
    steps = [
        (
            {"cloud.yml": "x"},
            "BadCredentials",
            "has no key clouds.yaml: add it, with a cloud named",
        ),
        (
            {"clouds.yaml": "clouds: {lab: {}}"},
            "BadCredentials",
            "has no cloud named 'openstack': add it",
        ),
        (
            {"clouds.yaml": "clouds: {openstack: {}}"},
            "BadCredentials",
            "the cloud has no `auth` section",
        ),
        (
            {"clouds.yaml": clouds_yaml(cloud.entries["lab-demo"])},
            "NotAllowed",
            "the credentials lack a permission",
        ),
    ]
    for number, (data, reason, words) in enumerate(steps):
        secret(kube, namespace, "missing", **data)
        drains["missing"].annotate(f"quiesce.dev/requestedAt=step-{number}")
        says(drains["missing"], "Stalled", reason, words)

    for name in names:
        secret(kube, namespace, name, **{"clouds.yaml": clouds_yaml(good)})
    for drain in drains.values():
        drain.wait("Ready")
        assert drain.condition("Stalled") == {}
    for drain in drains.values():
        drain.delete()
    assert operator.healthy()
    shown = (
        kube.kubectl("get", "cnd,events", "-n", namespace, "-o", "yaml").stdout + operator.text()
    )
    assert OTHER_PASSWORD not in shown


@pytest.fixture
def set_password(cloud: Lab) -> Iterator[Callable[[str], None]]:
    """Gives the operator's user another password; it has its own again after the test."""
    (user,) = cloud.admin.get("/users?name=quiesce", service="identity")["users"]

    def rotate(password: str) -> None:
        status, text = cloud.admin.ask(
            "PATCH", f"/users/{user['id']}", {"user": {"password": password}}, service="identity"
        )
        assert status == 200, text

    yield rotate
    rotate(cloud.entries["operator"]["auth"]["password"])


@pytest.mark.promise("always-1")
def test_a_password_that_changes_on_the_way_loses_nothing(
    kube: Kube,
    cloud: Lab,
    operator: Operator,
    credentials: str,
    host: str,
    set_password: Callable[[str], None],
) -> None:
    ids = cloud.boot(host, [f"web-{i}" for i in range(6)])
    drain = Drain.apply(kube, credentials, host, service=KEEP, migration={"maxParallel": 2})
    drain.until("on its way", lambda s: s.get("progress", {}).get("moved", 0) >= 1)
    set_password(OTHER_PASSWORD)
    kube.credentials(credentials, clouds_yaml(cloud.entries["operator"], password=OTHER_PASSWORD))

    drain.wait("Ready")
    for server_id in ids:
        moved(cloud, server_id, host, "ACTIVE", COLD)
    assert operator.healthy()
    assert OTHER_PASSWORD not in operator.text()
