"""PURE. What is to be shown, apart from how: a page is a list of blocks, without colors or widths.

`plain` makes text of it, for pipes and dumb terminals; quiesce.plugin.terminal makes it with rich.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from quiesce.api.text import clipped

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
    """A table. The last column takes what width is left: it is wrapped, or cut where it is `brief`.

    optional: columns that a narrow screen leaves out, in this order.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Span, ...], ...]
    indent: int = 0
    optional: tuple[str, ...] = ()
    brief: bool = False


BAR_WIDTH = 40
"""Columns of the bar itself."""
GAP = 3
"""Columns between those of a table."""
_LEAST = 20  # columns of a last column that is cut: less says nothing

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


def fitted(grid: Grid, width: int) -> Grid:
    """Without those of its optional columns that a screen of that width has no place for."""
    left_out = set(grid.optional)
    for name in reversed(grid.optional):
        if _needed(grid, _kept(grid, left_out - {name})) <= width:
            left_out.remove(name)
    kept = _kept(grid, left_out)
    columns = tuple(grid.columns[i] for i in kept)
    rows = tuple(tuple(row[i] for i in kept) for row in grid.rows)
    if grid.brief:
        rows = _cut(rows, width - grid.indent - sum(_widths(grid, kept[:-1])))
    return replace(grid, columns=columns, rows=rows)


def _kept(grid: Grid, left_out: set[str]) -> list[int]:
    return [i for i, name in enumerate(grid.columns) if name not in left_out]


def _cut(rows: Sequence[tuple[Span, ...]], most: int) -> tuple[tuple[Span, ...], ...]:
    """Their last cells to so many columns."""
    most = max(_LEAST, most)
    return tuple((*r[:-1], replace(r[-1], text=clipped(r[-1].text, most))) for r in rows)


def _widths(grid: Grid, kept: Iterable[int]) -> list[int]:
    """Columns of a screen for each, with the gap behind it."""
    return [max(len(grid.columns[i]), *(len(row[i].text) for row in grid.rows)) + GAP for i in kept]


def _needed(grid: Grid, kept: Sequence[int]) -> int:
    """Columns of a screen for all of them."""
    widths = _widths(grid, kept)
    if grid.brief and kept[-1] == len(grid.columns) - 1:
        widths[-1] = min(widths[-1], _LEAST + GAP)
    return grid.indent + sum(widths) - GAP


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
        yield (" " * indent + (" " * GAP).join(cells)).rstrip()
