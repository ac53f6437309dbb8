"""What users write is bounded by the API server already."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

CRDS = sorted((Path(__file__).parents[3] / "crds").glob("quiesce.dev_*.yaml"))


def unbounded(schema: dict[str, Any], path: str) -> Iterator[str]:
    """Every field without a limit of its size, with what it lacks."""
    kind = schema.get("type")
    known = "enum" in schema or schema.get("format") == "date-time"
    if kind == "string" and not known and "maxLength" not in schema:
        yield f"{path}: maxLength"
    if kind == "string" and not known and path.startswith("spec") and "pattern" not in schema:
        yield f"{path}: pattern"
    if kind == "array":
        yield from [] if "maxItems" in schema else [f"{path}: maxItems"]
        yield from unbounded(schema["items"], f"{path}[]")
    if isinstance(schema.get("additionalProperties"), dict):
        yield from [] if "maxProperties" in schema else [f"{path}: maxProperties"]
        yield from unbounded(schema["additionalProperties"], f"{path}{{}}")
    for name, inner in schema.get("properties", {}).items():
        yield from unbounded(inner, f"{path}.{name}")


@pytest.mark.finding("L2", "M9", "S7")
@pytest.mark.parametrize("file", CRDS, ids=lambda file: file.stem)
@pytest.mark.parametrize("part", ["spec", "status"])
def test_every_string_list_and_map_has_a_limit(file: Path, part: str) -> None:
    version = yaml.safe_load(file.read_text())["spec"]["versions"][0]
    schema = version["schema"]["openAPIV3Schema"]["properties"][part]
    assert list(unbounded(schema, part)) == []


def references(schema: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every field that names another object, by the ending of its name."""
    for name, inner in schema.get("properties", {}).items():
        if name.endswith("Ref"):
            yield f"{path}.{name}", inner
        yield from references(inner, f"{path}.{name}")


@pytest.mark.finding("S5")
@pytest.mark.parametrize("file", CRDS, ids=lambda file: file.stem)
def test_no_reference_leads_to_another_namespace(file: Path) -> None:
    version = yaml.safe_load(file.read_text())["spec"]["versions"][0]
    schema = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    found = dict(references(schema, "spec"))
    assert found
    for path, reference in found.items():
        assert "namespace" not in reference["properties"], path
        for name, field in reference["properties"].items():
            assert "enum" in field or "/" not in field["pattern"], f"{path}.{name}"
