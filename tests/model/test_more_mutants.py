"""Promises that are broken on purpose beside those of test_mutants.py, in the same form."""

from collections.abc import Mapping
from typing import Any

import pytest

from quiesce.api import annotations
from quiesce.api.drain.record import Record
from quiesce.drain.decide import breaker, departed, remember, rules, schedule
from quiesce.drain.model.observation import Observation
from quiesce.drain.observe import host, moves
from quiesce.openstack import http
from quiesce.openstack.cloud import Cloud
from quiesce.openstack.records import ServerGroup
from quiesce.ops import logging
from quiesce.ops.leadership import Fence
from tests.model.test_mutants import Patch, answer, rule_out, wrap
from tests.model.test_scenarios import SCENARIOS


def groups_allow_one_more(original: Any, group: Any, busy: Any) -> bool:
    return bool(len(group.members & busy) > group.most)


def read_without_rules(row: Mapping[str, Any]) -> ServerGroup:
    return ServerGroup(row["id"], row["name"], row["policy"], frozenset(row["members"]))


def every_port_was_idle(original: Any, port: Any, server: Any, idle: Any) -> str:
    return str(original(port, server, (port.id,)))


def says_it_as_it_came(where: str) -> Patch:
    """Past the gate for texts of a cloud, and past this part of the one of the log."""

    def patch(m: pytest.MonkeyPatch) -> None:
        m.setattr(http, "cleaned", lambda text, limit=0: str(text))
        m.setattr(logging, where, str)

    return patch


def opens_again(fence: Fence, until: float) -> None:
    fence._until, fence._closed = until, False


MORE_MUTANTS: dict[str, tuple[Patch, str]] = {
    "logs secrets as they come": (
        says_it_as_it_came("redact"),
        "logs_no_secret_and_no_line_that_is_not_its_own",
    ),
    "logs texts of several lines as they come": (
        says_it_as_it_came("_one_line"),
        "logs_no_secret_and_no_line_that_is_not_its_own",
    ),
    "lets every server try a broken SSH path": (
        answer(breaker, "_ssh_breaker", None),
        "lets_one_server_try_a_broken_ssh_path",
    ),
    "goes on although a cold move left a guest down": (
        answer(breaker, "_left_down_breaker", None),
        "takes_down_one_guest_beyond_those_in_flight",
    ),
    "takes every arrival for a success": (
        answer(breaker, "arrived_off", False),
        "takes_down_one_guest_beyond_those_in_flight_where_guests_die_on_arrival",
    ),
    "forgets who died on arrival": (
        answer(remember, "_arrived_off", {}),
        "remembers_who_died_on_arrival_when_it_is_started_again",
    ),
    "moves guests cold for a cause of the host": (
        answer(breaker, "_live_breaker", None),
        "restarts_no_guest_for_a_cause_of_the_host",
    ),
    "takes a guest to be where Nova has it": (
        answer(rules, "may_be_elsewhere", None),
        "starts_no_guest_a_second_time_that_has_left_by_a_live_migration",
    ),
    "takes what was leaving at its beginning for long gone": (
        answer(remember, "_in_flight", ()),
        "starts_no_guest_a_second_time_that_was_leaving_when_the_drain_began",
    ),
    "forgets what was there before the drain": (
        answer(moves, "_older", ()),
        "moves_no_guest_that_had_left_before_the_drain_began",
    ),
    "takes a guest that left without nova-compute for one that is off": (
        answer(rules, "may_be_elsewhere", None),
        "copies_no_disk_of_a_guest_that_arrived_while_nova_compute_was_away",
    ),
    "takes a service that is forced down for a nova-compute that has stopped": (
        lambda m: m.setattr(
            Observation, "compute_is_down", property(lambda self: self.service_is_down)
        ),
        "takes_no_service_that_is_forced_down_for_a_nova_compute_that_has_stopped",
    ),
    "takes every evacuated server for a healthy one": (
        answer(host, "is_healthy", True),
        "retires_a_dead_host_whose_servers_were_evacuated",
    ),
    "does not see what Nova releases itself": (
        answer(Cloud, "evacuations", {}),
        "retires_a_dead_host_whose_servers_were_evacuated",
    ),
    "takes a guest of which nobody knows how it was for one that was off": (
        lambda m: m.setattr(Record, "may_have_run", lambda self, id_: self.was(id_) == "ACTIVE"),
        "confirms_no_guest_that_has_died_where_nobody_knows_how_it_was",
    ),
    "counts no move of a server that is being deleted": (
        answer(rules, "_has_our_move", False),
        "begins_no_move_beside_one_whose_server_is_being_deleted",
    ),
    "moves one more of a group than a host may hold": (
        wrap(schedule, "_is_full", groups_allow_one_more),
        "moves_one_of_an_anti_affinity_group_at_a_time",
    ),
    "takes every group for one that allows one member a host": (
        lambda m: m.setattr(ServerGroup, "read", read_without_rules),
        "moves_as_many_of_an_anti_affinity_group_as_a_host_may_hold",
    ),
    "takes every port that is down for one that was": (
        wrap(departed, "wrong_port", every_port_was_idle),
        "reverts_a_guest_whose_port_went_down_in_the_move",
    ),
    "forgets how ports were": (
        answer(remember, "_idle_ports", ()),
        "confirms_a_guest_whose_ports_are_as_they_were",
    ),
    "changes something without its Lease": (
        lambda m: m.setattr(Fence, "check", lambda self: None),
        "changes_nothing_once_another_has_its_lease",
    ),
    "takes up again a Lease that it has lost": (
        lambda m: m.setattr(Fence, "extend", opens_again),
        "changes_nothing_once_another_has_its_lease",
    ),
    "does not ask the clock before each call": (
        lambda m: m.setattr(Fence, "open", property(lambda self: not self._closed)),
        "changes_nothing_after_a_pause_beyond_its_lease",
    ),
    "counts live migrations that waited as tries": (
        answer(rules.PresentServer, "_shows_nothing", False),
        "restarts_no_guest_whose_live_migration_never_had_its_turn",
    ),
    "moves a server that a person has decided to roll back": (
        rule_out("stays_by_decision"),
        "restarts_no_guest_again_that_a_person_had_rolled_back",
    ),
    "ignores that it is abandoned": (
        lambda m: m.setattr(annotations, "ABANDON", "quiesce.dev/none"),
        "is_released_when_abandoned_whatever_the_cloud_answers",
    ),
}


@pytest.mark.parametrize("name", MORE_MUTANTS)
def test_a_broken_promise_is_noticed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    patch, scenario = MORE_MUTANTS[name]
    patch(monkeypatch)
    with pytest.raises((AssertionError, KeyError)):
        SCENARIOS[scenario]()
