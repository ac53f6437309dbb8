"""docs/performance.md shows the figures that were committed."""

import re
from pathlib import Path

from tests.bench.figures import COMMITTED, committed, words

PAGE = Path(__file__).parents[2] / "docs" / "performance.md"


def test_each_committed_figure_is_shown() -> None:
    shown = set(re.findall(r"(?<![\d.])\d+(?:\.\d+)?(?![\d.]*\d)", PAGE.read_text()))
    missing = {what: value for what, value in committed().items() if words(value) not in shown}
    assert missing == {}, f"docs/performance.md does not show these figures of {COMMITTED.name}"
