"""While a drain was applied and its host is not disabled, no other one sends servers anywhere."""

from typing import Any

import pytest
from tests.unit.clock import Clock
from tests.unit.drain.build import decided, observed, server
from tests.unit.kube.fake_api import drain

from quiesce.drain.model.actions import StartMove
from quiesce.drain.newcomers import LONGEST_HOLD, Newcomers
from quiesce.kube.resource import Resource


@pytest.fixture
def newcomers(clock: Clock) -> Newcomers:
    return Newcomers(clock)


def resource(name: str, status: Any = None, **spec: Any) -> Resource:
    raw = drain(name)
    raw["metadata"]["uid"] = name
    raw["spec"] = {"host": name, **spec}
    raw["status"] = status or {}
    return Resource(raw)


OLD = resource("old", {"service": {"foundStatus": "enabled"}})


def test_others_wait_until_its_tick_has_ended(newcomers: Newcomers) -> None:
    newcomers.notice(resource("new"))
    assert newcomers.hold(OLD)
    assert not newcomers.hold(resource("new")), "not for itself"
    newcomers.settle("new")
    assert not newcomers.hold(OLD)


def test_one_that_is_never_done_holds_nobody_up_for_long(
    newcomers: Newcomers, clock: Clock
) -> None:
    newcomers.notice(resource("new"))
    clock.now += LONGEST_HOLD - 1
    newcomers.notice(resource("new"))  # changed again: it holds no longer for that
    assert newcomers.hold(OLD)
    clock.now += 1
    assert not newcomers.hold(OLD)


@pytest.mark.parametrize(
    "other",
    [
        resource("n", {"service": {"foundStatus": "disabled"}}),
        resource("n", mode="Plan"),
        resource("n", suspend=True),
        resource("n", cloudCredentialsRef={"cloudName": "another"}),
        resource("n", cloudCredentialsRef={"secretName": "another"}),
        resource("n", cloudCredentialsRef={"secretName": 7}),
    ],
    ids=["begun", "plan", "suspended", "cloud", "Secret", "not valid"],
)
def test_who_holds_nobody_up(newcomers: Newcomers, other: Resource) -> None:
    newcomers.notice(other)
    assert not newcomers.hold(OLD)


def test_one_of_another_namespace_holds_nobody_up(newcomers: Newcomers) -> None:
    """Who may create drains in one namespace keeps no other one from moving."""
    newcomers.notice(Resource(drain("new", namespace="elsewhere")))
    assert not newcomers.hold(OLD)


def test_what_nobody_asks_for_is_forgotten(newcomers: Newcomers, clock: Clock) -> None:
    for number in range(50):
        newcomers.notice(resource(f"n{number}"))
        clock.now += 1
    assert len(newcomers._waiting) <= LONGEST_HOLD


def test_a_drain_that_is_held_begins_nothing_and_comes_back_soon() -> None:
    servers = (server("s1"), server("s2"))
    what = observed(servers=servers)
    free, held = decided(what), decided(what, held=True)
    assert [type(a) for a in free.actions] == [StartMove, StartMove]
    assert held.actions == ()
    assert held.requeue == 2.0
