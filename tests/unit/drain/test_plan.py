"""What a drain would do, and whether there is room for it. A plausibility: it must never say Fits
where it plainly does not.
"""

from datetime import timedelta
from typing import Any

import pytest
from tests.unit.drain.build import (
    FOUND,
    NOW,
    decided,
    migration,
    observed,
    other,
    replace,
    server,
    service,
    spec,
)

from quiesce.api.drain.record import Record
from quiesce.api.drain.status import DrainStatus, PlanStatus
from quiesce.drain.model.decision import Plan
from quiesce.drain.model.observation import Observation, PlanReads
from quiesce.drain.model.shapes import shape_of
from quiesce.openstack.records import Flavor, Room, Server, ServerGroup, Shape

SMALL = Flavor(vcpus=1, ram=1024, disk=10)
LARGE = Flavor(vcpus=8, ram=16384, disk=100)


def sized(id_: str, flavor: Flavor = SMALL, **fields: Any) -> Server:
    return server(id_, flavor=flavor, **fields)


def room(host: str, servers: list[Server], ram: int = 4096, **free: int) -> Room:
    """A host that takes the shapes of these servers and has so much free."""
    return Room(
        host,
        {"VCPU": 64, "MEMORY_MB": ram, "DISK_GB": 1000} | free,
        frozenset(shape_of(s) for s in servers),
    )


def planned(
    servers: list[Server],
    rooms: tuple[Room, ...] | None,
    asked: Any = None,
    members: Any = None,
    **sight: Any,
) -> Plan:
    whole: dict[str, Any] = {"services": (service(), other("cmp2"), other("cmp3"))}
    what: Observation = replace(
        observed(servers, **whole | sight), plan=PlanReads(rooms, members or {})
    )
    found = decided(what, asked or spec(mode="Plan"), Record()).plan
    assert found is not None
    return found


def test_a_plan_counts_what_would_be_done() -> None:
    servers = [
        server("a"),
        server("b", "SHUTOFF"),
        server("c", "SHELVED"),
        server("d", "SUSPENDED"),
        server("e", "PAUSED"),
    ]
    cold = planned(servers, None)
    assert (cold.status.live, cold.status.cold, cold.status.offload, cold.status.blocked) == (
        0,
        2,
        1,
        2,
    )
    live = planned(servers, None, spec("Live", mode="Plan", servers={"suspended": "Resume"}))
    assert (live.status.live, live.status.cold, live.status.offload, live.status.blocked) == (
        3,
        1,
        1,
        0,
    )
    assert [(reason, count) for reason, count, _ in cold.status.reasons] == [
        ("Paused", 1),
        ("Suspended", 1),
    ]


def test_reasons_name_three_servers_and_what_to_do() -> None:
    ((reason, count, text),) = planned(
        [server(f"s{n}", "SUSPENDED") for n in range(5)], None
    ).status.reasons
    assert (reason, count) == ("Suspended", 5)
    assert text.startswith("name-s0, name-s1, name-s2 and 2 more: suspended")


@pytest.mark.parametrize(("ram", "capacity"), [(4096, "Fits"), (3071, "Short"), (1024, "Short")])
def test_room_is_used_up_by_each_server(ram: int, capacity: str) -> None:
    servers = [sized("a"), sized("b"), sized("c")]
    assert planned(servers, (room("cmp2", servers, ram),)).status.capacity == capacity


def test_the_largest_are_placed_first() -> None:
    """Small ones that are placed first can take the only room of a large one."""
    servers = [sized("a"), sized("b"), sized("z", LARGE)]
    rooms = (room("cmp2", servers, 16384), room("cmp3", servers, 2048))
    assert planned(servers, rooms).status.capacity == "Fits"


def of_memory(*sizes: int) -> list[Server]:
    return [sized(f"s{n}", Flavor(vcpus=1, ram=ram, disk=1)) for n, ram in enumerate(sizes)]


def test_there_is_room_where_a_scheduler_that_spreads_finds_it() -> None:
    """Packed closely, the largest takes the first host for itself and one of the others
    finds none.
    """
    servers = of_memory(3, 2, 2, 2)
    assert (
        planned(servers, (room("cmp2", servers, 4), room("cmp3", servers, 5))).status.capacity
        == "Fits"
    )


def test_room_that_only_close_packing_finds_is_said_to_be_so() -> None:
    """Nova's scheduler takes the emptiest host by default, and so divides the large pair that would
    have to share one.
    """
    servers = of_memory(4, 4, 3, 3, 3, 3)
    found = planned(servers, (room("cmp2", servers, 8), room("cmp3", servers, 12)))
    assert found.status.capacity == "Fits"
    assert (
        "only closely packed: Nova's scheduler spreads servers, and may find none for 1: name-s"
        in found.capacity_message
    )
    easy = planned(servers, (room("cmp2", servers, 12), room("cmp3", servers, 12)))
    assert (
        easy.capacity_message
        == "capacity for 6 servers on 2 other hosts, as far as placement tells"
    )


def test_who_finds_no_room_is_named() -> None:
    servers = [sized("a"), sized("big", LARGE)]
    found = planned(servers, (room("cmp2", servers),))
    assert found.status.capacity == "Short"
    assert found.capacity_message == "no capacity for 1 of 2 servers on 1 other host: name-big"


def test_without_placement_nothing_is_known() -> None:
    assert planned([sized("a")], None).status.capacity == "Unknown"


@pytest.mark.parametrize(
    "services",
    [
        (service(), other("cmp2", status="disabled")),
        (service(), other("cmp2", state="down")),
        (service(),),
    ],
)
def test_hosts_that_take_nothing_do_not_count(services: Any) -> None:
    servers = [sized("a")]
    assert planned(servers, (room("cmp2", servers),), services=services).status.capacity == "Short"


def test_the_host_itself_is_no_room() -> None:
    servers = [sized("a")]
    assert planned(servers, (room("cmp1", servers),)).status.capacity == "Short"


def test_a_target_host_is_the_only_one() -> None:
    servers = [sized("a")]
    rooms = (room("cmp2", servers),)
    assert (
        planned(servers, rooms, spec(mode="Plan", migration={"targetHost": "cmp3"})).status.capacity
        == "Short"
    )
    assert (
        planned(servers, rooms, spec(mode="Plan", migration={"targetHost": "cmp2"})).status.capacity
        == "Fits"
    )


def test_a_server_stays_in_its_zone() -> None:
    servers = [sized("a", zone_pinned="az1")]
    rooms = (room("cmp2", servers),)
    for zone, capacity in (("az1", "Fits"), ("az2", "Short")):
        assert (
            planned(servers, rooms, services=(service(), other("cmp2", zone=zone))).status.capacity
            == capacity
        )


def test_an_anti_affinity_group_takes_a_host_each() -> None:
    servers = [sized("a"), sized("b")]
    groups = (ServerGroup("g", "web", "anti-affinity", frozenset({"a", "b", "c"})),)
    both = (room("cmp2", servers), room("cmp3", servers))
    assert planned(servers, both[:1], groups=groups).status.capacity == "Short"
    assert planned(servers, both, groups=groups).status.capacity == "Fits"
    assert planned(servers, both, groups=groups, members={"c": "cmp3"}).status.capacity == "Short"


@pytest.mark.field_case("F18")
@pytest.mark.parametrize(
    ("most", "members", "capacity"),
    [
        (2, {}, "Fits"),
        (1, {}, "Short"),
        (2, {"c": "cmp2"}, "Short"),
        (3, {"c": "cmp2"}, "Fits"),
        (3, {"c": "cmp2", "d": "cmp2"}, "Short"),
    ],
)
def test_a_group_may_allow_several_members_on_a_host(
    most: int, members: dict[str, str], capacity: str
) -> None:
    servers = [sized("a"), sized("b")]
    groups = (ServerGroup("g", "web", "anti-affinity", frozenset("abcd"), most),)
    plan = planned(servers, (room("cmp2", servers),), groups=groups, members=members)
    assert plan.status.capacity == capacity


def test_a_host_that_placement_does_not_offer_for_a_shape_takes_none_of_it() -> None:
    servers = [sized("a", replace(SMALL, extra_specs={"trait:HW_CPU_X86_AVX2": "required"}))]
    assert planned(servers, (room("cmp2", [sized("b")]),)).status.capacity == "Short"
    assert planned(servers, (room("cmp2", servers),)).status.capacity == "Fits"


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({"flavor": Flavor(2, 512, 10, 0)}, {"VCPU": 2, "MEMORY_MB": 512, "DISK_GB": 10}),
        ({"flavor": Flavor(2, 512, 10, 1500)}, {"VCPU": 2, "MEMORY_MB": 512, "DISK_GB": 12}),
        ({"flavor": Flavor(2, 512, 10, 0), "volume_backed": True}, {"VCPU": 2, "MEMORY_MB": 512}),
        (
            {"flavor": Flavor(2, 512, 0, 0, {"resources:VCPU": "0", "resources:VGPU": "1"})},
            {"MEMORY_MB": 512, "VGPU": 1},
        ),
    ],
)
def test_what_a_server_asks_placement_for(fields: dict[str, Any], wanted: dict[str, int]) -> None:
    assert shape_of(server(**fields)) == Shape(tuple(sorted(wanted.items())))


def test_the_time_is_that_of_this_hosts_own_past() -> None:
    past = [
        migration(
            FOUND - n,
            "confirmed",
            f"old{n}",
            created=NOW - timedelta(hours=2),
            updated=NOW - timedelta(hours=2, seconds=-s),
        )
        for n, s in enumerate((60, 100, 2000))
    ]
    servers = [server(f"s{n}") for n in range(8)]
    assert planned(servers, None, migrations=past).status.estimated_seconds == 200
    assert planned(servers, None).status.estimated_seconds is None
    assert (
        planned(servers, None, spec("Live", mode="Plan"), migrations=past).status.estimated_seconds
        is None
    )


def test_a_plan_as_json_is_bounded_and_leaves_out_what_is_unknown() -> None:
    many = tuple((f"Reason{n}", 1, "m" * 9999) for n in range(99))
    found = DrainStatus(plan=PlanStatus(1, 2, 3, 4, "Unknown", None, many)).to_json()["plan"]
    assert "estimatedSeconds" not in found
    assert len(found["reasons"]) == 20
    assert len(found["reasons"][0]["message"]) == 1024


# Server by server


def test_a_plan_names_each_server_with_its_way_and_the_reason() -> None:
    mixed = [
        server("web"),
        server("off", "SHUTOFF"),
        server("asleep", "SUSPENDED"),
        server("parked", "SHELVED"),
    ]
    found = planned(mixed, None, spec("LiveThenCold", mode="Plan")).status
    rows = {row.id: (row.status, row.action) for row in found.servers}
    assert rows == {
        "asleep": ("SUSPENDED", "none"),
        "off": ("SHUTOFF", "cold"),
        "web": ("ACTIVE", "live"),
        "parked": ("SHELVED", "offload"),
    }
    assert [row.id for row in found.servers] == ["asleep", "off", "web", "parked"]
    assert found.servers[0].message.startswith("Suspended: suspended; ")
    assert len(found.servers) == found.live + found.cold + found.offload + found.blocked


def test_a_plan_says_which_guests_it_would_restart() -> None:
    (row,) = planned([server("web")], None, spec(mode="Plan", method="Cold")).status.servers
    assert row.action == "cold"
    assert "restarted on another host: migration.method is Cold" in row.message


def test_the_plan_of_a_drain_that_moves_names_no_servers() -> None:
    assert planned([server("web")], None, spec()).status.servers == ()


def test_rows_of_a_plan_are_bounded_and_the_others_counted() -> None:
    many = [server(f"s{number:03}") for number in range(103)]
    status = DrainStatus(plan=planned(many, None, spec(mode="Plan")).status).to_json()
    assert len(status["plan"]["servers"]) == 100
    assert status["plan"]["serversOmitted"] == 3
    assert DrainStatus.read(status).to_json() == status
