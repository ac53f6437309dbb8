"""An answer on a TCP port adds to the other checks and never stands in for one."""

import re
import socket
from pathlib import Path

import pytest
from tests.unit.drain.build import (
    HOST,
    ago,
    arrived_elsewhere,
    begun,
    migration,
    observed,
    server,
    spec,
    tried,
    verdict,
)

from quiesce.drain.model.verdict import Held
from quiesce.drain.observe.tcp import unreachable
from quiesce.openstack.records import SHUTDOWN, Port

CRD = Path(__file__).parents[3] / "crds" / "quiesce.dev_computenodedrains.yaml"
ANSWERS = spec(confirmation={"checks": {"tcpPort": 22}})
MINE = migration()


@pytest.mark.finding("L7")
@pytest.mark.parametrize(
    ("power", "ports", "running"),
    [
        (SHUTDOWN, (), None),
        (None, (Port("p1", "s1", bound_to=HOST, status="ACTIVE", vif_type="ovs"),), None),
        (None, (), False),
    ],
    ids=["a guest that is off", "a port that stayed behind", "a guest that its hypervisor lacks"],
)
def test_a_machine_that_answers_for_a_dead_guest_confirms_nothing(
    power: int | None, ports: tuple[Port, ...], running: bool | None
) -> None:
    there = arrived_elsewhere() if power is None else arrived_elsewhere(power_state=power)
    observation = observed(
        migrations=[MINE],
        elsewhere=[there],
        first_seen={(MINE.id, MINE.status): ago(100_000)},
        ports=ports,
        unreachable={},
        running={} if running is None else {"s1": running},
    )
    assert isinstance(verdict(observation, ANSWERS, begun(tries={"s1": tried("ACTIVE")})), Held)


@pytest.mark.finding("M11")
@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "fe80::1",
        "::ffff:169.254.169.254",
        "127.0.0.1",
        "::1",
        "::ffff:127.0.0.1",
        "0.0.0.0",
    ],
)
def test_an_address_of_the_operators_own_machine_is_not_asked(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []

    def connected(place: object, _timeout: float) -> socket.socket:
        asked.append(place)
        return socket.socket()

    monkeypatch.setattr(socket, "create_connection", connected)
    sight = [arrived_elsewhere(addresses=(address,)), server("s2", addresses=("192.0.2.7",))]
    found = unreachable(sight, 80)
    assert asked == [("192.0.2.7", 80)]
    assert "own machine" in found["s1"]


@pytest.mark.finding("L7")
def test_the_description_of_the_field_says_so() -> None:
    (text,) = re.findall(r"A TCP port that must accept a connection.*", CRD.read_text())
    assert "no substitute" in text
