"""How many workers a namespace or a cloud holds: tables, then a queue, then a controller."""

import threading

import pytest
from tests.unit.kube.fake_api import drain
from tests.unit.runtime.test_controller import Seen, Store

from quiesce.kube.resource import Key, Resource
from quiesce.runtime.controller import Controller
from quiesce.runtime.shares import Shares
from quiesce.runtime.turn import joins
from quiesce.runtime.workqueue import WorkQueue

pytestmark = [pytest.mark.finding("H4", "M10"), pytest.mark.promise("never-11")]


def namespace_of(key: str) -> str:
    """`a1` is in namespace `a`."""
    return key[0]


def shares(workers: int, known: str, busy: str = "") -> Shares[str]:
    """`busy`: in the order in which they began."""
    found: Shares[str] = Shares(namespace_of, workers)
    for key in f"{known} {busy}".split():
        found.add(key)
    for key in busy.split():
        found.begin(key)
    return found


@pytest.mark.parametrize(
    ("workers", "known", "busy", "may", "may_not"),
    [
        # Half of the workers, where there is another namespace
        (8, "b1", "a1 a2 a3", "a4 b1", ""),
        (8, "b1", "a1 a2 a3 a4", "b1", "a5"),
        # Half of what the others leave
        (8, "", "a1 a2 a3 a4 b1", "b2", "a5"),
        (8, "", "a1 a2 a3 a4 b1 b2", "c1", "a5 b3"),
        (8, "", "a1 a2 a3 a4 b1 b2 c1", "d1", "a5 b3 c2"),
        # At least one
        (2, "b1", "a1", "b1", "a2"),
        (1, "b1", "", "a1 b1", ""),
        # All of them, where there is no other
        (8, "", "a1 a2 a3 a4 a5 a6 a7", "a8", ""),
        (2, "", "a1", "a2", ""),
        # No limit
        (0, "b1", "a1 a2 a3 a4 a5", "a6 b1", ""),
    ],
)
def test_who_may_begin(workers: int, known: str, busy: str, may: str, may_not: str) -> None:
    for key in f"{may} {may_not}".split():
        found = shares(workers, f"{known} {key}", busy)
        assert found.may_begin(key) is (key in may.split()), key


def test_what_ends_gives_its_share_back() -> None:
    found = shares(8, "b1 a5", "a1 a2 a3 a4")
    assert not found.may_begin("a5")
    found.end("a1")
    assert found.may_begin("a5")


def test_what_is_forgotten_is_no_other_any_more() -> None:
    found = shares(8, "b1 a5", "a1 a2 a3 a4")
    found.forget("b1")
    assert found.may_begin("a5")


def test_a_cloud_of_many_namespaces_has_one_share() -> None:
    found = shares(8, "g1", "a1 b1 c1 d1 e1 f1")
    assert [found.join(key, "hangs") for key in ("a1", "b1")] == [True, True]
    found.join("f1", "good")
    assert [found.join(key, "hangs") for key in ("c1", "d1", "e1")] == [True, False, False]
    assert found.join("c1", "hangs"), "what has joined once stays"
    for key in ("d1", "e1"):
        found.end(key)
    assert found.may_begin("g1"), "its cloud is not known yet"
    assert found.may_begin("d1"), "a worker has become free"
    found.begin("d1")
    assert not found.may_begin("e1")
    found.end("a1")
    assert found.may_begin("e1")


def test_what_changes_its_cloud_leaves_the_share_of_the_other() -> None:
    found = shares(4, "b1 b2", "a1")
    found.join("a1", "old")
    found.join("a1", "new")
    found.end("a1")
    found.begin("b1")
    found.join("b1", "new")
    found.begin("b2")
    assert found.join("b2", "new"), "no other cloud is known any more"


def test_a_queue_hands_out_what_may_begin_and_keeps_the_order() -> None:
    queue: WorkQueue[str] = WorkQueue(lambda: 0.0, namespace_of)
    queue.share_among(4)
    for key in ("a1", "a2", "a3", "b1", "a4", "c1"):
        queue.add(key)
    assert [queue.get(0) for _ in range(5)] == ["a1", "a2", "b1", "c1", None]
    queue.done("a1", None)
    assert [queue.get(0), queue.get(0)] == [None, None], "two of four are of others"
    queue.done("c1", None)
    assert [queue.get(0), queue.get(0)] == ["a3", None]
    queue.done("b1", None)
    assert queue.get(0) == "a4", "no other namespace is left"


def test_one_that_waits_for_its_share_is_woken() -> None:
    queue: WorkQueue[str] = WorkQueue(namespace_of=namespace_of)
    queue.share_among(2)
    for key in ("a1", "b1", "a2"):
        queue.add(key)
    assert [queue.get(0), queue.get(0)] == ["a1", "b1"]
    found: list[str | None] = []
    thread = threading.Thread(target=lambda: found.append(queue.get(600)), daemon=True)
    thread.start()
    queue.done("a1", 600)
    thread.join(60)
    assert found == ["a2"]


@pytest.mark.parametrize("spread", [True, False], ids=["eight namespaces", "one namespace"])
def test_eight_drains_of_a_cloud_that_hangs_leave_others_served(spread: bool) -> None:
    """Their clouds are known only as they begin."""
    going = threading.Event()

    def then(key: Key) -> float | None:
        bad = key.name.startswith("bad")
        joins("hangs:5000" if bad else "good:5000")
        if bad:
            going.wait(60)
            return 3600
        return 0.001

    names = [(f"n{n}" if spread else "bad", f"bad-{n}") for n in range(8)] + [("good", "good")]
    seen, store = Seen(then), Store()
    store.resources = [Resource(drain(name, namespace=ns)) for ns, name in names]
    controller = Controller("drain", store, seen)  # type: ignore[arg-type]
    controller.relist()
    controller.start(workers=8)
    try:
        seen.wait_for(lambda keys: keys.count("good") > 20)
        going.set()
        seen.wait_for(lambda keys: len({key for key in keys if key.startswith("bad")}) == 8)
    finally:
        going.set()
        controller.stop()
        assert controller.join(60) == []
