"""The manifests of these stories as data: what users write, and a status of the operator's."""

import copy
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.harness.kubernetes import Kube

ROOT = Path(__file__).parents[3]
EXAMPLES = sorted((ROOT / "manifests" / "examples").glob("*.yaml"))
SERVER = "7f3c1c52-9d5f-4c0b-8a53-0d2f6f7a1b01"
OTHER_SERVER = "7f3c1c52-9d5f-4c0b-8a53-0d2f6f7a1b02"


def drain(spec: dict[str, Any] | None = None, name: str = "compute-07") -> dict[str, Any]:
    """The smallest manifest that works; `spec` (an RFC 7386 merge patch) is merged into it."""
    smallest = {"host": "compute-07.example.org", "migration": {"method": "Cold"}}
    return {
        "apiVersion": "quiesce.dev/v1alpha1",
        "kind": "ComputeNodeDrain",
        "metadata": {"name": name},
        "spec": merged(smallest, spec or {}),
    }


def merged(base: Any, patch: Any) -> Any:
    """RFC 7386: as `kubectl patch --type=merge` does it."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    out = dict(base) if isinstance(base, dict) else {}
    for key, value in patch.items():
        if value is None:
            out.pop(key, None)
        else:
            out[key] = merged(out.get(key), value)
    return out


def at(path: str, value: Any) -> dict[str, Any]:
    """`at("migration.attempts", 5)` -> {"migration": {"attempts": 5}}"""
    for part in reversed(path.split(".")):
        value = {part: value}
    return dict(value)


def look(document: Any, path: str) -> Any:
    """The value at a dotted path; None where there is none."""
    for part in path.split("."):
        document = (document or {}).get(part)
    return document


def read(kube: Kube, namespace: str, name: str = "compute-07") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        kube.kubectl("get", "cnd", name, "-n", namespace, "-o", "json").stdout
    )
    return found


def schema(kube: Kube, part: str) -> dict[str, Any]:
    """`part` (spec or status) of the schema that the API server serves."""
    crd = json.loads(
        kube.kubectl("get", "crd", "computenodedrains.quiesce.dev", "-o", "json").stdout
    )
    (version,) = crd["spec"]["versions"]
    found: dict[str, Any] = version["schema"]["openAPIV3Schema"]["properties"][part]
    return found


def fields(node: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every field below a schema node: ("moving[].id", its schema)."""
    for name, child in node.get("properties", {}).items():
        here = f"{path}.{name}" if path else name
        yield here, child
        if "items" in child:
            here, child = f"{here}[]", child["items"]
            yield here, child
        yield from fields(child, here)


def write_status(
    kube: Kube, namespace: str, status: dict[str, Any], *flags: str, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """As the operator writes it: server-side apply, whole, of the status alone."""
    document = drain() | {"status": status}
    del document["spec"]
    return kube.kubectl(
        "apply", "-n", namespace, "--server-side",
        "--subresource=status", "--field-manager=quiesce",
        "--force-conflicts", "-f", "-", *flags, stdin=json.dumps(document), check=check,
    )  # fmt: skip


def condition(type_: str, status: str, reason: str) -> dict[str, Any]:
    return {
        "type": type_,
        "status": status,
        "reason": reason,
        "message": f"why {type_} is {status}",
        "lastTransitionTime": "2026-01-02T03:04:05Z",
        "observedGeneration": 1,
    }


FULL_STATUS: dict[str, Any] = {
    "cloud": "0123456789abcdef0123456789abcdef",
    "observedGeneration": 1,
    "phase": "Draining",
    "message": "moving 1 of 40 servers; 1 blocked: db-3 (suspended)",
    "conditions": [
        condition("Ready", "False", "Draining"),
        condition("Reconciling", "True", "Draining"),
        condition("ServiceDisabled", "True", "Disabled"),
        condition("Drained", "True", "Empty"),
    ],
    "service": {
        "id": "1c5b0d0e-4d55-4f2c-9c6a-3ad2f6b0f0aa",
        "status": "disabled",
        "state": "up",
        "foundId": "1c5b0d0e-4d55-4f2c-9c6a-3ad2f6b0f0aa",
        "foundStatus": "disabled",
        "foundReason": "waiting for a new fan",
        "foundUnit": "running enabled",
        "node": "compute-07.example.org",
        "address": "192.0.2.7",
    },
    "foundAggregates": [{"id": 3, "name": "az-north"}],
    "progress": {
        "summary": "12/40",
        "total": 40,
        "moved": 11,
        "offloaded": 1,
        "moving": 1,
        "waiting": 26,
        "blocked": 1,
        "percent": 30,
    },
    "moving": [
        {
            "id": SERVER,
            "name": "web-1",
            "method": "cold",
            "state": "migrating",
            "percent": 63,
            "bytesPerSecond": 117440512,
            "destination": "compute-08.example.org",
            "attempt": 1,
            "since": "2026-01-02T03:04:05Z",
            "was": "ACTIVE",
        }
    ],
    "problems": [
        {
            "id": OTHER_SERVER,
            "name": "db-3",
            "reason": "Suspended",
            "message": "suspended; Nova cannot migrate it in this state",
            "remedies": ["Set servers.suspended: Resume"],
            "attempts": 0,
            "since": "2026-01-02T03:04:05Z",
            "was": "SUSPENDED",
        }
    ],
    "problemsOmitted": 2,
    "plan": {
        "live": 30,
        "cold": 9,
        "offload": 1,
        "blocked": 1,
        "capacity": "Fits",
        "estimatedSeconds": 1800,
        "reasons": [{"reason": "Suspended", "count": 1, "message": "db-3 is suspended"}],
        "servers": [
            {
                "id": SERVER,
                "name": "db-3",
                "status": "SUSPENDED",
                "action": "none",
                "message": "Suspended: suspended; Nova cannot migrate it in this state",
            }
        ],
        "serversOmitted": 3,
    },
    "tries": [
        {
            "id": SERVER,
            "was": "ACTIVE",
            "method": "cold",
            "attempt": 1,
            "since": "2026-01-02T03:04:05Z",
            "idlePorts": ["5f0e6a86-0b0e-4c0e-9d5e-1f4a8b9b7c11"],
        }
    ],
    "arrivedOff": [{"migration": 4813, "since": "2026-01-02T03:04:05Z"}],
    "startTime": "2026-01-02T03:04:05Z",
    "drainedTime": "2026-01-02T04:04:05Z",
    "completionTime": "2026-01-02T04:05:05Z",
    "foundMigration": 4711,
    "foundInFlight": [4702, 4711],
    "attemptsFrom": 4812,
    "lastHandledRequestedAt": "2026-01-02T03:30:00Z",
}
