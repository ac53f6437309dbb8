"""The spec as a manifest has it. The defaults are those of the custom resource definition."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from quiesce.api.drain.spec import DrainSpec
from quiesce.api.errors import InvalidSpec

CRD = Path(__file__).parents[3] / "crds" / "quiesce.dev_computenodedrains.yaml"
LEAST = {"host": "cmp1", "migration": {"method": "Cold"}}


def test_the_least_manifest() -> None:
    spec = DrainSpec.read(LEAST)
    assert (spec.host, spec.migration.method, spec.migration.max_parallel) == ("cmp1", "Cold", 4)


def schema() -> dict[str, Any]:
    (version,) = yaml.safe_load(CRD.read_text())["spec"]["versions"]
    found: dict[str, Any] = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return found


def filled(node: dict[str, Any], value: dict[str, Any]) -> dict[str, Any]:
    """As the API server fills in defaults: of a property that is absent, then inside it."""
    out = dict(value)
    for name, child in node.get("properties", {}).items():
        if name not in out and "default" in child:
            out[name] = child["default"]
        if isinstance(out.get(name), dict):
            out[name] = filled(child, out[name])
    return out


def test_the_defaults_are_those_of_the_definition() -> None:
    stop = {
        "service": {"stop": {"kind": "Systemd", "name": "nova-compute"}}
    }  # for whileRunning: Stop alone
    assert DrainSpec.read(filled(schema(), LEAST)) == DrainSpec.read(LEAST | stop)


def names(node: dict[str, Any], prefix: str = "") -> set[str]:
    found = set()
    for name, child in node.get("properties", {}).items():
        found |= (
            {prefix + name}
            | names(child, f"{prefix}{name}.")
            | names(child.get("items", {}), f"{prefix}{name}.")
        )
    return found


def fields(model: Any, prefix: str = "") -> set[str]:
    """Names as in a manifest; below a field that is kept as it is, `*`."""
    found = set()
    for field in model.model_fields.values():
        name = prefix + (field.alias or "")
        found.add(name)
        for part in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if hasattr(part, "model_fields"):
                found |= fields(part, f"{name}.")
            elif getattr(part, "__origin__", None) is dict:
                found.add(f"{name}.*")
    return found


def test_every_field_of_the_definition_is_known_and_no_other() -> None:
    known = fields(DrainSpec)
    whole = tuple(name.removesuffix("*") for name in known if name.endswith(".*"))
    defined = {name for name in names(schema()) if not whole or not name.startswith(whole)}
    assert {name for name in known if not name.endswith(".*")} == defined


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"host": None}, "spec.host: "),
        ({"migration": {}}, "spec.migration.method: Field required"),
        ({"migration": {"method": "Warm"}}, "spec.migration.method: "),
        (
            {"migration": {"method": "Cold", "timeout": "soon"}},
            "'soon' is not a duration: write a number and a unit",
        ),
        ({"newField": 1}, "spec.newField: "),
        ({"servers": {"paused": "Move"}}, "spec.servers.paused: "),
        (
            {"confirmation": {"decisions": [{"server": "a", "action": "Maybe"}]}},
            "spec.confirmation.decisions.0.action: ",
        ),
    ],
)
def test_a_fault_names_its_field(change: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidSpec) as found:
        DrainSpec.read(LEAST | change)
    assert said in str(found.value)


def test_all_faults_are_named_at_once() -> None:
    with pytest.raises(InvalidSpec, match=r"spec\.host.*spec\.migration"):
        DrainSpec.read({})


def test_durations_are_read_in_seconds() -> None:
    spec = DrainSpec.read(
        LEAST
        | {
            "migration": {"method": "Cold", "timeout": "1h30m"},
            "confirmation": {"checks": {"soak": "90s"}},
        }
    )
    assert (spec.migration.timeout, spec.confirmation.checks.soak) == (5400, 90)


def test_a_decision_is_found_by_its_server() -> None:
    spec = DrainSpec.read(
        LEAST | {"confirmation": {"decisions": [{"server": "a", "action": "Revert"}]}}
    )
    assert spec.confirmation.decision_for("a") == "Revert"
    assert spec.confirmation.decision_for("b") is None
