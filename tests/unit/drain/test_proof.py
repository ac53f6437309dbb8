"""The proof that a host is empty: each part that is missing speaks against it, and one look is
never enough.
"""

from datetime import timedelta
from typing import Any

import pytest
from tests.unit.drain.build import (
    FOUND,
    HOST,
    NOW,
    TENANT,
    ago,
    arrived_elsewhere,
    begun,
    condition,
    decided,
    empty,
    migration,
    observed,
    replace,
    server,
    service,
    spec,
    status_of,
)

from quiesce.drain.model.history import History
from quiesce.drain.model.observation import Observation, ProofReads

MISSING: dict[str, tuple[Observation, str]] = {
    "soft-deleted server": (empty(servers=[server("s1", "SOFT_DELETED")]), "1 server on the host"),
    "unconfirmed": (
        empty(migrations=[migration(user_id=TENANT)], elsewhere=[arrived_elsewhere()]),
        "1 migration not ended",
    ),
    "inbound": (
        empty(migrations=[migration(status_="queued", source="cmp3", dest=HOST)]),
        "1 migration not ended",
    ),
    "stuck": (empty(migrations=[migration(FOUND, "migrating")]), "1 migration not ended"),
    "allocation": (
        empty(proof=ProofReads(frozenset({"c1"}), True)),
        "1 allocation left in placement (consumers c1)",
    ),
    "failed there": (
        empty(
            migrations=[migration(status_="error")], elsewhere=[server("s1", "ERROR", host="cmp2")]
        ),
        "may be the only good one",
    ),
    "recovering": (
        empty(
            migrations=[migration(status_="error")],
            elsewhere=[server("s1", "REBUILD", host="cmp2")],
        ),
        "its move failed",
    ),
    "not read": (empty(proof=None), "not read completely"),
    "cell down": (empty(service=service("UNKNOWN", id="", state="unknown")), "its cell is down"),
}


@pytest.mark.parametrize("part", MISSING)
def test_every_part_that_is_missing_is_said_and_stops_the_end(part: str) -> None:
    sight, said = MISSING[part]
    proof = decided(sight, record=begun(proven=True)).proof
    assert not proof.clean
    assert not proof.complete
    assert said in "; ".join(proof.against)
    drained = condition(status_of(sight, record=begun(proven=True)), "Drained")
    assert drained is not None
    assert drained["status"] == "False"


@pytest.mark.parametrize(
    ("clean_since", "complete"),
    [(None, False), (ago(0), False), (ago(9.9), False), (ago(10), True), (ago(3600), True)],
)
def test_two_clean_reads_lie_at_least_settle_apart(clean_since: Any, complete: bool) -> None:
    proof = decided(empty(clean_since=clean_since)).proof
    assert proof.clean
    assert proof.complete is complete


def held(consumer: str, seconds: float, **fields: Any) -> Observation:
    """An empty host, but for an allocation that has been seen for so long."""
    return empty(
        proof=ProofReads(frozenset({consumer}), True), held_since={consumer: ago(seconds)}, **fields
    )


@pytest.mark.parametrize(
    ("sight", "person"),
    [
        (
            held(
                "00000000-0000-4000-8000-000000000101", 9, migrations=[migration(status_="error")]
            ),
            False,
        ),
        (
            held(
                "00000000-0000-4000-8000-000000000101", 10, migrations=[migration(status_="error")]
            ),
            True,
        ),
        (
            held(
                "00000000-0000-4000-8000-000000000101",
                1000,
                migrations=[migration(status_="finished")],
                elsewhere=[arrived_elsewhere()],
            ),
            False,
        ),
        (held("a-server-being-built", 119), False),
        (held("a-server-of-the-past", 120), True),
        (
            held(
                "00000000-0000-4000-8000-000000000101",
                1000,
                migrations=[migration(status_="error")],
                servers=[server("s2")],
            ),
            False,
        ),
    ],
)
def test_an_allocation_that_nobody_gives_up_needs_a_person(
    sight: Observation, person: bool
) -> None:
    """Nova forgets what a move that failed late holds on its source: no look will ever find it
    gone.
    """
    status = status_of(sight)
    stalled = condition(status, "Stalled")
    assert (stalled is not None) is person
    if stalled is not None:
        assert (status["phase"], stalled["reason"]) == ("Stalled", "AllocationsLeft")
        assert next(iter(sight.history.held_since)) in stalled["message"]


RELEASE = (
    "openstack resource provider allocation unset --provider rp-1 --provider rp-1-gpu CONSUMER"
)


@pytest.mark.field_case("F15")
@pytest.mark.parametrize(
    ("consumer", "audit"),
    [("00000000-0000-4000-8000-000000000101", False), ("s9", True)],
    ids=["of a move", "of a server"],
)
def test_an_allocation_is_released_on_this_host_alone(consumer: str, audit: bool) -> None:
    """`allocation delete` would take what a server holds where it is now, too."""
    sight = held(consumer, 1000, migrations=[migration(status_="error")])
    reads = replace(sight.proof, root="rp-1", providers=("rp-1", "rp-1-gpu"))
    message = (condition(status_of(replace(sight, proof=reads)), "Stalled") or {})["message"]
    assert RELEASE in message
    assert "allocation delete" not in message
    assert ("nova-manage placement audit" in message) is audit


@pytest.mark.field_case("F15")
def test_servers_that_were_evacuated_and_are_well_are_no_obstacle() -> None:
    """Nova's own delete of the service releases what they hold."""
    reads = ProofReads(frozenset({"s1", "s2"}), True, evacuated=frozenset({"s1", "s2"}))
    assert decided(empty(proof=reads)).proof.complete
    one = replace(reads, evacuated=frozenset({"s1"}))
    assert decided(empty(proof=one)).proof.against == (
        "1 allocation left in placement (consumers s2)",
    )
    unwell = replace(one, unwell=("web-2 (ERROR on cmp2)",))
    proof = decided(empty(proof=unwell, held_since={"s2": ago(1000)})).proof
    assert "evacuated from this host and not healthy: web-2 (ERROR on cmp2)" in proof.against[0]
    assert not proof.leaked


@pytest.mark.field_case("F15")
def test_what_an_older_nova_leaves_behind_is_released_on_this_host_alone() -> None:
    """Before Yoga its delete of a service leaves what evacuated servers hold."""
    reads = ProofReads(frozenset({"s1"}), True, root="rp-1", providers=("rp-1",))
    message = (condition(status_of(empty(service=None, proof=reads)), "Stalled") or {})["message"]
    assert "allocation unset --provider rp-1 CONSUMER" in message
    assert "openstack resource provider delete rp-1" in message
    assert "allocation delete" not in message


def test_what_was_proven_stays_proven_while_it_is_clean() -> None:
    assert decided(empty(clean_since=None), record=begun(proven=True)).proof.complete


def test_the_time_begins_anew_after_anything_spoke_against_it() -> None:
    history = History()
    for what, since in (
        (empty(), NOW),
        (MISSING["allocation"][0], None),
        (empty(now=NOW + timedelta(5)), NOW + timedelta(5)),
    ):
        clean = decided(replace(what, clean_since=None)).proof.clean
        history = history.note_proof(clean, what.now)
        assert history.clean_since == since


def test_parts_that_the_cloud_does_not_show_are_named_as_unproven() -> None:
    blind = empty(proof=ProofReads(unproven=("the cloud's catalog has no placement service",)))
    assert decided(blind).proof.complete
    drained = condition(status_of(blind), "Drained")
    assert drained is not None
    assert drained["status"] == "True"
    assert drained["message"] == "not proven: the cloud's catalog has no placement service"


def test_a_service_that_never_was_there_proves_nothing() -> None:
    record = begun(found_status=None)
    assert not decided(empty(service=None), record=record).proof.clean


def test_the_expensive_reads_are_made_only_where_the_cheap_ones_speak_for_an_empty_host() -> None:
    assert observed().looks_empty
    assert not observed([server()]).looks_empty
    assert not observed(migrations=[migration()]).looks_empty
    assert observed(migrations=[migration(status_="confirmed")]).looks_empty


@pytest.mark.parametrize("clean_since", [None, ago(1)])
def test_a_service_that_somebody_else_deleted_proves_nothing_at_the_first_look(
    clean_since: Any,
) -> None:
    sight = empty(service=None, clean_since=clean_since, proof=ProofReads(frozenset(), False))
    drained = condition(status_of(sight), "Drained")
    ready = condition(status_of(sight), "Ready")
    assert drained is not None
    assert ready is not None
    assert (drained["status"], ready["status"]) == ("False", "Unknown")
    later = status_of(replace(sight, clean_since=ago(60)))
    assert (later["phase"], later["service"]["status"]) == ("Deleted", "deleted")


def test_keep_disabled_ends_drained_and_ready() -> None:
    found = status_of(empty(), spec(service={"afterDrain": "KeepDisabled"}))
    assert found["phase"] == "Drained"
    assert {c["type"]: c["status"] for c in found["conditions"]}.items() >= {
        "Ready": "True",
        "Drained": "True",
        "ServiceDisabled": "True",
        "ServiceDeleted": "False",
    }.items()
