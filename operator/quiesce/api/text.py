"""Numbers and names for people: short, bounded, in a stable order."""

from collections.abc import Iterable
from datetime import datetime

NAMED = 3


def count(number: int, noun: str) -> str:
    """`1 server`, `2 servers`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def some(names: Iterable[str], most: int = NAMED) -> str:
    """The first by name, and how many more: `db-1, db-2, db-3 and 4 more`."""
    every = sorted(names)
    more = f" and {len(every) - most} more" if len(every) > most else ""
    return ", ".join(every[:most]) + more


def with_remedy(message: str, remedies: Iterable[str]) -> str:
    """A message and the first of its remedies, for where there is one line only: an event,
    a log.
    """
    first = next(iter(remedies), "")
    return f"{message.rstrip('.')}. {first}" if first else message


def timestamp(moment: datetime) -> str:
    """As the API writes times: whole seconds, UTC."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def clipped(text: str, length: int) -> str:
    """At most `length` characters; `…` at the end shows that something is missing."""
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"
