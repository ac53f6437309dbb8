"""Whether a demo or a tour has printed what a page or a recording shows of it.

What is shown may be shortened: a line `…` stands for any lines. What differs from run to run is not
compared: times and ages, IDs, ports, paths, which of the other hosts Nova chose, and how many of
the servers have moved when a status is written. Nor is where the lines of the two watches come
between other lines.
"""

import itertools
import re
from collections.abc import Iterable, Iterator

CUT = "…"
_ANY = r"(?:.*\n)*?"
_WATCHED = re.compile(r" *(cnd|event) \| ")
_VARIES = (
    (re.compile(r"\x1b\[[\d;]*m"), ""),
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "ID"),
    (re.compile(r"^# \[ *\d+ s\]"), "# [TIME]"),
    (re.compile(r"\b(\d+[dhms])+$"), "AGE"),
    (re.compile(r"127\.0\.0\.1:\d+"), "127.0.0.1:PORT"),
    (re.compile(r"(?<![\w./])/[\w./-]+"), "PATH"),
    (re.compile(r"\bcmp[1345]\b"), "HOST"),
    (re.compile(r"\d+/12 +\d+ +\d+ "), "COUNTS "),
    (re.compile(r"\s+"), " "),
)


def differences(shown: Iterable[str], printed: Iterable[str]) -> list[str]:
    """What is shown and was not printed: the first step and the first row that do not come in their
    turn, and every event.
    """
    wanted, found = [alike(line) for line in shown], [alike(line) for line in printed]
    # Printed are often more rows: of states between two that are shown. `in` takes those it passes.
    rows, events = _watched(found, "cnd"), set(_watched(found, "event"))
    missing = (row for row in _watched(wanted, "cnd") if row not in rows)
    return [
        *_missing_step(_steps(wanted), _steps(found)),
        *itertools.islice(missing, 1),
        *(event for event in _watched(wanted, "event") if event not in events),
    ]


def alike(line: str) -> str:
    """Equal for lines that differ only in what varies."""
    line = line.rstrip()
    for pattern, text in _VARIES:
        line = pattern.sub(text, line)
    return line


def _steps(lines: Iterable[str]) -> list[str]:
    """All but the watches."""
    return [line for line in lines if not _WATCHED.match(line)]


def _watched(lines: Iterable[str], watch: str) -> Iterator[str]:
    """Lines of that watch; of several alike that follow each other one."""
    ours = (line for line in lines if (found := _WATCHED.match(line)) and found[1] == watch)
    return (line for line, _ in itertools.groupby(ours))


def _missing_step(shown: list[str], printed: list[str]) -> Iterator[str]:
    """The first line that does not come in its turn, with the one before it."""
    text, pattern, before = "".join(f"{line}\n" for line in printed), "", ""
    for line in shown:
        pattern += _ANY if line == CUT else re.escape(f"{line}\n")
        if not re.match(pattern, text):
            yield f"{line!r} after {before!r}"
            return
        before = line
    if not re.fullmatch(pattern, text):
        yield f"the end after {before!r}"
