import pytest

from quiesce.api.text import count, some


@pytest.mark.parametrize(("number", "text"), [(0, "0 servers"), (1, "1 server"), (2, "2 servers")])
def test_numbers_and_their_nouns(number: int, text: str) -> None:
    assert count(number, "server") == text


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ([], ""),
        (["b", "a"], "a, b"),
        (["c", "b", "a"], "a, b, c"),
        (list("edcba"), "a, b, c and 2 more"),
    ],
)
def test_names_are_sorted_and_bounded(names: list[str], text: str) -> None:
    assert some(names) == text
