"""The tests of the tests: each promise is broken once on purpose, and the directed histories have
to notice.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from quiesce.api.drain.record import Record
from quiesce.drain import reconcile
from quiesce.drain.act import act
from quiesce.drain.act import servers as act_servers
from quiesce.drain.decide import departed, failures, goals, rules, schedule, servers, service
from quiesce.drain.decide import proof as proofs
from quiesce.drain.decide import remember as remembers
from quiesce.drain.model.actions import DeleteService, EnableService
from quiesce.drain.model.decision import Goal
from quiesce.drain.model.observation import Observation
from quiesce.drain.model.verdict import Blocked, Confirm, Follow, Held, Move, ServerVerdict
from quiesce.drain.observe import guests, lists, moves
from quiesce.openstack import http
from quiesce.openstack.cloud import Cloud
from quiesce.openstack.errors import Unknown
from quiesce.ops.clock import Clock
from tests.model.test_scenarios import SCENARIOS

Patch = Callable[[pytest.MonkeyPatch], None]


def rule_out(*names: str) -> Patch:
    """The table of verdicts without some of its rules."""

    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        assert {rule.__name__ for rule in rules.RULES} >= set(names)
        left = tuple(rule for rule in rules.RULES if rule.__name__ not in names)
        monkeypatch.setattr(rules, "RULES", left)

    return patch


def answer(module: Any, name: str, value: Any) -> Patch:
    """A function that always answers the same."""
    return lambda monkeypatch: monkeypatch.setattr(module, name, lambda *_, **__: value)


def wrap(module: Any, name: str, around: Callable[..., Any]) -> Patch:
    """`around(original, *arguments)` in place of a function."""

    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        original = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *args, **kwargs: around(original, *args, **kwargs))

    return patch


def believes_it_runs(ask: Any, answers: guests.Guests, server: Any) -> None:
    answers.running[server.id] = True


def both(*patches: Patch) -> Patch:
    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        for each in patches:
            each(monkeypatch)

    return patch


def remembering(observation: Any, **fields: Any) -> Any:
    return replace(observation, history=replace(observation.history, **fields))


def moves_departed(original: Any, leaver: Any) -> Any:
    return original(leaver) or Move("cold", 1)


def forgets_the_host(original: Any, cloud: Cloud, *args: Any) -> Any:
    """Also servers that are elsewhere count as being on the host."""
    found = original(cloud, *args)
    others = cloud._servers({"all_tenants": 1})
    return (*found, *(replace(s, host=args[0]) for s in others if s.host != args[0]))


def everything_is_ours(original: Any, server_id: str, drain: Any, observation: Any) -> Any:
    return tuple(m for m in observation.migrations if m.server_id == server_id)


def all_times_are_ours(original: Any, server_id: str, drain: Any, observation: Any) -> Any:
    record = replace(drain.record, found_migration=-1)
    return original(server_id, replace(drain, record=record), observation)


def in_flight_is_ours(original: Any, server_id: str, drain: Any, observation: Any) -> Any:
    lowest = min((drain.record.found_migration + 1, *drain.record.found_in_flight))
    record = replace(drain.record, found_migration=lowest - 1)
    return original(server_id, replace(drain, record=record), observation)


def forgets_what_has_ended(original: Any, *args: Any) -> Any:
    return [m for m in original(*args) if not m.terminal]


def owns(around: Callable[..., Any]) -> Patch:
    """Which migrations are ours is asked in deciding and in observing."""
    return both(wrap(servers, "own_migrations", around), wrap(guests, "own_migrations", around))


def believes_every_list(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("missing_records", "missing_servers", "unnamed"):
        monkeypatch.setattr(lists, name, lambda *_: frozenset())


def announces_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the record had a try of every server."""
    monkeypatch.setattr(Record, "announces_move", lambda *_: True)


def deletes_when_it_likes(original: Any, drain: Any, observation: Any, proof: Any) -> Any:
    found = observation.service
    return (DeleteService(found.id),) if found and not observation.servers else ()


def deletes_while_running(original: Any, drain: Any, observation: Any, proof: Any) -> Any:
    down = observation.service and replace(observation.service, state="down")
    return original(drain, replace(observation, service=down), proof)


def without(part: str) -> Callable[..., Any]:
    """A proof that forgets a part of what was observed."""

    def weigh(original: Any, drain: Any, observation: Any, matters: Any, settle: Any) -> Any:
        if part == "matters":
            return original(drain, observation, (), settle)
        if part == "settle":
            clean = remembering(observation, clean_since=observation.now - settle)
            return original(drain, clean, matters, settle)
        if part == "allocations":
            reads = observation.proof and replace(observation.proof, consumers=frozenset())
            return original(drain, replace(observation, proof=reads), matters, settle)
        emptied: dict[str, Any] = {"servers": (), part: ()}
        return original(drain, replace(observation, **{part: emptied[part]}), matters, settle)

    return weigh


def soft_deleted_ones_are_gone(original: Any, cloud: Cloud, name: str) -> Any:
    return tuple(s for s in original(cloud, name) if s.status != "SOFT_DELETED")


def no_migrations(original: Any, *args: Any, **kwargs: Any) -> Any:
    return tuple(m for m in original(*args, **kwargs) if m.source == "cmp1")


def cell_is_up(original: Any, cloud: Cloud, *args: Any, **kwargs: Any) -> Any:
    def known(s: Any) -> Any:
        if s.status != "UNKNOWN":
            return s
        return replace(s, status="disabled", state="down", id="x", disabled_reason=None)

    return tuple(known(s) for s in original(cloud, *args, **kwargs))


def forgets_what_it_found(original: Any, *args: Any) -> Any:
    record = original(*args)
    return replace(record, found_status="enabled", found_reason=None) if record.begun else record


def acts_before_it_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    """The status is written after the calls, not before them."""
    original = reconcile.Drains.report
    late: list[Any] = []
    monkeypatch.setattr(reconcile.Drains, "report", lambda self, *args: late.append((self, *args)))
    carry_out = act

    def act_first(*args: Any, **kwargs: Any) -> Any:
        acted = carry_out(*args, **kwargs)
        self, *rest = late.pop()
        original(self, *rest)
        return acted

    monkeypatch.setattr(reconcile, "act", act_first)


def always_restores(original: Any, drain: Any, observation: Any) -> Any:
    found = observation.service
    return (EnableService(found.id),) if found and found.status == "disabled" else ()


def a_broken_answer_is_an_empty_list(monkeypatch: pytest.MonkeyPatch) -> None:
    def pages(self: Any, path: str, key: str, query: Any, *, kept: bool = True) -> Any:
        answer_ = self._send("compute", "GET", path, query=query)
        try:
            yield from answer_.json().get(key, [])
        except (ValueError, AttributeError):
            return

    monkeypatch.setattr(http.Api, "pages", pages)


def repeats_without_a_look(original: Any, api: Any, *args: Any, **kwargs: Any) -> Any:
    try:
        return original(api, *args, **kwargs)
    except Unknown:
        return original(api, *args, **kwargs)


def suspended_goes_on(original: Any, drain: Any, *args: Any) -> Any:
    spec = drain.spec.model_copy(update={"suspend": False})
    return original(replace(drain, spec=spec), *args)


def plan_goes_on(original: Any, drain: Any) -> Any:
    return Goal.RELEASE if drain.deleting else Goal.KEEP_DRAINED


def restores_at_once(original: Any, drain: Any, observation: Any, decision: Any) -> Any:
    restore = service.restore(drain, observation)
    return replace(decision, actions=restore, released=not restore)


def goes_on_cold(original: Any, s: Any) -> str:
    return "cold" if s.failed("live") else str(original(s))


def overlooks_tasks(original: Any, leaver: Any) -> Any:
    elsewhere = {
        i: server and replace(server, task_state=None)
        for i, server in leaver.observation.elsewhere.items()
    }
    return original(replace(leaver, observation=replace(leaver.observation, elsewhere=elsewhere)))


def confirms_what_seems_off(original: Any, there: Any) -> Any:
    return Confirm(there.migration)


def confirms_early(original: Any, leaver: Any) -> Any:
    return Confirm(leaver.migration)


def evacuates(original: Any, cloud: Cloud, server_id: str, target: str | None) -> Any:
    return cloud._action(server_id, {"evacuate": {"host": target}})


def resets(original: Any, cloud: Cloud, server_id: str) -> Any:
    cloud._action(server_id, {"os-resetState": {"state": "active"}})
    return original(cloud, server_id)


def one_failing_server_stops_all(
    original: Any, drain: Any, observation: Any, verdicts: Any, limits: Any
) -> Any:
    failing = any(isinstance(v.verdict, Blocked | Held) for v in verdicts)
    return () if failing else original(drain, observation, verdicts, limits)


def confirms_what_it_holds(original: Any, leaver: Any) -> Any:
    found = original(leaver)
    return Confirm(found.migration) if isinstance(found, Held) else found


def uncounted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ServerVerdict, "in_flight", property(lambda self: False))


def only_follows_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is about to start, or whose answer is missing, is forgotten."""
    counted = property(lambda self: isinstance(self.verdict, Follow))
    monkeypatch.setattr(ServerVerdict, "in_flight", counted)


def groups_do_not_matter(
    original: Any, drain: Any, observation: Any, verdicts: Any, limits: Any
) -> Any:
    return original(drain, replace(observation, groups=()), verdicts, limits)


def times_are_renewed(original: Any, report_: Any) -> Any:
    found = original(report_)
    return replace(found, record=replace(found.record, started=report_.now))


def believes_the_list(_: Any, cloud: Any, drain: Any, polled: Any, chosen: Any) -> Any:
    return guests.read_guests(cloud, drain, replace(polled, read=frozenset(chosen)))


def goes_by_the_machine(_: Any, clock: Clock) -> Any:
    return clock._wall()


def writes_nothing_in_flight(original: Any, report_: Any) -> Any:
    found = original(report_)
    return replace(found, record=replace(found.record, found_in_flight=()))


def never_disables_again(original: Any, drain: Any, observation: Any) -> Any:
    return () if drain.begun else original(drain, observation)


# The promise that is broken, how, and the histories that have to notice (one of them does).
MUTANTS: dict[str, tuple[Patch, str]] = {
    "moves a server known from its migration": (
        wrap(departed, "judge", moves_departed),
        "never_moves_a_server_a_second_time",
    ),
    "takes servers elsewhere for servers on the host": (
        wrap(Cloud, "servers_on", forgets_the_host),
        "never_moves_a_server_a_second_time",
    ),
    "takes an older list of servers for the present": (
        answer(reconcile, "suffices", True),
        "starts_no_move_from_an_older_list",
    ),
    "moves a server as it was listed, not as it is": (
        wrap(reconcile, "read_chosen", believes_the_list),
        "starts_no_move_from_an_older_list",
    ),
    "takes a tenant's resize for its own": (
        owns(everything_is_ours),
        "leaves_a_tenants_resize_alone",
    ),
    "takes what was there before for its own": (
        both(owns(all_times_are_ours), announces_all),
        "leaves_what_was_there_before_the_drain_alone",
    ),
    "takes what was in flight before for its own": (
        both(owns(in_flight_is_ours), announces_all),
        "leaves_what_was_in_flight_before_the_drain_alone",
    ),
    "takes every open move of its user for its own": (
        announces_all,
        "takes_no_move_from_before_for_its_own_where_the_first_list_lacks_it",
    ),
    "confirms whatever the checks say": (
        answer(departed, "failed_checks", ""),
        "confirms_no_guest_that_is_off",
    ),
    "does not look at ports": (
        answer(departed, "wrong_port", ""),
        "confirms_no_guest_that_is_cut_off",
    ),
    "does not look at the power state": (
        answer(departed, "wrong_power", ""),
        "confirms_no_guest_that_is_off_where_no_hypervisor_can_be_asked",
    ),
    "confirms what a destination that is down cannot tell": (
        answer(departed, "_is_known", True),
        "confirms_no_guest_whose_host_dies_after_it_has_arrived",
    ),
    "rolls back what Nova shows as off": (
        answer(departed, "_is_shown_as_off", False),
        "waits_for_nova_to_see_that_a_guest_runs",
    ),
    "confirms what Nova shows as off": (
        wrap(departed, "_not_stopped", confirms_what_seems_off),
        "waits_for_nova_to_see_that_a_guest_runs",
    ),
    "believes that a guest runs because Nova has not heard of its death": (
        wrap(guests.Guests, "ask", believes_it_runs),
        "confirms_no_guest_whose_death_nova_has_not_noticed",
    ),
    "confirms before the server has arrived": (
        wrap(departed, "judge_in_progress", confirms_early),
        "confirms_no_guest_that_is_still_arriving",
    ),
    "confirms a server that is in the middle of something": (
        wrap(departed, "judge_finished", overlooks_tasks),
        "confirms_no_guest_that_its_owner_is_deleting",
    ),
    "confirms without a decision": (
        wrap(departed, "judge_finished", confirms_what_it_holds),
        "waits_for_a_decision_where_the_policy_is_manual",
    ),
    "reverts to a source that is down": (
        both(answer(departed, "source_is_down", False), answer(act_servers, "source_is_up", True)),
        "reverts_nothing_while_the_source_is_down",
    ),
    "deletes the service of a host that looks empty": (
        wrap(service, "end_service", deletes_when_it_likes),
        "takes_no_move_to_the_host_for_nothing",
    ),
    "deletes the service of a running nova-compute": (
        wrap(service, "end_service", deletes_while_running),
        "deletes_no_service_while_nova_compute_is_up",
    ),
    "forgets allocations": (
        wrap(proofs, "weigh", without("allocations")),
        "takes_no_allocation_left_in_placement_for_nothing",
    ),
    "forgets guests that failed elsewhere": (
        answer(departed, "judge_failed", None),
        "takes_a_guest_that_failed_elsewhere_for_a_reason_to_keep_the_host",
    ),
    "writes down nothing of what is in flight at its beginning": (
        answer(remembers, "_in_flight", ()),
        "keeps_the_host_for_a_move_in_flight_at_its_beginning_that_fails",
    ),
    "forgets what was in flight once it has ended": (
        wrap(moves, "_older", forgets_what_has_ended),
        "keeps_the_host_for_a_move_in_flight_at_its_beginning_that_fails",
    ),
    "keeps what was in flight at its beginning out of the status": (
        wrap(reconcile, "status", writes_nothing_in_flight),
        "remembers_what_was_in_flight_when_it_is_started_again",
    ),
    "takes what Nova calls completed for well": (
        answer(departed, "_judge_arrived", None),
        "sees_a_guest_in_error_whose_live_migration_completed",
    ),
    "forgets moves to the host": (
        wrap(Cloud, "migrations", no_migrations),
        "takes_no_move_to_the_host_for_nothing",
    ),
    "forgets soft-deleted servers": (
        wrap(Cloud, "servers_on", soft_deleted_ones_are_gone),
        "takes_no_soft_deleted_server_for_gone",
    ),
    "trusts the lists of a cell that is down": (
        wrap(Cloud, "services", cell_is_up),
        "takes_no_list_of_a_cell_that_is_down_for_an_empty_host",
    ),
    "proves in one read": (wrap(proofs, "weigh", without("settle")), "reads_the_empty_host_twice"),
    "takes half an answer for an empty list": (
        a_broken_answer_is_an_empty_list,
        "proves_nothing_from_a_list_that_could_not_be_read",
    ),
    "counts no moves in flight": (uncounted, "moves_no_more_at_once_than_allowed"),
    "counts only moves with a record": (
        only_follows_count,
        "moves_no_more_at_once_than_allowed_while_nova_is_slow_to_begin",
    ),
    "believes a list that lacks a move in flight": (
        believes_every_list,
        "counts_a_move_that_one_answer_of_nova_lacks",
    ),
    "believes a list that lacks a server": (
        answer(lists, "missing_servers", frozenset()),
        "counts_a_move_that_one_answer_of_nova_lacks",
    ),
    "forgets a try whose move a list lacks": (
        believes_every_list,
        "remembers_how_a_guest_was_where_one_answer_lacks_its_move",
    ),
    "leaves the host where a list lacks a move in flight": (
        believes_every_list,
        "lets_a_move_end_that_one_answer_lacks_before_it_leaves_the_host",
    ),
    "believes a list that lacks what has failed": (
        answer(lists, "missing_records", frozenset()),
        "takes_down_no_further_guest_where_one_answer_lacks_those_that_failed",
    ),
    "believes the first list of a process": (
        answer(lists, "unnamed", frozenset()),
        "takes_down_no_further_guest_where_one_answer_lacks_those_that_failed",
    ),
    "never believes that a record is gone": (
        lambda m: m.setattr(lists, "BELIEVED_AFTER", timedelta(days=999)),
        "goes_on_without_a_record_that_a_person_has_removed",
    ),
    "ignores anti-affinity groups": (
        wrap(schedule, "choose", groups_do_not_matter),
        "moves_one_of_an_anti_affinity_group_at_a_time",
    ),
    "writes over a disable unsaved": (
        wrap(remembers, "_with_findings", forgets_what_it_found),
        "restores_a_disable_that_another_user_had_made",
    ),
    "writes to OpenStack before the status": (
        acts_before_it_reports,
        "saves_what_it_finds_before_it_writes",
    ),
    "enables whatever it finds disabled": (
        wrap(service, "restore", always_restores),
        "leaves_a_disable_that_another_user_made_meanwhile",
    ),
    "forgets the aggregates": (
        answer(service, "rejoin", ()),
        "restores_an_enabled_service_with_its_aggregates_after_a_delete",
    ),
    "leaves a service that registers again enabled": (
        wrap(service, "disable", never_disables_again),
        "keeps_the_host_empty",
    ),
    "restores the host with moves in flight": (
        wrap(goals, "release", restores_at_once),
        "lets_moves_in_flight_end_before_it_restores_the_host",
    ),
    "continues cold where live fails": (
        wrap(rules, "method_for", goes_on_cold),
        "restarts_no_guest_that_cannot_live_migrate",
    ),
    "repeats a call without an answer": (
        wrap(http.Api, "write", repeats_without_a_look),
        "loses_the_answers_of_all_writes_and_repeats_none",
    ),
    "takes no answer for a no": (
        answer(Observation, "awaits_answer", False),
        "repeats_no_call_whose_effect_comes_late",
    ),
    "goes by the clock of the machine": (
        wrap(Clock, "now", goes_by_the_machine),
        "reads_the_empty_host_twice_whatever_the_machines_clock_says",
    ),
    "repeats a call early by the clock of the machine": (
        wrap(Clock, "now", goes_by_the_machine),
        "repeats_no_call_early_because_the_machines_clock_was_set",
    ),
    "evacuates": (
        wrap(Cloud, "migrate", evacuates),
        "empties_a_host_with_one_migrate_and_one_confirm_each",
    ),
    "resets states": (
        wrap(Cloud, "confirm", resets),
        "empties_a_host_with_one_migrate_and_one_confirm_each",
    ),
    "lets one failing server hold up all": (
        wrap(schedule, "choose", one_failing_server_stops_all),
        "lets_no_failing_server_hold_up_another",
    ),
    "continues while suspended": (
        wrap(reconcile, "decide", suspended_goes_on),
        "writes_nothing_while_suspended",
    ),
    "moves servers under a plan": (
        wrap(goals, "goal_of", plan_goes_on),
        "writes_nothing_for_a_plan",
    ),
    "moves while nova-compute is down": (
        rule_out("source_is_down"),
        "continues_by_itself_when_nova_compute_comes_back",
    ),
    "never tries again where capacity was short": (
        lambda m: m.setattr(failures, "SLOW_RETRY", timedelta(days=999)),
        "continues_by_itself_when_there_is_capacity_again",
    ),
    "follows a stuck record without end": (
        answer(departed, "never_ending", None),
        "names_a_record_that_never_ends",
    ),
    "waits for a task without end": (
        answer(rules, "_never_ends", None),
        "names_a_task_that_never_ends",
    ),
    "renews a time at every poll": (
        wrap(reconcile, "status", times_are_renewed),
        "an_idle_drain_writes_nothing",
    ),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_broken_promise_is_noticed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    patch, scenario = MUTANTS[name]
    patch(monkeypatch)
    with pytest.raises((AssertionError, KeyError)):
        SCENARIOS[scenario]()
