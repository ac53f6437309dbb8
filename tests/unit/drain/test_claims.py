"""Two drains for one host of one cloud: the one that has begun works, else the older one."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from quiesce.api.errors import HostTaken
from quiesce.drain.claimed import LISTED_WITHIN, Claims, StoredClaims, cloud_digest
from quiesce.drain.decide.claims import Claim, ignored, refuse_second

CLOUD, ELSEWHERE = cloud_digest("https://nova.example.org"), cloud_digest("https://other")


def claim(
    name: str,
    created: str = "2026-03-01T12:00:00Z",
    host: str = "cmp1",
    cloud: str | None = CLOUD,
    *,
    begun: bool = False,
    namespace: str = "ns",
) -> Claim:
    return Claim(datetime.fromisoformat(created), name, namespace, name, host, cloud, begun)


EARLY, LATE = "2026-03-01T11:00:00Z", "2026-03-01T13:00:00Z"
OLDER, MINE, YOUNGER = claim("a", EARLY), claim("m"), claim("z", LATE)


def test_the_older_one_is_named() -> None:
    with pytest.raises(
        HostTaken, match="host cmp1 is already being drained by ComputeNodeDrain ns/a"
    ):
        refuse_second(MINE, [MINE, YOUNGER, OLDER, claim("b", "2026-03-01T11:30:00Z")])


def test_one_that_has_begun_keeps_its_host_even_from_an_older_one() -> None:
    with pytest.raises(HostTaken, match="ns/z"):
        refuse_second(MINE, [MINE, replace(YOUNGER, begun=True), OLDER])


@pytest.mark.parametrize(
    "others",
    [
        [MINE],
        [MINE, YOUNGER],
        [MINE, claim("a", EARLY, cloud=ELSEWHERE)],
        [MINE, claim("a", EARLY, cloud=ELSEWHERE, begun=True)],
        [MINE, claim("o", EARLY, "cmp2")],
        [MINE, claim("z")],  # the same second: the smaller uid is the older
    ],
)
def test_no_rival(others: list[Claim]) -> None:
    refuse_second(MINE, others)


def test_of_two_of_the_same_second_exactly_one_works() -> None:
    pair = [claim("p"), claim("q")]
    refuse_second(pair[0], pair)
    with pytest.raises(HostTaken):
        refuse_second(pair[1], pair)


@pytest.mark.finding("H6")
def test_one_whose_credentials_never_worked_here_keeps_nobody_off() -> None:
    squats = [claim(f"s{number}", EARLY, cloud=None, namespace="x") for number in range(1000)]
    refuse_second(MINE, squats)
    said = ignored(MINE, squats)
    assert said is not None and "1000 older drains of host cmp1" in said and len(said) < 200


@pytest.mark.finding("H6")
def test_one_that_had_begun_before_clouds_were_recorded_keeps_its_host() -> None:
    with pytest.raises(HostTaken):
        refuse_second(MINE, [claim("a", EARLY, cloud=None, begun=True)])


@pytest.mark.finding("H6")
def test_names_of_another_namespace_are_not_told() -> None:
    with pytest.raises(HostTaken) as refused:
        refuse_second(MINE, [claim("secret-project", EARLY, namespace="tenant-a")])
    assert "another namespace" in str(refused.value)
    assert "secret-project" not in str(refused.value) and "tenant-a" not in str(refused.value)


@pytest.mark.finding("H6")
def test_a_host_that_is_given_is_kept_without_another_list() -> None:
    claims, lists = Claims(), []

    def listed() -> list[Claim]:
        lists.append(1)
        return [MINE, YOUNGER]

    claims.take(MINE, listed)
    claims.take(MINE, listed)
    for late in (YOUNGER, OLDER, claim("n")):
        with pytest.raises(HostTaken):
            claims.take(late, listed)
    assert len(lists) == 1
    claims.forget(MINE.uid)
    claims.take(YOUNGER, list)


def test_drains_that_are_new_at_once_share_a_list_of_the_others() -> None:
    """Each would read all of them: of 200 that are applied at once, 40,000."""
    now, lists = [0.0], list[list[Claim]]()

    def read() -> list[Claim]:
        lists.append([OLDER])
        return lists[-1]

    stored = StoredClaims(read, lambda: now[0])
    assert stored.get() == stored.get() == (OLDER,)
    assert len(lists) == 1
    now[0] = LISTED_WITHIN
    stored.get()
    assert len(lists) == 2
    now[0] += 0.1
    stored.get(fresh=True)
    assert len(lists) == 3, "where other processes give hosts as well"


def test_a_host_that_is_refused_is_not_kept() -> None:
    claims = Claims()
    with pytest.raises(HostTaken):
        claims.take(MINE, lambda: [OLDER])
    claims.take(OLDER, lambda: [OLDER, MINE])


def test_one_that_has_begun_is_known_before_it_is_listed() -> None:
    claims = Claims()
    claims.hold(replace(YOUNGER, begun=True))
    with pytest.raises(HostTaken):
        claims.take(MINE, list)


@pytest.mark.promise("never-6")
@pytest.mark.parametrize(
    ("mine", "other", "kept_off"),
    [
        # Of two that ask at the same time in two shards, at least one yields.
        ({"created": 1}, {"created": 2, "asking": True}, True),
        ({"created": 2}, {"created": 1, "asking": True}, True),
        # One that has yielded keeps off nobody who is older.
        ({"created": 1}, {"created": 2, "asking": False}, False),
        ({"created": 2}, {"created": 1, "asking": False}, True),
        ({"created": 1}, {"created": 2, "asking": False, "begun": True}, True),
        ({"created": 1}, {"created": 2, "asking": True, "cloud": "another"}, False),
    ],
)
def test_drains_of_several_shards(
    mine: dict[str, Any], other: dict[str, Any], kept_off: bool
) -> None:
    def claim(uid: str, created: int, **more: Any) -> Claim:
        moment = datetime(2026, 1, created, tzinfo=UTC)
        return Claim(moment, uid, "ns", uid, "host", **{"cloud": "c", **more})

    assert claim("o", **other).keeps_off(claim("m", **mine), divided=True) is kept_off
