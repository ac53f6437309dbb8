"""The documentation matches the code: links, manifests, reasons, flags, metrics and versions."""

import ast
import importlib
import re
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import yaml

from quiesce import __version__
from quiesce.api.drain.spec import DrainSpec
from quiesce.api.keyring.spec import KeyringSpec
from quiesce.exits import Exit
from quiesce.ops import metrics
from quiesce.settings import _OPTIONS

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "operator" / "quiesce"
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "tests" / "beds").glob("*/README.md"),
    ]
)
SPECS: dict[str, type[DrainSpec] | type[KeyringSpec]] = {
    "ComputeNodeDrain": DrainSpec,
    "MigrationKeyring": KeyringSpec,
}
LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")
WORD = re.compile(r"[A-Z][a-z]+([A-Z]+[a-z]*)*")
REASONS = "quiesce.api.drain.reasons"
"""A module of enums, one value a reason."""
ALSO = ("drain/report/status.py", "drain/act/host.py", "api/errors.py", "ssh/errors.py")
NOT_SHOWN = frozenset({"True", "False", "NoValidHost", "MaxRetriesExceeded"})
"""The last two are searched for in Nova's messages."""


def identify(page: Path) -> str:
    return str(page.relative_to(ROOT))


def anchors(page: Path) -> set[str]:
    """As code forges make them of headings (lower case, no punctuation, hyphens), and named
    ones.
    """
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    made = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    return made | set(re.findall(r'<a id="([\w-]+)">', page.read_text()))


def blocks(page: Path, language: str) -> Iterator[str]:
    """Also those within lists, which are indented."""
    pattern = rf"^( *)```{language}\n(.*?)^\1```"
    for _, text in re.findall(pattern, page.read_text(), re.MULTILINE | re.DOTALL):
        yield dedent(text)


@pytest.mark.parametrize("page", PAGES, ids=identify)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text()):
        if target.startswith(("http://", "https://")):
            continue
        name, _, anchor = target.partition("#")
        there = (page.parent / name).resolve() if name else page
        assert there.exists(), f"{target} is not there"
        assert not anchor or anchor in anchors(there), f"{target}: there is no such heading"


@pytest.mark.parametrize("page", PAGES, ids=identify)
def test_every_page_is_reached_from_the_index(page: Path) -> None:
    index = ROOT / "docs" / "index.md"
    reached = {
        (index.parent / target.partition("#")[0]).resolve()
        for target in LINK.findall(index.read_text())
    }
    assert index.parent not in page.parents or page == index or page in reached


def manifests() -> Iterator[tuple[str, dict[str, object]]]:
    texts = [(identify(page), text) for page in PAGES for text in blocks(page, "yaml")]
    examples = sorted((ROOT / "manifests" / "examples").glob("*.yaml"))
    texts += [(identify(file), file.read_text()) for file in examples]
    for name, text in texts:
        for document in yaml.safe_load_all(text):
            if isinstance(document, dict) and document.get("kind") in SPECS:
                yield name, document


@pytest.mark.parametrize(("name", "manifest"), list(manifests()))
def test_every_manifest_shown_is_valid(name: str, manifest: dict[str, object]) -> None:
    assert SPECS[str(manifest["kind"])].read(manifest["spec"]), name


def test_parts_of_manifests_shown_are_valid() -> None:
    whole = {"host": "compute-07", "migration": {"method": "Cold"}}
    parts = [yaml.safe_load(text) for page in PAGES for text in blocks(page, "yaml")]
    specs = [part["spec"] for part in parts if isinstance(part, dict) and set(part) == {"spec"}]
    assert specs
    for spec in specs:
        DrainSpec.read(whole | spec)


def reasons() -> set[str]:
    """Every value of the enums in REASONS."""
    module = vars(importlib.import_module(REASONS)).values()
    enums = [each for each in module if isinstance(each, type) and issubclass(each, Enum)]
    return {str(member.value) for enum in enums for member in enum}


def literals(*names: str) -> set[str]:
    """Every CamelCase word in these files."""
    constants = [
        node.value
        for name in names
        for node in ast.walk(ast.parse((SOURCE / name).read_text()))
        if isinstance(node, ast.Constant)
    ]
    words = {value for value in constants if isinstance(value, str) and WORD.fullmatch(value)}
    return words - NOT_SHOWN


def words_of_the_status() -> set[str]:
    """Every reason, phase and state that the status of a drain can show."""
    return reasons() | literals(*ALSO)


@pytest.mark.parametrize("word", sorted(words_of_the_status()))
def test_every_word_of_the_status_is_explained(word: str) -> None:
    assert f"`{word}`" in (ROOT / "docs" / "status.md").read_text()


def test_every_phase_of_the_crd_is_explained() -> None:
    crd = yaml.safe_load((ROOT / "crds" / "quiesce.dev_computenodedrains.yaml").read_text())
    status = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"][
        "properties"
    ]
    shown = (ROOT / "docs" / "status.md").read_text()
    assert [phase for phase in status["phase"]["enum"] if f"| `{phase}` |" not in shown] == []


def test_every_field_of_the_spec_is_named_in_the_usage() -> None:
    crd = yaml.safe_load((ROOT / "crds" / "quiesce.dev_computenodedrains.yaml").read_text())
    spec = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"][
        "properties"
    ]
    usage = (ROOT / "docs" / "usage.md").read_text()
    fields = [
        *spec,
        *spec["migration"]["properties"],
        *spec["servers"]["properties"],
        *spec["confirmation"]["properties"],
    ]
    assert [field for field in fields if f"`{field}" not in usage] == []


FIELD = re.compile(r"`(?:spec\.)?([a-z]\w*(?:\.(?!conf|yaml)[a-z]\w*)+)(?=[`:])")
"""Not a file such as nova.conf."""


def fields(schema: dict[str, Any], path: str = "") -> Iterator[str]:
    """Of a schema, each with its path: `migration`, `migration.method`."""
    for name, below in schema.get("properties", {}).items():
        yield path + name
        yield from fields(below, f"{path}{name}.")
        yield from fields(below.get("items", {}), f"{path}{name}.")


@pytest.mark.parametrize("page", PAGES, ids=identify)
def test_every_field_that_a_page_names_is_one(page: Path) -> None:
    there = set[str]()
    for file in (ROOT / "crds").glob("quiesce.dev_*.yaml"):
        (version,) = yaml.safe_load(file.read_text())["spec"]["versions"]
        whole = version["schema"]["openAPIV3Schema"]["properties"]
        there |= {*fields(whole["spec"]), *fields(whole["status"])}
    groups = {name.partition(".")[0] for name in there if "." in name}
    named = {name for name in FIELD.findall(page.read_text()) if name.partition(".")[0] in groups}
    assert named - there == set()


def test_every_flag_and_variable_is_listed() -> None:
    operations = (ROOT / "docs" / "operations.md").read_text()
    wanted = [word for option in _OPTIONS for word in (f"`{option.flag}", f"`{option.variable}`")]
    assert [word for word in wanted if word not in operations] == []


def test_every_exit_code_is_listed() -> None:
    operations = (ROOT / "docs" / "operations.md").read_text()
    assert [
        code.value
        for code in Exit
        if not re.search(rf"^\| {code.value} \|", operations, re.MULTILINE)
    ] == []


def test_every_metric_is_listed_and_no_other() -> None:
    """tests/monitoring compares their labels with a real scrape."""
    monitoring = (ROOT / "docs" / "monitoring.md").read_text()
    suffixes = {"counter": "_total", "info": "_info"}
    exposed = {
        f"{family.name}{suffixes.get(family.type, '')}"
        for family in metrics.REGISTRY.collect()
        if family.name.startswith("quiesce_")
    }
    assert set(re.findall(r"^\| `(quiesce_\w+)` \|", monitoring, re.MULTILINE)) == exposed


def alerts() -> list[dict[str, Any]]:
    rules = yaml.safe_load((ROOT / "manifests" / "monitoring" / "prometheus-rule.yaml").read_text())
    return [rule for group in rules["spec"]["groups"] for rule in group["rules"]]


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert["alert"])
def test_every_alert_has_a_runbook_and_is_listed(alert: dict[str, Any]) -> None:
    page, _, anchor = alert["annotations"]["runbook_url"].partition("#")
    assert anchor == alert["alert"].lower()
    assert anchor in anchors(ROOT / page)
    assert (
        f"[`{alert['alert']}`](runbooks.md#{anchor})" in (ROOT / "docs/monitoring.md").read_text()
    )
    assert alert["labels"]["severity"] in ("critical", "warning")
    assert alert["annotations"]["summary"] and alert["annotations"]["description"]


def test_every_runbook_is_of_an_alert() -> None:
    headings = re.findall(r"^## (.+)$", (ROOT / "docs/runbooks.md").read_text(), re.MULTILINE)
    assert sorted(headings) == sorted(alert["alert"] for alert in alerts())


def test_every_text_that_names_a_version_names_this_one() -> None:
    files = [*PAGES, ROOT / "Containerfile", *(ROOT / "manifests").rglob("*.yaml")]
    named = {
        (identify(file), version)
        for file in files
        for version in re.findall(r"(?:quiesce:|newTag: )(\d+\.\d+\.\d+)", file.read_text())
    }
    assert {version for _, version in named} == {__version__}, sorted(named)
    chart = yaml.safe_load((ROOT / "chart" / "Chart.yaml").read_text())
    assert (chart["version"], chart["appVersion"]) == (__version__, __version__)


def test_the_readme_shows_make_targets_that_exist() -> None:
    made = set(re.findall(r"^([a-z0-9-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))
    shown = {
        target
        for page in PAGES
        for target in re.findall(
            r"`?\bmake ([a-z][a-z0-9-]+)\b(?=[`\s;:]|$)", "\n".join(code(page))
        )
    }
    assert shown - made == set()


def code(page: Path) -> Iterator[str]:
    text = page.read_text()
    yield from blocks(page, "sh")
    yield from re.findall(r"`(make [^`]+)`", text)
