"""Pictures in the documentation show what the program shows now."""

import itertools
import re
from pathlib import Path

from tools import recording
from tools.picture import picture

IMAGES = Path(__file__).parents[2] / "docs" / "images"


def test_the_picture_of_a_status_is_the_present_one() -> None:
    made = "PYTHONPATH=operator python -m tools.picture > docs/images/status.svg"
    assert (IMAGES / "status.svg").read_text() == picture(), made


def test_the_moving_picture_of_the_tour_is_that_of_its_recording() -> None:
    """That the tour prints this is seen by tests/tour/test_tour.py."""
    made = "PYTHONPATH=operator python -m tools.recording draw > docs/images/tour.svg"
    drawn = (IMAGES / "tour.svg").read_text()
    assert drawn == recording.picture(recording.CAST.read_text()), made
    assert len(drawn) < 200_000


def test_every_line_of_a_recording_stays_long_enough_to_be_read() -> None:
    found = list(recording.bursts(recording.CAST.read_text()))
    rows = [len(burst.lines) for burst in found]
    stays = [after - at for at, after in itertools.pairwise(recording.moments(found, rows))]
    assert [n for n, new in enumerate(rows) if stays[n] < new * recording.READING - 0.001] == []
    assert max(rows) <= recording.ROWS  # else some would never be seen


def test_a_picture_fetches_nothing_and_runs_nothing() -> None:
    """It is shown as an image, where neither would work."""
    fetches = re.compile(r"\b(href|src)=|url\((?!#)|@import|@font-face|<script|\bon\w+=")
    for file in (IMAGES.parent).rglob("*.svg"):
        assert fetches.findall(file.read_text()) == [], file.name
