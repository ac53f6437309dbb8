"""What a reason means has one source: pages, `kubectl quiesce explain` and the code agree."""

import re
from pathlib import Path

import pytest
from tests.docs.test_docs import words_of_the_status
from tools.reasons import with_tables

from quiesce.api.explanations import Table, load, meanings

ROOT = Path(__file__).parents[2]
TABLES = load()


@pytest.mark.parametrize("page", sorted({table.page for table in TABLES}))
def test_the_tables_of_a_page_are_made_from_the_source(page: str) -> None:
    text = (ROOT / page).read_text()
    assert with_tables(text) == text, "python -m tools.reasons"


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_table_stands_on_its_page(table: Table) -> None:
    marks = re.findall(r"<!-- reasons: ([\w-]+) -->", (ROOT / table.page).read_text())
    assert marks.count(table.name) == 1


@pytest.mark.parametrize("word", sorted(words_of_the_status()))
def test_every_word_of_the_status_can_be_explained(word: str) -> None:
    assert meanings(TABLES, word)


def test_every_row_says_something() -> None:
    rows = [row for table in TABLES for row in table.rows]
    assert all(row.words and (row.meaning or row.action) for row in rows)
    assert [row.words for row in rows if "\n" in row.meaning + row.action] == []
