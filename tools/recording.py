"""Makes docs/images/tour.svg: what `make tour` printed, as a picture that moves.

    python -m tools.recording record > docs/images/tour.cast    # runs `make tour`
    PYTHONPATH=operator python -m tools.recording draw > docs/images/tour.svg

The first keeps the output with its times as asciinema does (version 2 of its format), so players
and converters read it too. For the second, rich draws all lines below each other, and a rule of CSS
pulls them up as they came. The picture has no script and loads nothing, so it plays wherever a
picture is shown; to a reader who wants no motion it shows its end.

Converters of such files to SVG repeat the whole screen for each change, and know no reader who
wants no motion.
"""

import codecs
import io
import itertools
import json
import os
import pty
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

CAST = Path(__file__).parents[1] / "docs" / "images" / "tour.cast"
COMMAND = ("make", "--no-print-directory", "tour")
TITLE = "make tour (waits are shortened)"
COLUMNS, ROWS = 100, 30
CHARACTER, ROW = 12.2, 24.4  # their size in rich's drawing
BURST = 0.2  # seconds: what comes within them is shown at once
LONGEST_WAIT = 1.5  # seconds in the picture
READING = 0.17  # seconds for each new row
END = 6.0  # seconds for which the last screen stays
_STYLE = re.compile(r"\x1b\[[\d;]*m")
_STEP = re.compile(r"# \[ *\d+ s\]")  # how a line of narration begins

TEMPLATE = """\
<svg role="img" viewBox="0 0 1248 782" xmlns="http://www.w3.org/2000/svg">
<title>{title}</title>
<style>
.tour-matrix {{ font: 20px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono",
  monospace }}
.tour-title {{ font: 16px sans-serif; fill: #9aa0a6; text-anchor: middle }}
{styles}
.roll {{ transform: {end}; animation: roll {seconds:.1f}s step-end infinite }}
@media (prefers-reduced-motion: reduce) {{ .roll {{ animation: none }} }}
@keyframes roll {{
{keyframes}
}}
</style>
<defs>
<clipPath id="screen"><rect {screen}/></clipPath>
{clips}
</defs>
<rect x="1" y="1" width="1246" height="780" rx="8" fill="#1b1e24" stroke="#6b7280"/>
<text class="tour-title" x="624" y="25">{title}</text>
<g transform="translate(14 36)" clip-path="url(#screen)">
<g class="roll tour-matrix">
{matrix}
</g>
</g>
</svg>
"""


@dataclass(frozen=True)
class Burst:
    """Lines that are shown at once. `at`: seconds since the start."""

    at: float
    lines: Sequence[str]


def record() -> Iterator[str]:
    """Runs the tour on a terminal; the lines of its cast. Raises SystemExit where it fails."""
    began, (ours, theirs) = time.monotonic(), pty.openpty()
    yield json.dumps({"version": 2, "width": COLUMNS, "height": ROWS, "title": "make tour"})
    none = subprocess.DEVNULL
    with subprocess.Popen(COMMAND, stdin=none, stdout=theirs, stderr=theirs) as tour:  # noqa: S603
        os.close(theirs)
        decode = codecs.getincrementaldecoder("utf-8")().decode
        for data in _read(ours):
            yield json.dumps([round(time.monotonic() - began, 2), "o", decode(data)])
    os.close(ours)
    if tour.returncode:
        sys.exit(f"make tour ended with {tour.returncode}")


def _read(terminal: int) -> Iterator[bytes]:
    while True:
        try:
            data = os.read(terminal, 65536)
        except OSError:  # Linux: its last user has closed it
            return
        if not data:
            return
        yield data


def printed(cast: str) -> Iterator[tuple[float, str]]:
    """(seconds since the start, line with its colours) of every line that a cast shows."""
    rest = ""
    for event in map(json.loads, cast.splitlines()[1:]):
        *lines, rest = (rest + event[2]).split("\n")
        for line in lines:
            yield event[0], line.rstrip("\r")


def plain(line: str) -> str:
    """Without its colours."""
    return _STYLE.sub("", line)


def bursts(cast: str) -> Iterator[Burst]:
    """A line of narration begins another one, whenever it came."""
    began, lines = 0.0, list[str]()
    for at, line in printed(cast):
        if lines and (at - began > BURST or _STEP.match(plain(line))):
            yield Burst(began, lines)
            began, lines = at, []
        began = began if lines else at
        lines.append(line)
    yield Burst(began, lines)


def moments(found: Sequence[Burst], rows: Sequence[int]) -> Iterator[float]:
    """Seconds in the picture at which each is shown, and last its end."""
    now = 0.0
    yield now
    for before, after, new in zip(found, found[1:], rows, strict=False):
        now += max(min(after.at - before.at, LONGEST_WAIT), new * READING)
        yield now
    yield now + END


def picture(cast: str) -> str:
    """The SVG; the same each time."""
    # Not at the top: what records needs no more than Python.
    from rich.console import Console
    from rich.text import Text

    found, rows = list(bursts(cast)), list[int]()
    console = Console(
        file=io.StringIO(),
        record=True,
        width=COLUMNS,
        force_terminal=True,
        color_system="standard",
        legacy_windows=False,
    )
    for burst in found:
        text = Text.from_ansi("\n".join(burst.lines))
        rows.append(len(console.render_lines(text, pad=False)))
        console.print(text)
    parts = "{styles}\0{lines}\0{matrix}"
    styles, clips, matrix = console.export_svg(code_format=parts, unique_id="tour").split("\0")
    times = list(moments(found, rows))
    return TEMPLATE.format(
        title=TITLE,
        styles=styles,
        clips=clips,
        matrix=matrix,
        seconds=times[-1],
        keyframes="\n".join(keyframes(times, rows)),
        end=shift(sum(rows)),
        screen=f'width="{COLUMNS * CHARACTER:.0f}" height="{ROWS * ROW:.0f}"',
    )


def keyframes(times: Sequence[float], rows: Sequence[int]) -> Iterator[str]:
    for at, shown in zip(times, itertools.accumulate(rows), strict=False):
        yield f"{at / times[-1]:.2%} {{ transform: {shift(shown)} }}"


def shift(shown: int) -> str:
    """Brings the last of so many rows to the bottom of the screen."""
    return f"translateY({(ROWS - shown) * ROW:.0f}px)"


def main() -> None:
    if sys.argv[1:] == ["record"]:
        for line in record():
            print(line, flush=True)
    elif sys.argv[1:] == ["draw"]:
        sys.stdout.write(picture(CAST.read_text()))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
