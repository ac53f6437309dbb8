"""Makes docs/images/status.svg: `kubectl quiesce status NAME` of a recorded drain, drawn by rich.

    PYTHONPATH=operator python -m tools.picture > docs/images/status.svg

The drain is tests/unit/plugin/recorded/draining.json, as an API server showed it while the operator
drained a host of the stand-in. Unlike rich's own picture it loads no font from elsewhere.
"""

import io
import json
import re
import sys
from datetime import datetime, timedelta
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console

from quiesce.plugin import pages
from quiesce.plugin.terminal import RichScreen
from quiesce.plugin.view import DrainView

DRAIN = Path(__file__).parents[1] / "tests" / "unit" / "plugin" / "recorded" / "draining.json"
WIDTH = 126  # columns
_ELSEWHERE = re.compile(r"\s*@font-face \{\{.*?\}\}|<!-- Generated with Rich.*?-->", re.DOTALL)
AGE = timedelta(seconds=60)  # of the drain


def picture() -> str:
    """The SVG; the same each time."""
    resource = json.loads(DRAIN.read_text())
    now = datetime.fromisoformat(resource["metadata"]["creationTimestamp"]) + AGE
    console = Console(
        file=io.StringIO(),
        record=True,
        width=WIDTH,
        force_terminal=True,
        color_system="standard",
        highlight=False,
        markup=False,
        emoji=False,
    )
    RichScreen(console).show(pages.drain(DrainView.read(resource), now))
    drawing = _ELSEWHERE.sub("", CONSOLE_SVG_FORMAT)
    drawn = console.export_svg(
        title="kubectl quiesce status cmp2", code_format=drawing, unique_id="status"
    )
    return "\n".join(text.rstrip() for text in drawn.splitlines()) + "\n"


def main() -> None:
    sys.stdout.write(picture())


if __name__ == "__main__":
    main()
