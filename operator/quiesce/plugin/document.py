"""PURE. What is to be shown, apart from how: a page is a list of blocks, without colors or widths.

`plain` makes text of it, for pipes and dumb terminals; quiesce.plugin.terminal makes it with rich.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

Style = Literal["", "bold", "dim", "good", "busy", "bad", "code"]


@dataclass(frozen=True, slots=True)
class Span:
    """Text of one style, one line."""

    text: str
    style: Style = ""


@dataclass(frozen=True, slots=True)
class Line:
    """`indent`: of the whole line, also where it is wrapped, in columns."""

    spans: tuple[Span, ...]
    indent: int = 0


@dataclass(frozen=True, slots=True)
class Bar:
    """How much of something is done. `parts`: (number, style), in order; the rest of `total` is
    open. `label` stands behind it, and is all that a plain page shows.
    """

    parts: tuple[tuple[int, Style], ...]
    total: int
    label: str


@dataclass(frozen=True, slots=True)
class Grid:
    """A table. The last column takes what width is left."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Span, ...], ...]
    indent: int = 0


BAR_WIDTH = 40
"""Columns of the bar itself."""

Block = Line | Bar | Grid
Page = tuple[Block, ...]

BLANK = Line(())


def line(*spans: str | Span, indent: int = 0) -> Line:
    return Line(tuple(Span(s) if isinstance(s, str) else s for s in spans), indent)


def height(block: Block, width: int) -> int:
    """How many lines of a terminal of that width it takes."""
    match block:
        case Line(spans, indent):
            return 1 + max(0, sum(len(each.text) for each in spans) - 1) // max(1, width - indent)
        case Bar(label=label):
            return 1 + (BAR_WIDTH + len(label) + 1) // width
        case Grid(rows=rows):
            return 1 + len(rows)


def plain(page: Iterable[Block]) -> list[str]:
    """As lines of text. Nothing is wrapped or cut, so that a program can read it."""
    lines: list[str] = []
    for block in page:
        match block:
            case Line(spans, indent):
                lines.append((" " * indent + "".join(_plain(each) for each in spans)).rstrip())
            case Bar(label=label):
                lines.append(label)
            case Grid(columns, rows, indent):
                lines += _aligned(columns, rows, indent)
    return lines


def _plain(span: Span) -> str:
    return f"`{span.text}`" if span.style == "code" else span.text


def _aligned(columns: Sequence[str], rows: Sequence[Sequence[Span]], indent: int) -> Iterable[str]:
    texts = [list(columns), *([span.text for span in row] for row in rows)]
    widths = [max(len(row[i]) for row in texts) for i in range(len(columns))]
    for row in texts:
        cells = (text.ljust(width) for text, width in zip(row, widths, strict=True))
        yield (" " * indent + "   ".join(cells)).rstrip()
