"""A host is planned, drained, watched, confirmed and restored with `kubectl quiesce`, by a person
who has the role quiesce-drain-editor in one namespace and nothing else.
"""

import json
import os
import signal
import threading
from typing import Any

import pytest
from tests.beds.sim.model import Cloud
from tests.e2e.plugin.conftest import Person
from tests.harness.kubernetes import Kube, Operator
from tests.harness.openstack import until

HOST = "cmp1"
MANAGER = "kubectl-quiesce"


def service_status(cloud: Cloud) -> str:
    with cloud.clock.lock:
        found = cloud.state.service_of(HOST)
        return "deleted" if found is None else "disabled" if found.disabled else "enabled"


def migrations(cloud: Cloud) -> int:
    with cloud.clock.lock:
        return len(cloud.state.migrations)


def shown(someone: Person) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(someone.run("status", HOST, "-o", "json").stdout)
    return found


def held(someone: Person) -> list[str]:
    return [row["name"] for row in shown(someone).get("problems", ())]


def written_by_the_plugin(kube: Kube, namespace: str) -> dict[str, Any]:
    found = kube.get(f"cnd/{HOST}", namespace)
    assert found is not None
    rows = kube.kubectl(
        "get", f"cnd/{HOST}", "-n", namespace, "-o", "json", "--show-managed-fields"
    ).stdout
    fields: dict[str, Any] = {}
    for row in json.loads(rows)["metadata"]["managedFields"]:
        if row["manager"] == MANAGER:
            fields |= row["fieldsV1"]
    return fields


@pytest.mark.timeout(300)
def test_a_person_drains_and_restores_a_host(
    kube: Kube, namespace: str, stand_in: Cloud, operator: Operator, editor: Person
) -> None:
    # Nothing is there, and a plan changes nothing.
    assert editor.does("status").startswith("no drains")
    plan = editor.does("plan", HOST)
    assert [line.split()[1] for line in plan.splitlines() if "-migrate" in line] == ["3", "2"]
    rows = [line.split()[:3] for line in plan.splitlines() if line.startswith("web-")]
    assert ["web-0", "ACTIVE", "live"] in rows
    assert ["web-3", "SHUTOFF", "cold"] in rows
    assert editor.does("status").startswith("no drains")
    assert (service_status(stand_in), migrations(stand_in)) == ("enabled", 0)

    # A drain, once.
    flags = ("--method", "LiveThenCold", "--confirm", "Manual", "--after-drain", "KeepDisabled")
    assert f"drain {HOST} created" in editor.does("drain", HOST, *flags)
    assert f"{HOST} has a drain already" in editor.fails("drain", HOST, *flags)

    # Watched until its end, through two decisions.
    watching = editor.begin("status", HOST, "--watch")
    lines: list[str] = []
    reader = threading.Thread(target=lambda: lines.extend(watching.stdout or ()), daemon=True)
    reader.start()
    until("both cold moves held", lambda: held(editor) == ["web-3", "web-4"], timeout=90)
    assert "web-4  AwaitingDecision" in editor.run("status", HOST).stdout
    assert "Suspended: " in editor.does("suspend", HOST)
    assert "AwaitingDecision" in editor.does("resume", HOST)
    assert "new set of tries" in editor.does("retry", HOST)
    assert "web-3: Confirm" in editor.does("confirm", HOST, "web-3")
    assert "web-4: Confirm" in editor.does("confirm", HOST, "--all")
    assert watching.wait(timeout=120) == 0
    reader.join(timeout=10)
    said = "".join(lines)
    assert "web-4 NEEDS A PERSON: AwaitingDecision" in said
    assert f"{namespace}/{HOST} Drained 5/5" in said

    # Only what the docs tell a person to write was written.
    fields = written_by_the_plugin(kube, namespace)
    assert set(fields) == {"f:metadata", "f:spec"}
    assert set(fields["f:metadata"]["f:annotations"]) - {"."} == {"f:quiesce.dev/requestedAt"}

    # kubectl completes its name; nobody can be asked here; and it is given back.
    completed = editor.kube.kubectl("__complete", "quiesce", "restore", "").stdout
    assert completed.splitlines()[0].startswith(f"{HOST}\t")
    assert "add --yes" in editor.fails("restore", HOST, code=2)
    assert service_status(stand_in) == "disabled"
    assert f"drain {HOST} is gone" in editor.does("restore", HOST, "--yes")
    assert service_status(stand_in) == "enabled"
    assert operator.healthy()


@pytest.mark.timeout(300)
def test_a_person_has_a_server_rolled_back_and_tried_again(
    kube: Kube, namespace: str, stand_in: Cloud, operator: Operator, editor: Person
) -> None:
    def reasons() -> dict[str, str]:
        return {row["name"]: row["reason"] for row in shown(editor).get("problems", ())}

    both = {"web-3": "AwaitingDecision", "web-4": "AwaitingDecision"}
    flags = ("--method", "LiveThenCold", "--confirm", "Manual", "--after-drain", "KeepDisabled")
    editor.does("drain", HOST, *flags)
    until("both cold moves held", lambda: reasons() == both, timeout=90)

    assert "add --yes" in editor.fails("revert", HOST, "web-3", code=2)
    assert "web-3: Revert" in editor.does("revert", HOST, "web-3", "--yes")
    until("web-3 back", lambda: reasons() == both | {"web-3": "Reverted"}, timeout=90)
    assert "rolled back" in editor.does("explain", "Reverted")
    # A new set of tries for all leaves alone what a person has decided.
    editor.does("retry", HOST)
    assert reasons() == both | {"web-3": "Reverted"}
    editor.does("retry", HOST, "web-3")
    until("both held again", lambda: reasons() == both, timeout=90)
    editor.does("confirm", HOST, "--all")
    until("drained", lambda: shown(editor)["phase"] == "Drained", timeout=90)
    assert operator.healthy()


def test_a_viewer_sees_all_and_is_told_which_role_is_missing(
    kube: Kube, namespace: str, viewer: Person
) -> None:
    drain = {
        "apiVersion": "quiesce.dev/v1alpha1",
        "kind": "ComputeNodeDrain",
        "metadata": {"name": HOST},
        "spec": {"host": HOST, "migration": {"method": "Cold"}},
    }
    kube.apply(drain, namespace=namespace)
    assert f"{HOST}   {HOST}   New" in viewer.does("status")
    for words in (("suspend", HOST), ("retry", HOST), ("restore", HOST, "--yes"), ("plan", "cmp2")):
        said = viewer.fails(*words)
        assert "needs the role quiesce-drain-editor" in said
        assert f"kubectl -n {namespace} create rolebinding" in said
    assert "quiesce-viewer in all namespaces" in viewer.fails("status", "-A")
    found = kube.get(f"cnd/{HOST}", namespace)
    assert found is not None
    assert found["spec"]["suspend"] is False
    assert "annotations" not in found["metadata"] or not any(
        "requestedAt" in name for name in found["metadata"]["annotations"]
    )


def test_a_live_page_ends_cleanly_with_ctrl_c(kube: Kube, namespace: str, viewer: Person) -> None:
    master, terminal = os.openpty()
    viewer.kube.environment["TERM"] = "xterm"
    watching = viewer.begin("status", "--watch", out=terminal)
    os.close(terminal)
    seen = bytearray()

    def read(until_seen: bytes) -> None:
        while until_seen not in seen:
            seen.extend(os.read(master, 4096))

    read(b"no drains in namespace")
    watching.send_signal(signal.SIGINT)
    assert watching.wait(timeout=30) == 130
    read(b"\x1b[?25h")  # the cursor is shown again
    assert b"Traceback" not in seen
    os.close(master)


def test_a_drain_that_nobody_answers_is_reported(
    kube: Kube, namespace: str, editor: Person
) -> None:
    said = editor.fails("drain", HOST, "--method", "Cold", "--wait", "1s")
    assert f"does it watch the namespace {namespace}" in said
