"""The page docs/promises.md: which tests hold each promise of docs/safety.md.

    PYTHONPATH=operator python -m tools.promises > docs/promises.md

Promises are where docs/safety.md has an id. Tests name theirs with the marker `promise`, scenarios
of the model where they are defined; a mutant has those of the scenario that has to notice it.
"""

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
SAFETY = ROOT / "docs" / "safety.md"
STORIES = ("tests/e2e/", "tests/hypervisors/")
PROMISE = re.compile(
    r'<a id="(never-\d+|always-\d+)"></a>`\1` (.+?)(?=\n\n|\n\d+\. |\n\* )', re.DOTALL
)
BOLD = re.compile(r"\*\*(.+?)\*\*")
SENTENCE = re.compile(r"((?:`[^`]*`|[^`])+?[.:])(?= |$)")

INTRODUCTION = """\
# Promises

Which tests hold each promise of [safety](safety.md). Made by `python -m tools.promises`; do not
edit it.

A *story* runs on the real API server and the real Nova. A *scenario* is a history on the model of
Nova, with every request watched (`tests/model/test_scenarios.py`). A *mutant* is the operator with
the promise broken on purpose: its scenario has to fail. Besides, random histories check all
promises (`tests/model/test_model.py`)."""


@dataclass
class Promise:
    """`text`: how it begins. Tests by their names as pytest takes them."""

    id: str
    text: str
    stories: list[str] = field(default_factory=list)
    scenarios: list[str] = field(default_factory=list)
    mutants: list[str] = field(default_factory=list)
    tests: list[str] = field(default_factory=list)


def promises() -> dict[str, Promise]:
    """All of docs/safety.md, in its order, with their tests. Raises KeyError for an unknown id."""
    # Not at the top: they load the operator, which the rest of this module does not need.
    from tests.model.test_more_mutants import MORE_MUTANTS
    from tests.model.test_mutants import MUTANTS
    from tests.model.test_scenarios import PROMISES

    found = {id_: Promise(id_, text) for id_, text in declared()}
    for test, ids in marked_tests():
        for id_ in ids:
            promise = found[id_]
            (promise.stories if test.startswith(STORIES) else promise.tests).append(test)
    for scenario, ids in PROMISES.items():
        for id_ in ids:
            found[id_].scenarios.append(scenario)
    for mutant, (_, scenario) in {**MUTANTS, **MORE_MUTANTS}.items():
        for id_ in PROMISES[scenario]:
            found[id_].mutants.append(mutant)
    return found


def declared() -> Iterator[tuple[str, str]]:
    """(id, what is bold at its beginning, else the first sentence) of every promise."""
    for id_, paragraph in PROMISE.findall(SAFETY.read_text()):
        text = re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", " ".join(paragraph.split()))
        beginning = BOLD.match(text) or SENTENCE.match(text)
        yield id_, (beginning[1] if beginning else text).rstrip(".:")


def marked_tests() -> Iterator[tuple[str, tuple[str, ...]]]:
    """(file::test, ids) of every test with the marker, by file and in the order of the file."""
    for file in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef):
                ids = tuple(id_ for mark in node.decorator_list for id_ in ids_of(mark))
                if ids:
                    yield f"{file.relative_to(ROOT)}::{node.name}", ids


def ids_of(decorator: ast.expr) -> Iterator[str]:
    """Of `@pytest.mark.promise("never-1", …)`; of any other decorator none."""
    if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.promise":
        for argument in decorator.args:
            yield ast.literal_eval(argument)


def page() -> str:
    return "\n".join(lines())


def lines() -> Iterator[str]:
    yield INTRODUCTION
    for promise in promises().values():
        yield ""
        yield f"## {promise.id}"
        yield ""
        yield f"{promise.text} ([in full](safety.md#{promise.id}))."
        yield ""
        yield from listed("Stories", [code(test) for test in promise.stories])
        yield from listed("Scenarios", [code(scenario) for scenario in promise.scenarios])
        yield from listed("Mutants", promise.mutants)
        yield from listed("Other tests", [code(test) for test in promise.tests])


def listed(title: str, names: list[str]) -> Iterator[str]:
    if names:
        yield f"* {title}:"
        yield from (f"  * {name}" for name in names)


def code(name: str) -> str:
    return f"`{name}`"


def main() -> int:
    print(page())
    return 0


if __name__ == "__main__":
    sys.exit(main())
