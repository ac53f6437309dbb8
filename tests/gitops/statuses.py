"""Objects in every phase, with statuses that the operator's own code wrote.

python -m tests.gitops.statuses     # writes manifests/argocd from them and from health.lua
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from quiesce.api.errors import BadCredentials, CloudUnreachable
from quiesce.drain.model.observation import PlanReads
from quiesce.keyring.model import HostFailure, HostRecord, Rotation, RotationStep
from quiesce.keyring.report import problem_status, removal_status, timestamp
from tests.unit.drain.build import replace, status_of
from tests.unit.drain.test_report import SIGHTS, shown, troubled
from tests.unit.keyring.test_report import NOTHING, NOW, fail, fleet, reported

ARGOCD = Path(__file__).parents[2] / "manifests" / "argocd"
SCRIPTS = ARGOCD / "resource_customizations"
PATCH = ARGOCD / "health-checks.yaml"
GROUP = "quiesce.dev"
DRAIN, KEYRING = "ComputeNodeDrain", "MigrationKeyring"
NEW: Mapping[str, Any] = {"observedGeneration": -1}  # the CRD's default

FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")

Json = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """`example`: Argo CD's status, of one that is in its test data too."""

    kind: str
    name: str
    object: Json
    example: str = ""

    @property
    def ready(self) -> Json:
        found: Json = next(
            (each for each in self.object["status"]["conditions"] if each["type"] == "Ready"), {}
        )
        return found


def thing(kind: str, status: Mapping[str, Any], generation: int, deleting: bool) -> Json:
    """The same in each run: without the fingerprint of the key that this run has made."""
    status = json.loads(FINGERPRINT.sub(f"SHA256:{'0' * 43}", json.dumps(status)))
    metadata: Json = {"name": "compute-07", "namespace": "openstack", "generation": generation}
    if deleting:
        metadata["deletionTimestamp"] = "2026-03-01T12:00:00Z"
        metadata["finalizers"] = [f"{GROUP}/drain" if kind == DRAIN else f"{GROUP}/keyring"]
    spec: Json = {"host": "cmp1", "migration": {"method": "Cold"}} if kind == DRAIN else {}
    return {
        "apiVersion": f"{GROUP}/v1alpha1",
        "kind": kind,
        "metadata": metadata,
        "spec": spec,
        "status": status,
    }


EXAMPLES = {  # sights of a drain that Argo CD's test data show
    "moving": "Progressing",
    "wait": "Progressing",
    "deleted": "Healthy",
    "kept": "Healthy",
    "blocked": "Degraded",
    "suspended": "Suspended",
}


def planned() -> Json:
    """The status of a plan that is made."""
    sight, asked, record, _ = SIGHTS["plan"]
    reads = PlanReads(None)
    return status_of(replace(sight, plan=reads), asked, record)


def drains() -> Iterator[Case]:
    for name, (_, _, _, deleting) in SIGHTS.items():
        example = EXAMPLES.get(name, "")
        yield Case(DRAIN, name, thing(DRAIN, shown(name), 1, bool(deleting)), example)
    for name, problem in (
        ("cloud down", CloudUnreachable("down")),
        ("credentials rejected", BadCredentials("rejected")),
    ):
        yield Case(DRAIN, name, thing(DRAIN, troubled(problem, shown("moving"), 1), 1, False))
    yield Case(DRAIN, "planned", thing(DRAIN, planned(), 1, False), "Healthy")


def keyrings() -> Iterator[Case]:
    failing, removing, begun = fleet(), fleet(), fleet() | {"cmp3": HostRecord()}
    fail(failing, "cmp2", HostFailure("HostKeyChanged", "the host key has changed", True))
    step = Rotation(RotationStep.USE, ("cmp1",))
    down = problem_status(CloudUnreachable("down"), NOTHING, 4).as_json(NOTHING, timestamp(NOW))
    removal = removal_status(removing, NOTHING, 4).as_json(NOTHING, timestamp(NOW))
    for name, status, deleting, example in (
        ("installed", reported(fleet()), False, "Healthy"),
        ("begun", reported(begun), False, "Progressing"),
        ("failing", reported(failing), False, "Degraded"),
        ("rotating", reported(fleet(), step=step), False, "Progressing"),
        ("cloud down", down, False, ""),
        ("removing", removal, True, ""),
    ):
        yield Case(KEYRING, name, thing(KEYRING, status, 4, deleting), example)


CASES = (*drains(), *keyrings())


def layout() -> dict[Path, str]:
    """What is derived, by path: test data in Argo CD's layout, and the patch of argocd-cm."""
    files = {PATCH: _patch()}
    for kind in (DRAIN, KEYRING):
        folder, tests = SCRIPTS / GROUP / kind, []
        for case in (case for case in CASES if case.kind == kind and case.example):
            name = f"testdata/{case.example.lower()}_{case.name}.yaml"
            files[folder / name] = _yaml(case.object)
            tests.append(_test(case.example, case.ready["message"], name))
        for name, generation, status in (
            ("testdata/progressing_new.yaml", 1, NEW),
            ("testdata/progressing_edited.yaml", 9, _healthy(kind)),
        ):
            text = yaml.safe_dump(
                thing(kind, status, generation, False), sort_keys=False, width=100
            )
            files[folder / name] = text
            tests.append(_test("Progressing", "waiting for the operator", name))
        files[folder / "health_test.yaml"] = _yaml({"tests": tests})
    return files


def _yaml(content: Json) -> str:
    return yaml.safe_dump(content, sort_keys=False, width=100)


def _healthy(kind: str) -> Json:
    found: Json = next(
        case.object["status"] for case in CASES if (case.kind, case.example) == (kind, "Healthy")
    )
    return found


def _test(status: str, message: str, path: str) -> Json:
    return {"healthStatus": {"status": status, "message": message}, "inputPath": path}


def _patch() -> str:
    head = "# kubectl -n argocd patch configmap argocd-cm --patch-file health-checks.yaml\ndata:\n"
    return head + "".join(
        f"  resource.customizations.health.{GROUP}_{kind}: |\n{_indented(kind)}"
        for kind in (DRAIN, KEYRING)
    )


def _indented(kind: str) -> str:
    script = (SCRIPTS / GROUP / kind / "health.lua").read_text()
    return "".join(f"    {line}\n" for line in script.splitlines())


def main() -> None:
    for path, text in layout().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


if __name__ == "__main__":
    main()
