"""docs/field-cases.md names tests that exist, and every case has one with the marker."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "field-cases.md").read_text()
CASES = re.findall(r"^\| ([FD]\d+) \|", PAGE, re.MULTILINE)


def marked() -> Iterator[object]:
    """The cases of every `@pytest.mark.field_case("F1", …)`."""
    for file in sorted((ROOT / "tests").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("mark.field_case"):
                yield from (a.value for a in node.args if isinstance(a, ast.Constant))


def test_every_case_has_a_row_and_a_test() -> None:
    assert len(CASES) == len(set(CASES)) > 30
    assert set(marked()) == set(CASES)


def test_every_test_that_the_page_names_exists() -> None:
    files = set(re.findall(r"tests/[\w/]+\.py", PAGE))
    assert not [file for file in files if not (ROOT / file).exists()]
    source = "".join(file.read_text() for file in (ROOT / "tests").rglob("*.py"))
    names = set(re.findall(r"::(\w+)", PAGE)) | set(re.findall(r"tests/model: `(\w+)`", PAGE))
    assert not [name for name in names if f"def {name}(" not in source]
