"""`--max-moves`: who is given the next slot. `--max-arrivals`: what is on its way, and whose turn
it is.
"""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.drain.build import migration

from quiesce.api.drain.reasons import ServerReason, Stage
from quiesce.drain.decide.schedule import on_their_way
from quiesce.drain.limiter import MoveLimiter
from quiesce.drain.model.decision import Arrivals
from quiesce.drain.model.verdict import Blocked, Follow, ServerVerdict, Verdict, Wait


def test_the_limiter_counts_the_moves_of_all_others() -> None:
    limiter = MoveLimiter(5)
    limiter.hold("a", "ns", 3)
    limiter.hold("b", "ns", 1)
    assert [limiter.slots(each, "ns") for each in "abc"] == [4, 2, 1]
    limiter.hold("a", "ns", 0)
    assert limiter.slots("c", "ns") == 4
    limiter.hold("b", "ns", 9)
    assert limiter.slots("c", "ns") == 0
    limiter.forget("b")
    assert limiter.slots("c", "ns") == 5
    assert MoveLimiter(0).slots("a", "ns") is None


@pytest.mark.finding("M10")
@pytest.mark.promise("never-11")
def test_no_namespace_has_all_moves_while_another_wants_some() -> None:
    now = [0.0]
    limiter = MoveLimiter(20, lambda: now[0])
    assert limiter.slots("alone", "hostile") == 20
    for number in range(3):
        limiter.hold(f"hostile-{number}", "hostile", 100)
    assert limiter.slots("good", "good") == 10, "whatever a cloud lists as in flight"
    assert limiter.slots("hostile-3", "hostile") == 0

    limiter = MoveLimiter(20, lambda: now[0])
    limiter.hold("good", "good", 0, waits=True)
    assert limiter.slots("hostile", "hostile") == 10, "what others wait for is kept for them"
    limiter.hold("hostile", "hostile", 10, waits=True)
    assert limiter.slots("good", "good") == 10
    assert limiter.slots("third", "third") in (6, 7)  # of three
    now[0] = 31.0
    assert limiter.slots("hostile", "hostile") == 20, "it asks no more"


@pytest.mark.promise("never-11")
@pytest.mark.parametrize("limit", [1, 2, 3, 7])
@pytest.mark.parametrize("namespaces", [1, 3])
def test_each_drain_has_its_turn(limit: int, namespaces: int) -> None:
    """Six drains, each with up to four moves of the same length, that never run out."""
    now = 0.0
    limiter = MoveLimiter(limit, lambda: now)
    drains = {f"d{n}": f"ns{n % namespaces}" for n in range(6)}
    in_flight, moves = dict.fromkeys(drains, 0), Counter[str]()
    for _ in range(1800):
        now += 20.0
        for uid, namespace in drains.items():
            slots = limiter.slots(uid, namespace) or 0
            more = max(0, min(slots, 4) - in_flight[uid])
            in_flight[uid] += more
            moves[uid] += more
            waits = slots <= in_flight[uid] < 4
            limiter.hold(uid, namespace, in_flight[uid], most=4, waits=waits)
            assert sum(in_flight.values()) <= limit or namespaces > 1  # docs/operations.md says why
        for uid in [uid for uid, n in in_flight.items() if n]:
            in_flight[uid] = 0
            limiter.hold(uid, drains[uid], 0, most=4, waits=True)
    assert moves.total() >= 0.9 * 1800 * limit
    assert max(moves.values()) <= 2 * min(moves.values()), moves


def test_a_drain_in_its_turn_has_several_moves_at_once_and_then_it_is_the_next_ones() -> None:
    now = [0.0]
    limiter = MoveLimiter(4, lambda: now[0])
    limiter.hold("early", "ns", 3, most=4)
    now[0] = 10.0
    limiter.hold("late", "ns", 1, most=4, waits=True)
    assert limiter.slots("early", "ns") == 3, "nobody lacks what it has not asked for"
    limiter.hold("early", "ns", 3, most=4, waits=True)
    assert (limiter.slots("early", "ns"), limiter.slots("late", "ns")) == (3, 0)
    now[0] = 299.0
    limiter.hold("early", "ns", 4, most=4)
    limiter.hold("late", "ns", 0, most=4, waits=True)
    assert (limiter.slots("early", "ns"), limiter.slots("late", "ns")) == (4, 0)
    now[0] = 301.0
    assert limiter.slots("early", "ns") == 0, "moves in flight are not interrupted"
    limiter.hold("early", "ns", 2, most=4, waits=True)
    assert limiter.slots("late", "ns") == 2
    limiter.hold("late", "ns", 2, most=4, waits=True)
    limiter.hold("early", "ns", 1, most=4, waits=True)
    assert (limiter.slots("early", "ns"), limiter.slots("late", "ns")) == (0, 3)


def test_with_as_many_slots_as_drains_want_each_has_its_share() -> None:
    limiter = MoveLimiter(20, lambda: 0.0)
    for uid in "abcd":
        limiter.hold(uid, "ns", 0, most=12, waits=True)
    assert limiter.slots("d", "ns") == 5
    limiter.hold("a", "ns", 5, most=12, waits=True)
    assert limiter.slots("a", "ns") == 5
    limiter.forget("d")
    limiter.forget("b")
    limiter.forget("c")
    assert limiter.slots("a", "ns") == 20, "while nobody else wants any"


@pytest.mark.promise("never-11")
def test_a_drain_that_can_no_longer_look_at_its_cloud_gives_its_slots_back() -> None:
    """As one whose credentials were revoked while servers moved."""
    now = [0.0]
    limiter = MoveLimiter(4, lambda: now[0], 3)
    limiter.hold("revoked", "ns", 4, cloud="c", arrivals=Arrivals({"cmp9": 3}))
    now[0] = 599.0
    assert limiter.slots("other", "ns") == 0
    assert limiter.arriving("other", "ns", "c") == 0
    now[0] = 601.0
    assert limiter.slots("other", "ns") == 4
    assert limiter.arriving("other", "ns", "c") == 3


def test_arrivals_are_counted_in_each_cloud_for_itself() -> None:
    limiter = MoveLimiter(0, lambda: 0.0, 2)
    limiter.hold("a", "ns", 1, cloud="c", arrivals=Arrivals({"cmp9": 1}))
    limiter.hold("b", "other", 1, cloud="c", arrivals=Arrivals(open=1))
    assert limiter.beside("c", "c") == Arrivals({"cmp9": 1}, 1)
    assert [limiter.arriving(uid, "ns", "c") for uid in "ac"] == [1, 0]
    assert limiter.arriving("b", "other", "c") == 1
    assert limiter.arriving("d", "ns", "another cloud") == 2


def arrives(limiter: MoveLimiter, uid: str, number: int, namespace: str = "ns") -> None:
    """So many moves of it are on their way to the same host, and it would have four."""
    limiter.hold(
        uid,
        namespace,
        number,
        most=4,
        waits_for_arrivals=True,
        cloud="c",
        arrivals=Arrivals({"cmp9": number}),
    )


@pytest.mark.promise("never-11")
def test_a_drain_whose_turn_is_over_lets_the_next_ones_moves_begin() -> None:
    now = [0.0]
    limiter = MoveLimiter(0, lambda: now[0], 2)
    arrives(limiter, "early", 2)
    now[0] = 10.0
    arrives(limiter, "late", 0)
    assert limiter.arriving("late", "ns", "c") == 0
    arrives(limiter, "early", 1)
    assert limiter.arriving("early", "ns", "c") == 2, "in its turn"
    now[0] = 301.0
    arrives(limiter, "late", 0)
    assert limiter.arriving("early", "ns", "c") == 0, "and what is on its way is not interrupted"
    assert limiter.arriving("early", "ns", "another") == 2, "nobody waits there"
    assert limiter.arriving("late", "ns", "c") == 1
    arrives(limiter, "late", 1)
    arrives(limiter, "early", 0)
    assert limiter.arriving("early", "ns", "c") == 0, "it is the other one's turn"
    assert limiter.arriving("late", "ns", "c") == 2
    now[0] = 332.0
    assert limiter.arriving("early", "ns", "c") == 1, "that one asks no more"


def test_drains_that_have_not_had_their_turn_do_not_wait_for_each_other() -> None:
    """Whoever looks first begins: what may arrive is not kept for one until its next tick."""
    now = [0.0]
    limiter = MoveLimiter(0, lambda: now[0], 4)
    arrives(limiter, "first", 0)
    now[0] = 10.0
    arrives(limiter, "second", 0)
    assert limiter.arriving("second", "ns", "c") == limiter.arriving("first", "ns", "c") == 4


@pytest.mark.promise("never-11")
def test_no_namespace_has_all_that_arrives_while_another_waits() -> None:
    limiter = MoveLimiter(0, lambda: 0.0, 8)
    for uid in ("a", "b"):
        arrives(limiter, uid, 4, "large")
    assert not limiter.still_waits("c", "large", "another cloud")
    assert limiter.arriving("a", "large", "c") == 4
    assert limiter.still_waits("small", "small", "c")
    arrives(limiter, "b", 3, "large")
    assert limiter.arriving("b", "large", "c") == 0, "it is the small one's, up to its share"
    assert limiter.arriving("small", "small", "c") == 1
    arrives(limiter, "b", 0, "large")
    assert limiter.arriving("b", "large", "c") == 0
    assert limiter.arriving("small", "small", "c") == 4


@pytest.mark.promise("never-11")
def test_a_drain_that_does_not_begin_its_moves_in_its_turn_keeps_nobody_from_it() -> None:
    now = [0.0]
    limiter = MoveLimiter(0, lambda: now[0], 1)
    arrives(limiter, "busy", 1)
    for now[0] in (290.0, 301.0):
        assert limiter.still_waits("stuck", "ns", "c")
    arrives(limiter, "busy", 0)
    assert not limiter.still_waits("stuck", "ns", "c")
    assert limiter.arriving("busy", "ns", "c") == 0
    for now[0] in (305.0, 310.0, 312.0):
        assert not limiter.still_waits("stuck", "ns", "c")
    assert limiter.arriving("busy", "ns", "c") == 1


@pytest.mark.promise("never-11")
def test_a_drain_that_waits_for_others_to_arrive_keeps_no_slot_from_others() -> None:
    """Nor does one that waits for a slot keep others from arriving."""
    now = [0.0]
    limiter = MoveLimiter(2, lambda: now[0], 1)
    limiter.hold("a", "ns", 1, cloud="c", arrivals=Arrivals({"cmp9": 1}))
    assert limiter.still_waits("b", "ns", "c")
    now[0] = 1.0
    assert limiter.slots("in-another-cloud", "ns") == 1
    limiter = MoveLimiter(1, lambda: now[0], 1)
    limiter.hold("a", "ns", 1, cloud="c")
    assert limiter.still_waits("b", "ns", "c")
    now[0] = 2.0
    assert limiter.arriving("c", "other", "c") == 1


@pytest.mark.promise("never-11")
@given(
    st.integers(1, 9),
    st.lists(
        st.tuples(
            st.integers(0, 7),
            st.sampled_from(["begin", "end", "want"]),
            st.sampled_from([None, "cmp8", "cmp9"]),
            st.floats(0, 200),
        ),
        max_size=60,
    ),
)
def test_what_may_arrive_is_somebodys(
    most: int, steps: list[tuple[int, str, str | None, float]]
) -> None:
    """Whatever drains did before: if one more may begin and any waits, one of those that wait may
    begin it; and there are never more than may be.
    """
    now = 0.0
    limiter = MoveLimiter(0, lambda: now, most)
    of = {f"d{n}": f"ns{n % 3}" for n in range(8)}
    has: dict[str, list[str | None]] = {each: [] for each in of}
    wants = dict.fromkeys(of, False)

    def on_their_way(uid: str) -> Arrivals:
        known = [each for each in has[uid] if each]
        return Arrivals(Counter(known), len(has[uid]) - len(known))

    def may_begin(uid: str) -> int:
        arriving = limiter.arriving(uid, of[uid], "c")
        assert arriving is not None
        room = (on_their_way(uid) + limiter.beside(uid, "c")).room(most)
        return min(room, arriving - len(has[uid]), 4 - len(has[uid]))

    for number, what, dest, seconds in steps:
        now += seconds
        uid = f"d{number}"
        if what == "begin":
            has[uid] += [None] * max(0, may_begin(uid))
        elif what == "end":
            has[uid] = [dest] * (len(has[uid]) - 1)
        wants[uid] = what == "want" and len(has[uid]) < 4
        for each in of:  # all are alive, and ask
            limiter.hold(
                each,
                of[each],
                len(has[each]),
                most=4,
                waits_for_arrivals=wants[each],
                cloud="c",
                arrivals=on_their_way(each),
            )
        waiting = [each for each in of if wants[each]]
        room = limiter.beside("nobody", "c").room(most)
        if waiting and room > 0:
            assert any(may_begin(each) > 0 for each in waiting)


@pytest.mark.promise("never-11")
def test_a_drain_that_does_not_take_its_slot_keeps_it_from_nobody() -> None:
    """As one whose cloud does not answer once it looks at its host."""
    now = [0.0]
    limiter = MoveLimiter(1, lambda: now[0])
    limiter.hold("busy", "ns", 1)
    for now[0] in (1.0, 2.0):
        assert limiter.still_waits("stuck", "ns", "c")
    now[0] = 3.0
    assert limiter.still_waits("next", "ns", "c")
    limiter.hold("busy", "ns", 0)
    assert not limiter.still_waits("stuck", "ns", "c")
    assert limiter.still_waits("next", "ns", "c"), "it is the other one's turn"
    for now[0] in (8.0, 13.0, 14.0):
        assert not limiter.still_waits("stuck", "ns", "c"), "it would take it if it could"
    assert not limiter.still_waits("next", "ns", "c")
    limiter.hold("next", "ns", 1)
    limiter.hold("next", "ns", 0)
    limiter.hold("stuck", "ns", 0, waits=True)
    now[0] = 15.0
    assert limiter.slots("next", "ns") == 0, "once it has looked it waits as any other"


@pytest.mark.promise("never-11")
@given(
    st.integers(1, 9),
    st.lists(
        st.tuples(st.integers(0, 7), st.sampled_from(["begin", "end", "want"]), st.floats(0, 200)),
        max_size=60,
    ),
)
def test_a_slot_that_is_free_is_somebodys(limit: int, steps: list[tuple[int, str, float]]) -> None:
    """Whatever drains did before: if any waits, one of those that wait is given a slot."""
    now = 0.0
    limiter = MoveLimiter(limit, lambda: now)
    of = {f"d{n}": f"ns{n % 3}" for n in range(8)}
    has, wants = dict.fromkeys(of, 0), dict.fromkeys(of, False)

    def slots(uid: str) -> int:
        found = limiter.slots(uid, of[uid])
        assert found is not None
        return found

    for number, what, seconds in steps:
        now += seconds
        uid = f"d{number}"
        if what == "begin":
            has[uid] = max(has[uid], min(slots(uid), 4))
        elif what == "end":
            has[uid] = max(0, has[uid] - 1)
        wants[uid] = what == "want" and has[uid] < 4
        for each in of:  # all are alive, and ask
            limiter.hold(each, of[each], has[each], most=4, waits=wants[each])
        waiting = [each for each in of if wants[each]]
        if waiting and sum(has.values()) < limit:
            assert any(slots(each) > has[each] for each in waiting)


def test_namespaces_and_drains_that_are_gone_leave_nothing_behind() -> None:
    limiter = MoveLimiter(3)
    for uid in "abc":
        limiter.hold(uid, f"ns-{uid}", 1)
        limiter.still_waits(uid + uid, f"ns-{uid}", "c")
    for uid in ("a", "b", "c", "aa", "bb", "cc"):
        limiter.forget(uid)
    assert not (limiter._claims or limiter._turns)


@pytest.mark.promise("never-11")
@pytest.mark.parametrize(
    ("verdict", "counts"),
    [
        (Follow(Stage.STARTING, None), Arrivals(open=1)),
        (Follow(Stage.STARTING, migration(status_="pre-migrating", dest=None)), Arrivals(open=1)),
        (Follow(Stage.MIGRATING, migration(status_="migrating")), Arrivals({"cmp2": 1})),
        (Follow(Stage.VERIFYING, migration()), Arrivals()),
        (Wait(ServerReason.STARTING, "", ours=True), Arrivals(open=1)),
        (Wait(ServerReason.ANSWER_UNKNOWN, "", ours=True), Arrivals(open=1)),
        (Wait(ServerReason.BUSY, "shelve-offload, which arrives nowhere", ours=True), Arrivals()),
        (Wait(ServerReason.CELL_DOWN, "for as long as that lasts", ours=True), Arrivals()),
        (Blocked(ServerReason.STUCK, "", ours=True), Arrivals()),
    ],
)
def test_what_is_on_its_way_is_what_nova_gets_on_with(verdict: Verdict, counts: Arrivals) -> None:
    """What may last for ever keeps no other drain from moving."""
    found = on_their_way((ServerVerdict("s1", "web-1", None, verdict, counts=True),))
    assert (dict(found.known), found.open) == (dict(counts.known), counts.open)
