"""All that the plugin writes, and nothing else."""

import argparse
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.unit.plugin.build import WEB_09, WEB_10, recorded, view

from quiesce.api.drain.spec import DrainSpec
from quiesce.plugin import changes
from quiesce.plugin.arguments import parse
from quiesce.plugin.exits import Failed, Misused
from quiesce.plugin.view import DrainView

NOW = datetime(2026, 1, 31, 12, 0, 0, 123456, UTC)
OTHER = "0b0e7f1c-7c1b-4f0c-8a54-6a2c6f1f5a11"


def made(*words: str) -> dict[str, Any]:
    return changes.new_drain(parse(["drain", *words]), "openstack")


def test_a_drain_has_only_what_was_asked_for() -> None:
    assert made("Compute_07.example.org", "--method", "Cold") == {
        "apiVersion": "quiesce.dev/v1alpha1",
        "kind": "ComputeNodeDrain",
        "metadata": {"name": "compute-07.example.org", "namespace": "openstack"},
        "spec": {"host": "Compute_07.example.org", "migration": {"method": "Cold"}},
    }


def test_every_flag_is_a_field_that_the_operator_knows() -> None:
    flags = (
        "cmp1 --method LiveThenCold --reason broken --parallel 2 --confirm Manual --suspended "
        "Resume --after-drain Delete --while-running Stop --keyring ssh --secret clouds --cloud "
        "prod --on-delete Leave --plan --name mine"
    )
    body = made(*flags.split())
    assert body["metadata"]["name"] == "mine"
    read = DrainSpec.read(body["spec"])
    assert read.model_dump(mode="json", by_alias=True, exclude_unset=True) == {
        "host": "cmp1",
        "cloudCredentialsRef": {"secretName": "clouds", "cloudName": "prod"},
        "mode": "Plan",
        "reason": "broken",
        "migration": {"method": "LiveThenCold", "maxParallel": 2},
        "servers": {"suspended": "Resume"},
        "confirmation": {"policy": "Manual"},
        "service": {"afterDrain": "Delete", "whileRunning": "Stop"},
        "keyringRef": {"name": "ssh"},
        "onDelete": "Leave",
    }


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("compute-07.example.org", "compute-07.example.org"),
        ("CMP_1", "cmp-1"),
        ("a_.b", "a.b"),
        ("x" * 255, "x" * 200),
    ],
)
def test_a_name_is_derived_from_the_host(host: str, name: str) -> None:
    assert changes.name_of(host) == name


@pytest.mark.parametrize("host", ["", "a b", "-x", "cmp*", "cmp1,cmp2", "x" * 256, "cmp\x1b[2J"])
def test_what_is_no_host_is_refused_before_anything_is_sent(host: str) -> None:
    with pytest.raises(Misused, match="no name of one host"):
        changes.name_of(host)


def test_a_rival_is_for_the_same_host_of_the_same_cloud() -> None:
    there = [view("draining")]
    same = made("cmp2", "--method", "Cold", "--name", "other")
    assert [rival.name for rival in changes.rivals(there, same)] == ["cmp2"]
    assert changes.rivals(there, made("cmp2", "--method", "Cold", "--secret", "dc2")) == ()
    assert changes.rivals(there, made("cmp3", "--method", "Cold")) == ()


def with_decisions(*pairs: tuple[str, str]) -> DrainView:
    resource = recorded("draining")
    rows = [{"server": server, "action": action} for server, action in pairs]
    resource["spec"]["confirmation"]["decisions"] = rows
    return DrainView.read(resource)


def test_a_decision_is_added_to_those_of_others_and_replaces_its_own() -> None:
    seen = with_decisions((OTHER, "Revert"), (WEB_09, "Revert"))
    assert changes.decisions(seen, [WEB_09], "Confirm") == {
        "metadata": {"resourceVersion": seen.version},
        "spec": {
            "confirmation": {
                "decisions": [
                    {"server": OTHER, "action": "Revert"},
                    {"server": WEB_09, "action": "Confirm"},
                ]
            }
        },
    }


def test_new_tries_are_one_annotation() -> None:
    assert changes.new_tries(with_decisions((OTHER, "Revert")), [], NOW) == {
        "metadata": {"annotations": {"quiesce.dev/requestedAt": "2026-01-31T12:00:00.123456+00:00"}}
    }


def test_new_tries_of_a_server_withdraw_its_revert_and_no_confirm() -> None:
    seen = with_decisions((OTHER, "Revert"), (WEB_09, "Confirm"))
    body = changes.new_tries(seen, [OTHER, WEB_09], NOW)
    assert body["spec"]["confirmation"]["decisions"] == [{"server": WEB_09, "action": "Confirm"}]
    assert body["metadata"]["resourceVersion"] == seen.version
    assert "annotations" in body["metadata"]


def test_servers_are_chosen_by_name_or_id() -> None:
    seen = view("draining")
    assert changes.chosen(seen, ["cmp2-web-09", WEB_09, OTHER], every=False) == (WEB_09, OTHER)
    with pytest.raises(Failed, match="lists no server web; held are: cmp2-web-09"):
        changes.chosen(seen, ["web"], every=False)


def test_all_are_those_whose_checks_pass() -> None:
    assert changes.chosen(view("draining"), [], every=True) == (WEB_09,)
    rows = recorded("draining")["status"]["problems"]
    failing = view("draining", problems=[{**rows[0], "reason": "CheckFailed"}, rows[1]])
    with pytest.raises(Failed, match="name these to decide about them: cmp2-web-09"):
        changes.chosen(failing, [], every=True)
    (doubt,) = changes.doubtful(failing, [WEB_09, WEB_10])
    assert doubt.startswith("cmp2-web-09: CheckFailed: ")


def test_a_name_that_two_servers_have_is_not_guessed_at() -> None:
    rows = recorded("draining")["status"]["problems"]
    seen = view("draining", problems=[{**row, "name": "web"} for row in rows])
    with pytest.raises(Failed, match=f"several servers are called web.*{WEB_10}"):
        changes.chosen(seen, ["web"], every=False)


def test_suspension_is_one_field() -> None:
    assert changes.suspension(True) == {"spec": {"suspend": True}}


def test_flags_without_a_command_are_not_invented() -> None:
    body = changes.new_drain(argparse.Namespace(host="cmp1", method="Live"), "ns")
    assert body["spec"] == {"host": "cmp1", "migration": {"method": "Live"}}
