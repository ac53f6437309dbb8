"""Makes docs/images/timeline.svg: what becomes of a host's servers, drained in three ways.

    PYTHONPATH=operator:. python -m tools.draw_timeline > docs/images/timeline.svg

The drains are those of tests/bench/test_references.py, in virtual time: the same each time.
"""

import sys
from collections.abc import Iterator, Sequence

from tests.bench.references import DRIVERS
from tests.bench.test_references import SERVERS, drained
from tests.harness.timeline import Sample

WIDTH, HEIGHT, LEFT, TOP, GAP = 900, 110, 90, 46, 30  # pixels
FONT = "font-family='Helvetica,Arial,sans-serif'"
KINDS = (  # from the bottom of each drawing
    ("left", "left the host", "#73bf69"),
    ("to_confirm", "waits for its confirm", "#5794f2"),
    ("moving", "moves: its guest is off", "#ff780a"),
    ("waiting", "waits on the host", "#d5d8dc"),
)


def text(x: float, y: float, words: str, anchor: str = "start", size: int = 12) -> str:
    return (
        f"<text x='{x:.0f}' y='{y:.0f}' font-size='{size}' fill='#333' text-anchor='{anchor}' "
        f"{FONT}>{words}</text>"
    )


def areas(samples: Sequence[Sample], until: float, top: float) -> Iterator[str]:
    """One over the other; each only where it changes."""
    below = [0.0] * len(samples)
    xs = [LEFT + each.seconds / until * WIDTH for each in samples]
    for name, _, color in KINDS:
        above = [b + getattr(each, name) for b, each in zip(below, samples, strict=True)]
        upper = _steps(xs, above, top)
        lower = _steps(xs, below, top)
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in (*upper, *reversed(lower)))
        yield f"<polygon points='{points}' fill='{color}'/>"
        below = above


def _steps(xs: Sequence[float], counts: Sequence[float], top: float) -> list[tuple[float, float]]:
    ys = [top + HEIGHT * (1 - count / SERVERS) for count in counts]
    points = [(xs[0], ys[0])]
    for x, y in zip(xs, ys, strict=True):
        if y != points[-1][1]:
            points += [(x, points[-1][1]), (x, y)]
    return [*points, (xs[-1], ys[-1])]


def draw() -> Iterator[str]:
    found = {name: drained(name) for name in DRIVERS}
    until = max(timeline.samples[-1].seconds for _, timeline in found.values())
    height = TOP + len(found) * (HEIGHT + GAP) + 14
    yield f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {LEFT + WIDTH + 20} {height}'>"
    yield f"<rect width='{LEFT + WIDTH + 20}' height='{height}' fill='#fff'/>"
    x = float(LEFT)
    for _, words, color in reversed(KINDS):
        yield f"<rect x='{x:.0f}' y='14' width='12' height='12' fill='{color}'/>"
        yield text(x + 18, 25, words)
        x += 40 + 6.6 * len(words)
    for number, (name, (result, timeline)) in enumerate(found.items()):
        top = TOP + number * (HEIGHT + GAP)
        yield from areas(timeline.samples, until, top)
        end = LEFT + timeline.samples[-1].seconds / until * WIDTH
        yield text(LEFT - 8, top + HEIGHT / 2, name, "end")
        told = f"{timeline.samples[-1].seconds:.0f} s; a guest is off for {result.off:.0f} s"
        yield text(end, top + HEIGHT + 15, told, "end", 11)
    yield "</svg>"


def main() -> None:
    sys.stdout.writelines(f"{line}\n" for line in draw())


if __name__ == "__main__":
    main()
