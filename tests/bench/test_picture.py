"""The picture in docs/performance.md shows what is measured now."""

from pathlib import Path

from tools.draw_timeline import draw

PICTURE = Path(__file__).parents[2] / "docs" / "images" / "timeline.svg"


def test_the_time_lines_are_the_present_ones() -> None:
    made = "PYTHONPATH=operator:. python -m tools.draw_timeline > docs/images/timeline.svg"
    assert PICTURE.read_text() == "".join(f"{line}\n" for line in draw()), made
