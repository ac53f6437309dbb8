"""What benches measure: held against bars, and told in one table at their end.

`tests/bench/figures.json` has the last figures that were committed, and docs/performance.md shows
them. `QUIESCE_BENCH=file make bench` writes such a file.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

COMMITTED = Path(__file__).with_name("figures.json")
HEAD = ("what", "committed", "now", "at most")


def committed() -> Mapping[str, float]:
    found: dict[str, float] = json.loads(COMMITTED.read_text())
    return found


def words(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


@dataclass
class Figures:
    """Of one run. `found`: by what was measured; `bars`: at most so much."""

    found: dict[str, float] = field(default_factory=dict)
    bars: dict[str, float] = field(default_factory=dict)

    def note(self, what: str, value: float, at_most: float | None = None) -> None:
        """Raises AssertionError where the bar is not met."""
        self.found[what] = round(value, 2)
        if at_most is not None:
            self.bars[what] = at_most
            assert value <= at_most, f"{what}: {value:.2f}, and at most {at_most:g} is allowed"

    def table(self) -> list[str]:
        last = committed()
        rows = [
            (what, words(last.get(what)), words(value), words(self.bars.get(what)))
            for what, value in self.found.items()
        ]
        widths = [max(map(len, column)) for column in zip(HEAD, *rows, strict=True)]
        return [
            "  ".join(
                text.ljust(width) if n == 0 else text.rjust(width)
                for n, (text, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in (HEAD, *rows)
        ]

    def save(self) -> None:
        """Figures that this run has not measured stay as they were."""
        if path := os.environ.get("QUIESCE_BENCH"):
            file = Path(path)
            before = json.loads(file.read_text()) if file.exists() else {}
            file.write_text(json.dumps(before | self.found, indent=1) + "\n")


FIGURES = Figures()
