"""PURE. How much memory a value takes: what is kept for long is bounded by that.

The bytes of an answer say little: one character outside of Unicode's basic plane makes a text four
times as large, and a text of one character takes fifty bytes.
"""

import sys
from collections.abc import Mapping, Set
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum

_LEAVES = (str, bytes, int, float, datetime)
_FIELDS: dict[type, tuple[str, ...]] = {}


def weight(value: object, most: int = sys.maxsize) -> int:
    """Bytes that a dataclass takes, or a collection, with all in it; what is in it twice counts
    once. Not counted further once it is more than `most`.
    """
    total, todo, seen = 0, [value], set[int]()
    while todo and total <= most:
        each = todo.pop()
        if each is None or isinstance(each, Enum) or id(each) in seen:
            continue
        seen.add(id(each))
        total += sys.getsizeof(each)
        if isinstance(each, _LEAVES):
            continue
        if isinstance(each, Mapping):
            todo += each.keys()
            todo += each.values()
        elif isinstance(each, tuple | list | Set):
            todo += each
        else:
            todo += [getattr(each, name) for name in _names(type(each))]
    return total


def _names(kind: type) -> tuple[str, ...]:
    found = _FIELDS.get(kind)
    if found is None:
        if not is_dataclass(kind):
            raise TypeError(f"the weight of {kind.__name__} is not known")
        found = _FIELDS[kind] = tuple(each.name for each in fields(kind))
    return found
