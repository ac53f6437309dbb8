"""Draws manifests/monitoring/dashboard.json as an SVG, with the data of a Prometheus.

    python -m tools.draw_dashboard http://127.0.0.1:9090 --minutes 10 > docs/dashboard.svg

It asks the same queries as Grafana would, and shows them in the same places: for documentation,
and to see whether each panel has data. Not a replacement for Grafana.
"""

import argparse
import json
import math
import re
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

DASHBOARD = Path(__file__).parents[1] / "manifests" / "monitoring" / "dashboard.json"
COLUMN, ROW, GAP = 50, 30, 6  # pixels
COLORS = ("#73bf69", "#f2cc0c", "#8ab8ff", "#ff780a", "#f2495c", "#b877d9", "#37872d", "#5794f2")
NAMED = {"green": "#299c46", "orange": "#d9822b", "red": "#c4162a", "blue": "#1f60c4"}
LEGENDS, ROWS = 9, 8
FONT = "font-family='Helvetica,Arial,sans-serif'"

Json = dict[str, Any]
Point = tuple[float, float]


@dataclass(frozen=True)
class Source:
    """`base`: of Prometheus. The range is from `start` to `end`, in seconds since 1970."""

    base: str
    start: float
    end: float

    @property
    def step(self) -> float:
        return max(1.0, (self.end - self.start) / 120)

    def ask(self, target: Json) -> list[Json]:
        """The series of a query: one value each where it is instant, else one a step."""
        rate = f"{max(15, 4 * self.step):.0f}s"
        query = target["expr"].replace("$__rate_interval", rate).replace("$namespace", ".*")
        asked = {"query": query}
        if target.get("instant"):
            return self._get("query", asked | {"time": f"{self.end}"})
        span = {"start": f"{self.start}", "end": f"{self.end}", "step": f"{self.step}"}
        return self._get("query_range", asked | span)

    def _get(self, what: str, query: dict[str, str]) -> list[Json]:
        url = f"{self.base}/api/v1/{what}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310 -- given by the caller
            return list(json.load(answer)["data"]["result"])


def text(x: float, y: float, size: int, color: str, said: str, anchor: str = "start") -> str:
    where = f"x='{x:.1f}' y='{y:.1f}' font-size='{size}' fill='{color}' text-anchor='{anchor}'"
    return f"<text {where} {FONT}>{escape(said)}</text>"


def shown(value: float, unit: str) -> str:
    """As people read it."""
    if unit == "s":
        return f"{value / 3600:.1f} h" if value >= 7200 else f"{value:.3g} s"
    if unit == "percentunit":
        return f"{100 * value:.0f} %"
    if unit == "bytes":
        return f"{value / 2**20:.0f} MiB"
    return f"{value:.3g}"


def legend(target: Json, labels: dict[str, str]) -> str:
    return re.sub(r"{{(\w+)}}", lambda m: labels.get(m[1], ""), target["legendFormat"]).strip()


def stat(panel: Json, source: Source, box: tuple[float, float, float, float]) -> Iterator[str]:
    x, y, w, h = box
    found = source.ask(panel["targets"][0])
    defaults = panel["fieldConfig"]["defaults"]
    value = float(found[0]["value"][1]) if found else None
    color = "#444950"
    for step in defaults["thresholds"]["steps"]:
        if value is not None and (step["value"] is None or value >= step["value"]):
            color = NAMED[step["color"]]
    yield f"<rect x='{x}' y='{y + 24}' width='{w}' height='{h - 24}' fill='{color}' rx='2'/>"
    said = "no data" if value is None else shown(value, defaults["unit"])
    yield text(x + w / 2, y + 24 + (h - 24) / 2 + 11, 30, "#ffffff", said, "middle")


def table(panel: Json, source: Source, box: tuple[float, float, float, float]) -> Iterator[str]:
    x, y, w, _ = box
    found = [each["metric"] for each in source.ask(panel["targets"][0])]
    order = panel["transformations"][0]["options"]["indexByName"]
    columns = sorted(order, key=order.__getitem__)
    for number, name in enumerate(columns):
        yield text(x + 8 + number * w / len(columns), y + 44, 12, "#6e9fff", name)
    for line, labels in enumerate(sorted(found, key=lambda m: str(m.get("name")))[:ROWS]):
        for number, name in enumerate(columns):
            said = labels.get(name, "")
            yield text(x + 8 + number * w / len(columns), y + 68 + 24 * line, 12, "#d8d9da", said)


def curves(panel: Json, source: Source) -> list[tuple[str, list[Point]]]:
    found = []
    for target in panel["targets"]:
        for each in source.ask(target):
            points = [(float(at), float(value)) for at, value in each["values"]]
            numbers = [point for point in points if math.isfinite(point[1])]
            if numbers:
                found.append((legend(target, each["metric"]), numbers))
    return sorted(found, key=lambda curve: -max(value for _, value in curve[1]))


def timeseries(
    panel: Json, source: Source, box: tuple[float, float, float, float]
) -> Iterator[str]:
    x, y, w, h = box
    found, unit = curves(panel, source), panel["fieldConfig"]["defaults"]["unit"]
    left, top, wide = x + 58, y + 34, w - 70
    rows = min(LEGENDS, len(found) + 1) // (2 if w < 450 else 3) + 1
    high = h - 66 - 14 * rows
    most = max((value for _, points in found for _, value in points), default=1.0) or 1.0
    most = panel["fieldConfig"]["defaults"].get("max", most * 1.1)
    for part in range(5):
        line = top + high - part * high / 4
        yield f"<path d='M{left} {line:.1f}h{wide}' stroke='#2c3235' fill='none'/>"
        yield text(left - 6, line + 4, 10, "#8e8e8e", shown(part * most / 4, unit), "end")
    for part in range(5):
        at = source.start + part * (source.end - source.start) / 4
        clock = time.strftime("%H:%M:%S", time.gmtime(at))
        anchor = "end" if part == 4 else "middle"
        yield text(left + part * wide / 4, top + high + 14, 10, "#8e8e8e", clock, anchor)
    span = source.end - source.start
    for number, (_, points) in enumerate(found):
        path = " ".join(
            f"{left + wide * (at - source.start) / span:.1f},{top + high * (1 - value / most):.1f}"
            for at, value in points
        )
        color = COLORS[number % len(COLORS)]
        yield f"<polyline points='{path}' fill='none' stroke='{color}' stroke-width='1.5'/>"
    yield from legends([name for name, _ in found], left - 40, top + high + 32, wide + 40)


def legends(names: Sequence[str], x: float, y: float, w: float) -> Iterator[str]:
    columns = 2 if w < 450 else 3
    for number, name in enumerate(names[:LEGENDS]):
        place, line = x + (number % columns) * w / columns, y + 14 * (number // columns)
        color = COLORS[number % len(COLORS)]
        yield f"<rect x='{place:.1f}' y='{line - 6}' width='12' height='3' fill='{color}'/>"
        yield text(place + 16, line, 10, "#c7d0d9", name[: int((w / columns - 16) / 6)])
    if not names:
        yield text(x, y, 10, "#8e8e8e", "no data")


KINDS = {"stat": stat, "table": table, "timeseries": timeseries}


def draw(dashboard: Json, source: Source) -> Iterator[str]:
    panels = dashboard["panels"]
    bottom = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels)
    width, height = 24 * COLUMN + GAP, bottom * ROW + GAP + 34
    yield f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}'>"
    yield f"<rect width='{width}' height='{height}' fill='#111217'/>"
    until = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(source.end))
    minutes = f"{(source.end - source.start) / 60:.0f} minutes to {until} UTC"
    yield text(12, 24, 18, "#d8d9da", dashboard["title"])
    yield text(width - 12, 24, 12, "#8e8e8e", minutes, "end")
    for panel in panels:
        at = panel["gridPos"]
        box = (
            at["x"] * COLUMN + GAP,
            at["y"] * ROW + GAP + 34,
            at["w"] * COLUMN - GAP,
            at["h"] * ROW - GAP,
        )
        x, y, w, h = box
        yield f"<rect x='{x}' y='{y}' width='{w}' height='{h}' fill='#181b1f' stroke='#2c3235'/>"
        yield text(x + 8, y + 17, 12, "#d8d9da", panel["title"])
        yield from KINDS[panel["type"]](panel, source, box)
    yield "</svg>"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.draw_dashboard", description=__doc__)
    parser.add_argument("prometheus", help="its address, such as http://127.0.0.1:9090")
    parser.add_argument("--minutes", type=float, default=180, help="how long back")
    arguments = parser.parse_args()
    end = time.time()
    source = Source(arguments.prometheus.rstrip("/"), end - 60 * arguments.minutes, end)
    dashboard = json.loads(DASHBOARD.read_text())
    sys.stdout.writelines(f"{line}\n" for line in draw(dashboard, source))


if __name__ == "__main__":
    main()
