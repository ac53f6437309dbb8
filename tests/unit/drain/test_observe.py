"""What is read of moves, of guests and of the host, from what Nova and Placement answer."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from tests.unit.drain.build import (
    FOUND,
    HOST,
    NEVER_SET,
    NOW,
    ago,
    arrived_elsewhere,
    begun,
    decided,
    drain,
    migration,
    observed,
    replace,
    server,
    service,
    spec,
    tried,
)
from tests.unit.openstack.answers import Wire, answer

from quiesce.api.drain.record import Record
from quiesce.api.errors import HostNotSupported
from quiesce.drain.decide.breaker import was_left_off
from quiesce.drain.model.history import Cause, History
from quiesce.drain.model.missing import IncompleteList
from quiesce.drain.model.observation import Observation
from quiesce.drain.observe.guests import read_guests
from quiesce.drain.observe.host import _read_checks, observe
from quiesce.drain.observe.moves import (
    CAUSE_WITHIN,
    read_cause,
    read_elsewhere,
    read_ended,
    read_migrations,
)
from quiesce.openstack.cloud import Cloud
from quiesce.openstack.errors import NotFound
from quiesce.openstack.records import RUNNING, SHUTDOWN, Migration, Port

FAILED = migration(FOUND + 1, "error", dest=None)
GONE = {"conflictingRequest": {"code": 409, "message": "in power state shutdown"}}
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


@pytest.mark.promise("never-13")
@pytest.mark.parametrize("power", [RUNNING, SHUTDOWN])
@pytest.mark.parametrize("was", ["ACTIVE", None])
def test_the_hypervisor_is_asked_before_a_confirm_whatever_nova_shows(
    power: int, was: str | None
) -> None:
    """Also where it is no longer known whether it ran before."""
    ran = drain(record=begun(tries={"s1": tried(was)}))
    there = [arrived_elsewhere(power_state=power)]
    look = observed(migrations=[migration()], elsewhere=there)
    assert read_guests(Cloud(Wire(lambda *_: {})), ran, look).running == {"s1": True}


@pytest.mark.promise("never-13")
@pytest.mark.parametrize("here", [True, False])
def test_the_hypervisor_is_asked_before_another_users_resize_is_confirmed(here: bool) -> None:
    theirs = migration(type="resize", user_id="them")
    moved = replace(arrived_elsewhere(), host="cmp1" if here else "cmp2")
    sight = observed([moved] if here else [], [theirs], elsewhere=[] if here else [moved])
    for asked, found in (({}, {}), ({"foreign": "Confirm"}, {"s1": False})):
        mine = replace(drain(record=begun()), spec=spec(confirmation=asked))
        assert read_guests(Cloud(Wire(lambda *_: answer(409, GONE))), mine, sight).running == found


@pytest.mark.promise("never-13")
def test_the_hypervisor_is_asked_again_after_all_that_follows_a_poll() -> None:
    """A look at all servers may take minutes, in which a guest can die."""
    ran = drain(record=begun(tries={"s1": tried("ACTIVE")}))
    told = observed(migrations=[migration()], elsewhere=[arrived_elsewhere()], running={"s1": True})
    wire = Wire(lambda *_: answer(409, GONE))
    assert read_guests(Cloud(wire), ran, told).running == {"s1": False}
    assert len(wire.sent) == 1


NO_REPLY = {"computeFault": {"code": 500, "message": "no reply"}}
NAMES = ("s1", "s2", "s3")


class Hypervisors:
    """Three servers have arrived: s1 and s3 on cmp2, s2 on cmp3. `hang`: hosts that answer nothing
    for half a minute, `hangs`: guests of whom nothing is told. `asked`: for which guests. `moved`:
    what has become of them since, as Nova shows it. `hidden`: servers that its list lacks since.
    """

    def __init__(self, *hang: str, hangs: tuple[str, ...] = (), takes: float = 31.0) -> None:
        self.hang, self.hangs, self.takes, self.now = hang, hangs, takes, 0.0
        self.asked: list[str] = []
        self.moved: dict[str, str] = {}
        self.hidden: set[str] = set()
        self.dead: set[str] = set()

    def where(self, name: str) -> str:
        return "cmp3" if name == "s2" else "cmp2"

    def reply(self, _service: str, _method: str, path: str, *_: Any) -> Any:
        if path == "/os-migrations":
            shown = [m for m in self.moves if m.server_id not in self.hidden]
            moves = [row(m.id, m.status, m.server_id) for m in shown]
            return {"migrations": [each | {"migration_type": "migration"} for each in moves]}
        name = path.split("/")[2]
        if not path.endswith("/diagnostics"):
            status = self.moved.get(name, "VERIFY_RESIZE")
            host = {"OS-EXT-SRV-ATTR:host": self.where(name), "OS-EXT-STS:power_state": 1}
            return {"server": {"id": name, "status": status, "flavor": {}, **host}}
        self.asked.append(name)
        if self.where(name) in self.hang or name in self.hangs:
            self.now += self.takes
            self.dead.add("s3")
            return answer(500, NO_REPLY)
        return answer(409, GONE) if name in self.dead else {}

    @property
    def moves(self) -> list[Migration]:
        return [migration(FOUND + place, server_id=n) for place, n in enumerate(NAMES, 1)]

    def read(self, **known: Any) -> Observation:
        ran = drain(record=begun(tries=dict.fromkeys(NAMES, tried("ACTIVE"))))
        there = [arrived_elsewhere(name, host=self.where(name)) for name in NAMES]
        up = tuple(service(id=host, host=host) for host in (HOST, "cmp2", "cmp3"))
        sight = observed(migrations=self.moves, elsewhere=there, services=up, **known)
        return read_guests(Cloud(Wire(self.reply), lambda: self.now), ran, sight)


@pytest.mark.promise("never-13")
@pytest.mark.parametrize("takes", [1.0, 31.0])
def test_guests_are_asked_again_after_a_hypervisor_that_took_long(takes: float) -> None:
    """Another one may have died while the drain waited for an answer."""
    there = Hypervisors("cmp3", takes=takes)
    found = there.read()
    assert found.silent == {"s2"}
    late = there.asked.index("s2") > there.asked.index("s3")
    assert found.running == {"s1": True, "s3": takes < 5 and late}


@pytest.mark.promise("never-2", "never-3")
@pytest.mark.parametrize(
    ("hang", "moved"), [("cmp3", "s1"), ("cmp3", "s3"), ("cmp2", "s2")], ids=str
)
def test_what_has_become_of_servers_while_a_hypervisor_took_long_is_read_again(
    hang: str, moved: str
) -> None:
    """Their owners may have confirmed the move and resized them since, whichever is asked first."""
    there = Hypervisors(hang)
    there.moved[moved] = "ACTIVE"
    shown = there.read().elsewhere[moved]
    assert shown is not None
    assert shown.status == "ACTIVE"


@pytest.mark.promise("never-5")
def test_a_list_that_is_read_again_lacks_no_move() -> None:
    there = Hypervisors("cmp3")
    there.hidden.add("s1")
    with pytest.raises(IncompleteList):
        there.read()


@pytest.mark.promise("never-11")
def test_a_hypervisor_that_does_not_answer_is_asked_for_one_guest() -> None:
    there = Hypervisors("cmp2")
    found = there.read()
    assert (found.running, found.silent) == ({"s2": True}, frozenset({"s1", "s3"}))
    assert len({*there.asked} - {"s2"}) == 1


@pytest.mark.promise("never-11")
def test_one_guest_that_hangs_keeps_no_other_from_being_asked() -> None:
    """Those that did not answer rest for a minute, and come last."""
    there = Hypervisors(hangs=("s1",))
    first = there.read()
    assert "s1" in first.silent
    there.asked.clear()
    again = there.read(unheard=first.history.unheard)
    assert again.running.keys() == {"s2", "s3"}
    assert "s1" not in there.asked
    later = {"s1": ago(60)}
    there.asked.clear()
    assert there.read(unheard=later).running.keys() == {"s2", "s3"}
    assert there.asked.index("s1") == 2


@pytest.mark.promise("never-13")
def test_an_answer_of_before_counts_no_longer_where_the_hypervisor_gives_none() -> None:
    ran = drain(record=begun(tries={"s1": tried("ACTIVE")}))
    told = observed(migrations=[migration()], elsewhere=[arrived_elsewhere()], running={"s1": True})
    wire = Wire(lambda *_: answer(500, {"computeFault": {"code": 500, "message": "no reply"}}))
    assert read_guests(Cloud(wire), ran, told).running == {}


def confirm_of(*events: dict[str, Any]) -> Cloud:
    """Nova's actions of a server that was moved, and whose confirm came to these events."""
    began = FAILED.created
    rows = [
        {"action": "confirmResize", "request_id": "req-2", "start_time": began.isoformat()},
        {"action": "migrate", "request_id": "req-1", "start_time": began.isoformat()},
    ]
    moved = {"event": "compute_finish_resize", "result": "Success", "details": None}
    steps = {"req-1": [moved], "req-2": list(events)}

    def reply(_: str, __: str, path: str, *___: Any) -> Any:
        last = path.rpartition("/")[2]
        if last == "os-instance-actions":
            return {"instanceActions": rows}
        return {
            "instanceAction": {
                "action": "x",
                "start_time": began.isoformat(),
                "events": steps[last],
            }
        }

    return Cloud(Wire(reply))


@pytest.mark.field_case("D13")
def test_where_no_step_of_a_move_failed_its_confirm_may_have() -> None:
    event = {"event": "compute_confirm_resize", "result": "Error", "details": "no libvirt"}
    found = read_cause(confirm_of(event), FAILED, None, NOW)
    assert (found.text, found.event, found.final) == ("no libvirt", "compute_confirm_resize", True)
    well = {"event": "compute_confirm_resize", "result": "Success", "details": None}
    assert read_cause(confirm_of(well), FAILED, None, NOW).event == ""


@pytest.mark.promise("always-5")
@pytest.mark.field_case("D13")
@pytest.mark.parametrize("host", [HOST, "cmp2"])
def test_a_server_in_error_after_a_cold_move_is_looked_at_until_it_is_seen_off(host: str) -> None:
    """Each time that Nova is asked of a guest that is off, it writes down a fault."""
    broken = server("s1", "ERROR", host=host)
    away = {} if host == HOST else {"s1": broken}
    cause = Cause("no libvirt", NOW, event="compute_confirm_resize" if away else "")
    sight = replace(
        observed([broken] if host == HOST else [], [FAILED], causes={FAILED.id: cause}),
        elsewhere=away,
        services=(service(), service(id="svc-2", host="cmp2")),
    )
    wire = Wire(lambda *_: {})
    assert read_guests(Cloud(wire), drain(), sight).running == {"s1": True}
    wire = Wire(lambda *_: answer(409, GONE))
    there = Cloud(wire)
    once = read_guests(there, drain(), sight)
    assert once.running == {"s1": False}
    assert read_guests(there, drain(), once).running == {}
    assert len(wire.sent) == 1


@pytest.mark.field_case("D13")
def test_a_hypervisor_that_does_not_answer_is_asked_for_one_of_its_guests() -> None:
    failed = [FAILED, migration(FOUND + 2, "error", server_id="s2")]
    sight = replace(
        observed([server("s1", "ERROR"), server("s2", "ERROR")], failed),
        services=(service(),),
    )
    wire = Wire(lambda *_: answer(500, {"computeFault": {"code": 500, "message": "no reply"}}))
    found = read_guests(Cloud(wire), drain(), sight)
    assert (found.running, found.silent) == ({}, frozenset({"s1", "s2"}))
    assert len(wire.sent) == 1


@pytest.mark.promise("always-5")
@pytest.mark.field_case("F30", "D12")
@pytest.mark.parametrize("status", ["ERROR", "ACTIVE"])
@pytest.mark.parametrize(
    ("offers", "user", "asks"),
    [
        ("2.80", {}, True),
        ("2.95", {"user_id": "somebody"}, True),
        ("2.95", {"id_": FOUND - 5}, True),
        ("2.96", {}, True),
        ("2.100", {"user_id": "somebody"}, True),
        ("2.100", {"id_": FOUND - 5}, False),  # long ago: Nova has looked since
    ],
)
def test_the_hypervisor_is_asked_where_a_guest_is_whose_live_migration_broke_off(
    offers: str, asks: bool, status: str, user: dict[str, Any]
) -> None:
    """Nova answers it in any state (compute/api.py get_instance_diagnostics), and keeps a fault of
    each guest that does not run: one that it shows as off is not asked for.
    """
    wire = Wire(lambda *_: {})
    wire.microversion = offers
    move: dict[str, Any] = {"id_": FOUND + 1, "status_": "error", "type": "live-migration"}
    last = migration(**move | user)
    servers = [server("s1", status), server("s2", status)]
    found = read_guests(Cloud(wire), drain(), observed(servers, [last]))
    assert found.running == ({"s1": True} if asks else {})
    assert found.misplaces == (offers in ("2.80", "2.95"))
    off = observed([server("s1", status, power_state=SHUTDOWN)], [last])
    assert read_guests(Cloud(wire), drain(), off).running == {}


@pytest.mark.promise("always-5")
def test_the_hypervisor_is_asked_where_that_was_in_flight_when_the_drain_began() -> None:
    move = migration(FOUND - 5, "error", type="live-migration", user_id="somebody")
    found = observed([server("s1", "ACTIVE")], [move])
    for in_flight, asked in (((), {}), ((FOUND - 5,), {"s1": True})):
        it = drain(record=begun(found_in_flight=in_flight))
        assert read_guests(Cloud(Wire(lambda *_: {})), it, found).running == asked


@pytest.mark.promise("never-11")
def test_a_nova_compute_that_does_not_answer_is_not_asked_for_each_of_its_guests() -> None:
    wire = Wire(lambda *_: answer(500, {"computeFault": {"code": 500, "message": "no reply"}}))
    wire.microversion = "2.87"
    moves = [
        migration(FOUND + n, "error", f"s{n}", type="live-migration", user_id="somebody")
        for n in range(1, 50)
    ]
    servers = [server(m.server_id) for m in moves]
    assert read_guests(Cloud(wire), drain(), observed(servers, moves)).running == {}
    assert len(wire.sent) == 1
    down = observed(servers, moves, service=service(state="down"))
    assert read_guests(Cloud(wire), drain(), down).running == {}
    assert len(wire.sent) == 1


def row(id_: int, status: str, server_id: str = "s1", **more: Any) -> dict[str, Any]:
    found = {
        "id": id_,
        "uuid": f"u{id_}",
        "instance_uuid": server_id,
        "migration_type": "live-migration",
        "status": status,
        "source_compute": HOST,
        "dest_compute": "cmp2",
        "user_id": "somebody",
        "created_at": "2026-03-01T10:00:00.000000",
    }
    return found | more


@pytest.mark.field_case("F1")
def test_who_has_left_by_a_record_from_before_the_drain_is_known() -> None:
    """Nova lists it here. It would be moved as any other, from where its guest no longer runs."""
    listed = [
        row(FOUND - 1, "error", "s3"),
        row(FOUND - 2, "completed"),
        row(FOUND - 3, "completed", "gone"),
        row(FOUND - 4, "confirmed", "s1", migration_type="migration"),
        row(FOUND - 5, "running", "gone"),
        row(FOUND - 6, "completed", "s3"),
    ]
    there, sight = (
        Cloud(Wire(lambda *_: {"migrations": listed})),
        observed([server(), server("s3")]),
    )
    found = read_migrations(there, drain(), sight)
    kept = [m.id for m in found.migrations]
    assert kept == [FOUND - 1, FOUND - 2, FOUND - 5, FOUND - 6]
    there = Cloud(Wire(lambda *_: {"migrations": listed[:1]}))
    again = read_migrations(there, drain(), replace(found, migrations=()))
    assert [m.id for m in again.migrations] == kept


@pytest.mark.field_case("F1")
def test_who_has_left_by_a_record_from_before_the_drain_is_known_from_the_first_tick_on() -> None:
    """Which older ones matter depends on what the first write leaves in the status."""
    there = Cloud(Wire(lambda *_: {"migrations": [row(FOUND, "completed")]}))
    first = read_migrations(there, drain(record=Record()), observed())
    next_ = replace(observed([server()]), history=first.history)
    assert [m.id for m in read_migrations(there, drain(), next_).migrations] == [FOUND]


@pytest.mark.promise("always-6")
def test_a_move_that_was_in_flight_when_the_drain_began_is_looked_up_once_it_has_failed() -> None:
    """Until its server is gone or was seen healthy, in each process."""
    listed = [row(FOUND - n, "error", f"s{n}", migration_type="resize") for n in (1, 2, 3, 4)]
    it = drain(record=begun(found_in_flight=(FOUND - 4, FOUND - 3, FOUND - 2)))
    states = {"s2": "ERROR", "s3": "ACTIVE"}
    asked: list[str] = []

    def reply(_service: str, _method: str, path: str, *_: Any) -> Any:
        if path == "/os-migrations":
            return {"migrations": listed}
        asked.append(path.split("/")[2])
        if asked[-1] not in states:
            return NotFound(404, "no such server", None)
        at: dict[str, Any] = {
            "OS-EXT-SRV-ATTR:host": "cmp2",
            "OS-EXT-STS:task_state": None,
            "flavor": {},
        }
        return {"server": {"id": asked[-1], "name": asked[-1], "status": states[asked[-1]]} | at}

    def read(history: History) -> Observation:
        asked.clear()
        there = Cloud(Wire(reply))
        first = read_migrations(there, it, replace(observed(), history=history))
        return read_elsewhere(there, it, first)

    found = read(History())
    assert [m.id for m in found.migrations] == [FOUND - 2, FOUND - 3, FOUND - 4]
    assert asked == ["s2", "s3", "s4"]
    read(found.history)
    assert asked == ["s2"]
    read(History())
    assert asked == ["s2", "s3", "s4"]


@pytest.mark.field_case("D3")
@pytest.mark.parametrize(
    ("actions", "by_user"),
    [
        ([("stop", 5, "its-owner")], True),
        ([("stop", 5, None)], False),
        ([("stop", -5, "its-owner")], False),
        ([("stop", 5, "its-owner"), ("start", 9, "its-owner"), ("stop", 99, None)], False),
    ],
)
@pytest.mark.parametrize("skew", [-3600, 0, 3600])
def test_who_stopped_a_guest_is_told_by_novas_own_times(
    actions: list[tuple[str, float, str | None]], by_user: bool, skew: float
) -> None:
    """The operator's clock may be off, and what was asked for before the try says nothing."""
    cut = migration(status_="error")
    rows = [
        {
            "action": name,
            "request_id": "req-1",
            "user_id": user,
            "start_time": (cut.created + timedelta(seconds=after)).isoformat(),
        }
        for name, after, user in actions
    ]
    ran = drain(record=begun(tries={"s1": tried("ACTIVE", seconds_ago=30 + skew)}))
    there = Cloud(Wire(lambda *_: {"instanceActions": rows}))
    found = read_guests(there, ran, observed([server("s1", "SHUTOFF")], [cut]))
    assert found.stopped_by_user == (frozenset({"s1"}) if by_user else frozenset())


UNREAD = answer(500, {"computeFault": {"code": 500, "message": "no reply"}})


@pytest.mark.field_case("F16")
@pytest.mark.promise("never-11")
def test_who_stopped_a_guest_where_nova_does_not_tell_is_not_known_to_be_its_user() -> None:
    """It stays where it is, and no other server waits for that."""
    ran = drain(record=begun(tries={"s1": tried("ACTIVE")}))
    look = observed([server("s1", "SHUTOFF"), server("s2")], [migration(status_="error")])
    found = read_guests(Cloud(Wire(lambda *_: UNREAD)), ran, look)
    assert found.stopped_by_user == frozenset()
    assert was_left_off(ran, found, found.servers[0])


@pytest.mark.field_case("F16", "F25")
@pytest.mark.promise("never-11")
def test_who_confirmed_a_move_is_read_again_where_nova_does_not_tell() -> None:
    ours = [migration(FOUND + n, "confirmed", f"s{n}") for n in range(1, 9)]
    look = observed(migrations=ours, first_seen={(m.id, "finished"): ago(9) for m in ours})
    wire = Wire(lambda *_: UNREAD)
    first = read_ended(Cloud(wire), drain(), look)
    assert first.history.unread_confirms == {m.id for m in ours}
    assert len(wire.sent) < len(ours)  # each may take the whole time that a request may take
    told = {"action": "confirmResize", "request_id": "req-1", "start_time": NOW.isoformat()}
    second = read_ended(
        Cloud(Wire(lambda *_: {"instanceActions": [told | {"user_id": None}]})),
        drain(),
        replace(first, first_seen={}),
    )
    assert {each.server_id for each in second.history.foreign_confirms} == {
        m.server_id for m in ours
    }
    assert not second.history.unread_confirms


FULL, ROOT, BUILD = f"{HOST}.example.org", str(UUID(int=7)), str(UUID(int=8))


def of_an_empty_host(listed: str | None, known: str | None = None) -> Observation:
    """Placement holds a build on its hypervisor FULL. `listed`: the name that Nova shows for it,
    `known`: as whose it is in the status.
    """
    row = {"hypervisor_hostname": listed, "service": {"host": HOST}}
    answers: dict[str, Any] = {
        "/os-services": {"services": [{"id": "svc-1", "host": HOST, "status": "disabled"}]},
        "/servers/detail": {"servers": []},
        "/os-migrations": {"migrations": []},
        "/os-hypervisors/detail": {"hypervisors": [row] if listed else []},
        f"/resource_providers/{ROOT}/allocations": {"allocations": {BUILD: {}}},
    }

    def reply(_: Any, __: Any, path: str, query: Any, *___: Any) -> Any:
        if path == "/resource_providers":
            held = dict(query) in ({"name": FULL}, {"in_tree": ROOT})
            return {"resource_providers": [{"uuid": ROOT, "name": FULL}] if held else []}
        return answers[path]

    return observe(Cloud(Wire(reply)), drain(record=begun(node=known)), History(), NOW, NEVER_SET)


@pytest.mark.promise("never-4", "always-6")
@pytest.mark.parametrize("known", [FULL, HOST, None])
def test_placement_is_asked_by_the_name_that_nova_lists(known: str | None) -> None:
    """When the drain began it was taken for another one, or Nova did not list the host yet."""
    found = of_an_empty_host(FULL, known)
    assert found.proof is not None
    assert found.proof.consumers == frozenset({BUILD})
    assert decided(found, record=begun(node=known)).record.node == FULL


@pytest.mark.promise("never-4", "always-6")
@pytest.mark.parametrize("known", [HOST, None])
def test_what_placement_holds_under_a_name_that_nobody_knows_is_no_proof(known: str | None) -> None:
    found = replace(of_an_empty_host(None, known), clean_since=ago(60))
    proof = decided(found, record=begun(node=known)).proof
    assert not proof.complete
    assert "discover_hosts" in str(proof.against)


def test_a_provider_that_was_deleted_is_no_proof_either() -> None:
    """A host whose nova-compute is registered has one."""
    found = of_an_empty_host(HOST, HOST)
    assert found.proof is not None
    assert found.proof.unproven == (f"placement has no resource provider named {HOST}",)


def test_a_host_that_was_registered_after_hypervisors_were_listed_is_found() -> None:
    listed: list[Any] = []
    service = {"id": "svc-1", "host": HOST, "status": "enabled"}
    answers: dict[str, Any] = {
        "/os-services": {"services": [service]},
        "/os-migrations": {"migrations": []},
        "/os-aggregates": {"aggregates": []},
        "/os-hypervisors/detail": {"hypervisors": listed},
    }
    there = Cloud(Wire(lambda _, __, path, *___: answers[path]))
    assert not there.hypervisors()
    listed.append({"hypervisor_hostname": FULL, "service": {"host": HOST}})
    assert observe(there, drain(record=Record()), History(), NOW, NEVER_SET).node == FULL


def test_two_services_of_one_name_are_refused_before_anything_is_written() -> None:
    """Two cells have one each; one of them would be disabled, and the servers of both moved."""
    one = {"id": "svc-1", "host": HOST, "status": "enabled"}
    answers: dict[str, Any] = {
        "/os-services": {"services": [one, one | {"id": "svc-2"}]},
        "/os-migrations": {"migrations": []},
        "/os-aggregates": {"aggregates": []},
        "/os-hypervisors/detail": {"hypervisors": []},
    }
    there = Cloud(Wire(lambda _, __, path, *___: answers[path]))
    with pytest.raises(HostNotSupported, match=r"two cells .* Delete this drain"):
        observe(there, drain(record=Record()), History(), NOW, NEVER_SET)


@pytest.mark.promise("always-8")
def test_aggregates_are_of_the_present_when_the_host_rejoins_them() -> None:
    """One that it has just joined is not joined again, nor one that it was taken out of."""
    members: list[str] = []
    answers: dict[str, Any] = {
        "/os-services": {"services": [{"id": "svc-2", "host": HOST, "status": "disabled"}]},
        "/servers/detail": {"servers": []},
        "/os-migrations": {"migrations": []},
        "/os-aggregates": {"aggregates": [{"id": 1, "name": "ssd", "hosts": members}]},
    }
    there = Cloud(Wire(lambda _, __, path, *___: answers[path]), lambda: 5.0)
    restoring = drain(record=begun(), deleting=True)
    found = [observe(there, restoring, History(), NOW, NEVER_SET).aggregates]
    members.append(HOST)
    found.append(observe(there, restoring, History(), NOW, NEVER_SET).aggregates)
    assert [each and each[0].hosts for each in found] == [(), (HOST,)]


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
