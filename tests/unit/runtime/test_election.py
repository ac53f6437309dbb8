"""Whose the Lease is: the rule as tables, Leases that others wrote, electors and their clocks."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quiesce.api.selector import Selector
from quiesce.kube.errors import KubeConflict, KubeForbidden, KubeNotFound, KubeUnavailable
from quiesce.kube.lease import Lease, Leases, read
from quiesce.ops.leadership import Fence, NotLeading
from quiesce.runtime.election import DEADLINE, DURATION, Elector, Scope
from quiesce.runtime.election.rule import Act, Seen, act, rival, see

ME, OTHER = "me_1", "other_2"
SCOPE = Scope(frozenset({"openstack"}))


def lease(holder: str = OTHER, duration: int = DURATION, **changes: Any) -> Lease:
    made = Lease("q", "l", "1", holder, duration, 0, "spec", str(SCOPE))
    return replace(made, **changes)


@pytest.mark.parametrize(
    ("found", "unchanged", "todo"),
    [
        (None, 0.0, Act.CREATE),
        (lease(), 0.0, Act.WAIT),
        (lease(), DURATION - 0.1, Act.WAIT),
        (lease(), float(DURATION), Act.TAKE),
        (lease(holder=""), 0.0, Act.TAKE),  # given back
        (lease(holder=ME), 0.0, Act.TAKE),  # our own request, whose answer was lost
        (lease(duration=0), DURATION - 0.1, Act.WAIT),  # garbage takes nothing away from its holder
        (lease(duration=1), DURATION - 0.1, Act.WAIT),
        (lease(duration=30), 29.0, Act.WAIT),
        (lease(duration=30), 30.0, Act.TAKE),
        (lease(duration=2**31 - 1), 59.0, Act.WAIT),
        (lease(duration=2**31 - 1), 60.0, Act.TAKE),  # and keeps nobody out for years
    ],
)
def test_what_one_does_that_does_not_lead(found: Lease | None, unchanged: float, todo: Act) -> None:
    seen = Seen(found, 1000.0) if found else None
    assert act(seen, ME, 1000.0 + unchanged) is todo


def test_it_lives_since_it_was_seen_to_change_whatever_its_times_say() -> None:
    first = see(None, lease(spec="renewTime 1970"), 100.0)
    same = see(first, lease(spec="renewTime 1970", version="2"), 105.0)
    assert same.since == 100.0
    assert see(same, lease(spec="renewTime 2099"), 106.0).since == 106.0


@pytest.mark.promise("always-10")
def test_the_holder_stops_well_before_another_may_begin() -> None:
    assert DEADLINE + 4.0 <= DURATION


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=50),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=5,
)
SPEC = ("holderIdentity", "leaseDurationSeconds", "leaseTransitions", "acquireTime", "renewTime")


@given(st.dictionaries(st.sampled_from(SPEC), ANY), ANY, st.floats(min_value=0, max_value=1e6))
def test_whatever_stands_in_a_lease_nobody_leads_beside_its_holder_or_waits_for_ever(
    spec: dict[str, Any], scope: Any, unchanged: float
) -> None:
    metadata = {"namespace": "q", "name": "l", "resourceVersion": "7"}
    found = read({"metadata": {**metadata, "annotations": {"quiesce.dev/scope": scope}},
                  "spec": spec})  # fmt: skip
    todo = act(see(None, found, 0.0), ME, unchanged)
    if found.holder not in ("", ME) and unchanged < DURATION:
        assert todo is Act.WAIT
    if unchanged >= 60.0 or not found.holder:
        assert todo is Act.TAKE
    rival([Seen(found, 0.0)], "q/own", SCOPE, unchanged)


def scope(namespaces: str | None, selector: str = "") -> Scope:
    names = None if namespaces is None else frozenset(namespaces.split())
    return Scope(names, Selector.parse(selector))


@pytest.mark.parametrize(
    ("one", "other", "overlap"),
    [
        (scope("a"), scope("a"), True),
        (scope("a"), scope("b"), False),
        (scope("a b"), scope("b c"), True),
        (scope(None), scope("b"), True),
        (scope("a", "shard=1"), scope("a", "shard=2"), False),
        (scope("a", "shard=1"), scope("a"), True),
        (scope(None, "shard=1"), scope("a", "!shard"), False),
    ],
)
def test_which_operators_would_work_on_the_same(one: Scope, other: Scope, overlap: bool) -> None:
    assert one.overlaps(other) is overlap
    assert other.overlaps(one) is overlap
    theirs = Seen(lease(name="x", scope=str(other)), 0.0)
    assert (rival([theirs], "q/l", one, 1.0) is not None) is overlap
    assert rival([theirs], "q/l", one, DURATION + 1.0) is None
    assert rival([theirs], "q/x", one, 1.0) is None
    assert Scope.read(str(one)) == one
    assert (one.lease_name == other.lease_name) is (one == other)


@pytest.mark.parametrize(
    "text",
    [
        *("", "{}", "[]", "null", "[" * 100_000),
        '{"namespaces": 3, "selector": ""}',
        '{"namespaces": [3], "selector": ""}',
        '{"namespaces": null, "selector": ">"}',
    ],
)
def test_a_scope_that_nobody_wrote_says_nothing(text: str) -> None:
    assert Scope.read(text) is None


@dataclass
class Shelf:
    """The Leases of an API server: one change at a time, each with the version that was read."""

    held: dict[str, Lease] = field(default_factory=dict)
    versions: int = 0
    fault: Exception | None = None

    def get(self, name: str) -> Lease | None:
        self._may_fail()
        return self.held.get(name)

    def put(self, made: Lease) -> Lease:
        self._may_fail()
        self.versions += 1
        made = replace(made, version=str(self.versions), spec=f"{made.holder} {self.versions}")
        self.held[made.name] = made
        return made

    def check(self, found: Lease) -> None:
        self._may_fail()
        if found.name not in self.held:
            raise KubeNotFound("gone")
        if self.held[found.name].version != found.version:
            raise KubeConflict("changed")

    def _may_fail(self) -> None:
        if self.fault:
            raise self.fault


@dataclass
class MemoryLeases(Leases):
    """As quiesce.kube.lease, on a Shelf."""

    shelf: Shelf
    namespace: str = "q"
    everywhere: bool = False

    def get(self, name: str) -> Lease | None:
        return self.shelf.get(name)

    def list(self, *, everywhere: bool) -> list[Lease]:
        if everywhere and not self.everywhere:
            raise KubeForbidden("cluster")
        found = self.shelf.held.values()
        return [each for each in found if everywhere or each.namespace == self.namespace]

    def create(self, name: str, holder: str, seconds: int, scope: str) -> Lease:
        if name in self.shelf.held:
            raise KubeConflict("there is one")
        return self.shelf.put(Lease(self.namespace, name, "", holder, seconds, 0, "", scope))

    def take(self, lease: Lease, holder: str, seconds: int, scope: str) -> Lease:
        self.shelf.check(lease)
        return self.shelf.put(
            replace(lease, holder=holder, duration=seconds, scope=scope,
                    transitions=lease.transitions + 1)
        )  # fmt: skip

    def renew(self, lease: Lease, seconds: int) -> Lease:
        self.shelf.check(lease)
        return self.shelf.put(lease)

    def release(self, lease: Lease) -> Lease:
        self.shelf.check(lease)
        return self.shelf.put(replace(lease, holder="", duration=1))


@dataclass
class Machine:
    """A process: its own clock, its own elector."""

    shelf: Shelf
    me: str
    scope: Scope = SCOPE
    name: str = "l"
    now: float = 0.0
    ends: int = 0
    namespace: str = "q"
    everywhere: bool = False

    def __post_init__(self) -> None:
        def clock() -> float:
            return self.now

        def lost() -> None:
            self.ends += 1

        self.fence = Fence(clock=clock)
        leases = MemoryLeases(self.shelf, self.namespace, self.everywhere)
        self.elector = Elector(
            leases, self.name, self.scope, self.fence, lost, me=self.me, clock=clock
        )

    def step(self, after: float = 0.0) -> bool:
        """-> whether it may write."""
        self.now += after
        self.elector.step()
        return self.fence.open


Two = tuple[Machine, Machine, Shelf]


@pytest.fixture
def two() -> Two:
    """The second one's clock is hours ahead."""
    shelf = Shelf()
    return Machine(shelf, ME), Machine(shelf, OTHER, now=90_000.0), shelf


def test_one_leads_and_the_other_takes_over_when_it_is_silent(two: Two) -> None:
    one, other, _ = two
    assert one.step()
    assert not other.step()
    for _ in range(20):
        assert one.step(2.0)
        assert not other.step(2.0)
    one.now += DEADLINE
    assert not one.fence.open, "no thread has to run for that"
    steps = [other.step(1.0) for _ in range(DURATION + 1)]
    assert steps.index(True) + 1 >= DURATION
    assert not one.step()
    assert (one.elector.lost and OTHER in one.elector.lost) or "not renewed" in str(
        one.elector.lost
    )
    assert one.ends == 1


@pytest.mark.promise("always-10")
def test_a_paused_process_is_refused_before_anything_of_it_runs(two: Two) -> None:
    one, other, _ = two
    one.step()
    other.step()
    for _ in range(DURATION + 1):
        other.step(1.0)
    one.now += DURATION + 1.0
    with pytest.raises(NotLeading), one.fence.writing():
        pytest.fail("it wrote")
    assert other.fence.open


def test_a_released_lease_is_taken_at_the_next_look(two: Two) -> None:
    one, other, shelf = two
    one.step()
    other.step()
    one.elector.stop(1.0)
    assert shelf.held["l"].holder == ""
    assert other.step(1.0)
    assert not one.fence.open


@pytest.mark.promise("always-10")
def test_it_is_not_given_back_while_a_call_is_under_way(two: Two) -> None:
    one, _, shelf = two
    one.step()
    with one.fence.writing():
        one.elector.stop(0.01)
        assert shelf.held["l"].holder == ME
        with pytest.raises(NotLeading):
            one.fence.check()


def test_it_is_renewed_while_calls_under_way_end(two: Two) -> None:
    one, _, _ = two
    one.step()
    one.fence.close(0.0)
    one.step(DEADLINE - 1)
    one.step(DEADLINE - 1)
    assert one.elector.lost is None
    assert not one.fence.open


@pytest.mark.parametrize(
    ("disturb", "says"),
    [
        (lambda shelf: shelf.held.clear(), "was deleted"),
        (lambda shelf: shelf.put(replace(shelf.held["l"], holder="thief")), "held by thief"),
        (lambda shelf: shelf.put(replace(shelf.held["l"], holder="")), "held by nobody"),
    ],
)
def test_a_leader_whose_lease_is_taken_away_ends(
    two: Two, disturb: Callable[[Shelf], Any], says: str
) -> None:
    one, _, shelf = two
    one.step()
    disturb(shelf)
    one.step(2.0)
    assert says in str(one.elector.lost)
    assert not one.fence.open
    assert one.ends == 1


def test_a_renewal_without_an_answer_is_no_loss(two: Two) -> None:
    one, _, shelf = two
    one.step()
    shelf.put(shelf.held["l"])  # it worked, and its answer was lost
    one.step(2.0)
    assert one.step(0.2)
    assert one.elector.lost is None


def test_an_api_server_that_is_away_is_waited_for_until_the_deadline(two: Two) -> None:
    one, _, shelf = two
    one.step()
    shelf.fault = KubeUnavailable("connection refused")
    assert one.step(3.0)
    assert one.step(3.0)
    shelf.fault = None
    assert one.step(1.0)
    shelf.fault = KubeUnavailable("connection refused")
    one.step(DEADLINE - 1)
    assert one.elector.lost is None
    one.step(1.0)
    assert "connection refused" in str(one.elector.lost)


def test_one_that_cannot_read_the_lease_is_not_ready(two: Two) -> None:
    _, other, shelf = two
    shelf.fault = KubeForbidden("leases is forbidden")
    other.step()
    assert other.elector.failing() == []
    other.step(31.0)
    assert "leases is forbidden" in other.elector.failing()[0]


def test_an_operator_with_another_lease_that_watches_the_same_keeps_it_from_leading() -> None:
    shelf = Shelf()
    one = Machine(shelf, ME, Scope(frozenset({"a", "b"})), "one")
    other = Machine(shelf, OTHER, Scope(frozenset({"b", "c"})), "other")
    third = Machine(shelf, "third", Scope(frozenset({"d"})), "third")
    assert one.step()
    assert not other.step()
    assert other.elector.failing() == [], "the one that it replaces ends once this one is ready"
    elsewhere = Machine(shelf, "else", one.scope, "else", namespace="p", everywhere=True)
    assert not elsewhere.step()
    assert "some of the same resources" in elsewhere.elector.failing()[0]
    assert third.step()
    one.elector.stop(1.0)
    assert other.step(1.0)
    assert other.elector.failing() == []


def test_a_leader_gives_way_to_one_that_could_not_see_it() -> None:
    """Pods may list the Leases beside them only, and a person who ran the operator by hand before
    they were started has one elsewhere.
    """
    shelf = Shelf()
    by_hand = Machine(shelf, ME, name="one", namespace="drains", everywhere=True)
    pod = Machine(shelf, OTHER, name="other")
    assert by_hand.step()
    assert pod.step()
    for _ in range(6):
        pod.step(2.0)
        if not by_hand.step(2.0):
            break
    assert not by_hand.fence.open
    assert "another operator leads for the same" in str(by_hand.elector.lost)
    assert pod.step()


def test_of_two_that_ask_at_once_with_different_leases_not_both_lead() -> None:
    shelf = Shelf()
    one = Machine(shelf, ME, Scope(frozenset({"a"})), "one")
    shelf.put(Lease("q", "other", "", "", 1, 0, "", str(Scope(frozenset({"a"})))))
    create = one.elector._leases.create

    def late(*arguments: Any) -> Lease:
        shelf.put(replace(shelf.held["other"], holder=OTHER, duration=DURATION))
        return create(*arguments)

    one.elector._leases.create = late  # type: ignore[method-assign, assignment]
    assert not one.step()
    assert shelf.held["one"].holder == ""


@pytest.mark.promise("always-10")
@given(st.lists(st.tuples(st.sampled_from("abcpq"), st.floats(0.0, 15.0)), max_size=60))
def test_two_are_never_open_at_once(moves: list[tuple[str, float]]) -> None:
    """Whatever time passes between any two steps of three processes, of which two may fail to
    reach the API server.
    """
    shelf = Shelf()
    machines = [Machine(shelf, name, now=1e4 * number) for number, name in enumerate("abc")]
    for what, seconds in moves:
        for machine in machines:
            machine.now += seconds
        assert sum(machine.fence.open for machine in machines) <= 1
        if what in "abc":
            shelf.fault = None
        else:
            shelf.fault = KubeUnavailable("no answer")
        machines["abcpq".index(what) % 3].elector.step()
        assert sum(machine.fence.open for machine in machines) <= 1
