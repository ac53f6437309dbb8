"""The dashboard and the alerts ask for metrics, labels and words that the operator really has."""

import json
import re
from collections.abc import Iterator

import pytest
from tests.monitoring.conftest import Drained
from tests.monitoring.prometheus import MONITORING, ROOT, rules
from tests.monitoring.scene import exposed

from quiesce.api.drain.reasons import DrainReason, Phase, ServerReason

NAME = re.compile(r"\b((?:quiesce|process)_\w+)(?:\{([^}]*)\})?")
MATCHER = re.compile(r'(\w+)(=~|!=|!~|=)"([^"]*)"')
GROUPING = re.compile(r"\b(?:by|on|without|ignoring)\s*\(([^)]*)\)")
LEGEND = re.compile(r"{{\s*(?:\$labels\.)?(\w+)\s*}}")
OF_TARGET = {"instance", "job", "namespace", "pod"}
"""Labels that Prometheus itself adds."""
WORDS = {
    "phase": {str(phase) for phase in Phase},
    "reason": {*map(str, DrainReason), *map(str, ServerReason)},
    "outcome": {"ok", "retry", "bug"},
    "state": {"moved", "offloaded", "moving", "waiting", "blocked"},
}


def dashboard() -> Iterator[tuple[str, str, str]]:
    """(title, query, legend) of every panel."""
    for panel in json.loads((MONITORING / "dashboard.json").read_text())["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"], target["legendFormat"]


def alerts() -> Iterator[tuple[str, str, str]]:
    for group in rules()["groups"]:
        for rule in group["rules"]:
            queried = "\n".join(
                re.findall(r'printf "([^|]*)\|', rule["annotations"]["description"])
            )
            text = "".join(rule["annotations"].values())
            yield rule["alert"], rule["expr"], text
            if queried:
                yield rule["alert"], queried.replace("%q", '""').replace('\\"', '"'), ""


QUERIES = [*dashboard(), *alerts()]


@pytest.mark.parametrize(
    ("title", "query", "text"), QUERIES, ids=[re.sub(r"\W+", "_", each[0]) for each in QUERIES]
)
def test_every_query_is_answered(title: str, query: str, text: str, drained: Drained) -> None:
    there, labels = exposed(drained.scrape), set[str]()
    for name, selector in NAME.findall(query):
        assert name in there, f"{title}: no metric {name}"
        labels |= there[name]
        for label, operator, value in MATCHER.findall(selector):
            assert label in there[name], f"{title}: {name} has no label {label}"
            words = re.split(r"\|", value) if "~" in operator else [value]
            known = WORDS.get(label, set())
            assert not known or {*words} <= known | {"$namespace"}, f"{title}: {label}={value}"
    for found in GROUPING.findall(query):
        used = {label.strip() for label in found.split(",") if label.strip()}
        assert used <= labels | OF_TARGET, f"{title}: no label {used - labels}"
    assert {*LEGEND.findall(text)} - {"end"} <= labels | OF_TARGET, title


def test_the_labels_in_the_docs_are_those_that_are_there(drained: Drained) -> None:
    page, found = (ROOT / "docs" / "monitoring.md").read_text(), exposed(drained.scrape)
    for name, labels in re.findall(r"^\| `(quiesce_\w+)` \| ([\w, ]*)\|", page, re.MULTILINE):
        there = found.get(name, found.get(f"{name}_bucket"))
        assert there is not None, name
        assert {*filter(None, re.split(r"[, ]+", labels))} == there - {"le"}, name


def test_every_panel_has_data(drained: Drained) -> None:
    """Prometheus has evaluated all of them."""
    assert "no data" not in drained.drawing, drained.drawing
    titles = [title for title, _, _ in dashboard()]
    assert all(title.replace("&", "&amp;") in drained.drawing for title in titles)


def test_series_that_grow_with_the_cloud_are_those_of_drains_alone(drained: Drained) -> None:
    """No name of a server, no ID, and no host or resource but in series of single drains."""
    others = [
        line for line in drained.scrape.splitlines() if not line.startswith(("#", "quiesce_drain_"))
    ]
    named = [*drained.servers, *drained.servers.values(), "cmp1", "cmp2", "cmp3", 'name="']
    assert [line for line in others for name in named if name in line] == []
    assert not [name for name in drained.servers if f'"{name}"' in drained.scrape]


def test_what_the_drain_did_is_measured(drained: Drained) -> None:
    found = dict(
        line.rsplit(" ", 1) for line in drained.scrape.splitlines() if not line.startswith("#")
    )
    cold = 'quiesce_move_stage_duration_seconds_count{method="cold",stage="%s"}'
    assert float(found[cold % "wait"]) == 5  # web-1, web-2, db-1, bad-1, held-1
    assert float(found[cold % "move"]) == 4
    assert float(found[cold % "verify"]) == 3
    assert float(found[cold % "confirm"]) == 3
    assert float(found['quiesce_moves_finished_total{method="cold",result="confirmed"}']) == 3
    assert float(found['quiesce_moves_finished_total{method="offload",result="completed"}']) == 1
    assert found['quiesce_drain_stalled{name="cmp1",namespace="openstack"}'] == "1.0"
    assert found['quiesce_drain_stalled{name="cmp3",namespace="openstack"}'] == "0.0"
    held = 'quiesce_drain_verify_resize_since_timestamp_seconds{name="%s",namespace="openstack"}'
    assert held % "cmp2" in found
    assert held % "cmp1" not in found
    writes = 'quiesce_kubernetes_writes_total{kind="%s",outcome="ok",verb="%s"}'
    for written in (
        ("computenodedrains/status", "patch"),
        ("computenodedrains", "patch"),
        ("events", "create"),
    ):
        assert float(found[writes % written]) > 0
