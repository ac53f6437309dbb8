"""Which shard works on a resource: by its labels, its marks, and who is still at work."""

from typing import Any

import pytest
from tests.unit.kube.fake_api import drain
from tests.unit.runtime.test_election import MemoryLeases, Shelf

from quiesce.api.annotations import SHARD_MARK
from quiesce.api.selector import Selector
from quiesce.kube.lease import Lease
from quiesce.kube.resource import Resource
from quiesce.runtime.election.rule import DURATION
from quiesce.runtime.shard import Shard, Step, step

A, B = f"{SHARD_MARK}a", f"{SHARD_MARK}b"
FINALIZER = "quiesce.dev/drain"
IS_A = Selector.parse("shard=a")


@pytest.mark.parametrize(
    ("finalizers", "shard", "deleting", "expected"),
    [
        ((), "a", False, Step.MARK),
        ((FINALIZER,), "a", False, Step.MARK),  # of an operator without shards, or handed over
        ((FINALIZER, A), "a", False, Step.WORK),
        ((FINALIZER, A), "b", False, Step.HAND_OVER),
        ((FINALIZER, B), "a", False, Step.WAIT),
        ((FINALIZER, B), "b", False, Step.LEAVE),
        ((FINALIZER,), "b", False, Step.LEAVE),
        # In deletion no mark can be set any more: the one that it has counts to the end.
        ((FINALIZER, A), "b", True, Step.WORK),
        ((FINALIZER, B), "a", True, Step.WAIT),
        ((FINALIZER,), "a", True, Step.WORK),
    ],
)
def test_who_works(finalizers: tuple[str, ...], shard: str, deleting: bool, expected: Step) -> None:
    assert step(finalizers, {"shard": shard}, IS_A, A, deleting=deleting) is expected


def test_an_operator_without_a_selector_sets_no_mark_and_respects_those_of_others() -> None:
    assert step((), {}, Selector(), None, deleting=False) is Step.WORK
    assert step((FINALIZER, B), {}, Selector(), None, deleting=False) is Step.WAIT


@pytest.mark.parametrize("finalizers", [(), (A,), (B,), (FINALIZER, A), (FINALIZER, B)])
@pytest.mark.parametrize("labels", [{}, {"shard": "a"}, {"shard": "b"}])
@pytest.mark.parametrize("deleting", [True, False])
def test_never_two_of_them(
    finalizers: tuple[str, ...], labels: dict[str, str], deleting: bool
) -> None:
    found = [
        step(finalizers, labels, Selector.parse(f"shard={name}"), mark, deleting=deleting)
        for name, mark in (("a", A), ("b", B))
    ]
    assert found.count(Step.WORK) <= 1


def resource(*finalizers: str, **labels: str) -> Resource:
    return Resource(drain(finalizers=list(finalizers), labels=labels))


def test_a_mark_is_taken_over_once_nobody_holds_its_lease() -> None:
    now, shelf = [0.0], Shelf()
    shard = Shard(IS_A, A, MemoryLeases(shelf), lambda: now[0])
    left = resource(FINALIZER, B, shard="a")
    assert not shard.others_are_gone(left), "there is no such Lease: nothing is known"
    held: dict[str, Any] = {"transitions": 0, "spec": "", "scope": "", "version": ""}
    shelf.put(Lease("q", "b", holder="pod-b", duration=DURATION, **held))
    assert not shard.others_are_gone(left)
    now[0] += DURATION - 1
    assert not shard.others_are_gone(left)
    now[0] += 1
    assert shard.others_are_gone(left)
    shelf.put(shelf.held["b"])
    assert not shard.others_are_gone(left), "it has been renewed"
    shelf.put(Lease("q", "b", holder="", duration=1, **held))
    assert shard.others_are_gone(left)


def test_what_concerns_a_shard() -> None:
    shard = Shard(IS_A, A)
    assert shard.concerns(resource(shard="a"))
    assert shard.concerns(resource(A, shard="b"))
    assert not shard.concerns(resource(B, shard="b"))
    assert Shard().concerns(resource())
