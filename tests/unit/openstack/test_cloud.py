"""Typed reads: complete or an error. Verbs: one request each, with the body that Nova expects."""

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from tests.unit.openstack.answers import Wire, answer

from quiesce.api.errors import CloudUnreachable, NotAllowed
from quiesce.openstack.cloud import Cloud
from quiesce.openstack.records import (
    Holdings,
    LiveProgress,
    Migration,
    Server,
    Service,
    Shape,
    moment,
)

T0 = "2026-03-01T12:00:00.000000"


def cloud(*replies: Any) -> tuple[Cloud, Wire]:
    """Answers one request after the other."""
    left = list(replies)
    wire = Wire(lambda *_: left.pop(0))
    return Cloud(wire), wire


def server(
    id_: str = "s1", host: str | None = "cmp1", status: str = "ACTIVE", **more: Any
) -> dict[str, Any]:
    return {
        "id": id_,
        "name": id_,
        "status": status,
        "OS-EXT-SRV-ATTR:host": host,
        "OS-EXT-STS:task_state": None,
    } | more


def migration(id_: int, **more: Any) -> dict[str, Any]:
    row = {
        "id": id_,
        "uuid": f"u{id_}",
        "instance_uuid": "s1",
        "migration_type": "migration",
        "status": "finished",
        "source_compute": "cmp1",
        "dest_compute": "cmp2",
        "user_id": "me",
        "created_at": T0,
        "updated_at": None,
    }
    return row | more


def action(name: str, start: str, user: str | None) -> dict[str, Any]:
    return {"action": name, "request_id": "req-1", "start_time": start, "user_id": user}


@pytest.mark.field_case("F25")
def test_who_confirmed_last() -> None:
    first, second = "2026-03-01T12:00:01.000000", "2026-03-01T12:00:09.000000"
    rows = [action("confirmResize", second, None), action("confirmResize", first, "me")]
    began = datetime.fromisoformat(f"{first}+00:00")
    listed = {"instanceActions": [action("migrate", second, "me"), *rows]}
    there, _ = cloud(listed, {"instanceActions": rows[1:]}, {"instanceActions": []}, answer(404))
    found = [there.last_confirm("s1", began) for _ in range(4)]
    assert [each.user_id if each else "none" for each in found] == [None, "me", "none", "none"]


# Servers


def test_servers_of_a_host_are_asked_for_with_the_soft_deleted_ones() -> None:
    there, wire = cloud({"servers": [server(), server("s2", status="SOFT_DELETED")]})
    assert [s.id for s in there.servers_on("cmp1")] == ["s1", "s2"]
    query = wire.sent[0][3]
    assert {"all_tenants": 1, "host": "cmp1", "soft_deleted": 1}.items() <= query.items()


def test_each_row_is_checked_on_our_side() -> None:
    """Nova drops a filter in silence for a user who may not use it."""
    there, _ = cloud(
        {"servers": [server(), server("s2", "cmp2"), server("s3", "cmp11"), server("s4", None)]}
    )
    assert [s.id for s in there.servers_on("cmp1")] == ["s1"]


def test_servers_without_a_host_attribute_are_no_answer() -> None:
    row = server()
    del row["OS-EXT-SRV-ATTR:host"]
    there, _ = cloud({"servers": [row]})
    with pytest.raises(NotAllowed, match="no admin in Nova's policy"):
        there.servers_on("cmp1")


def test_only_servers_to_verify_are_taken_for_such() -> None:
    there, _ = cloud({"servers": [server(status="VERIFY_RESIZE"), server("s2", status="ACTIVE")]})
    assert [*there.to_verify(["s1", "s2"])] == ["s1"]


def test_where_many_others_wait_to_be_verified_servers_are_read_one_by_one() -> None:
    """Or each of many drains would page through all servers that wait in the cloud."""
    crowd = [server(f"s{number}", status="VERIFY_RESIZE") for number in range(40)]
    one = {"server": crowd[7]}
    there, wire = cloud(
        {"servers": crowd}, one, answer(503), {"servers": crowd[:2]}, {"servers": []}
    )
    for _ in range(2):
        assert [*there.to_verify(["s7"])] == ["s7"]
    assert [*there.to_verify(["s1"])] == ["s1"], "the list, where Nova cannot show that server"
    assert [*there.to_verify(["s7"])] == []
    asked = [path for _, _, path, *_ in wire.sent]
    whole, alone = "/servers/detail", "/servers/s7"
    assert asked == [whole, alone, "/servers/s1", whole, whole], asked


def test_one_server_or_none() -> None:
    there, _ = cloud({"server": server()}, answer(404), answer(500))
    assert there.server("s1") is not None
    assert there.server("s1") is None
    with pytest.raises(CloudUnreachable):
        there.server("s1")


PARTIAL = {
    "id": "s9", "tenant_id": "p", "created": T0, "status": "UNKNOWN", "links": [],
}  # fmt: skip
PARTIAL_ALONE = PARTIAL | {
    "user_id": "u", "image": "", "flavor": {"vcpus": 1, "ram": 64, "disk": 1, "ephemeral": 0,
    "swap": 0, "extra_specs": {}}, "OS-EXT-AZ:availability_zone": "UNKNOWN",
    "OS-EXT-STS:power_state": 0, "server_groups": [],
}  # fmt: skip


@pytest.mark.field_case("F13")
@pytest.mark.parametrize("row", [PARTIAL, PARTIAL_ALONE])
def test_a_row_of_a_cell_that_is_down_is_a_value_of_its_own(row: dict[str, Any]) -> None:
    """nova/api/openstack/compute/views/servers.py _show_from_down_cell, microversion 2.69."""
    there, _ = cloud({"server": row}, {"servers": [row, server()]}, {"servers": [row]})
    found = there.server("s9")
    assert found is not None
    assert (found.partial, found.name, found.host, found.idle) == (True, "s9", None, False)
    assert [s.id for s in there.servers_on("cmp1")] == ["s1"]
    assert there.to_verify(["s9"]) == {}


def test_volumes_and_image_of_a_server() -> None:
    row = server(image={"id": "i1"}) | {
        "os-extended-volumes:volumes_attached": [{"id": "v1", "delete_on_termination": False}]
    }
    assert (Server.read(row).volumes, Server.read(row).image_id) == (("v1",), "i1")


def test_a_row_of_a_server() -> None:
    row = server() | (
        {
            "OS-EXT-STS:power_state": 4,
            "OS-EXT-STS:task_state": "resize_prep",
            "locked": True,
            "fault": {"message": "no disk"},
            "image": {"id": "i", "properties": {"hw_mem_encryption": "true"}},
            "flavor": {
                "vcpus": 2,
                "ram": 512,
                "disk": 10,
                "ephemeral": 5,
                "swap": 1024,
                "extra_specs": {"a": "b"},
            },
            "pinned_availability_zone": "az1",
            "addresses": {"net": [{"addr": "10.0.0.1"}, {"addr": "10.0.0.2"}]},
        }
    )
    found = Server.read(row)
    assert (found.power_state, found.task_state, found.locked, found.fault) == (
        4,
        "resize_prep",
        True,
        "no disk",
    )
    assert (found.flavor.vcpus, found.flavor.ram, found.flavor.disk, found.flavor.swap) == (
        2,
        512,
        15,
        1024,
    )
    assert (found.volume_backed, found.image_properties) == (False, {"hw_mem_encryption": "true"})
    assert (found.zone_pinned, found.addresses) == ("az1", ("10.0.0.1", "10.0.0.2"))


def test_a_server_from_a_volume_and_without_swap() -> None:
    found = Server.read(server(image="", flavor={"swap": "", "vcpus": 1, "ram": 1, "disk": 0}))
    assert found.volume_backed
    assert found.flavor.swap == 0


# Services


def test_a_service_of_a_cell_that_is_down_has_no_known_status() -> None:
    found = Service.read({"binary": "nova-compute", "host": "cmp1", "status": "UNKNOWN"})
    assert (found.status, found.state, found.id) == ("UNKNOWN", "unknown", "")


def test_services_are_shared_for_a_moment_and_read_anew_after_each_write_or_on_demand() -> None:
    row = {
        "id": "svc-1",
        "host": "cmp1",
        "status": "enabled",
        "state": "up",
        "disabled_reason": None,
    }
    there, wire = cloud(*[{"services": [row]}] * 2, answer(200), *[{"services": [row]}] * 2)
    there.services()
    there.services()
    assert len(wire.sent) == 1
    there.services(age=0.0)
    assert len(wire.sent) == 2
    there.disable_service("svc-1", "why")
    there.services()
    assert len(wire.sent) == 4


def test_aggregates_are_shared_for_a_moment_unless_they_have_to_be_of_the_present() -> None:
    there, wire = cloud(*[{"aggregates": []}] * 2)
    there.aggregates()
    there.aggregates()
    assert len(wire.sent) == 1
    there.aggregates(age=0.0)
    assert len(wire.sent) == 2


def listed(*hosts: str, **cell: str) -> dict[str, Any]:
    rows = [
        {"id": f"svc-{host}", "host": host, "status": "enabled", "state": "up"} for host in hosts
    ]
    return {
        "services": [*rows, *({"host": host, "status": status} for host, status in cell.items())]
    }


def hypervisors(*hosts: str) -> dict[str, Any]:
    return {
        "hypervisors": [
            {"hypervisor_hostname": host, "service": {"host": host}, "host_ip": "192.0.2.1"}
            for host in hosts
        ]
    }


@pytest.mark.parametrize(
    "replies",
    [
        (listed("cmp1", cmp2="UNKNOWN"),),
        (listed("cmp1", cmp2="UNKNOWN"), hypervisors("cmp1"), listed("cmp1", "cmp2")),
        (listed("cmp1", "cmp2"), hypervisors("cmp1"), listed("cmp1", cmp2="UNKNOWN")),
    ],
    ids=["down", "comes back", "goes down"],
)
def test_hypervisors_are_believed_only_while_all_cells_answer(replies: tuple[Any, ...]) -> None:
    """Whatever lists are shared: Nova lists no hypervisor of a cell that is down, in silence."""
    there, _ = cloud(listed("cmp1", "cmp2"), hypervisors("cmp1", "cmp2"), *replies)
    there.services()
    there.hypervisors()
    with pytest.raises(CloudUnreachable, match="a cell of Nova is down"):
        there.computes()


def test_services_and_hypervisors_of_one_moment_are_shared_for_a_while() -> None:
    whole = (listed("cmp1"), hypervisors("cmp1"), listed("cmp1"))
    there, wire = cloud(*whole)
    services, nodes = there.computes()
    assert ([s.host for s in services], [h.host for h in nodes]) == (["cmp1"], ["cmp1"])
    assert there.computes() == (services, nodes)
    assert (there.services(), there.hypervisors()) == (services, nodes)
    assert len(wire.sent) == len(whole)


def test_hypervisors_beyond_the_first_page_are_read() -> None:
    """Nova cuts every list at 1000 rows by default: a large cloud has more."""
    first, last = hypervisors("cmp1"), hypervisors("cmp2")
    first["hypervisors"][0]["id"] = "u1"
    first["hypervisors_links"] = [{"rel": "next", "href": "http://nova/more"}]
    there, wire = cloud(first, last)
    assert [h.host for h in there.hypervisors()] == ["cmp1", "cmp2"]
    assert wire.sent[1][3]["marker"] == "u1"


def test_flavors_without_extra_specs_are_no_answer() -> None:
    """One with a virtual TPM would be moved cold, and stay off."""
    there, _ = cloud({"servers": [server(flavor={"vcpus": 1, "ram": 64, "disk": 1})]})
    with pytest.raises(NotAllowed, match="flavor-extra-specs"):
        there.servers_on("cmp1")


def test_a_server_that_is_listed_twice_is_one() -> None:
    """As where a cell is mapped twice. It would be moved twice."""
    there, _ = cloud({"servers": [server(), server("s2"), server()]})
    assert [s.id for s in there.servers_on("cmp1")] == ["s1", "s2"]


def test_ports_without_hosts_are_no_answer() -> None:
    there, _ = cloud({"ports": [{"id": "p1", "device_id": "s1", "status": "ACTIVE"}]})
    with pytest.raises(NotAllowed, match="binding:host_id"):
        there.ports(["s1"])


@pytest.mark.parametrize(
    ("images", "there_is"),
    [
        ([], False),
        ([{"id": "i1", "name": "web-shelved", "status": "active"}], True),
        ([{"id": "i1", "name": "web-shelved", "status": "pending_delete"}], False),
        (
            [
                {"id": "i2", "name": "web-shelved", "status": "deleted"},
                {"id": "i1", "name": "web-shelved", "status": "active"},  # of an earlier time
            ],
            False,
        ),
        ([{"id": "i1", "name": "last-week", "status": "active"}], False),
        ([{"id": "i1", "name": None, "status": "active"}], False),
    ],
)
def test_the_image_that_nova_made_when_it_shelved(images: list[Any], there_is: bool) -> None:
    there, wire = cloud({"images": images})
    found = there.snapshots(["s1"])
    assert (set(found.known), found.unknown) == ({"s1"} if there_is else set(), {})
    assert wire.sent[0][2:4] == ("/images", {"instance_uuid": "s1", "limit": 100})


# Migrations


def test_migrations_of_this_drain_need_no_more_pages_than_hold_them() -> None:
    rows = [migration(n) for n in range(209, 9, -1)]
    there, wire = cloud({"migrations": rows, "migrations_links": [{}]})
    assert [m.id for m in there.migrations("cmp1", above=207)] == [209, 208]
    assert len(wire.sent) == 1


def test_an_older_migration_whose_clock_was_fast_hides_none_of_this_drain() -> None:
    """Nova sorts by the time that whoever wrote the record has set."""
    first, last = [migration(9), migration(7), migration(6)], [migration(5), migration(8)]
    there, _ = cloud({"migrations": first, "migrations_links": [{}]}, {"migrations": last})
    assert [m.id for m in there.migrations("cmp1", above=7)] == [9, 8]


def test_migrations_are_in_the_order_of_their_ids_whatever_the_clocks() -> None:
    there, _ = cloud(*[{"migrations": [migration(3), migration(9), migration(8)]}] * 2)
    assert [m.id for m in there.migrations("cmp1", above=7)] == [9, 8]
    assert [m.id for m in there.migrations("cmp1")] == [9, 8, 3]


def test_a_full_sweep_reads_all_pages() -> None:
    there, wire = cloud(
        {"migrations": [migration(9)], "migrations_links": [{}]}, {"migrations": [migration(3)]}
    )
    assert [m.id for m in there.migrations("cmp1")] == [9, 3]
    assert wire.sent[1][3]["marker"] == "u9"


@pytest.mark.parametrize("hidden", [{}, {"source_compute": None, "dest_compute": None}])
def test_migrations_without_hosts_are_no_answer(hidden: dict[str, None]) -> None:
    """Nova has them null where its policy os-migrations:index:host denies them. No migration would
    be the drain's own: none confirmed, none counted, and a failed one no obstacle.
    """
    row = migration(9)
    del row["source_compute"], row["dest_compute"]
    row |= hidden
    there, _ = cloud({"migrations": [row]})
    with pytest.raises(NotAllowed, match="without hosts"):
        there.migrations("cmp1")


OVER = "confirmed reverted error failed completed cancelled done"
IN_PROGRESS = (
    "accepted queued preparing running pre-migrating migrating post-migrating finished confirming "
    "reverting anything-new"
)


@pytest.mark.parametrize(
    ("status", "terminal"),
    [(name, True) for name in OVER.split()] + [(name, False) for name in IN_PROGRESS.split()],
)
def test_what_keeps_a_service_from_being_deleted(status: str, terminal: bool) -> None:
    assert Migration.read(migration(1, status=status)).terminal is terminal


@pytest.mark.parametrize(
    "text", ["2026-03-01T12:00:00.000000", "2026-03-01T12:00:00Z", "2026-03-01T12:00:00+00:00"]
)
def test_novas_times_are_utc(text: str) -> None:
    assert moment(text) == datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert moment(None) is None


# The cause of a failure


def actions(*ages: tuple[str, float]) -> dict[str, Any]:
    start = datetime(2026, 3, 1, 12, tzinfo=UTC)
    rows = [
        {
            "action": name,
            "request_id": f"req-{n}",
            "start_time": (start - timedelta(seconds=age)).isoformat(),
        }
        for n, (name, age) in enumerate(ages)
    ]
    return {"instanceActions": rows}


def one_action(name: str, *events: tuple[str, str | None, str | None]) -> dict[str, Any]:
    rows = [
        {"event": event, "result": result, "details": details} for event, result, details in events
    ]
    return {"instanceAction": {"action": name, "start_time": T0, "events": rows}}


def test_the_action_behind_a_migration_is_the_nearest_of_its_kind_before_it() -> None:
    created = datetime(2026, 3, 1, 12, tzinfo=UTC)
    listed = actions(
        ("migrate", 300), ("migrate", 2), ("confirmResize", 1), ("migrate", -30), ("migrate", 20)
    )
    there, wire = cloud(
        listed,
        one_action(
            "migrate",
            ("compute_prep_resize", "Success", None),
            ("cold_migrate", "Error", "No valid host"),
        ),
    )
    found = there.action_events("s1", ("migrate", "resize"), created)
    assert found is not None
    assert wire.sent[1][2].endswith("/req-1")
    assert (found.failed_event, found.details) == ("cold_migrate", "No valid host")


@pytest.mark.parametrize(
    ("events", "open_"),
    [
        ([("compute_prep_resize", "Success", None), ("cold_migrate", None, None)], True),
        ([("cold_migrate", "Success", None)], False),
        ([("compute_prep_resize", "Error", "disk full"), ("cold_migrate", None, None)], False),
    ],
)
def test_an_event_that_has_not_ended_may_yet_bring_the_cause(
    events: list[Any], open_: bool
) -> None:
    """Nova sets the migration to error within the very step whose event then gets the cause."""
    there, _ = cloud(actions(("migrate", 2)), one_action("migrate", *events))
    found = there.action_events("s1", ("migrate",), datetime(2026, 3, 1, 12, tzinfo=UTC))
    assert found is not None
    assert found.open is open_


def test_an_action_that_is_not_there_is_no_cause() -> None:
    created = datetime(2026, 3, 1, 12, tzinfo=UTC)
    there, _ = cloud(actions(("migrate", 300), ("reboot", 1)))
    assert there.action_events("s1", ("migrate",), created) is None


# Live progress


def test_progress_of_a_live_migration() -> None:
    row = {"id": 4, "status": "running", "memory_processed_bytes": 10, "memory_remaining_bytes": 5,
           "disk_processed_bytes": 1, "disk_remaining_bytes": None}  # fmt: skip
    there, _ = cloud({"migrations": [row]}, {"migrations": []}, answer(404))
    assert there.live_progress("s1", 4) == LiveProgress(4, "running", 11, 5)
    assert there.live_progress("s1", 4) is None
    assert there.live_progress("s1", 4) is None


def test_progress_is_that_of_the_migration_that_is_asked_about() -> None:
    """A record that was left over comes first. It has nothing left to copy, so the one that runs
    would look stuck, and be aborted.
    """
    left_over = {"id": 3, "status": "queued"}
    row = {"id": 4, "status": "running", "memory_remaining_bytes": 5}
    there, _ = cloud({"migrations": [left_over, row]}, {"migrations": [left_over]})
    assert there.live_progress("s1", 4) == LiveProgress(4, "running", 0, 5)
    assert there.live_progress("s1", 4) is None


# Placement


def test_allocations_of_a_node_are_those_of_its_children_too() -> None:
    there, _ = cloud(
        {"resource_providers": [{"uuid": "root"}]},
        {"resource_providers": [{"uuid": "root"}, {"uuid": "gpu"}]},
        {"allocations": {"s1": {"resources": {"VCPU": 2}}}},
        {"allocations": {"s1": {"resources": {"VGPU": 1}}, "m1": {"resources": {"VGPU": 1}}}},
    )
    assert there.allocations("node") == Holdings("root", {"s1": ("root", "gpu"), "m1": ("gpu",)})


def test_a_provider_that_is_not_there_is_not_an_empty_one() -> None:
    there, _ = cloud({"resource_providers": []})
    assert there.allocations("node") is None


@pytest.mark.parametrize(
    "broken", [{}, {"resource_providers": None}, answer(500), answer(200, "{")]
)
def test_allocations_that_cannot_be_read_are_an_error(broken: Any) -> None:
    there, _ = cloud(broken)
    with pytest.raises(CloudUnreachable):
        there.allocations("node")


@pytest.mark.field_case("F19")
def test_a_plan_asks_for_traits_of_the_request_and_for_hosts_that_are_enabled() -> None:
    """The traits may be of a child of the host's provider; Nova asks so too."""
    lists: dict[str, dict[str, Any]] = {
        "/allocation_candidates": {"provider_summaries": {}},
        "/resource_providers": {"resource_providers": []},
        "/os-hypervisors/detail": {"hypervisors": []},
    }
    wire = Wire(lambda _service, _method, path, *_: lists[path])
    Cloud(wire).rooms([Shape((("PCPU", 4),), ("!HW_A", "HW_B"))])
    (query,) = (query for _, _, path, query, _ in wire.sent if path == "/allocation_candidates")
    assert query["resources"] == "PCPU:4"
    assert (query["required"], query["root_required"]) == ("!HW_A,HW_B", "!COMPUTE_STATUS_DISABLED")


# Ports

LONGEST_LINE = 8190  # Apache LimitRequestLine, and about what nginx, HAProxy and uWSGI allow


@pytest.mark.field_case("F16")
@pytest.mark.parametrize("n", [0, 1, 100, 101, 1000])
def test_the_ports_of_many_servers_are_read_in_short_requests(n: int) -> None:
    there, wire = cloud(*[{"ports": []}] * 100)
    ids = [f"{number:036}" for number in range(n)]
    there.ports(ids)
    queries = [query for *_, query, _ in wire.sent]
    assert [value for query in queries for _, value in query] == ids
    assert all(len(urlencode(query)) < LONGEST_LINE - 2000 for query in queries)


def port(id_: str) -> dict[str, Any]:
    bound = {"binding:host_id": "cmp1", "binding:vif_type": "ovs"}
    return {"id": id_, "device_id": "s1", "status": "DOWN"} | bound


def ports(*ids: str, links: Any = ()) -> dict[str, Any]:
    return {"ports": [port(id_) for id_ in ids], "ports_links": [{"rel": each} for each in links]}


def test_ports_beyond_the_first_page_are_read() -> None:
    """Neutron ends lists where pagination_max_limit is set (api/api_common.py)."""
    pages = [ports("p1", "p2", links=["next"]), ports("p3", links=["previous"])]
    there, wire = cloud(*pages, *pages)
    assert [each.id for each in there.ports(["s1"])] == ["p1", "p2", "p3"]
    assert [each.id for each in there.ports_not_working_on("cmp1")] == ["p1", "p2", "p3"]
    first, second = (query for *_, query, _ in wire.sent[:2])
    assert (first, second) == ([("device_id", "s1")], [("device_id", "s1"), ("marker", "p2")])
    there, _ = cloud(ports("p1", links=["next"]), ports(links=["next", "previous"]))
    assert [each.id for each in there.ports(["s1"])] == ["p1"]


def test_ports_that_do_not_end_are_no_answer() -> None:
    there, _ = cloud(*[ports("p1", links=["next"])] * 3)
    with pytest.raises(CloudUnreachable, match="the list of ports"):
        there.ports(["s1"])


@pytest.mark.parametrize("hidden", ["binding:host_id", "binding:vif_type"])
def test_a_port_that_is_shown_without_its_binding_is_not_an_unbound_one(hidden: str) -> None:
    """Neutron leaves out what its policy does not let the user see."""
    row = {
        "id": "p1",
        "device_id": "s1",
        "status": "ACTIVE",
        "binding:host_id": "cmp2",
        "binding:vif_type": "ovs",
    }
    there, _ = cloud({"ports": [row]}, {"ports": [{k: row[k] for k in row if k != hidden}]})
    assert len(there.ports(["s1"])) == 1
    with pytest.raises(NotAllowed, match=f"get_port:{hidden}"):
        there.ports(["s1"])


# Evacuations


def test_only_evacuations_from_the_host_that_hold_something_there_are_read() -> None:
    """Nova ignores filters that it does not know, so each row is checked."""
    evacuated = migration(7, migration_type="evacuation", status="done")
    others = [
        evacuated | {"instance_uuid": "s2", "source_compute": "cmp2"},
        evacuated | {"instance_uuid": "s3", "status": "completed"},
        evacuated | {"instance_uuid": "s4", "migration_type": "migration"},
    ]
    there, wire = cloud({"migrations": [evacuated, *others]})
    assert there.evacuations("cmp1") == {"s1": 7}
    assert wire.sent[0][3]["source_compute"] == "cmp1"


# Groups

NO_GROUPS: dict[str, Any] = {"server_groups": []}


@pytest.mark.field_case("F18")
def test_the_rule_of_a_group_is_read() -> None:
    group = {"id": "g", "name": "web", "policy": "anti-affinity", "members": ["s1"]}
    ruled = group | {"rules": {"max_server_per_host": 3}}
    there, _ = cloud({"server_groups": [group, group | {"rules": {}}, ruled]}, NO_GROUPS)
    assert [found.most for found in there.groups()] == [1, 1, 3]


def test_groups_are_paged_by_offset_and_soft_ones_left_out() -> None:
    group = {"id": "g", "name": "web", "policy": "anti-affinity", "members": ["s1"]}
    soft = group | {"policy": "soft-anti-affinity"}
    pages = [[group] + [soft] * 999, [group], []]
    there, wire = cloud(*({"server_groups": page} for page in pages))
    assert len(there.groups()) == 2
    assert [query["offset"] for *_, query, _ in wire.sent] == [0, 1000, 1001]


def test_groups_are_all_read_where_nova_lists_few_at_a_time() -> None:
    """[api]max_limit may be below our page: nova/api/openstack/common.py limited."""
    group = {"id": "g", "name": "web", "policy": "anti-affinity", "members": ["s1"]}
    there, wire = cloud(*({"server_groups": page} for page in ([group] * 2, [group], [])))
    assert len(there.groups()) == 3
    assert [query["offset"] for *_, query, _ in wire.sent] == [0, 2, 3]


def test_groups_that_do_not_end_are_no_answer() -> None:
    group = {"id": "g", "name": "web", "policy": "anti-affinity", "members": ["s1"]}
    wire = Wire(lambda *_: {"server_groups": [group]})
    with pytest.raises(CloudUnreachable, match="does not end"):
        Cloud(wire).groups()
    assert len(wire.sent) == 100


# Verbs


@pytest.mark.parametrize(
    ("call", "method", "path", "body"),
    [
        (lambda c: c.migrate("s1", None), "POST", "/servers/s1/action", {"migrate": None}),
        (
            lambda c: c.migrate("s1", "cmp9"),
            "POST",
            "/servers/s1/action",
            {"migrate": {"host": "cmp9"}},
        ),
        (
            lambda c: c.live_migrate("s1", None),
            "POST",
            "/servers/s1/action",
            {"os-migrateLive": {"host": None, "block_migration": "auto"}},
        ),
        (
            lambda c: c.live_migrate("s1", "cmp9"),
            "POST",
            "/servers/s1/action",
            {"os-migrateLive": {"host": "cmp9", "block_migration": "auto"}},
        ),
        (lambda c: c.confirm("s1"), "POST", "/servers/s1/action", {"confirmResize": None}),
        (lambda c: c.revert("s1"), "POST", "/servers/s1/action", {"revertResize": None}),
        (lambda c: c.shelve_offload("s1"), "POST", "/servers/s1/action", {"shelveOffload": None}),
        (lambda c: c.resume("s1"), "POST", "/servers/s1/action", {"resume": None}),
        (lambda c: c.abort_live("s1", 7), "DELETE", "/servers/s1/migrations/7", None),
        (
            lambda c: c.force_complete("s1", 7),
            "POST",
            "/servers/s1/migrations/7/action",
            {"force_complete": None},
        ),
        (
            lambda c: c.disable_service("v", "why"),
            "PUT",
            "/os-services/v",
            {"status": "disabled", "disabled_reason": "why"},
        ),
        (
            lambda c: c.disable_service_without_reason("v"),
            "PUT",
            "/os-services/v",
            {"status": "disabled"},
        ),
        (lambda c: c.enable_service("v"), "PUT", "/os-services/v", {"status": "enabled"}),
        (lambda c: c.delete_service("v"), "DELETE", "/os-services/v", None),
        (
            lambda c: c.add_to_aggregate(3, "cmp1"),
            "POST",
            "/os-aggregates/3/action",
            {"add_host": {"host": "cmp1"}},
        ),
    ],
)
def test_each_verb_is_one_request(call: Any, method: str, path: str, body: Any) -> None:
    there, wire = cloud(answer(202, headers={"x-openstack-request-id": "req-1"}))
    assert call(there) == "req-1"
    assert wire.sent == [("compute", method, path, () if wire.sent[0][3] == () else {}, body)]


def test_there_is_no_verb_that_a_drain_must_never_use() -> None:
    words = ("evacuate", "rebuild", "reset", "force_delete", "unlock", "forced_down")
    assert not [name for name in dir(Cloud) if any(word in name for word in words)]


# Diagnostics


def test_whether_a_guest_runs_is_not_left_open_for_want_of_a_permission() -> None:
    text = "Policy doesn't allow os_compute_api:os-server-diagnostics to be performed."
    there, _ = cloud(answer(403, {"forbidden": {"message": text}}))
    with pytest.raises(NotAllowed, match="os-server-diagnostics"):
        there.is_running("s1")


@pytest.mark.promise("never-13")
def test_a_hypervisor_that_does_not_answer_is_not_one_that_cannot_be_asked() -> None:
    """nova-compute is asked by a call with a timeout; not every driver has diagnostics."""
    lost = {"computeFault": {"code": 500, "message": "MessagingTimeout"}}
    there, _ = cloud(answer(500, lost))
    with pytest.raises(CloudUnreachable):
        there.is_running("s1")
    there, _ = cloud(answer(501, {"notImplemented": {"message": "not supported"}}))
    assert there.is_running("s1") is None


def test_a_flavor_that_is_shown_without_its_extra_specs_is_not_one_without_any() -> None:
    row = {"id": "s1", "status": "ACTIVE", "OS-EXT-SRV-ATTR:host": "cmp1", "flavor": {"vcpus": 1}}
    there, _ = cloud({"server": row})
    with pytest.raises(NotAllowed, match="servers:show:flavor-extra-specs"):
        there.server("s1")
