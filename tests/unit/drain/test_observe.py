"""The cause of a failed move, which Nova writes down a moment after the failure itself."""

from datetime import timedelta
from typing import Any

import pytest
from tests.unit.drain.build import (
    FOUND,
    NOW,
    arrived_elsewhere,
    begun,
    drain,
    migration,
    observed,
    tried,
)
from tests.unit.openstack.answers import Wire

from quiesce.drain.observe.host import _read_checks
from quiesce.drain.observe.moves import CAUSE_WITHIN, read_cause, read_guests
from quiesce.openstack.cloud import Cloud
from quiesce.openstack.records import RUNNING, SHUTDOWN, Port

FAILED = migration(FOUND + 1, "error", dest=None)
SAID, UNSAID = ("Error", "No valid host was found."), (None, None)


def cloud(result: str | None, details: str | None) -> Cloud:
    began = FAILED.created.isoformat()
    event = {"event": "cold_migrate", "result": result, "details": details}
    replies: list[Any] = [
        {"instanceActions": [{"action": "migrate", "request_id": "req-1", "start_time": began}]},
        {"instanceAction": {"action": "migrate", "start_time": began, "events": [event]}},
    ]
    return Cloud(Wire(lambda *_: replies.pop(0)))


def test_a_cause_that_nova_has_not_written_down_yet_is_read_again() -> None:
    first = read_cause(cloud(*UNSAID), FAILED, None, NOW)
    assert not first.final
    again = read_cause(cloud(*SAID), FAILED, first, NOW + timedelta(seconds=2))
    assert (again.final, again.text, again.first_seen) == (True, "No valid host was found.", NOW)


def test_a_cause_that_never_comes_is_not_waited_for_without_end() -> None:
    first = read_cause(cloud(*UNSAID), FAILED, None, NOW)
    late = read_cause(cloud(*UNSAID), FAILED, first, NOW + CAUSE_WITHIN)
    assert late.final
    assert "its last step never ended" in late.text


@pytest.mark.parametrize("power", [RUNNING, SHUTDOWN])
def test_the_hypervisor_is_asked_before_a_confirm_whatever_nova_shows(power: int) -> None:
    ran = drain(record=begun(tries={"s1": tried("ACTIVE")}))
    there = [arrived_elsewhere(power_state=power)]
    look = observed(migrations=[migration()], elsewhere=there)
    assert read_guests(Cloud(Wire(lambda *_: {})), ran, look).running == {"s1": True}


@pytest.mark.parametrize(
    ("addresses", "ports", "hidden"),
    [
        (("10.0.0.7",), (), True),  # Neutron shows none of other projects, and no error
        (("10.0.0.7",), (Port("p1", "s1", "ACTIVE", "cmp2", "ovs"),), False),
        ((), (), False),
    ],
)
def test_ports_that_a_user_may_not_see_are_not_taken_for_none(
    addresses: tuple[str, ...], ports: tuple[Port, ...], hidden: bool
) -> None:
    server = arrived_elsewhere(addresses=addresses)
    there = Cloud(Wire(lambda *_: {"ports": []}))
    look = observed(migrations=[migration()], elsewhere=[server], ports=ports)
    error = _read_checks(there, drain(record=begun()), look).ports_error
    assert error.startswith("Neutron shows no port of ") == hidden
