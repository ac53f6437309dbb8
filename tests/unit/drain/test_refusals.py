"""What Nova's refusals mean: never or not now, of one server or of the credentials."""

from datetime import timedelta
from typing import Any

import pytest
from tests.unit.drain.build import (
    FOUND,
    NOW,
    ago,
    cause,
    condition,
    flavor,
    migration,
    observed,
    said,
    server,
    spec,
    status_of,
    told,
    verdict,
)

from quiesce.drain.decide.failures import reason_of
from quiesce.drain.model.history import History, Refusal
from quiesce.openstack.records import Server, ServerGroup

POLICY = "Policy doesn't allow os_compute_api:os-migrate-server:migrate to be performed."
# nova/exception.py and api/openstack/compute/migrate_server.py at 21.2.4, 29.4.0 and 34.0.0
NEVER = [
    (403, "Forbidden with instances that have accelerators."),
    (400, "Feature not supported with instances that have accelerators."),
    (400, "Feature not supported with Ports that have accelerators."),
    (409, "Operation 'live-migration' not supported for SEV-enabled instance (u)."),
    (400, "Operation 'live-migration' not supported for mem encryption enabled instance (u)."),
    (409, "Operation 'live-migration' not supported for vTPM-enabled instance (u)."),
    (409, "Operation 'live-migration' not supported for instance with vDPA ports (u)."),
    (409, "Feature not supported with instances that have shares."),
    (409, "The migrate action on a server with ports having resource requests, like a port with a "
          "QoS minimum bandwidth policy, is not yet supported on the source compute"),
    (409, "Cold migration and resize with shares requires all compute services to be at service "
          "version 74 or later."),
    (400, "vTPM live migration is not supported by old nova-compute services. Upgrade."),
]  # fmt: skip
NOT_NOW = [
    (409, "Cannot 'os-migrateLive' instance u while it is in task_state deleting"),
    (409, "Instance u is in an invalid state for 'os-migrateLive'"),
    (409, "Instance u is locked"),
    (409, "Instance u is not ready"),
    (409, "Service is unavailable at this time."),
    (403, POLICY),
    (400, "Bad Request"),  # of a proxy: Nova has not seen it
]


def refused(server_id: str, call: str, status: int, text: str, times: int = 1) -> History:
    history = History()
    for n in range(times):
        history = history.refuse(server_id, call, status, text, ago(times - n))
    return history


def after(history: History, *servers: Server, **fields: Any) -> Any:
    return observed(servers, refusals=history.refusals, never_live=history.never_live, **fields)


@pytest.mark.field_case("F12")
@pytest.mark.parametrize(("status", "text"), NEVER)
def test_never_is_told_by_novas_words_and_live_then_cold_goes_cold(status: int, text: str) -> None:
    sight = after(refused("s1", "os-migrateLive", status, text), server())
    assert said(verdict(sight, spec("LiveThenCold"))) == "cold"
    assert said(verdict(sight, spec("Live"))) == "blocked Refused"
    assert text in told(verdict(sight, spec("Live")))
    assert "LiveThenCold" in told(verdict(sight, spec("Live")))


@pytest.mark.field_case("F12")
@pytest.mark.parametrize(("status", "text"), NOT_NOW)
def test_not_now_is_asked_again_and_is_no_reason_to_restart(status: int, text: str) -> None:
    once = after(refused("s1", "os-migrateLive", status, text), server())
    assert said(verdict(once, spec("LiveThenCold"))) == "wait Refused"
    often = after(refused("s1", "os-migrateLive", status, text, 20), server())
    assert said(verdict(often, spec("LiveThenCold"))) == "blocked Refused"


@pytest.mark.field_case("F12")
def test_the_same_unknown_words_often_enough_mean_never() -> None:
    few = after(refused("s1", "os-migrateLive", 409, "because", 5), server())
    assert said(verdict(few, spec("LiveThenCold"))) == "blocked Refused"
    many = after(refused("s1", "os-migrateLive", 409, "because", 6), server())
    assert said(verdict(many, spec("LiveThenCold"))) == "cold"
    assert said(verdict(many, spec("Live"))) == "blocked Refused"


@pytest.mark.field_case("F12")
def test_what_is_refused_live_and_cold_does_not_alternate() -> None:
    """Else each refusal would be the first of its kind, and nobody would be told."""
    history = refused("s1", "os-migrateLive", 409, "Operation not supported")
    assert said(verdict(after(history, server()), spec("LiveThenCold"))) == "cold"
    history = history.refuse("s1", "migrate", 409, "Instance s1 is locked", NOW)
    assert said(verdict(after(history, server()), spec("LiveThenCold"))) == "wait Refused"
    history = history.refuse("s1", "migrate", 409, "Instance s1 is locked", NOW)
    assert said(verdict(after(history, server()), spec("LiveThenCold"))) == "blocked Refused"


@pytest.mark.field_case("F12")
def test_nova_is_asked_again_after_an_hour() -> None:
    old = Refusal("os-migrateLive", 409, "not supported", 1, NOW - timedelta(hours=2))
    sight = observed([server()], never_live={"s1": old})
    assert said(verdict(sight, spec("LiveThenCold"))) == "live"


def crowd(*refusals: tuple[str, str], **of_server: Any) -> list[Server]:
    return [
        server(f"s{n}", project_id=project, flavor=flavor(quota__a=quota), **of_server)
        for n, (project, quota) in enumerate(refusals)
    ]


def all_refused(servers: list[Server], text: str = POLICY, status: int = 403) -> History:
    history = History()
    for one in servers:
        history = history.refuse(one.id, "migrate", status, text, NOW)
    return history


def stalled(sight: Any, **fields: Any) -> str:
    found = condition(status_of(sight, **fields), "Stalled")
    return str(found["reason"]) if found else ""


@pytest.mark.field_case("F10")
def test_one_servers_403_is_its_own() -> None:
    servers = crowd(("a", "1"), ("b", "2"))
    history = History().refuse("s0", "migrate", 403, POLICY, ago(1)).refuse(
        "s0", "migrate", 403, POLICY, NOW
    )  # fmt: skip
    sight = after(history, *servers)
    assert said(verdict(sight, of="s0")) == "blocked Refused"
    assert POLICY in told(verdict(sight, of="s0"))
    assert said(verdict(sight, of="s1")) == "cold"
    assert stalled(sight) == ""


@pytest.mark.field_case("F10")
def test_the_same_403_for_servers_with_nothing_in_common_is_the_credentials() -> None:
    servers = crowd(("a", "1"), ("b", "2"))
    assert stalled(after(all_refused(servers), *servers)) == "NotAllowed"


@pytest.mark.field_case("F10")
@pytest.mark.parametrize(
    ("servers", "text"),
    [
        (crowd(("a", "1"), ("a", "2")), POLICY),
        (crowd(("a", "1"), ("b", "1")), POLICY),
        (crowd(("a", "1"), ("b", "2")), "Forbidden with instances that have accelerators."),
    ],
    ids=["same project", "same flavor", "never of this kind"],
)
def test_what_they_have_in_common_may_be_the_reason(servers: list[Server], text: str) -> None:
    assert stalled(after(all_refused(servers, text), *servers)) != "NotAllowed"


@pytest.mark.field_case("F10")
def test_who_could_move_one_server_has_the_permission() -> None:
    servers = crowd(("a", "1"), ("b", "2"))
    moved = [migration(FOUND + 1, "confirmed", "gone")]
    sight = after(all_refused(servers), *servers, migrations=moved)
    assert stalled(sight) != "NotAllowed"


NO_HOST_TEXTS = [
    "No valid host was found. There are not enough hosts available.",
    "No valid host found for cold migrate",
    "Exceeded maximum number of retries. Exhausted all hosts available for retrying build failures "
    "for instance u.",
    "Exceeded maximum number of retries. Exceeded max scheduling retries 3 for instance u during "
    "live migration",
    "Exceeded max scheduling attempts 3 for instance u. Last exception: x",
    "MaxRetriesExceeded",
    "NoValidHost_Remote",
    "Insufficient compute resources: Free memory 1.00 MB < requested 512 MB.",
    "ComputeResourcesUnavailable",
]


@pytest.mark.field_case("F22")
@pytest.mark.parametrize("live", [True, False])
@pytest.mark.parametrize("text", NO_HOST_TEXTS)
def test_every_text_that_no_host_takes_it(text: str, live: bool) -> None:
    assert reason_of(text, server(), observed([server()]), live=live) == "NoCapacity"
    kind = "live-migration" if live else "migration"
    moves = [migration(FOUND + n, "error", type=kind) for n in (1, 2, 3)]
    method = "Live" if live else "Cold"
    for seconds, wanted in ((599, "blocked NoCapacity"), (601, method.lower())):
        causes = {m.id: cause(text, seconds) for m in moves}
        assert said(verdict(observed([server()], moves, causes=causes), spec(method))) == wanted


@pytest.mark.field_case("F22")
def test_a_late_check_of_a_group_is_the_groups() -> None:
    group = ServerGroup("g", "web", "anti-affinity", frozenset({"s1", "s2"}))
    sight = observed([server()], groups=(group,))
    text = "Anti-affinity instance group policy was violated"
    assert reason_of(text, server(), sight, live=False) == "NoValidHostByGroup"
