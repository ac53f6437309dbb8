"""The lines that the real process logs in a whole drain, as docs/log.schema.json has them."""

import json
import subprocess
import sys

import pytest
from tests.monitoring.conftest import Drained
from tests.monitoring.prometheus import ROOT, Json
from tools.log_schema import Line


def of_server(drained: Drained, name: str) -> list[Json]:
    """Its transitions, oldest first."""
    lines = [line for line in drained.lines if "state" in line]
    return [line for line in lines if line["server"] == drained.servers[name]]


def test_every_line_is_as_the_schema_says(drained: Drained) -> None:
    assert len(drained.lines) > 30
    for line in drained.lines:
        Line.model_validate(line, strict=True)


def test_the_schema_shown_is_that_of_the_code() -> None:
    made = subprocess.run(
        [sys.executable, "-m", "tools.log_schema"], capture_output=True, text=True, check=True
    )
    assert json.loads((ROOT / "docs" / "log.schema.json").read_text()) == json.loads(made.stdout)


@pytest.mark.parametrize("name", ["web-1", "web-2", "db-1"])
def test_a_move_is_one_line_for_each_transition(drained: Drained, name: str) -> None:
    lines = of_server(drained, name)
    states = [line["state"] for line in lines]
    assert states[0] == "Starting"
    assert states[-2:] == ["Confirming", "Moved"]
    assert len(states) == len(set(states)), "no state is told twice"
    assert set(states) <= {"Starting", "Migrating", "Verifying", "Soaking", "Confirming", "Moved"}
    assert {line["drain"] for line in lines} == {"openstack/cmp1"}
    assert {line["attempt"] for line in lines} == {1}
    (migration,) = {line["migration"] for line in lines[1:]}
    assert migration
    began, confirmed = lines[0]["request_id"], lines[-2]["request_id"]
    assert began != confirmed
    assert {line["request_id"] for line in lines[1:-2]} <= {began}
    assert lines[-1]["request_id"] == confirmed
    assert lines[-1]["seconds"] > 0


def test_a_failed_move_names_its_attempt_migration_and_request(drained: Drained) -> None:
    first, *_, last = of_server(drained, "bad-1")
    assert (last["state"], last["reason"]) == ("Blocked", "DestinationFailed")
    assert (last["level"], last["attempt"]) == ("warning", 1)
    assert last["migration"]
    assert last["request_id"] == first["request_id"]


def test_servers_that_only_wait_are_not_told_at_the_beginning(drained: Drained) -> None:
    assert [line["state"] for line in of_server(drained, "held-1")][-1] == "Held"
    offloaded = [line["state"] for line in of_server(drained, "shelved-1")]
    assert (offloaded[0], offloaded[-1]) == ("Starting", "Offloaded")
    assert [line["state"] for line in of_server(drained, "live-1")][-1] == "Moved"


def test_what_is_told_to_kubernetes_is_a_line_too(drained: Drained) -> None:
    told = {(line.get("drain"), line["event"]) for line in drained.lines if "event" in line}
    assert {("openstack/cmp1", "Stalled"), ("openstack/cmp3", "Drained")} <= told
