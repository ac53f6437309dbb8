"""Drains as an API server showed them while the stand-in's cmp2 was drained (recorded/*.json)."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from quiesce.plugin.view import DrainView

Json = dict[str, Any]

RECORDED = Path(__file__).parent / "recorded"
PHASES = sorted(file.stem for file in RECORDED.glob("*.json"))
WEB_09 = "78601602-bb4a-46cb-a786-ab375bca47be"
WEB_10 = "c470f0e7-f76f-4fb8-b412-fc12ac322c12"


def recorded(name: str) -> Json:
    found: Json = json.loads((RECORDED / f"{name}.json").read_text())
    return found


def view(name: str, **status: Any) -> DrainView:
    """`status`: fields in place of the recorded ones."""
    resource = recorded(name)
    resource.setdefault("status", {}).update(status)
    return DrainView.read(resource)


def now_of(seen: DrainView, seconds: int = 60) -> datetime:
    """So long after it was created."""
    assert seen.created is not None
    return datetime.fromtimestamp(seen.created.timestamp() + seconds, UTC)
