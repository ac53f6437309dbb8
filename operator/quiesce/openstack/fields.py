"""PURE. The values of one row of an answer, each of the type that its record has.

An answer is read in full or not at all: a value of another type is Misread, never guessed at.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from quiesce.api.outside import cleaned
from quiesce.openstack.addresses import is_id

_LONGEST = 300  # characters: Nova's own columns have 255
_MOST_TEXTS = 500  # Nova and Glance have quotas of 128
_LARGEST = 2**53
_HOST = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.:@-]{0,254}", re.ASCII)
_YEARS = range(1970, 2200)


class Misread(ValueError):
    """A row is not as the API describes it. The text names the field."""


def mapping(row: object, name: str = "the row") -> Mapping[str, Any]:
    if not isinstance(row, dict):
        raise Misread(f"{name} is no object")
    return row


def part(row: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """An object in a row; absent or null: an empty one."""
    return mapping(row.get(name) or {}, name)


def items(row: Mapping[str, Any], name: str) -> list[Any]:
    """A list in a row; absent or null: an empty one."""
    found = row.get(name)
    if found is None:
        return []
    if not isinstance(found, list):
        raise Misread(f"{name} is no list")
    return found


def text(row: Mapping[str, Any], name: str) -> str:
    """A word of the API or a name of a host, as it is. Raises KeyError where it is missing."""
    found = row[name]
    if not isinstance(found, str) or len(found) > _LONGEST:
        raise Misread(f"{name} is no text of at most {_LONGEST} characters")
    return found


def optional_text(row: Mapping[str, Any], name: str) -> str | None:
    return None if row.get(name) is None else text(row, name)


def host(row: Mapping[str, Any], name: str) -> str | None:
    """A service's host; null: None. Raises KeyError where it is missing.

    Messages have it in commands that people copy, so it is what Nova takes as the name of a host
    (nova/api/validation/parameter_types.py hostname), and little more.
    """
    found = row[name]
    if found is not None and not (isinstance(found, str) and _HOST.fullmatch(found)):
        raise Misread(f"{name} is no name of a host")
    return found


def known_host(row: Mapping[str, Any], name: str) -> str:
    """A service's host, which is not null."""
    found = host(row, name)
    if found is None:
        raise Misread(f"{name} is null")
    return found


def plain_host(row: Mapping[str, Any], name: str) -> str | None:
    """As `host`, of what nothing depends on: None where it is missing, or no name of a host."""
    found = row.get(name)
    return found if isinstance(found, str) and _HOST.fullmatch(found) else None


def shown(row: Mapping[str, Any], name: str, limit: int = _LONGEST) -> str | None:
    """What is only shown, of any length: cleaned, and cut."""
    found = row.get(name)
    if found is not None and not isinstance(found, str):
        raise Misread(f"{name} is no text")
    return None if found is None else cleaned(found, limit)


def id_of(row: Mapping[str, Any], name: str) -> str:
    """An ID that may become a part of a path. Raises KeyError where it is missing."""
    found = row[name]
    if not is_id(found):
        raise Misread(f"{name} is no ID")
    return str(found)


def optional_id(row: Mapping[str, Any], name: str) -> str:
    """Empty where it is absent, null or empty."""
    return id_of(row, name) if row.get(name) else ""


def number(row: Mapping[str, Any], name: str) -> int:
    """A whole number, which may be written as text. Raises KeyError where it is missing."""
    found = row[name]
    if isinstance(found, str) and found.isascii() and found.isdecimal() and len(found) < 17:
        found = int(found)
    if isinstance(found, bool) or not isinstance(found, int) or abs(found) > _LARGEST:
        raise Misread(f"{name} is no whole number")
    return found


def optional_number(row: Mapping[str, Any], name: str, default: int = 0) -> int:
    """The default where it is absent, null or empty (swap is, where there is none)."""
    return default if row.get(name) in (None, "") else number(row, name)


def texts(row: Mapping[str, Any], name: str) -> dict[str, str]:
    """An object's texts by name; what is no text, or a long one, is left out."""
    return dict(short_texts(part(row, name), name))


def short_texts(found: Mapping[str, Any], name: str) -> Iterator[tuple[str, str]]:
    """No property that decides anything is longer than Nova's own columns."""
    if len(found) > _MOST_TEXTS:
        raise Misread(f"{name} has more than {_MOST_TEXTS} entries")
    for key, value in found.items():
        if isinstance(value, str) and len(key) <= _LONGEST and len(value) <= _LONGEST:
            yield key, value


def moment(value: object) -> datetime | None:
    """Nova's times: UTC, with or without fraction and zone; None for none."""
    if value is None or value == "":
        return None
    try:
        found = datetime.fromisoformat(value)  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        raise Misread("a time is none") from error
    if found.year not in _YEARS:
        raise Misread("a time is out of range")
    return found if found.tzinfo else found.replace(tzinfo=UTC)
