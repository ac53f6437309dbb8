"""The page docs/threat-tests.md: which tests show how each threat of docs/threat-model.md is met.

    python -m tools.threats > docs/threat-tests.md

Findings are where docs/threat-model.md has a row with an id; S1 and on are what was found sound,
and has to stay so. Tests name theirs with the marker `finding`: on a test, on one of its cases, or
on a whole file (`pytestmark`).
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
MODEL = ROOT / "docs" / "threat-model.md"
ROW = re.compile(r"^\| ([CHMLS]\d+) \| (.+?) \| .+ \|$", re.MULTILINE)

INTRODUCTION = """\
# Threat tests

Which tests show how each threat of the [threat model](threat-model.md) is met, and that what was
found sound (S1 and on) still is. Made by `python -m tools.threats`; do not edit it."""


def findings() -> list[tuple[str, str]]:
    """(id, threat) of every row of docs/threat-model.md, the gravest first."""
    rows = ROW.findall(MODEL.read_text())
    return sorted(rows, key=lambda row: ("CHMLS".index(row[0][0]), int(row[0][1:])))


def tests() -> dict[str, list[str]]:
    """Finding: its tests as `file::test`, or `file` where all of a file's are."""
    found: dict[str, list[str]] = {}
    for file in sorted((ROOT / "tests").rglob("*.py")):
        for name, ids in marked(ast.parse(file.read_text())):
            for id_ in ids:
                found.setdefault(id_, []).append(f"{file.relative_to(ROOT)}{name}")
    return found


def marked(module: ast.Module) -> Iterator[tuple[str, set[str]]]:
    """(::test, ids) of every test with the marker; the name is empty for a whole file."""
    for node in module.body:
        if isinstance(node, ast.FunctionDef):
            ids = {id_ for decorator in node.decorator_list for id_ in ids_in(decorator)}
            if ids:
                yield f"::{node.name}", ids
        elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark":
            yield "", set(ids_in(node.value))


def ids_in(node: ast.AST) -> Iterator[str]:
    """Of every `pytest.mark.finding("C1", …)` in it."""
    for each in ast.walk(node):
        if isinstance(each, ast.Call) and ast.unparse(each.func) == "pytest.mark.finding":
            yield from (ast.literal_eval(argument) for argument in each.args)


def page() -> str:
    lines, by_id = [INTRODUCTION], tests()
    for id_, threat in findings():
        lines += ["", f"## {id_}", "", f"{threat[0].upper()}{threat[1:]}.", ""]
        lines += [f"* `{name}`" for name in by_id.get(id_, ())]
    return "\n".join(lines)


def main() -> int:
    print(page())
    return 0


if __name__ == "__main__":
    sys.exit(main())
