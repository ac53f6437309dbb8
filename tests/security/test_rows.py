"""Rows of a hostile cloud: each is a record with the right types, or it is refused as a whole."""

import dataclasses
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quiesce.api.errors import CloudUnreachable, NotAllowed
from quiesce.openstack import records
from quiesce.openstack.addresses import address_fault, is_id, path
from quiesce.openstack.catalog import base_url, identity
from quiesce.openstack.cloud import Cloud
from quiesce.openstack.fields import Misread
from quiesce.openstack.http import message, retry_after
from quiesce.openstack.routes import route
from tests.security.fuzz import FUZZ, json_values, texts
from tests.unit.openstack.answers import Wire, answer

GOOD: dict[str, dict[str, Any]] = {
    "Service": {"id": "1", "host": "cmp1", "status": "enabled", "state": "up"},
    "Server": {
        "id": "s1",
        "name": "web",
        "status": "ACTIVE",
        "OS-EXT-SRV-ATTR:host": "cmp1",
        "OS-EXT-STS:power_state": 1,
        "OS-SRV-USG:launched_at": "2026-03-01T12:00:00.000000",
        "flavor": {"vcpus": 1, "ram": 64, "disk": 1, "ephemeral": 0, "swap": "", "extra_specs": {}},
        "image": {"id": "i1", "properties": {"a": "b"}},
        "addresses": {"net": [{"addr": "192.0.2.1"}]},
        "fault": {"message": "x"},
        "os-extended-volumes:volumes_attached": [{"id": "v1"}],
    },
    "Migration": {
        "id": 1,
        "uuid": "u1",
        "instance_uuid": "s1",
        "migration_type": "migration",
        "status": "finished",
        "source_compute": "cmp1",
        "dest_compute": None,
        "user_id": "me",
        "created_at": "2026-03-01T12:00:00Z",
        "updated_at": None,
    },
    "Aggregate": {"id": 1, "name": "a", "availability_zone": None, "hosts": ["cmp1"]},
    "ServerGroup": {"id": "g", "name": "g", "policy": "affinity", "members": ["s1"], "rules": {}},
    "Hypervisor": {"hypervisor_hostname": "cmp1", "service": {"host": "cmp1"}, "host_ip": "x"},
    "Port": {"id": "p", "device_id": "s1", "status": "ACTIVE", "binding:host_id": "cmp1"},
    "Volume": {"id": "v", "encrypted": False, "bootable": "true"},
    "Image": {"id": "i", "a": "b"},
    "LiveProgress": {"id": 1, "status": "running", "memory_processed_bytes": 1},
    "InstanceAction": {"action": "a", "request_id": "r", "start_time": "2026-03-01T12:00:00"},
}


@st.composite
def rows(draw: st.DrawFn, good: Mapping[str, Any]) -> Any:
    """A good row in which some values, on any level, are something else."""
    row = dict(good)
    for name in draw(st.lists(st.sampled_from(sorted(good)), max_size=2)):
        inner = row.get(name)
        if isinstance(inner, dict) and inner and draw(st.booleans()):
            row[name] = draw(rows(inner))
        elif draw(st.booleans()):
            row[name] = draw(json_values)
        else:
            row.pop(name, None)
    return draw(st.just(row) | json_values) if draw(st.integers(0, 9)) == 0 else row


def right_type(value: Any, wanted: Any) -> bool:
    """As far as what uses records relies on it."""
    if wanted in (str, int, bool, datetime):
        return type(value) is wanted
    if getattr(wanted, "__name__", "") in ("tuple", "frozenset"):
        return isinstance(value, tuple | frozenset) and all(isinstance(each, str) for each in value)
    if wanted is records.Flavor:
        return all(
            right_type(getattr(value, name), kind)
            for name, kind in get_type_hints(records.Flavor).items()
        )
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and isinstance(v, str) for key, v in value.items())
    return any(
        value is None if kind is type(None) else right_type(value, kind)
        for kind in getattr(wanted, "__args__", ())
    )


@pytest.mark.parametrize("name", sorted(GOOD))
def test_a_good_row_is_a_record(name: str) -> None:
    kind: Any = getattr(records, name)
    assert kind.read(GOOD[name]) is not None


@pytest.mark.finding("M11")
@FUZZ
@given(st.sampled_from(sorted(GOOD)), st.data())
def test_any_row_is_a_record_or_refused(name: str, data: st.DataObject) -> None:
    kind: Any = getattr(records, name)
    try:
        found = kind.read(data.draw(rows(GOOD[name])))
    except (Misread, KeyError):
        return
    hints = get_type_hints(kind)
    for each in dataclasses.fields(found) if found is not None else ():
        value = getattr(found, each.name)
        assert right_type(value, hints[each.name]), (each.name, value)


READS: dict[str, Any] = {
    "services": lambda cloud: cloud.services(),
    "servers_on": lambda cloud: cloud.servers_on("cmp1"),
    "server": lambda cloud: cloud.server("s1"),
    "migrations": lambda cloud: cloud.migrations("cmp1", above=3),
    "last_confirm": lambda cloud: cloud.last_confirm("s1", records.moment("2026-03-01")),
    "live_progress": lambda cloud: cloud.live_progress("s1", 3),
    "allocations": lambda cloud: cloud.allocations("cmp1"),
    "rooms": lambda cloud: cloud.rooms([records.Shape((("VCPU", 1),))]),
    "hypervisors": lambda cloud: cloud.hypervisors(),
    "aggregates": lambda cloud: cloud.aggregates(),
    "groups": lambda cloud: cloud.groups(),
    "ports": lambda cloud: cloud.ports(["s1"]),
    "evacuations": lambda cloud: cloud.evacuations("cmp1"),
    "volumes": lambda cloud: cloud.volumes(["v1"]),
    "images": lambda cloud: cloud.images(["i1"]),
    "snapshots": lambda cloud: cloud.snapshots(["s1"]),
    "is_running": lambda cloud: cloud.is_running("s1"),
    "stopped_by_user": lambda cloud: cloud.stopped_by_user("s1", records.moment("2026-03-01")),
}
LISTS = ["services", "servers", "migrations", "instanceActions", "hypervisors", "aggregates"]
LISTS += ["images", "ports", "server_groups", "resource_providers", "allocation_requests"]
bodies = st.one_of(
    json_values,
    st.dictionaries(
        st.sampled_from([*LISTS, "server", "volume", "provider_summaries", "allocations"]),
        st.one_of(
            json_values,
            st.lists(st.sampled_from(list(GOOD.values())).flatmap(rows), max_size=2),
            st.dictionaries(texts, json_values, max_size=2),
        ),
        min_size=1,
    ),
)


@pytest.mark.finding("M11")
@FUZZ
@given(st.sampled_from(sorted(READS)), st.lists(bodies, min_size=1, max_size=3))
def test_any_answer_is_read_or_refused(name: str, replies: list[Any]) -> None:
    """Nothing that a cloud says is a defect of the operator."""
    left = [answer(200, each) for each in replies]
    wire = Wire(lambda *_: left.pop(0) if left else CloudUnreachable("no more"))
    with suppress(CloudUnreachable, NotAllowed):
        READS[name](Cloud(wire))
    for _, _, asked, _, _ in wire.sent:
        assert asked.startswith("/") and ".." not in asked and "%" not in asked


@pytest.mark.finding("M12")
@FUZZ
@given(texts)
def test_any_retry_after_is_at_most_five_minutes_or_none(value: str) -> None:
    found = retry_after(answer(503, headers={"Retry-After": value}))
    assert found is None or 0 <= found <= 300


@pytest.mark.finding("L2")
@FUZZ
@given(json_values, texts)
def test_any_message_is_one_short_line(body: Any, reason: str) -> None:
    found = message(answer(500, body, reason=reason))
    assert len(found) <= 500 and (not found or found.isprintable() or "\ufffd" in found)


@pytest.mark.finding("L5")
@FUZZ
@given(st.lists(texts | st.sampled_from(["servers", "action", "migrations", "detail"]), max_size=6))
def test_routes_are_few(parts: list[str]) -> None:
    found = route("/" + "/".join(parts))
    assert found == "other" or all(
        part == "{id}" or part.replace("-", "").replace("_", "").isalpha()
        for part in found.split("/")[1:]
    )


@pytest.mark.finding("M11")
@FUZZ
@given(st.lists(texts, min_size=1, max_size=4))
def test_a_path_has_the_parts_that_it_was_made_of(parts: list[str]) -> None:
    try:
        made = path(*parts)
    except CloudUnreachable:
        assert not all(map(is_id, parts))
        return
    assert made.split("/")[1:] == parts and made.isascii()


@pytest.mark.finding("M11")
@FUZZ
@given(texts | st.builds("http://{}:{}/{}".format, texts, texts, texts), texts)
def test_any_address_in_a_catalog_is_plain_or_refused(address: str, project: str) -> None:
    try:
        found = base_url("compute", address, project)
    except CloudUnreachable:
        return
    assert address_fault(found) is None and found.endswith("/v2.1")
    assert len(identity([address], None, project)) == 32
