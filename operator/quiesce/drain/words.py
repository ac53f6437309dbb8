"""PURE. Numbers and names for people: short, bounded, in a stable order."""

from collections.abc import Iterable

NAMED = 3


def count(number: int, noun: str) -> str:
    """`1 server`, `2 servers`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def some(names: Iterable[str]) -> str:
    """The first three by name, and how many more: `db-1, db-2, db-3 and 4 more`."""
    every = sorted(names)
    more = f" and {len(every) - NAMED} more" if len(every) > NAMED else ""
    return ", ".join(every[:NAMED]) + more
