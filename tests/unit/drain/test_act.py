"""Decision -> calls: each once, each with its own precondition looked at again, and what is not
known is not repeated.
"""

import io
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.unit.drain.build import HOST, NOW, observed, service

from quiesce.api.errors import CloudUnreachable, NotAllowed
from quiesce.drain.act import Acted, ActionContext, act
from quiesce.drain.act.actions import BUDGET
from quiesce.drain.model.actions import (
    AbortLive,
    Action,
    AddToAggregate,
    ConfirmMove,
    DeleteService,
    DisableService,
    EnableService,
    ForceCompleteLive,
    OffloadServer,
    ResumeServer,
    RevertMove,
    StartMove,
)
from quiesce.drain.model.history import History, Refusal
from quiesce.openstack.errors import Forbidden, NotFound, Refused, Unknown
from quiesce.openstack.records import Service
from quiesce.ops.logging import TextLines, fields


class Recorder:
    """A cloud that writes down what it is asked to do. `fails`: verb -> what it raises."""

    def __init__(self, **fails: Exception) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.now: tuple[Service, ...] = (service(),)
        self._fails = fails

    def service(self, host: str) -> Service | None:
        if "service" in self._fails:
            raise self._fails["service"]
        return next((each for each in self.now if each.host == host), None)

    def __getattr__(self, name: str) -> Callable[..., str]:
        def call(*args: Any) -> str:
            self.calls.append((name, *args))
            if name in self._fails:
                raise self._fails[name]
            return "req-1"

        return call


def context(cloud: Any, now: Callable[[], datetime] = lambda: NOW) -> ActionContext:
    return ActionContext(cloud, observed(service=service()), "ns/d", now)


def carry_out(cloud: Recorder, *actions: Action, history: History | None = None) -> History:
    """-> the history after it. Raises what act() found."""
    acted: Acted = act(actions, context(cloud))
    if acted.problem:
        raise acted.problem
    return acted.advance(history or History())


ONE_EACH: list[tuple[Action, tuple[Any, ...]]] = [
    (StartMove("s1", "cold", None), ("migrate", "s1", None)),
    (StartMove("s1", "cold", "cmp9"), ("migrate", "s1", "cmp9")),
    (StartMove("s1", "live", None), ("live_migrate", "s1", None)),
    (OffloadServer("s1"), ("shelve_offload", "s1")),
    (ResumeServer("s1"), ("resume", "s1")),
    (ConfirmMove("s1", 7), ("confirm", "s1")),
    (RevertMove("s1", 7, "why"), ("revert", "s1")),
    (AbortLive("s1", 7), ("abort_live", "s1", 7)),
    (ForceCompleteLive("s1", 7), ("force_complete", "s1", 7)),
    (DisableService("svc-1", "why"), ("disable_service", "svc-1", "why")),
    (DisableService("svc-1", None), ("disable_service_without_reason", "svc-1")),
    (EnableService("svc-1"), ("enable_service", "svc-1")),
    (DeleteService("svc-1"), ("delete_service", "svc-1")),
    (AddToAggregate(3, HOST), ("add_to_aggregate", 3, HOST)),
]
VERBS = [pytest.param(*row, id=row[1][0]) for row in ONE_EACH]
OF_SERVERS = [pytest.param(*row, id=row[1][0]) for row in ONE_EACH[2:9]]
OF_THE_SERVICE = [pytest.param(*row, id=row[1][0]) for row in ONE_EACH[9:13]]


@pytest.mark.parametrize(("action", "call"), VERBS)
def test_each_action_is_one_call(action: Action, call: tuple[Any, ...]) -> None:
    cloud = Recorder()
    carry_out(cloud, action)
    assert cloud.calls == [call]


@pytest.mark.parametrize(("action", "call"), OF_SERVERS)
def test_a_call_without_an_answer_is_noted_and_not_repeated(
    action: Action, call: tuple[Any, ...]
) -> None:
    cloud = Recorder(**{call[0]: Unknown("reset by peer")})
    history = carry_out(cloud, action)
    assert cloud.calls == [call]
    assert history.unanswered == {"s1": NOW}
    assert not history.refusals


@pytest.mark.parametrize(("action", "call"), OF_SERVERS)
def test_a_refusal_is_noted_in_novas_words_and_counted(
    action: Action, call: tuple[Any, ...]
) -> None:
    cloud = Recorder(**{call[0]: Refused(409, "in vm_state paused", "req-9")})
    history = carry_out(cloud, action)
    history = carry_out(cloud, action, history=history)
    found = history.refusals["s1"]
    assert (found.status, found.text, found.count, found.at) == (409, "in vm_state paused", 2, NOW)
    assert not history.unanswered


@pytest.mark.field_case("F10")
@pytest.mark.parametrize(("action", "call"), OF_SERVERS)
def test_a_403_is_a_refusal_of_that_server(action: Action, call: tuple[Any, ...]) -> None:
    words = "Forbidden with instances that have accelerators."
    cloud = Recorder(**{call[0]: Forbidden("POST: HTTP 403", words, "req-9")})
    history = carry_out(cloud, action, ConfirmMove("s2", 8))
    assert len(cloud.calls) == 2
    found = history.refusals["s1"]
    assert (found.call, found.status, found.text) == (found.call, 403, words)


@pytest.mark.field_case("F10")
@pytest.mark.parametrize(("action", "call"), OF_THE_SERVICE)
def test_a_403_for_the_host_is_the_credentials(action: Action, call: tuple[Any, ...]) -> None:
    with pytest.raises(NotAllowed):
        carry_out(Recorder(**{call[0]: Forbidden("PUT: HTTP 403", "no", None)}), action)


def test_a_call_is_unanswered_from_when_it_was_given_up() -> None:
    """Not from when it was sent: a request that timed out may take effect for a while yet."""
    clock = [NOW]

    class Slow(Recorder):
        def live_migrate(self, *_: Any) -> str:
            clock[0] += timedelta(seconds=30)
            raise Unknown("timed out")

    acted = act([StartMove("s1", "live", None)], context(Slow(), lambda: clock[0]))
    assert acted.advance(History()).unanswered == {"s1": NOW + timedelta(seconds=30)}


def test_an_accepted_call_forgets_the_refusals_before_it() -> None:
    history = History(refusals={"s1": Refusal("migrate", 409, "busy", 2, NOW)})
    assert not carry_out(Recorder(), StartMove("s1", "cold", None), history=history).refusals


@pytest.mark.parametrize("action", [AbortLive("s1", 7), ForceCompleteLive("s1", 7)])
@pytest.mark.parametrize("error", [None, Refused(409, "no", None), Unknown("reset")])
def test_a_live_migration_told_to_end_is_noted(action: Action, error: Exception | None) -> None:
    fails = {"abort_live": error, "force_complete": error} if error else {}
    assert carry_out(Recorder(**fails), action).told_to_end == {7: NOW}


def test_one_failing_server_does_not_hold_up_the_others() -> None:
    cloud = Recorder(migrate=Refused(409, "no", None))
    carry_out(cloud, *(StartMove(f"s{n}", "cold", None) for n in range(9)))
    assert sorted(call[1] for call in cloud.calls) == [f"s{n}" for n in range(9)]


def test_a_missing_permission_is_raised_after_all_others_were_tried() -> None:
    cloud = Recorder(migrate=NotAllowed("403"))
    with pytest.raises(NotAllowed):
        carry_out(cloud, StartMove("s1", "cold", None), ConfirmMove("s2", 7))
    assert len(cloud.calls) == 2


def test_what_has_not_begun_when_the_time_is_over_is_left_to_the_next_tick(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = iter([0.0, *([BUDGET + 1] * 99)])
    monkeypatch.setattr("quiesce.drain.act.actions.time.monotonic", lambda: next(clock))
    cloud = Recorder()
    carry_out(cloud, StartMove("s1", "cold", None))
    assert not cloud.calls


# The source, before a revert


@pytest.mark.parametrize("now", [(), (service(state="down"),), (service(host="cmp2"),)])
def test_nothing_is_reverted_to_a_source_that_went_down_meanwhile(now: tuple[Service, ...]) -> None:
    cloud = Recorder()
    cloud.now = now
    carry_out(cloud, RevertMove("s1", 7, "why"))
    assert not cloud.calls


def test_nothing_is_reverted_where_nobody_knows_whether_the_source_is_up() -> None:
    cloud = Recorder(service=CloudUnreachable("refused"))
    with pytest.raises(CloudUnreachable):
        carry_out(cloud, RevertMove("s1", 7, "why"))
    assert not cloud.calls


# The service, before a write


@pytest.mark.parametrize(("action", "call"), OF_THE_SERVICE)
@pytest.mark.parametrize(
    "now",
    [
        (),
        (service(disabled_reason="rack team"),),
        (service("enabled"),),
        (service(id="svc-2"),),
        (service(state="down"),),
    ],
    ids=["gone", "reason", "enabled", "registered anew", "down"],
)
def test_a_service_that_changed_since_it_was_read_is_left_to_the_next_look(
    action: Action, call: tuple[Any, ...], now: tuple[Service, ...]
) -> None:
    cloud = Recorder()
    cloud.now = now
    carry_out(cloud, action)
    assert not cloud.calls


DELETE = "delete the service"


def test_a_refused_delete_is_noted_and_begins_the_proof_anew() -> None:
    history = History(clean_since=NOW - timedelta(hours=1))
    cloud = Recorder(delete_service=Refused(409, "in-progress migrations", None))
    history = carry_out(cloud, DeleteService("svc-1"), history=history)
    history = carry_out(cloud, DeleteService("svc-1"), history=history)
    assert history.clean_since is None
    assert history.refusals == {DELETE: Refusal(DELETE, 409, "in-progress migrations", 2, NOW)}
    assert not carry_out(Recorder(), DeleteService("svc-1"), history=history).refusals


def test_a_call_for_the_host_that_is_accepted_leaves_the_refusals_of_others() -> None:
    history = History(clean_since=NOW)
    cloud = Recorder(add_to_aggregate=Refused(409, "another zone", None))
    history = carry_out(cloud, AddToAggregate(3, HOST), EnableService("svc-1"), history=history)
    assert [(refusal.call, refusal.text) for refusal in history.refusals.values()] == [
        ("add the host to aggregate 3", "another zone")
    ]
    assert history.clean_since == NOW


def test_a_service_that_is_already_gone_is_a_success() -> None:
    assert (
        carry_out(
            Recorder(delete_service=NotFound(404, "not found", None)), DeleteService("svc-1")
        ).refusals
        == {}
    )


def test_a_write_to_the_service_without_an_answer_is_looked_at() -> None:
    """One that never gets one is asked ever more slowly, and told."""
    cloud = Recorder(delete_service=Unknown("timed out"))
    found = carry_out(cloud, DeleteService("svc-1"))
    assert cloud.calls == [("delete_service", "svc-1")]
    (lost,) = found.refusals.values()
    assert not lost.is_told
    often = found.miss_host_answer("delete", "HTTP 500", NOW)
    for _ in range(2):
        often = often.miss_host_answer("delete", "HTTP 500", NOW)
    assert often.refusals["delete"].is_told
    assert "HTTP 500" in often.refusals["delete"].text


def test_what_is_logged_of_a_call_names_the_drain_also_from_another_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Logging(Recorder):
        def confirm(self, server_id: str) -> str:
            logging.getLogger("quiesce.openstack.http").warning(
                "POST /servers/%s/action 204", server_id
            )
            return "req-1"

    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(TextLines())
    monkeypatch.setattr(logging.getLogger("quiesce.openstack.http"), "handlers", [handler])
    with fields(drain="ns/d"):
        carry_out(Logging(), ConfirmMove("s1", 1), ConfirmMove("s2", 2))
    lines = out.getvalue().splitlines()
    assert len(lines) == 2
    assert all(line.endswith("drain=ns/d") for line in lines)
