"""Our own writes wake nobody; everything that a person does wakes us."""

import pickle
from typing import Any

import pytest
from tests.unit.kube.fake_api import drain

from quiesce.kube.resource import Key, Resource
from quiesce.runtime.wakeups import WakeUps

BASE = drain(annotations={"owner": "someone"})


def changed(part: str, value: Any) -> Resource:
    if part == "status":
        return Resource(
            {**BASE, "status": value, "metadata": {**BASE["metadata"], "resourceVersion": "11"}}
        )
    return Resource(
        {**BASE, "metadata": {**BASE["metadata"], part: value, "resourceVersion": "11"}}
    )


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("status", {"phase": "Draining"}),
        ("finalizers", ["quiesce.dev/drain"]),
        ("managedFields", [{"manager": "quiesce"}]),
        ("annotations", {"owner": "someone else"}),
        ("labels", {"a": "b"}),
    ],
)
def test_what_wakes_nobody(part: str, value: Any) -> None:
    wakeups = WakeUps()
    wakeups.is_news(Resource(BASE))
    assert not wakeups.is_news(changed(part, value))


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("uid", "made anew"),
        ("generation", 2),
        ("deletionTimestamp", "2026-01-31T13:00:00Z"),
        ("annotations", {"quiesce.dev/requestedAt": "now"}),
        ("annotations", {"quiesce.dev/abandon": "true"}),
        ("annotations", {"quiesce.dev/rotateKey": "now"}),
    ],
)
def test_what_wakes(part: str, value: Any) -> None:
    wakeups = WakeUps()
    assert wakeups.is_news(Resource(BASE)), "never seen before"
    assert wakeups.is_news(changed(part, value))
    assert not wakeups.is_news(changed(part, value)), "once"
    assert wakeups.is_news(Resource(BASE)), "and back"


def test_gone_is_news_and_so_is_what_comes_after() -> None:
    wakeups = WakeUps()
    wakeups.is_news(Resource(BASE))
    assert wakeups.is_news(Resource(BASE), gone=True)
    assert wakeups.is_news(Resource(BASE))


def test_objects_are_told_apart() -> None:
    wakeups = WakeUps()
    assert wakeups.is_news(Resource(drain("a")))
    assert wakeups.is_news(Resource(drain("b")))
    assert wakeups.is_news(Resource(drain("a", namespace="other")))


def test_what_is_forgotten_is_news_again() -> None:
    wakeups = WakeUps()
    for name in ("a", "b"):
        wakeups.is_news(Resource(drain(name)))
    wakeups.forget_all_but([Key("ns", "a"), Key("ns", "never seen")])
    assert not wakeups.is_news(Resource(drain("a")))
    assert wakeups.is_news(Resource(drain("b")))


@pytest.mark.finding("M9")
def test_no_annotation_is_kept_however_large() -> None:
    wakeups = WakeUps()
    large = "x" * 250_000
    found = changed("annotations", {"quiesce.dev/requestedAt": large})
    assert wakeups.is_news(found)
    assert not wakeups.is_news(changed("annotations", {"quiesce.dev/requestedAt": large}))
    assert wakeups.is_news(changed("annotations", {"quiesce.dev/requestedAt": large + "x"}))
    assert len(pickle.dumps(wakeups._seen)) < 1000


@pytest.mark.finding("M9")
@pytest.mark.parametrize("pair", [({"a": "bc"}, {"ab": "c"}), ({"a": "1", "b": ""}, {"a": "1"})])
def test_other_annotations_are_news(pair: tuple[dict[str, str], dict[str, str]]) -> None:
    wakeups = WakeUps()
    first, second = (
        changed("annotations", {f"quiesce.dev/{name}": value for name, value in each.items()})
        for each in pair
    )
    assert wakeups.is_news(first) and wakeups.is_news(second)
