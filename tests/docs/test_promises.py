"""Every promise of docs/safety.md has its tests, and docs/promises.md lists them as they are."""

import re

import pytest
from tools import promises

PAGE = promises.ROOT / "docs" / "promises.md"
BY_ID = promises.promises()


@pytest.mark.parametrize("id_", BY_ID)
def test_no_promise_lacks_a_story_a_scenario_or_a_mutant(id_: str) -> None:
    promise = BY_ID[id_]
    assert promise.stories
    assert promise.scenarios
    assert promise.mutants


def test_promises_are_numbered_in_order() -> None:
    groups = [id_.split("-") for id_ in BY_ID]
    for kind in ("never", "always"):
        numbers = [int(number) for found, number in groups if found == kind]
        assert numbers == list(range(1, len(numbers) + 1))
        assert numbers


def test_every_item_that_never_happens_has_an_id() -> None:
    never = promises.SAFETY.read_text().split("## Never")[1].split("\n## ")[0]
    items = re.findall(r"^(\d+)\. (.{0,40})", never, re.MULTILINE)
    assert items
    for number, text in items:
        assert text.startswith(f'<a id="never-{number}"></a>`never-{number}` ')


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == promises.page() + "\n", (
        "run: PYTHONPATH=operator python -m tools.promises > docs/promises.md"
    )
