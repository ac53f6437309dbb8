"""What people and drains read."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.unit.keyring.build import OLD, Disk, desired

from quiesce.api.errors import BadHostAccess, CloudUnreachable, Problem
from quiesce.api.keyring.spec import Probe
from quiesce.api.keyring.status import KeyringRecord
from quiesce.keyring.decide import changes, decide
from quiesce.keyring.model import (
    HostFailure,
    HostRecord,
    PathCheck,
    PathRecord,
    Rotation,
    RotationStep,
)
from quiesce.keyring.paths import proven
from quiesce.keyring.report import (
    change_events,
    host_events,
    problem_status,
    removal_status,
    status,
    timestamp,
    transitions,
)

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
NAMES = ("cmp1", "cmp2", "cmp3")
WORKS = PathCheck()
ALL_UP = frozenset(NAMES)
NOTHING = KeyringRecord.read({})


def fleet(names: tuple[str, ...] = NAMES) -> dict[str, HostRecord]:
    disk = Disk()
    for change in changes(desired(), disk.seen):
        disk.do(change)
    paths = {
        name: {other: PathRecord(WORKS, 1.0, OLD.public.id) for other in names if other != name}
        for name in names
    }
    return {name: HostRecord(at=1.0, observation=disk.seen, paths=paths[name]) for name in names}


def fail(hosts: dict[str, HostRecord], name: str, failure: HostFailure) -> None:
    hosts[name] = replace(hosts[name], failure=failure)


def fail_path(hosts: dict[str, HostRecord], source: str, target: str, check: PathCheck) -> None:
    record = hosts[source]
    path = replace(record.paths[target], check=check)
    hosts[source] = replace(record, paths={**record.paths, target: path})


def reported(
    hosts: dict[str, HostRecord],
    probe: Probe = Probe.ALL,
    step: Rotation | None = None,
    destinations: tuple[str, ...] = NAMES,
    previous: KeyringRecord = NOTHING,
    now: datetime = NOW,
    up: tuple[str, ...] = NAMES,
) -> dict[str, Any]:
    rotation = step or Rotation(RotationStep.STABLE)
    found = decide(desired(), rotation, probe, hosts, frozenset(destinations), frozenset(up))
    return status(found, 4).as_json(previous, timestamp(now))


def conditions(of: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {c["type"]: (c["status"], c["reason"]) for c in of["conditions"]}


def test_all_is_well() -> None:
    seen = reported(fleet())
    assert (seen["hosts"]["summary"], seen["paths"]["summary"]) == ("3/3", "6/6")
    assert conditions(seen) == {
        "Ready": ("True", "Proven"),
        "KeysInstalled": ("True", "Installed"),
        "PathsProven": ("True", "Proven"),
    }
    text = "paths from and to cmp1 are proven (6/6 of the keyring's paths)"
    assert proven(seen, "cmp1") == (True, text)


def test_the_same_hosts_make_the_same_status() -> None:
    first = reported(fleet())
    later = NOW.replace(year=2027)
    assert reported(fleet(), previous=KeyringRecord.read(first), now=later) == first


def test_what_is_written_is_what_is_read_back() -> None:
    hosts = fleet()
    fail(hosts, "cmp2", HostFailure("Timeout", "no answer", False, ("wait", "exclude it")))
    for written in (
        reported(hosts),
        reported(fleet(), step=Rotation(RotationStep.USE, ("cmp2",))),
        problem_status(CloudUnreachable("down"), NOTHING, 4).as_json(NOTHING, timestamp(NOW)),
    ):
        record = KeyringRecord.read(written)
        assert record.status.as_json(record, "later") == written


def test_a_dead_host_makes_nobody_else_unready_but_their_paths_to_it_unproven() -> None:
    hosts = fleet()
    fail(hosts, "cmp2", HostFailure("Timeout", "cmp2 does not answer", needs_person=False))
    seen = reported(hosts)
    assert seen["problems"] == [
        {"host": "cmp2", "reason": "Timeout", "message": "cmp2 does not answer"}
    ]
    assert seen["hosts"] == {"summary": "2/3", "total": 3, "ready": 2, "failed": 1}
    assert seen["provenHosts"] == []
    assert conditions(seen)["Ready"] == ("False", "Timeout")
    assert "Stalled" not in conditions(seen)
    assert proven(seen, "cmp2")[1].endswith("Timeout: cmp2 does not answer")


def test_a_host_to_which_nova_moves_nothing_keeps_no_other_from_being_proven() -> None:
    """Nova sees its nova-compute down. It is still reported, and not proven itself."""
    hosts = fleet()
    fail(hosts, "cmp2", HostFailure("Timeout", "cmp2 does not answer", needs_person=False))
    seen = reported(hosts, destinations=("cmp1", "cmp3"))
    assert seen["provenHosts"] == ["cmp1", "cmp3"]
    assert seen["paths"] == {"summary": "2/6", "total": 6, "proven": 2, "failed": 0}
    assert conditions(seen)["Ready"] == ("False", "Timeout")
    alive = ("cmp1", "cmp3")
    assert reported(hosts, Probe.RING, destinations=alive, up=alive)["provenHosts"] == [
        "cmp1",
        "cmp3",
    ]


@pytest.mark.field_case("F9")
@pytest.mark.parametrize(
    ("destinations", "proven_hosts"),
    [
        (NAMES, ["cmp2"]),
        (("cmp1", "cmp2"), ["cmp1", "cmp2"]),  # cmp3 is being drained: cmp1 fetches from it
        (("cmp2", "cmp3"), ["cmp2", "cmp3"]),  # cmp1 is being drained: it copies to cmp3
        (("cmp2",), ["cmp1", "cmp2", "cmp3"]),
        (("cmp1",), ["cmp2"]),
        ((), ["cmp2"]),  # Nova moves nothing anywhere: every path counts
    ],
)
def test_a_host_is_proven_by_its_paths_both_ways(
    destinations: tuple[str, ...], proven_hosts: list[str]
) -> None:
    hosts = fleet()
    fail_path(hosts, "cmp1", "cmp3", PathCheck("Timeout", "no answer"))
    assert reported(hosts, destinations=destinations)["provenHosts"] == proven_hosts


@pytest.mark.field_case("F9")
def test_a_ring_reaches_a_host_that_is_disabled_but_up() -> None:
    hosts = fleet()
    fail_path(hosts, "cmp1", "cmp2", PathCheck("NoSFTP", "subsystem request failed"))
    seen = reported(hosts, Probe.RING, destinations=("cmp1", "cmp3"))
    assert seen["provenHosts"] == ["cmp3"]
    assert proven(seen, "cmp2") == (
        False,
        "paths from and to cmp2 are not proven: NoSFTP: no copy from cmp1 to cmp2: subsystem "
        "request failed",
    )


def test_what_a_person_has_to_mend_stalls() -> None:
    hosts = fleet()
    fail(hosts, "cmp2", HostFailure("HostKeyMismatch", "another key", needs_person=True))
    seen = reported(hosts)
    assert conditions(seen)["Stalled"] == ("True", "HostKeyMismatch")
    assert "Reconciling" not in conditions(seen)
    fail(hosts, "cmp3", HostFailure("Timeout", "no answer", needs_person=False))
    assert "Stalled" not in conditions(reported(hosts))


def test_paths_that_fail_are_told_by_source_and_cause() -> None:
    hosts = fleet(tuple(f"cmp{number}" for number in range(1, 8)))
    for target in hosts["cmp1"].paths:
        fail_path(hosts, "cmp1", target, PathCheck("Refused", "Connection refused"))
    seen = reported(hosts)
    assert seen["problems"] == [
        {
            "host": "cmp1",
            "reason": "Refused",
            "message": "no login from cmp1 to cmp2, cmp3, cmp4 and 3 more: Connection refused",
            "remedies": [
                "Start sshd on the target, or set spec.nova.port to the port where it listens"
            ],
            "targets": ["cmp2", "cmp3", "cmp4", "cmp5", "cmp6", "cmp7"],
        }
    ]
    assert seen["paths"]["failed"] == 6
    assert seen["provenHosts"] == [], "cmp1 could fetch no base image from any of them"
    disabled = reported(hosts, destinations=tuple(set(hosts) - {"cmp1"}), up=tuple(hosts))
    assert disabled["provenHosts"] == ["cmp2", "cmp3", "cmp4", "cmp5", "cmp6", "cmp7"]


@pytest.mark.finding("S7")
def test_problems_are_bounded_and_counted() -> None:
    hosts = fleet(tuple(f"cmp{number:03}" for number in range(50)))
    for name in hosts:
        fail(hosts, name, HostFailure("Refused", "x" * 5000, False, ("y" * 5000,) * 9))
    seen = reported(hosts)
    assert (len(seen["problems"]), seen["problemsOmitted"]) == (20, 30)
    for row in seen["problems"]:
        assert len(row["message"]) <= 160
        assert len(row["remedies"]) == 5
        assert all(len(each) <= 256 for each in row["remedies"])


def test_without_probes_installed_hosts_count_as_proven() -> None:
    hosts = fleet()
    hosts = {name: replace(record, paths={}) for name, record in hosts.items()}
    seen = reported(hosts, Probe.NONE)
    assert conditions(seen)["Ready"] == ("True", "Installed")
    assert conditions(seen)["PathsProven"] == ("Unknown", "NotProbed")
    assert proven(seen, "cmp3")[0]


def test_a_ring_is_as_many_paths_as_hosts() -> None:
    assert reported(fleet(), Probe.RING)["paths"]["summary"] == "3/3"


def test_a_rotation_is_shown_and_paths_stay_proven() -> None:
    seen = reported(fleet(), step=Rotation(RotationStep.ACCEPT, ("cmp2",)))
    assert seen["rotation"]["waitsFor"] == ["cmp2"]
    assert conditions(seen)["Ready"] == ("Unknown", "Rotating")
    assert conditions(seen)["Reconciling"] == ("True", "Rotating")
    assert seen["provenHosts"] == list(NAMES)


def test_trouble_of_the_whole_keyring_keeps_what_was_known() -> None:
    before = reported(fleet())

    def with_problem(problem: Problem) -> dict[str, Any]:
        record = KeyringRecord.read(before)
        return problem_status(problem, record, 5).as_json(record, timestamp(NOW))

    seen = with_problem(BadHostAccess("no such Secret"))
    assert conditions(seen)["Stalled"] == ("True", "BadHostAccess")
    assert conditions(seen)["PathsProven"] == ("True", "Proven")
    assert seen["hosts"] == before["hosts"]
    assert conditions(with_problem(CloudUnreachable("down")))["Reconciling"] == (
        "True",
        "CloudUnreachable",
    )


def test_a_host_that_is_unknown_to_the_keyring_is_not_proven() -> None:
    assert proven(reported(fleet()), "cmp9") == (
        False,
        "paths from and to cmp9 are not proven: 3 of 3 hosts ready, 6 of 6 paths proven",
    )
    assert not proven({}, "cmp1")[0]


def test_events_mark_what_changed_and_nothing_else() -> None:
    healthy, hosts = fleet(), fleet()
    before = KeyringRecord.read(reported(healthy))
    failure = HostFailure("Timeout", "no answer", needs_person=False)
    fail(hosts, "cmp2", failure)
    found = decide(desired(), Rotation(RotationStep.STABLE), Probe.ALL, hosts, ALL_UP, ALL_UP)
    after = status(found, 4)
    (event,) = transitions(before, after)
    assert (event.type, event.reason) == ("Warning", "Timeout")
    assert transitions(KeyringRecord(after), after) == ()
    (first,) = host_events({}, {"cmp2": failure})
    assert first.message == "cmp2: no answer"
    assert host_events({"cmp2": "Timeout"}, {"cmp2": failure}) == ()
    (recovered,) = host_events({"cmp2": "Timeout"}, {})
    assert (recovered.reason, recovered.message) == ("HostsRecovered", "cmp2")


@pytest.mark.parametrize(("repaired", "reason"), [(True, "HostsRepaired"), (False, "HostsChanged")])
def test_one_event_tells_what_was_changed_on_hosts(repaired: bool, reason: str) -> None:
    changed = {"cmp1": ("/x/b", "account nova"), "cmp2": ("/x/a",)}
    (event,) = change_events(changed, repaired=repaired)
    assert (event.reason, event.message) == (reason, "cmp1, cmp2: account nova, /x/a, /x/b")
    assert change_events({}, repaired=repaired) == ()


def test_a_removal_names_what_is_left_and_the_way_out() -> None:
    hosts = {name: replace(record, removed=True) for name, record in fleet().items()}
    hosts["cmp2"] = HostRecord(at=1.0, failure=HostFailure("Timeout", "no answer", False))
    before = KeyringRecord.read(reported(fleet()))
    seen = removal_status(hosts, before, 5).as_json(before, timestamp(NOW))
    assert "2 of 3 hosts done" in seen["message"]
    assert "quiesce.dev/abandon=true" in seen["message"]
    assert [row["host"] for row in seen["problems"]] == ["cmp2"]
    assert seen["provenHosts"] == []
