"""Where pages are shown: a terminal in color by rich, or plain text for pipes and dumb terminals.

rich is loaded where it is used only; without it everything is plain.
"""

import os
import sys
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self, TextIO

from quiesce.plugin.document import (
    BAR_WIDTH,
    GAP,
    Bar,
    Block,
    Grid,
    Line,
    Page,
    Span,
    Style,
    fitted,
    plain,
)

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

_STYLES: dict[Style, str] = {
    "": "",
    "bold": "bold",
    "dim": "dim",
    "good": "green",
    "busy": "yellow",
    "bad": "bold red",
    "code": "bold",
}


class Screen(Protocol):
    """Shows pages, one below the other."""

    def show(self, page: Page) -> None: ...

    def live(self) -> "Live | None":
        """Shows pages one in place of the other; None: this screen cannot."""
        ...


class Live(Protocol):
    """`size`: columns and lines that a page may have."""

    @property
    def size(self) -> tuple[int, int]: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def show(self, page: Page) -> None: ...


def screen(out: TextIO | None = None, environ: Mapping[str, str] = os.environ) -> Screen:
    """The best that `out` (standard output) can show. NO_COLOR and TERM=dumb mean plain."""
    out = out or sys.stdout
    if not out.isatty() or environ.get("NO_COLOR") or environ.get("TERM", "dumb") == "dumb":
        return PlainScreen(out)
    try:
        from rich.console import Console
    except ImportError:
        return PlainScreen(out)
    return RichScreen(Console(file=out, highlight=False, markup=False, emoji=False))


class PlainScreen:
    """Lines of text."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def show(self, page: Page) -> None:
        for text in plain(page):
            print(text, file=self._out)
        self._out.flush()

    def live(self) -> None:
        return None


class RichScreen:
    """A terminal."""

    def __init__(self, console: "Console") -> None:
        self.console = console

    def show(self, page: Page) -> None:
        """Long lines are left to the terminal, so that commands in them can be copied whole."""
        for block in page:
            if isinstance(block, Line):
                self.console.print(_text((Span(" " * block.indent), *block.spans)), soft_wrap=True)
            else:
                self.console.print(renderable(block, self.console.width))

    def live(self) -> "RichLive":
        return RichLive(self.console)


class RichLive:
    """The last page stays on the terminal."""

    def __init__(self, console: "Console") -> None:
        from rich.live import Live as Renderer

        self._console = console
        self._renderer = Renderer(console=console, auto_refresh=False, vertical_overflow="crop")

    @property
    def size(self) -> tuple[int, int]:
        return self._console.width, self._console.height - 1

    def __enter__(self) -> Self:
        self._renderer.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._renderer.__exit__(kind, error, trace)

    def show(self, page: Page) -> None:
        from rich.console import Group

        blocks = (renderable(block, self._console.width) for block in page)
        self._renderer.update(Group(*blocks), refresh=True)


def renderable(block: Block, width: int) -> "RenderableType":
    """A block for rich, on a screen of that width. Texts are never read as markup."""
    from rich.padding import Padding

    match block:
        case Line(spans, indent):
            return Padding(_text(spans), (0, 0, 0, indent))
        case Bar():
            return _bar(block)
        case Grid():
            return _table(fitted(block, width))


def _text(spans: Iterable[Span]) -> "Text":
    from rich.text import Text

    text = Text(overflow="fold")
    for span in spans:
        text.append(span.text, _STYLES[span.style])
    return text


def _bar(bar: Bar) -> "RenderableType":
    from rich.text import Text

    text, used = Text(overflow="fold"), 0
    for number, style in bar.parts:
        width = min(BAR_WIDTH - used, round(BAR_WIDTH * number / bar.total)) if bar.total else 0
        text.append("━" * width, _STYLES[style])
        used += width
    text.append("━" * (BAR_WIDTH - used), "dim")
    text.append(f"  {bar.label}")
    return text


def _table(grid: Grid) -> "RenderableType":
    """Names are folded rather than cut where nothing else is left to give way."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="dim")
    for number, name in enumerate(grid.columns):
        last = number == len(grid.columns) - 1
        folds = last or (grid.brief and number == 0)
        table.add_column(name, overflow="fold", no_wrap=not folds, ratio=1 if last else None)
    for row in grid.rows:
        table.add_row(*(Text(span.text, _STYLES[span.style]) for span in row))
    return table
