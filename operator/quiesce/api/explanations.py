"""What every phase, condition, reason and state means, and what to do about it.

The texts stand in explanations.toml beside this file: the one source of `kubectl quiesce explain`
and of the tables in docs/status.md and docs/keyring.md, which tools/reasons.py makes from it.
"""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Explanation:
    """One row of a table. `words`: those that it explains; `meaning` and `action` (what to do) are
    Markdown of one line, and empty where the table has no such column.
    """

    words: tuple[str, ...]
    meaning: str
    action: str


@dataclass(frozen=True, slots=True)
class Table:
    """`says`: what it means that one of these words is shown. `page`: where the table stands."""

    name: str
    page: str
    says: str
    columns: tuple[str, ...]
    rows: tuple[Explanation, ...]

    @classmethod
    def read(cls, table: Mapping[str, Any]) -> Self:
        rows = (
            Explanation(tuple(row["words"]), row.get("meaning", ""), row.get("action", ""))
            for row in table["row"]
        )
        columns = tuple(table["columns"])
        return cls(table["name"], table["page"], table["says"], columns, tuple(rows))


@dataclass(frozen=True, slots=True)
class Meaning:
    """What one word means in one place: a word may stand in several."""

    table: Table
    row: Explanation


def load() -> tuple[Table, ...]:
    """All tables, in the order in which the pages have them."""
    text = files("quiesce.api").joinpath("explanations.toml").read_text("utf-8")
    return tuple(map(Table.read, tomllib.loads(text)["table"]))


def meanings(tables: Iterable[Table], word: str) -> tuple[Meaning, ...]:
    """Every meaning of a word, upper and lower case alike; empty: none of these words."""
    return tuple(
        Meaning(table, row)
        for table in tables
        for row in table.rows
        if word.lower() in (each.lower() for each in row.words)
    )
