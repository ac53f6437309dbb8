"""nova-compute on the host itself: stopped once the host is proven empty, and started again as it
was found.
"""

from contextlib import nullcontext
from datetime import timedelta
from typing import Any, cast

import pytest
from tests.unit.drain.build import (
    HOST,
    NOW,
    ago,
    begun,
    cause,
    condition,
    decided,
    empty,
    observed,
    replace,
    server,
    service,
    spec,
    status_of,
)

from quiesce.api.drain.record import Record
from quiesce.api.host import Supervisor
from quiesce.compute import StopFailed, Unit, UnitState
from quiesce.compute.host import HostCompute
from quiesce.drain.act.host import act_on_compute
from quiesce.drain.decide.service import REGISTERS_WITHIN, START_TRIES, STOP_AGAIN
from quiesce.drain.host_access import _with_recorded, paths_of
from quiesce.drain.model.actions import DeleteService, EnableService, StartCompute, StopCompute
from quiesce.drain.model.history import History, HostFailure
from quiesce.drain.model.observation import Observation
from quiesce.drain.observe.host import _read_unit
from quiesce.kube.resource import Resource
from quiesce.openstack.cloud import Cloud
from quiesce.openstack.records import Hypervisor

RUNNING = "running,enabled"
STOPPED = "stopped disabled"
STOP = spec(
    service={"whileRunning": "Stop"},
    hostAccess={
        "privateKeySecretRef": {"name": "login"},
        "knownHostsRef": {"kind": "Secret", "name": "hosts"},
    },
)


def trouble(
    count: int = 1, seconds_ago: float = 0, *, person: bool = False, starting: bool = False
) -> HostFailure:
    return HostFailure(
        "Unreachable", "connection refused", person, count, ago(seconds_ago), starting
    )


def actions(what: Observation, **record: Any) -> tuple[Any, ...]:
    return decided(what, STOP, begun(**record)).actions


def test_it_is_stopped_once_the_host_is_proven_empty_and_its_state_is_known() -> None:
    assert actions(replace(empty(), unit=RUNNING)) == (StopCompute(),)
    assert actions(empty(), found_unit=RUNNING) == (StopCompute(),)
    assert not actions(empty())


@pytest.mark.parametrize(
    "sight",
    [empty(clean_since=None), observed([server()]), empty(servers=[server("s1", "SUSPENDED")])],
)
def test_it_is_never_stopped_before(sight: Observation) -> None:
    assert StopCompute() not in actions(replace(sight, unit=RUNNING), found_unit=RUNNING)


def test_how_it_was_found_is_written_down_before_it_is_stopped() -> None:
    found = status_of(replace(empty(), unit=RUNNING), STOP, begun())
    again = replace(empty(), unit=None)
    assert decided(again, STOP, begun()).actions == ()
    assert Record.read(found).found_unit == RUNNING


def test_it_is_told_again_only_after_a_while_and_after_trouble_ever_more_slowly() -> None:
    told = replace(empty(), stopped_at=ago(5))
    assert not actions(told, found_unit=RUNNING)
    assert actions(replace(told, stopped_at=NOW - STOP_AGAIN), found_unit=RUNNING) == (
        StopCompute(),
    )
    assert not actions(replace(empty(), host_failure=trouble()), found_unit=RUNNING)
    assert actions(replace(empty(), host_failure=trouble(seconds_ago=60)), found_unit=RUNNING) == (
        StopCompute(),
    )


def test_when_nova_sees_it_down_the_service_is_deleted() -> None:
    assert actions(empty(service=service(state="down")), found_unit=RUNNING) == (
        DeleteService("svc-1"),
    )


def test_what_keeps_it_from_stopping_is_shown() -> None:
    found = status_of(replace(empty(), host_failure=trouble()), STOP, begun(found_unit=RUNNING))
    ready = condition(found, "Ready")
    assert ready is not None
    assert ready["reason"] == "Unreachable"
    assert "connection refused" in found["message"]
    person = status_of(
        replace(empty(), host_failure=trouble(person=True)), STOP, begun(found_unit=RUNNING)
    )
    assert person["phase"] == "Stalled"


class _Refusing(HostCompute):
    """A host whose supervisor refuses, with two ways out."""

    def __init__(self) -> None:
        super().__init__(Unit(Supervisor.SYSTEMD, "nova-compute"), lambda: nullcontext(None))  # type: ignore[arg-type]

    def observe(self) -> UnitState:
        raise StopFailed("nova-compute runs in a pod", WAYS_OUT)

    stop = observe

    def restore(self, found: UnitState) -> UnitState:
        return self.observe()


WAYS_OUT = ("Set service.whileRunning to Wait", "Remove the label of the node")
TOLD = f"nova-compute runs in a pod. {WAYS_OUT[0]}. {WAYS_OUT[1]}"


def test_every_way_out_of_a_failure_on_the_host_reaches_the_status() -> None:
    after = act_on_compute(StopCompute(), _Refusing(), HOST, lambda: NOW, "ns/d")(History())
    sight = replace(empty(), host_failure=after.host_failure)
    found = status_of(sight, STOP, begun(found_unit=RUNNING))
    assert found["phase"] == "Stalled"
    assert found["message"].endswith(TOLD)

    before = _read_unit(_Refusing(), empty())
    assert status_of(before, STOP, begun())["message"].endswith(TOLD)

    start = StartCompute("running enabled")
    failing = act_on_compute(start, _Refusing(), HOST, lambda: NOW, "ns/d")(History())
    sight = replace(empty(service=None), host_failure=failing.host_failure)
    assert TOLD in status_of(sight, STOP, begun(found_unit=RUNNING), True)["message"]
    last = replace(sight.history.host_failure or trouble(), count=START_TRIES)
    assert TOLD in leaving(replace(sight, host_failure=last), found_unit=RUNNING).left_undone


# Given back


def leaving(sight: Observation, **record: Any) -> Any:
    return decided(sight, STOP, begun(**record), True)


def test_what_was_running_is_started_first() -> None:
    assert leaving(empty(), found_unit=RUNNING).actions == (StartCompute(RUNNING),)
    assert leaving(empty(service=None), found_unit=RUNNING).actions == (StartCompute(RUNNING),)


def test_what_was_not_touched_is_not_started() -> None:
    assert leaving(empty(), found_unit=None).actions == (EnableService("svc-1"),)


def test_what_was_found_stopped_is_let_start_again_and_not_waited_for() -> None:
    """It was kept from starting as well: without that undone, the host would not be as it was
    found.
    """
    assert leaving(empty(), found_unit=STOPPED).actions == (StartCompute(STOPPED),)
    assert leaving(empty(service=None, started_at=ago(5)), found_unit=STOPPED).released


def test_a_service_that_was_deleted_is_waited_for_until_it_registers_again() -> None:
    waiting = replace(empty(service=None), started_at=ago(5))
    assert not leaving(waiting, found_unit=RUNNING).released
    there = replace(empty(service=service(id="svc-2")), started_at=ago(5), aggregates=())
    assert leaving(there, found_unit=RUNNING).actions == (EnableService("svc-2"),)
    never = replace(waiting, started_at=NOW - REGISTERS_WITHIN - timedelta(seconds=1))
    assert leaving(never, found_unit=RUNNING).released


def test_a_host_that_is_gone_does_not_hold_the_drain_without_end() -> None:
    resting = replace(empty(service=None), host_failure=trouble(starting=True))
    assert not leaving(resting, found_unit=RUNNING).actions
    assert not leaving(resting, found_unit=RUNNING).released
    again = replace(resting, host_failure=trouble(seconds_ago=60, starting=True))
    assert leaving(again, found_unit=RUNNING).actions == (StartCompute(RUNNING),)
    given_up = replace(resting, host_failure=trouble(START_TRIES, starting=True))
    assert leaving(given_up, found_unit=RUNNING).released


def test_what_keeps_it_from_starting_is_shown_while_the_drain_is_being_deleted() -> None:
    found = status_of(
        replace(empty(service=None), host_failure=trouble(starting=True)),
        STOP,
        begun(found_unit=RUNNING),
        True,
    )
    assert found["phase"] == "Restoring"
    assert "cannot be started: connection refused" in found["message"]


@pytest.mark.parametrize(
    ("sight", "found", "told"),
    [
        (
            empty(service=None, host_failure=trouble(START_TRIES, starting=True)),
            RUNNING,
            "Start it by hand",
        ),
        (
            empty(service=None, started_at=NOW - REGISTERS_WITHIN),
            RUNNING,
            "does not register in Nova: check its log on cmp1",
        ),
        (empty(service=service("enabled"), started_at=ago(5)), RUNNING, ""),
        (
            empty(service=None, host_failure=trouble(START_TRIES, starting=True)),
            STOPPED,
            "Allow it to start by hand",
        ),
        (empty(service=None, started_at=ago(5)), STOPPED, ""),
        (empty(service=None), None, ""),
    ],
    ids=[
        "not started",
        "not registered",
        "runs",
        "not let start",
        "found stopped",
        "never stopped",
    ],
)
def test_what_is_left_to_a_person_is_told(sight: Observation, found: str | None, told: str) -> None:
    decision = leaving(sight, found_unit=found)
    assert decision.released
    assert told in decision.left_undone
    assert bool(decision.left_undone) == bool(told)


def test_what_could_not_be_stopped_is_started_all_the_same() -> None:
    """It may have stopped since, or not start any more at the next boot; and the host may
    be back.
    """
    sight = replace(empty(), host_failure=trouble(START_TRIES))
    assert leaving(sight, found_unit=RUNNING).actions == (StartCompute(RUNNING),)
    history = History(host_failure=trouble(START_TRIES))
    for _ in range(2):
        history = history.fail_on_host("Unreachable", "no route", NOW, person=False, starting=True)
    assert history.host_failure == HostFailure("Unreachable", "no route", False, 2, NOW, True)


def test_the_host_is_reached_where_it_was_after_nova_has_forgotten_it() -> None:
    cloud = Listing([Hypervisor("node-2", "other", "192.0.2.2")])
    assert [(h.host, h.host_ip) for h in _with_recorded(cloud, HOST, "192.0.2.1")()] == [
        ("other", "192.0.2.2"),
        (HOST, "192.0.2.1"),
    ]
    assert len(_with_recorded(cloud, HOST, None)()) == 1
    cloud.rows.append(Hypervisor("node-1", HOST, "192.0.2.9"))
    assert [h.host_ip for h in _with_recorded(cloud, HOST, "192.0.2.1")()] == [
        "192.0.2.2",
        "192.0.2.9",
    ]


def test_where_it_was_is_written_down_before_the_first_write() -> None:
    found = status_of(
        observed([server()], service=service("enabled"), aggregates=(), address="192.0.2.1"),
        STOP,
        Record(),
    )
    assert Record.read(found).address == "192.0.2.1"
    assert Record.read(status_of(empty(), STOP, Record.read(found))).address == "192.0.2.1"


class Listing(Cloud):
    def __init__(self, rows: list[Hypervisor]) -> None:
        self.rows = rows

    def hypervisors(self, *, age: float | None = None) -> tuple[Hypervisor, ...]:
        return tuple(self.rows)


@pytest.mark.field_case("F20")
def test_nova_is_asked_for_addresses_only_where_a_copy_has_failed() -> None:
    keyring = Resource(
        {
            "apiVersion": "v1",
            "kind": "MigrationKeyring",
            "metadata": {"namespace": "ns", "name": "cold", "uid": "u"},
            "spec": {"hostAccess": {"privateKeySecretRef": {"name": "login"}}},
            "status": {"provenHosts": [HOST]},
        }
    )
    paths = paths_of(keyring, cast("Cloud", None), empty())
    assert (paths.proven, paths.unchecked) == (True, {})

    text = "not able to execute ssh command: Command: ssh -o BatchMode=yes {} mkdir -p /x"
    cloud = Listing([Hypervisor("cmp2", "cmp2", "192.0.2.2")])
    for address, noted in (("192.0.2.2", []), ("198.51.100.2", ["198.51.100.2"])):
        sight = replace(empty(), causes={7: cause(text.format(address))})
        assert list(paths_of(keyring, cloud, sight).unchecked) == noted
