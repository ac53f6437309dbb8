"""What a value weighs is what Python takes for it."""

import tracemalloc
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from quiesce.ops.weight import weight


@dataclass(frozen=True, slots=True)
class Row:
    name: str
    specs: dict[str, str]
    at: datetime
    number: int
    names: tuple[str, ...]
    of: frozenset[str] = field(default_factory=frozenset)
    none: str | None = None


def rows(text: str) -> list[Row]:
    return [
        Row(
            f"{text}{n}",
            {f"{text}{n}.{k}": f"{k}.{n}{text}" for k in range(20)},
            datetime.fromtimestamp(n, UTC),
            n + 1000,
            tuple(f"{text}{n}-{k}" for k in range(5)),
        )
        for n in range(200)
    ]


@pytest.mark.finding("M9")
@pytest.mark.parametrize("text", ["a", "b" * 300, "\U0001f600" + "c" * 300])
def test_it_is_what_is_allocated(text: str) -> None:
    tracemalloc.start()
    found = rows(text)
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert taken < weight(found) * 1.1
    assert weight(found) < taken * 1.5


def test_what_is_shared_counts_once_and_counting_ends_where_it_is_too_much() -> None:
    one = rows("a")[0]
    assert weight([one] * 1000) < weight(one) + 10_000
    most = 2 * weight(one)
    assert most < weight(rows("a"), most) < weight(rows("a"))


def test_what_is_not_known_is_a_defect() -> None:
    with pytest.raises(TypeError, match="object"):
        weight([object()])
