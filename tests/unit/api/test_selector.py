"""Label selectors: as kubectl takes them, and which two exclude each other."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quiesce.api.selector import Selector

LABELS = {"shard": "a", "quiesce.dev/rack": "r1", "empty": ""}


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("", True),
        ("shard=a", True),
        ("shard==a", True),
        ("shard = a", True),
        ("shard=b", False),
        ("shard!=b", True),
        ("shard!=a", False),
        ("none!=a", True),
        ("shard in (a, b)", True),
        ("shard in (b,c)", False),
        ("shard notin (b,c)", True),
        ("none notin (b)", True),
        ("none in (b)", False),
        ("shard", True),
        ("none", False),
        ("!none", True),
        ("! none", True),
        ("!shard", False),
        ("empty=", True),
        ("empty in ()", True),
        ("shard=a,quiesce.dev/rack in (r1,r2),!none", True),
        ("shard=a,quiesce.dev/rack in (r2,r3)", False),
    ],
)
def test_what_is_selected(text: str, matches: bool) -> None:
    assert Selector.parse(text).matches(LABELS) is matches
    assert Selector.parse(str(Selector.parse(text))).matches(LABELS) is matches


@pytest.mark.parametrize(
    "text",
    ["=a", "shard=a b", "shard in a", "shard in (a", "a,,b", ",", "shard>1", "-a", "a=" + "x" * 64,
     "shard in (a/b)", "a b", "!", "x" * 5000, "a=ä"],
)  # fmt: skip
def test_what_is_no_selector(text: str) -> None:
    with pytest.raises(ValueError):
        Selector.parse(text)


@pytest.mark.parametrize(
    ("one", "other", "excluded"),
    [
        ("shard=a", "shard=b", True),
        ("shard=a", "shard!=a", True),
        ("shard=a", "!shard", True),
        ("shard", "!shard", True),
        ("shard in (a,b)", "shard notin (a,b,c)", True),
        ("shard in (a,b)", "shard notin (a)", False),
        ("shard in (a,b)", "shard in (b,c)", False),
        ("shard=a", "rack=a", False),
        ("shard!=a", "!shard", False),
        ("shard=a", "", False),
        ("shard=a,rack=r1", "shard=a,rack=r2", True),
    ],
)
def test_which_exclude_each_other(one: str, other: str, excluded: bool) -> None:
    a, b = Selector.parse(one), Selector.parse(other)
    assert a.excludes(b) is excluded
    assert b.excludes(a) is excluded


parts = st.sampled_from(["k=a", "k=b", "k!=a", "k", "!k", "k in (a,b)", "k notin (a,b)", "l=a"])
selectors = st.lists(parts, max_size=3).map(",".join).map(Selector.parse)


@given(selectors, selectors, st.dictionaries(st.sampled_from("kl"), st.sampled_from("abc")))
def test_nothing_is_selected_by_two_that_exclude_each_other(
    one: Selector, other: Selector, labels: dict[str, str]
) -> None:
    assert not (one.excludes(other) and one.matches(labels) and other.matches(labels))


@given(st.text(alphabet="ab=!(), in/.-", max_size=30))
def test_any_text_is_a_selector_or_an_error(text: str) -> None:
    try:
        found = Selector.parse(text)
    except ValueError:
        return
    assert Selector.parse(str(found)) == found
