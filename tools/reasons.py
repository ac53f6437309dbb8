"""Writes the tables of reasons into docs/status.md and docs/keyring.md.

    PYTHONPATH=operator python -m tools.reasons

Their one source is operator/quiesce/api/explanations.toml. A table stands between two comments,
`<!-- reasons: NAME -->` and `<!-- end of reasons -->`; everything else on a page is left alone.
"""

import re
from pathlib import Path

from quiesce.api.explanations import Explanation, Table, load

ROOT = Path(__file__).parents[1]
_MARKED = re.compile(
    r"(?<=<!-- reasons: )(?P<name>[\w-]+) -->\n.*?(?=<!-- end of reasons -->)", re.DOTALL
)


def table_of(table: Table) -> str:
    """As Markdown."""
    lines = [table.columns, tuple("---" for _ in table.columns)]
    lines += [_cells(row) for row in table.rows]
    head, rule, *rows = (" | ".join(cells) for cells in lines)
    return "\n".join([f"| {head} |", f"|{rule.replace(' ', '')}|", *(f"| {row} |" for row in rows)])


def _cells(row: Explanation) -> tuple[str, ...]:
    words = ", ".join(f"`{word}`" for word in row.words)
    return (words, *(text for text in (row.meaning, row.action) if text))


def with_tables(page: str) -> str:
    """The text of a page with its tables made again. Raises KeyError for an unknown name."""
    tables = {table.name: table_of(table) for table in load()}
    return _MARKED.sub(lambda m: f"{m['name']} -->\n\n{tables[m['name']]}\n\n", page)


def main() -> None:
    for name in sorted({table.page for table in load()}):
        page = ROOT / name
        page.write_text(with_tables(page.read_text()))


if __name__ == "__main__":
    main()
