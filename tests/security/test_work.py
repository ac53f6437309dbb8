"""What a cloud or a compute host says costs no more work than its size explains.

A reconciliation that calculates for minutes delays all others, and after ten of them the process
is restarted, for everybody. Measured in the processor's time, against the same with less to do.
"""

import socket
import time
import tracemalloc
from collections.abc import Callable

import pytest

from quiesce.api.errors import CloudUnreachable
from quiesce.api.keyring.spec import Probe
from quiesce.compute.hosts import compute_hosts
from quiesce.drain.decide import plan
from quiesce.drain.decide.causes import destination_of
from quiesce.drain.model.observation import PlanReads
from quiesce.drain.model.shapes import shape_of
from quiesce.drain.model.verdict import Move, ServerVerdict
from quiesce.drain.observe import tcp
from quiesce.drain.reconcile import _near_misses
from quiesce.keyring.decide import conflicts, decide, rotation
from quiesce.keyring.model import HostFailure, HostRecord, PathCheck, VisitResult
from quiesce.keyring.report import status
from quiesce.keyring.report.rows import problems
from quiesce.openstack.budget import budget
from quiesce.openstack.records import Flavor, Hypervisor, Room, ServerGroup
from tests.unit.drain.build import arrived_elsewhere, flavor, observed, other, server, spec
from tests.unit.keyring.build import desired

pytestmark = pytest.mark.timeout(300)

MIB = 2**20
LARGEST = "\u4e00" * 300


def seconds(act: Callable[[], object]) -> float:
    began = time.process_time()
    act()
    return time.process_time() - began


@pytest.mark.finding("H3")
@pytest.mark.promise("never-11")
@pytest.mark.parametrize("words", ["-o ", "-o -o x ", "-x ", "- ", "-o  ", "Command: ssh -o "])
def test_a_failure_that_a_compute_host_words_is_read_in_no_time(words: str) -> None:
    """Nova passes on what nova-compute says of a failed move. No other thread runs meanwhile."""
    text = "not able to execute ssh command: Command: ssh " + (words * 400)[:900]
    assert seconds(lambda: destination_of(text)) < 1.0
    assert seconds(lambda: destination_of(f"{text}192.0.2.1 mkdir")) < 1.0


def test_the_address_is_found_behind_any_options() -> None:
    told = "Command: ssh -o BatchMode=yes -p 2222 -oX=y -o Y=z 192.0.2.7 mkdir -p /x"
    assert destination_of(told) is None, "a word that belongs to an option of one letter ends it"
    assert destination_of(told.replace("-p 2222 ", "")) == "192.0.2.7"


@pytest.mark.finding("M10")
@pytest.mark.parametrize("part", ["0,", "0-65535,", "^0-65535,"])
def test_a_mask_of_cpus_is_weighed_in_no_time(part: str) -> None:
    """Once for each of thousands of servers."""
    specs = {"hw:cpu_policy": "mixed", "hw:cpu_dedicated_mask": (part * 150)[:300]}
    row = {"vcpus": 2**50, "extra_specs": specs}
    large = server(flavor=Flavor.read(row))
    assert seconds(lambda: shape_of(large)) < 0.1


@pytest.mark.finding("M10")
@pytest.mark.parametrize("length", [60, 64, 199, 255])
def test_a_host_is_looked_for_among_any_names_in_a_moment(length: int) -> None:
    host = "a" * length
    names = [f"{host[:-5]}{number:05}" for number in range(25_000)]
    assert seconds(lambda: _near_misses(host, names)) < 10.0


@pytest.mark.finding("M10")
def test_a_plan_with_many_groups_and_full_hosts_is_made_in_a_moment() -> None:
    """Each server is tried on each host, and the groups are those of the whole cloud."""
    servers = [server(f"s{n}", flavor=flavor()) for n in range(20)]
    groups = tuple(
        ServerGroup(f"g{n}", "g", "anti-affinity", frozenset({f"x{n}"})) for n in range(5000)
    )
    shape = shape_of(servers[0])
    rooms = tuple(Room(f"cmp{n}", {}, frozenset({shape})) for n in range(2, 502))
    services = tuple(other(room.host) for room in rooms)
    reads = observed(servers, groups=groups, services=services, plan=PlanReads(rooms))
    verdicts = [ServerVerdict(s.id, s.name, s, Move("live", 1), counts=True) for s in servers]
    found: list[object] = []
    took = seconds(lambda: found.append(plan.make(spec("Live"), reads, verdicts)))
    assert found[0] is not None
    assert took < 3.0


@pytest.mark.finding("M9")
def test_what_is_told_of_a_keyring_takes_no_memory_for_paths_that_nobody_has_checked() -> None:
    hosts = {
        f"compute-{n:05}": HostRecord(1.0, failure=HostFailure("Timeout", "x", False))
        for n in range(1000)
    }
    up = frozenset(hosts)
    wanted = desired()
    tracemalloc.start()
    found = decide(wanted, rotation(wanted, {}, 0.0), Probe.ALL, hosts, up, up)
    told = status(found, 1)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert told.paths is not None
    assert (told.paths.total, told.paths.proven, told.paths.failed) == (999_000, 0, 0)
    assert peak < 40 * MIB


@pytest.mark.finding("M9")
def test_a_host_whose_paths_fail_in_many_words_takes_little_memory() -> None:
    """A keyring with `probe: All` may have a million of them."""
    names = [f"compute-{number:04}" for number in range(1000)]
    record = HostRecord()
    for first in range(0, 1000, 64):
        told = [
            (name, PathCheck("CopyFailed", f"{name} {LARGEST}"[:160]))
            for name in names[first : first + 64]
        ]
        record = record.after(VisitResult(checks=tuple(told)), 1.0)
    assert len(record.paths) == 1000 and not any(path.check.works for path in record.paths.values())
    assert record.weight < 56 * 2**10
    assert record.make_due().weight < 56 * 2**10
    heard = [name for name, path in record.paths.items() if path.check.message]
    assert heard == names[:2]
    well = tuple((name, PathCheck()) for name in heard)
    again = (names[500], PathCheck("CopyFailed", "no space"))
    record = record.after(VisitResult(checks=(*well, again)), 2.0)
    found = problems({}, {("a", name): path.check for name, path in record.paths.items()})
    assert found[0].row.message.endswith(": no space")
    quiet = problems({}, {("a", "b"): PathCheck("CopyFailed")})
    assert quiet[0].row.message == "no copy from a to b: CopyFailed"


@pytest.mark.finding("M5", "M9")
def test_thousands_of_hosts_that_claim_one_address_are_told_in_few_words() -> None:
    rows = [Hypervisor(f"h{n}", f"cmp{n}", "192.0.2.1") for n in range(3000)]
    tracemalloc.start()
    found = compute_hosts(rows)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20 * MIB
    assert all("192.0.2.1" not in host.names for host in found)
    message = conflicts(found)["cmp7"].message
    assert message.startswith("192.0.2.1 is ") and "and 2997 more too in Nova's list" in message


@pytest.mark.finding("L7", "M10")
@pytest.mark.promise("never-11")
def test_a_server_of_many_addresses_takes_no_more_than_its_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its owner gives it as many as the cloud allows, and none has to answer."""
    tried: list[str] = []

    def refused(place: tuple[str, int], _timeout: float) -> None:
        tried.append(place[0])
        raise TimeoutError("timed out")

    monkeypatch.setattr(socket, "create_connection", refused)
    many = tuple(f"192.0.2.{n}" for n in range(250))
    servers = [arrived_elsewhere(f"s{n}", addresses=many) for n in range(3)]
    with budget(60):
        found = tcp.unreachable(servers, 22)
    assert set(found) == {"s0", "s1", "s2"}
    assert len(tried) <= 3 * 16
    tried.clear()
    with budget(0), pytest.raises(CloudUnreachable, match="used up"):
        tcp.unreachable(servers, 22)
    assert tried == []
