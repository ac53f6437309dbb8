"""Durations as people write them in manifests: `90s`, `15m`, `2h`, `1h30m`."""

import re

_UNIT = {"s": 1, "m": 60, "h": 3600}
_PART = re.compile(r"(\d+)([smh])")
_WHOLE = re.compile(r"(\d+[smh])+")


def seconds(text: str) -> float:
    """`"1h30m"` -> 5400.0 seconds. Raises ValueError with a message for the person who wrote it."""
    if not _WHOLE.fullmatch(text):
        raise ValueError(
            f"{text!r} is not a duration: write a number and a unit, such as 90s, 15m or 2h"
        )
    return float(sum(int(number) * _UNIT[unit] for number, unit in _PART.findall(text)))


def text(value: float) -> str:
    """Seconds -> the shortest such text, rounded to seconds: 5400 -> `1h30m`, 0 -> `0s`."""
    remaining, out = round(value), ""
    for unit, size in (("h", 3600), ("m", 60), ("s", 1)):
        count, remaining = divmod(remaining, size)
        out += f"{count}{unit}" if count else ""
    return out or "0s"
