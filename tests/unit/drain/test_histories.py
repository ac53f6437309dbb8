"""What all drains keep between ticks fits, whatever their clouds say; a large host stays fast."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.unit.drain.build import FOUND, NOW, migration, server

from quiesce.drain.histories import Histories
from quiesce.drain.model.history import Cause, History
from quiesce.openstack.records import Server
from quiesce.ops import weight as weight_module
from quiesce.ops.weight import weight

MIB = 2**20
WIDE = "\U0001f600"
"""One such character makes Python keep four bytes for each of the others."""


def wide_servers(of: str, many: int = 72) -> tuple[Server, ...]:
    """As Nova may list them within the 24 MiB of one reconciliation."""
    return tuple(
        Server.read(
            {
                "id": f"{of}-{n}",
                "status": "ACTIVE",
                "OS-EXT-SRV-ATTR:host": "cmp1",
                "flavor": {
                    "extra_specs": {
                        f"{WIDE}{of}{n}.{k}".ljust(300, "k"): f"{WIDE}{of}{n}.{k}".ljust(300, "v")
                        for k in range(490)
                    }
                },
            }
        )
        for n in range(many)
    )


def large_host() -> History:
    """200 servers and 2000 migrations."""
    servers = tuple(server(f"{n:036}", name=f"server-{n}") for n in range(200))
    records = tuple(
        migration(FOUND + 1 + n, "confirmed", f"{n:036}", uuid=f"{n:x}".rjust(36, "0"))
        for n in range(2000)
    )
    history = History().observe(servers, records, NOW).list_servers(servers, NOW)
    return history.list_migrations(records, NOW).note_records(records, 1.0)


@pytest.mark.finding("M9")
def test_a_list_of_servers_that_is_too_large_is_not_kept() -> None:
    histories = Histories()
    servers = wide_servers("a")
    history = History().observe(servers, (), NOW).list_servers(servers, NOW)
    histories["a"] = history.note_plan(NOW)
    kept = histories["a"]
    assert (kept.servers, kept.listed) == ((), None), "it is read again, and no poll counts"
    assert kept.planned == NOW and len(kept.names) == 72
    assert histories.weight < MIB


@pytest.mark.finding("M9")
def test_a_large_host_stays_as_it_was() -> None:
    histories, history = Histories(), large_host()
    histories["a"] = history
    assert histories["a"] is history
    assert weight(history) < 2 * MIB < histories._each


@pytest.mark.finding("M9")
def test_of_many_drains_those_lose_their_lists_that_keep_most() -> None:
    """A tenant whose clouds lie costs the drains of others nothing."""
    histories = Histories()
    histories["good"] = large_host()
    for n in range(30):
        servers = wide_servers(f"{n}", 3)
        histories[f"{n}"] = History().list_servers(servers, NOW).note_plan(NOW)
    assert histories["good"].servers
    assert not all(history.servers for history in histories.values())
    assert all(history.planned for uid, history in histories.items() if uid != "good")
    assert histories.weight <= 32 * MIB
    assert sum(weight(history) for history in histories.values()) <= 32 * MIB


@pytest.mark.finding("M9")
def test_whatever_is_large_in_a_history_it_is_bounded() -> None:
    """Each of these grows by what a cloud answers, at each tick."""
    histories = Histories(each=MIB, all_=3 * MIB)
    for n in range(10):
        causes = {i: Cause(f"{i}{WIDE * 500}", NOW) for i in range(300)}
        histories[f"{n}"] = History(causes=causes)
    assert histories.weight <= 3 * MIB
    assert histories["9"].causes and not histories["0"].causes
    too_many = {i: Cause(f"{i}{WIDE * 500}", NOW) for i in range(1000)}
    histories["9"] = replace(histories["9"], causes=too_many)
    assert histories["9"] == History()


@pytest.mark.finding("M9")
def test_names_are_those_of_servers_that_matter() -> None:
    history = History()
    for n in range(5):
        servers = [server(f"{n}.{i}", name=f"server {i}") for i in range(10)]
        history = history.observe(servers, [migration(FOUND + 1, "finished", "0.3")], NOW)
    assert history.names == {"0.3": "server 3"} | {f"4.{i}": f"server {i}" for i in range(10)}


def test_what_has_not_grown_is_not_weighed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    histories, history, weighed = Histories(), large_host(), list[Any]()
    histories["a"] = history

    def counted(value: object, most: int = 0) -> int:
        weighed.append(value)
        return weight_module.weight(value)

    monkeypatch.setattr("quiesce.drain.histories.weight", counted)
    histories["a"] = history.note_proof(True, NOW)
    assert len(weighed) == 1
    histories["a"] = history.note_proof(True, NOW).list_servers(history.servers[:100], None)
    histories["a"] = histories["a"].list_servers(history.servers[:100], None)
    assert len(weighed) == 2
    histories["a"] = history.list_servers(history.servers, NOW + timedelta(seconds=9))
    assert len(weighed) == 3


def test_a_drain_that_is_gone_takes_no_memory() -> None:
    histories = Histories()
    histories["a"] = large_host()
    assert histories.pop("a", None) is not None and histories.pop("a", None) is None
    assert (len(histories), histories.weight, list(histories)) == (0, 0, [])
