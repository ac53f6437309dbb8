"""Pictures in the documentation show what the program shows now."""

from pathlib import Path

from tools.picture import picture

IMAGES = Path(__file__).parents[2] / "docs" / "images"


def test_the_picture_of_a_status_is_the_present_one() -> None:
    made = "PYTHONPATH=operator python -m tools.picture > docs/images/status.svg"
    assert (IMAGES / "status.svg").read_text() == picture(), made


def test_a_picture_fetches_nothing() -> None:
    for file in IMAGES.glob("*.svg"):
        text = file.read_text().replace("http://www.w3.org/2000/svg", "")
        assert "http" not in text, file.name
