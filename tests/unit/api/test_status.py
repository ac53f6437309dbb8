"""The typed status: what it writes it reads again, so that an unchanged drain writes nothing."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.unit.drain.build import observed, server
from tests.unit.drain.test_report import SIGHTS, shown

from quiesce.api.drain.reasons import DrainReason, Phase, ServerReason, Stage
from quiesce.api.drain.record import Record
from quiesce.api.drain.status import DrainStatus

ROOT = Path(__file__).parents[3]
CRD = yaml.safe_load((ROOT / "crds" / "quiesce.dev_computenodedrains.yaml").read_text())
SCHEMA = CRD["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]
FULL = observed([server("s1"), server("s2", "SUSPENDED")])


@pytest.mark.parametrize("name", SIGHTS)
def test_what_is_written_is_read_again(name: str) -> None:
    status = shown(name)
    assert DrainStatus.read(status).to_json() == status


def paths(schema: dict[str, Any], prefix: str = "") -> set[str]:
    """Every field of a schema, such as `moving[].id`."""
    found = set()
    for name, inner in schema.get("properties", {}).items():
        items = inner.get("items", inner)
        path = f"{prefix}{name}{'[]' if 'items' in inner else ''}"
        found |= {path} | paths(items, f"{path}.")
    return found


def written(value: Any, prefix: str = "") -> set[str]:
    found = set()
    for name, inner in value.items():
        rows = inner if isinstance(inner, list) else [inner]
        path = f"{prefix}{name}{'[]' if isinstance(inner, list) else ''}"
        found.add(path)
        for row in rows:
            if isinstance(row, dict):
                found |= written(row, f"{path}.")
    return found


def test_every_field_that_is_written_is_in_the_crd() -> None:
    """The API server drops a field that its schema does not know, without a word."""
    found = set().union(*(written(shown(name)) for name in SIGHTS))
    assert found - paths(SCHEMA) == set()


def test_every_phase_of_the_crd_is_one_of_the_program_and_no_other() -> None:
    assert set(SCHEMA["properties"]["phase"]["enum"]) == set(Phase)


def test_the_contract_lists_every_field_that_is_read_back() -> None:
    """docs/contract.md, the CRD and the record speak of the same fields."""
    page = (ROOT / "docs" / "contract.md").read_text()
    read: set[str] = set()

    class Watching(dict[str, Any]):
        def __init__(self, prefix: str = "") -> None:
            super().__init__()
            self.prefix = prefix

        def get(self, key: str, default: Any = None) -> Any:
            read.add(self.prefix + key)
            inner = key in ("service", "progress")
            return Watching(f"{self.prefix}{key}.") if inner else default

    Record.read(Watching())
    in_schema = {path.replace("[]", "") for path in paths(SCHEMA)}
    assert read - in_schema == set()
    missing = {path for path in read if f"`{path}" not in page} - {"service", "progress"}
    assert missing - {"moving", "problems", "conditions"} == set()


@pytest.mark.parametrize("word", [*DrainReason, *ServerReason, *Stage, *Phase], ids=str)
def test_every_word_of_the_status_is_explained(word: str) -> None:
    assert f"`{word}`" in (ROOT / "docs" / "status.md").read_text()
