"""A drained host is looked at less and less often; what happens to it is noticed as before."""

from collections.abc import Callable
from typing import Any

import pytest

from quiesce.api.errors import CloudUnreachable
from quiesce.drain.rest import APART, LONGEST, WATCHED, Rest, Rests
from quiesce.kube.resource import Key, Resource
from quiesce.openstack.changes import REST, Changes
from quiesce.openstack.cloud import Cloud
from quiesce.ops.metrics import REGISTRY
from tests.beds.sim.records import Server
from tests.harness.fleet import Fleet
from tests.harness.inprocess import MemorySecrets
from tests.harness.world import HOST
from tests.model.test_scenarios import drain, ended, servers
from tests.model.world import World

LOOK = "GET /servers/detail host"
SOON = 30.0
"""Seconds: two ticks at rest, and the age of what they read."""


def at_rest(**spec: Any) -> World:
    """A drained host that nothing has happened to for half an hour."""
    world = drain("active", **spec)
    world.until(lambda: ended(world))
    began = world.model.clock.now()
    world.until(lambda: world.model.clock.now() - began > 1800)
    return world


def within(world: World, condition: Callable[[], bool], seconds: float = SOON) -> None:
    began = world.model.clock.now()
    world.until(condition)
    assert world.model.clock.now() - began <= seconds


def many_at_rest(hosts: int) -> Fleet:
    """Drained, and nothing has happened for half an hour; no request is counted so far."""
    fleet = Fleet(hosts, servers=1, seconds=2)
    while fleet.moved < hosts:
        fleet.run(5)
    fleet.run(1800)
    fleet.made.clear()
    return fleet


@pytest.mark.parametrize("hosts", [1, 10, 40])
def test_many_drained_hosts_cost_as_little_as_one(hosts: int) -> None:
    fleet = many_at_rest(hosts)
    fleet.run(1800)
    assert fleet.made.total() / 30 <= 10, fleet.made


def test_of_many_drained_hosts_few_ticks_read_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or a thousand of them take half a core, and as much of the API server."""
    fleet, read = many_at_rest(40), list[str]()
    get = MemorySecrets.recent

    def counted(*args: Any) -> Any:
        read.append("a Secret")
        return get(*args)

    monkeypatch.setattr(MemorySecrets, "recent", counted)
    fleet.run(600)
    assert 10 <= len(read) <= 160, "of 800 ticks"


def measured(name: str, of: str) -> float:
    labels = {"namespace": "openstack", "name": of}
    found = REGISTRY.get_sample_value(f"quiesce_drain_{name}_timestamp_seconds", labels)
    assert found is not None
    return found


def test_a_host_at_rest_is_not_taken_for_one_whose_cloud_does_not_answer() -> None:
    """The alert QuiesceCloudUnreachable: nothing was read for ten minutes."""
    fleet = many_at_rest(3)
    now = fleet.model.clock.now()
    assert all(now - measured("last_read", host) <= 60 for host in fleet.hosts)


def test_a_drain_that_waits_for_others_is_not_taken_for_one_that_gets_nowhere() -> None:
    """The alert QuiesceDrainNoProgress: no server has left for an hour and more."""
    fleet = Fleet(3, servers=8, seconds=600, max_moves=1)
    fleet.run(4000)
    assert fleet.moved < 8, "no drain is done, and two wait"
    told = [each["status"]["message"] for each in fleet.store.objects.values()]
    assert sum("--max-moves" in message for message in told) == 2, told
    now = fleet.model.clock.now()
    assert all(now - measured("last_progress", host) <= 1200 for host in fleet.hosts)
    assert all(now - measured("last_read", host) <= 60 for host in fleet.hosts)


def test_a_change_that_is_seen_while_a_tick_ends_is_not_slept_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = drain("active")
    world.until(lambda: ended(world))
    note, rested = Rests.note, list[Rest | None]()

    def overtaken(rests: Rests, resource: Resource, *args: Any) -> None:
        metadata = {**resource.raw["metadata"], "resourceVersion": "new"}
        rests.see(Resource({**resource.raw, "metadata": metadata}))
        note(rests, resource, *args)
        rested.append(rests.unchanged(resource.key))

    monkeypatch.setattr(Rests, "note", overtaken)
    for _ in range(5):
        world.tick()
    assert rested and set(rested) == {None}


def test_drains_that_wait_for_others_to_move_cost_little_and_leave_no_slot_unused() -> None:
    """`--max-moves`: of thirty drains two move at a time."""
    fleet = Fleet(30, servers=4, seconds=20, max_moves=4, parallel=2)
    fleet.run(60)
    fleet.made.clear()
    moved = fleet.moved
    fleet.run(240)
    moves = fleet.moved - moved
    assert moves >= 0.75 * 240 * 4 / 20
    assert fleet.made[LOOK] <= 4 * moves, "those of drains that move, and no more"


def waiting() -> tuple[Fleet, list[Server]]:
    """A drain that waits for hours for the moves of another, and its servers."""
    fleet = Fleet(4, servers=2, seconds=4 * 3600, max_moves=1, parallel=1)
    fleet.run(3)
    moving = {fleet.model.state.servers[m.server].host for m in fleet.model.state.migrations}
    host = next(each for each in fleet.hosts if each not in moving)
    return fleet, [s for s in fleet.model.state.servers.values() if s.host == host]


def is_empty_soon(fleet: Fleet, host: str) -> bool:
    fleet.run(180)
    status = fleet.store.objects[Key("openstack", host)]["status"]
    return any(c["type"] == "Drained" and c["status"] == "True" for c in status["conditions"])


@pytest.mark.parametrize("seconds", range(0, 12, 2))
def test_that_servers_leave_a_drain_that_waits_is_noticed(seconds: int) -> None:
    """Also where they leave between the list of them and a poll."""
    fleet, mine = waiting()
    host = str(mine[0].host)
    fleet.run(seconds)
    for server in mine:
        fleet.model.guests.delete(fleet.model.as_user("demo"), server.id)
    assert is_empty_soon(fleet, host)


def test_that_servers_are_shelved_away_from_a_drain_that_waits_is_noticed() -> None:
    """Between two reads of what has changed: they have no host any more."""
    fleet, mine = waiting()
    host = str(mine[0].host)
    fleet.run(3600)
    changes = fleet.actuator.context.clouds.cloud._server_changes  # type: ignore[attr-defined]
    while changes._known is None or fleet.model.clock.now() - changes._known.read > 2:
        fleet.run(1)
    for server in mine:
        fleet.model.guests.act(fleet.model.as_user("demo"), server.id, "shelve")
    fleet.run(4)
    for server in mine:
        fleet.model.guests.shelve_offload(fleet.model.as_user("admin"), server.id)
    assert is_empty_soon(fleet, host)


def test_in_a_cloud_that_has_never_seen_a_migration_drains_rest_as_well() -> None:
    fleet = Fleet(10, servers=0, seconds=2)
    fleet.run(1800)
    fleet.made.clear()
    fleet.run(600)
    assert fleet.made.total() / 10 <= 10, fleet.made


def test_a_list_that_is_older_than_the_watch_hides_no_change() -> None:
    """Each object's version is a number that grows (Kubernetes since 1.35 says so)."""
    seen: list[str] = []
    rests = Rests(lambda: 0.0)
    for version in ("7", "10", "9", "11"):
        metadata = {"namespace": "ns", "name": "a", "resourceVersion": version}
        rests.see(Resource({"metadata": metadata}))
        seen.append(rests._shown[Key("ns", "a")][0])
    assert seen == ["7", "10", "10", "11"]


def test_nothing_is_kept_of_what_is_gone() -> None:
    """The watch tells of it once more after the drain has let it go."""
    rests, key = Rests(lambda: 0.0), Key("ns", "a")
    metadata = {"namespace": "ns", "name": "a", "resourceVersion": "7"}
    rests.see(Resource({"metadata": metadata}))
    rests.forget(key)
    rests.see(Resource({"metadata": metadata | {"resourceVersion": "8"}}), gone=True)
    assert key not in rests._shown


def test_where_changes_of_servers_are_not_known_each_host_is_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As without `changes-since`, and no more often."""
    monkeypatch.setattr(Cloud, "server_changed", lambda *_, **__: None)
    hosts = 10
    fleet = many_at_rest(hosts)
    fleet.run(1.3 * LONGEST)
    assert hosts <= fleet.made[LOOK] <= 2 * hosts


def test_after_an_outage_hosts_are_looked_at_soon_and_not_all_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hosts = 40
    fleet = many_at_rest(hosts)
    fleet.run(1800)
    fleet.made.clear()
    send = fleet.api._send

    def refuse_changes(*args: Any, **options: Any) -> Any:
        if "changes-since" in dict(options.get("query", ())):
            raise CloudUnreachable("503")
        return send(*args, **options)

    with monkeypatch.context() as outage:
        outage.setattr(fleet.api, "_send", refuse_changes)
        fleet.run(2 * SOON)
    assert fleet.made[LOOK] <= hosts
    fleet.run(REST + APART * hosts + SOON)
    assert hosts <= fleet.made[LOOK] <= 3 * hosts
    fleet.made.clear()
    fleet.run(600)
    assert fleet.made.total() / 10 <= 15


def test_a_service_that_somebody_enables_is_disabled_again() -> None:
    world = at_rest()
    world.disable("")
    service = world.model.service(HOST)
    assert service is not None
    within(world, lambda: service.disabled)


def send_a_server_there(world: World) -> Server:
    """While its service is enabled, between two ticks."""
    service, late = world.model.service(HOST), servers(world)[0]
    assert service is not None
    reason = service.disabled_reason
    world.disable("")
    world.do("migrate here", late)
    world.model.clock.advance(8)
    world.disable(reason)
    assert late.host == HOST
    return late


def test_a_server_that_was_sent_there_is_moved_off() -> None:
    world = at_rest()
    late = send_a_server_there(world)
    world.do("confirm", late)
    within(world, lambda: late.host != HOST, 2 * SOON)


def test_a_nova_compute_that_stops_is_noticed() -> None:
    world = at_rest()
    world.model.kill_compute(HOST)
    within(world, lambda: world.model.service(HOST) is None, 60 + SOON)


def test_a_changed_spec_is_acted_upon_in_the_next_tick() -> None:
    world = at_rest()
    world.edit(lambda spec: spec.update(service={"afterDrain": "KeepDisabled"}))
    world.reconcile_once()
    assert world.condition("Ready")["reason"] == "Drained"


def test_a_wrong_answer_that_nothing_has_changed_only_delays_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = at_rest()
    monkeypatch.setattr(Changes, "since", lambda *_, **__: False)
    late = send_a_server_there(world)
    world.do("confirm", late)
    within(world, lambda: late.host != HOST, 1.2 * WATCHED + SOON)


def test_a_server_that_is_built_there_is_moved_off() -> None:
    """It has no migration: a nova-compute that was down when it was disabled is offered it."""
    world = at_rest()
    late = world.model.boot("late", host=HOST)
    within(world, lambda: late.host != HOST, 4 * SOON)
