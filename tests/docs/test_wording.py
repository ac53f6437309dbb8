"""What a person reads is written in the words of the glossary."""

from pathlib import Path

import pytest
from tests.docs import wording
from tests.docs.wording import ROOT, documents, findings, sources

NOT_YET = frozenset(
    {
        "crds/quiesce.dev_computenodedrains.yaml",
        "crds/quiesce.dev_migrationkeyrings.yaml",
        "docs/architecture.md",
        "docs/contract.md",
        "docs/states.md",
        "docs/status.md",
    }
)
READ = [file for file in documents() if str(file.relative_to(ROOT)) not in NOT_YET]


@pytest.mark.parametrize("file", READ, ids=lambda file: str(file.relative_to(ROOT)))
def test_no_word_to_avoid_is_in_it(file: Path) -> None:
    assert [str(finding) for finding in findings(file)] == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('"Nova moves it in\\n no way"', ["in\n no way"]),
        ('f"the host {name} is given\\n back"', ["given\n back"]),
        ('"""Docstring: somebody looks after it."""', ["looks after", "somebody"]),
        ('f"gives {what} back"', ["gives … back"]),
        ('"shallow, dearth, homesick, whoever else", "a look"', ["a look", "whoever"]),
        ('"one glance at it, or at Glance"', ["glance"]),
        ("somebody = 1  # a name is no text", []),
    ],
)
def test_it_finds_words_and_no_parts_of_words(tmp_path: Path, text: str, found: list[str]) -> None:
    file = tmp_path / "code.py"
    file.write_text(text)
    assert sorted(finding.found for finding in findings(file)) == sorted(found)


def test_what_programs_print_and_the_glossary_may_name_them(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    glossary = f"{wording.GLOSSARY}\n\n| shall | should |\n\n## Next\n\n"
    page.write_text(f"Text\n\n{glossary}```console\nshall\n```\n\nThis shall be found.\n")
    assert [finding.line for finding in findings(page)] == [13]


def test_the_product_is_there_to_be_read() -> None:
    assert len(sources()) > 50
