"""What people and drains read."""

from datetime import UTC, datetime
from typing import Any

from tests.unit.keyring.build import OLD, Disk, wants

from quiesce.api.errors import CloudUnreachable
from quiesce.api.keyring.spec import Probe
from quiesce.keyring.decide import changes
from quiesce.keyring.errors import BadHostAccess
from quiesce.keyring.fleet import HostMemory, Proof
from quiesce.keyring.paths import proven
from quiesce.keyring.report import Picture, status, troubled
from quiesce.keyring.rotation import Rotation, Step
from quiesce.keyring.visit import Failure, Pair

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
NAMES = ("cmp1", "cmp2", "cmp3")
WORKS = Pair()


def fleet(names: tuple[str, ...] = NAMES) -> dict[str, HostMemory]:
    disk = Disk()
    for change in changes(wants(), disk.sight):
        disk.do(change)
    proofs = {
        name: {other: Proof(WORKS, 1.0, OLD.public.id) for other in names if other != name}
        for name in names
    }
    return {name: HostMemory(at=1.0, sight=disk.sight, proofs=proofs[name]) for name in names}


def told(
    hosts: dict[str, HostMemory],
    probe: Probe = Probe.ALL,
    step: Rotation | None = None,
    destinations: tuple[str, ...] = NAMES,
) -> dict[str, Any]:
    return status(
        Picture(wants(), step or Rotation(Step.STABLE), probe, hosts, frozenset(destinations)),
        {},
        4,
        NOW,
    )


def conditions(of: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {c["type"]: (c["status"], c["reason"]) for c in of["conditions"]}


def test_all_is_well() -> None:
    seen = told(fleet())
    assert (seen["hosts"]["summary"], seen["paths"]["summary"]) == ("3/3", "6/6")
    assert conditions(seen) == {
        "Ready": ("True", "Proven"),
        "KeysInstalled": ("True", "Installed"),
        "PathsProven": ("True", "Proven"),
    }
    assert proven(seen, "cmp1") == (True, "paths from cmp1 are proven (6/6 of the keyring's paths)")


def test_the_same_picture_is_the_same_status() -> None:
    first = told(fleet())
    again = status(
        Picture(wants(), Rotation(Step.STABLE), Probe.ALL, fleet(), frozenset(NAMES)),
        first,
        4,
        NOW.replace(year=2027),
    )
    assert again == first


def test_a_dead_host_makes_nobody_else_unready_but_their_paths_to_it_unproven() -> None:
    hosts = fleet()
    hosts["cmp2"].failure = Failure("Timeout", "cmp2 does not answer", person=False)
    seen = told(hosts)
    assert seen["problems"] == [
        {"host": "cmp2", "reason": "Timeout", "message": "cmp2 does not answer"}
    ]
    assert seen["hosts"] == {"summary": "2/3", "total": 3, "ready": 2, "failed": 1}
    assert seen["provenHosts"] == []
    assert conditions(seen)["Ready"] == ("False", "Timeout")
    assert "Stalled" not in conditions(seen)
    assert proven(seen, "cmp2")[1].endswith("Timeout: cmp2 does not answer")


def test_a_host_to_which_nova_moves_nothing_keeps_no_other_from_being_proven() -> None:
    """It is dead, and Nova sees its nova-compute down; it is told all the same, and it is not proven itself."""
    hosts = fleet()
    hosts["cmp2"].failure = Failure("Timeout", "cmp2 does not answer", person=False)
    seen = told(hosts, destinations=("cmp1", "cmp3"))
    assert seen["provenHosts"] == ["cmp1", "cmp3"]
    assert seen["paths"] == {"summary": "2/6", "total": 6, "proven": 2, "failed": 0}
    assert conditions(seen)["Ready"] == ("False", "Timeout")
    assert told(hosts, Probe.RING, destinations=("cmp1", "cmp3"))["provenHosts"] == ["cmp1", "cmp3"]


def test_a_broken_path_to_a_host_to_which_nova_moves_something_counts() -> None:
    hosts = fleet()
    hosts["cmp1"].proofs["cmp3"].pair = Pair("Timeout", "no answer")
    assert told(hosts)["provenHosts"] == ["cmp2", "cmp3"]
    assert told(hosts, destinations=("cmp1", "cmp2"))["provenHosts"] == ["cmp1", "cmp2", "cmp3"]


def test_while_nova_moves_nothing_anywhere_every_path_counts() -> None:
    hosts = fleet()
    hosts["cmp1"].proofs["cmp3"].pair = Pair("Timeout", "no answer")
    assert told(hosts, destinations=())["provenHosts"] == ["cmp2", "cmp3"]
    assert told(hosts, destinations=("cmp1",))["provenHosts"] == ["cmp2", "cmp3"]


def test_what_a_person_has_to_mend_stalls() -> None:
    hosts = fleet()
    hosts["cmp2"].failure = Failure("HostKeyMismatch", "another key", person=True)
    seen = told(hosts)
    assert conditions(seen)["Stalled"] == ("True", "HostKeyMismatch")
    assert "Reconciling" not in conditions(seen)
    hosts["cmp3"].failure = Failure("Timeout", "no answer", person=False)
    assert "Stalled" not in conditions(told(hosts))


def test_paths_that_fail_are_told_by_source_and_cause() -> None:
    hosts = fleet(tuple(f"cmp{number}" for number in range(1, 8)))
    for target in list(hosts["cmp1"].proofs):
        hosts["cmp1"].proofs[target] = Proof(
            Pair("Refused", "Connection refused"), 1.0, OLD.public.id
        )
    seen = told(hosts)
    assert seen["problems"] == [
        {
            "host": "cmp1",
            "reason": "Refused",
            "message": "no login from cmp1 to cmp2, cmp3, cmp4 and 3 more: Connection refused",
        }
    ]
    assert seen["paths"]["failed"] == 6
    assert "cmp1" not in seen["provenHosts"]
    assert len(seen["provenHosts"]) == 6


def test_problems_are_bounded_and_counted() -> None:
    hosts = fleet(tuple(f"cmp{number:03}" for number in range(50)))
    for memory in hosts.values():
        memory.failure = Failure("Refused", "x" * 5000, person=False)
    seen = told(hosts)
    assert (len(seen["problems"]), seen["problemsOmitted"]) == (20, 30)
    assert all(len(row["message"]) <= 512 for row in seen["problems"])


def test_without_probes_installed_hosts_count_as_proven() -> None:
    hosts = fleet()
    for memory in hosts.values():
        memory.proofs = {}
    seen = told(hosts, Probe.NONE)
    assert conditions(seen)["Ready"] == ("True", "Installed")
    assert conditions(seen)["PathsProven"] == ("Unknown", "NotProbed")
    assert proven(seen, "cmp3")[0]


def test_a_ring_is_as_many_paths_as_hosts() -> None:
    assert told(fleet(), Probe.RING)["paths"]["summary"] == "3/3"


def test_a_rotation_is_shown_and_paths_stay_proven() -> None:
    seen = told(fleet(), step=Rotation(Step.ACCEPT, ("cmp2",)))
    assert seen["rotation"]["waitsFor"] == ["cmp2"]
    assert conditions(seen)["Ready"] == ("Unknown", "Rotating")
    assert conditions(seen)["Reconciling"] == ("True", "Rotating")
    assert seen["provenHosts"] == list(NAMES)


def test_trouble_of_the_whole_keyring_keeps_what_was_known() -> None:
    before = told(fleet())
    seen = troubled(BadHostAccess("no such Secret"), before, 5, NOW)
    assert conditions(seen)["Stalled"] == ("True", "BadHostAccess")
    assert conditions(seen)["PathsProven"] == ("True", "Proven")
    assert seen["hosts"] == before["hosts"]
    assert conditions(troubled(CloudUnreachable("down"), before, 5, NOW))["Reconciling"] == (
        "True",
        "CloudUnreachable",
    )


def test_a_host_that_is_unknown_to_the_keyring_is_not_proven() -> None:
    assert proven(told(fleet()), "cmp9") == (
        False,
        "paths from cmp9 are not proven: 3 of 3 hosts ready, 6 of 6 paths proven",
    )
    assert not proven({}, "cmp1")[0]
