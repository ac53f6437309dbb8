"""Histories with guests that only their owner can start, and with refusals, on the model of Nova.

Each has a mutant: the operator with the behavior broken on purpose, which the history must notice.
"""

from collections.abc import Callable
from typing import Any

import pytest

from quiesce.drain import reconcile
from quiesce.drain.act import servers as act_servers
from quiesce.drain.decide import obstacles, outcome, rules, service
from quiesce.drain.model.history import Refusal
from quiesce.drain.observe import host as observes
from quiesce.openstack.errors import Forbidden
from quiesce.openstack.records import Server as Row
from tests.beds.sim.model import Cloud as Model
from tests.beds.sim.records import Project, Server
from tests.beds.sim.state import Config
from tests.harness.inprocess import KEY
from tests.harness.world import HOST
from tests.model.test_mutants import Patch, answer, both, rule_out, wrap
from tests.model.world import HOSTS, World

Story = Callable[[], None]
TPM = {"hw:tpm_version": "2.0"}
METHODS = ("Cold", "Live", "LiveThenCold")


def world(config: Config | None = None) -> World:
    return World(Model(HOSTS, seed=1, config=config or Config()))


def drained(there: World, method: str, *guests: Server, **spec: Any) -> None:
    """All others have left; the guests stand as they were, on the host, and never went down."""
    before = [(g.vm_state, g.power_state) for g in guests]
    there.boot("other")
    there.apply(method, **spec)
    other = next(s for s in there.model.state.servers.values() if s.name == "other")
    there.until(lambda: other.host != HOST and other.task_state is None)
    there.rest()
    assert [(g.vm_state, g.power_state) for g in guests] == before
    assert {g.host for g in guests} <= {HOST}


def reasons(there: World) -> dict[str, str]:
    return {row["name"]: row["reason"] for row in there.status["problems"]}


# F5, F6, F11


@pytest.mark.field_case("F5")
@pytest.mark.promise("always-3", "never-8")
@pytest.mark.parametrize("state", ["active", "stopped", "suspended"])
@pytest.mark.parametrize("method", METHODS)
def test_a_tpm_of_its_owner_stays_as_it_is(method: str, state: str) -> None:
    tpm_stays(method, state)


def tpm_stays(method: str = "LiveThenCold", state: str = "active") -> None:
    there = world()
    guest = there.boot("tpm", state=state)
    there.model.set_extra_specs(guest, TPM)
    drained(there, method, guest, servers={"suspended": "Resume"})
    assert reasons(there) == {"tpm": "VirtualTPM"}
    assert there.actions(guest.id) == []


@pytest.mark.field_case("F5")
@pytest.mark.parametrize(
    ("mode", "method", "moves"),
    [
        ("host", "Cold", []),
        ("host", "Live", ["live-migration"]),
        ("host", "LiveThenCold", ["live-migration"]),
        ("deployment", "Cold", ["migrate", "confirmResize"]),
        ("deployment", "LiveThenCold", ["migrate", "confirmResize"]),  # Nova 34 rejects it live
    ],
)
def test_the_mode_of_a_tpm_decides_how_it_leaves(mode: str, method: str, moves: list[str]) -> None:
    there = world()
    guest = there.boot("tpm")
    there.model.set_extra_specs(guest, TPM | {"hw:tpm_secret_security": mode})
    there.apply(method)
    there.rest()
    assert there.actions(guest.id) == moves
    assert guest.vm_state == "active"
    assert (guest.host != HOST) == bool(moves)


@pytest.mark.field_case("F6")
@pytest.mark.promise("always-3")
@pytest.mark.parametrize("state", ["active", "stopped"])
@pytest.mark.parametrize("method", METHODS)
def test_encrypted_volumes_are_never_moved_cold(method: str, state: str) -> None:
    encrypted_stays(method, state)


def encrypted_stays(method: str = "LiveThenCold", state: str = "active") -> None:
    there = world()
    guest = there.boot("db", state=state)
    there.model.attach_volume(guest, encrypted=True)
    drained(there, method, guest)
    live = method != "Cold" and state == "active"
    assert reasons(there) == {"db": "LiveMigrationFailed" if live else "EncryptedVolumes"}
    assert set(there.actions(guest.id)) == ({"live-migration"} if live else set())


@pytest.mark.field_case("F6")
def test_a_plan_names_them_before_anything_is_written() -> None:
    there = world()
    guest = there.boot("db")
    volume = there.model.attach_volume(guest, encrypted=True)
    there.boot("plain")
    there.apply("Cold", mode="Plan")
    there.run(3)
    rows = {row["reason"]: row for row in there.status["plan"]["reasons"]}
    assert rows["EncryptedVolumes"]["count"] == 1
    assert volume.id in rows["EncryptedVolumes"]["message"]
    assert there.status["plan"]["cold"] == 1


@pytest.mark.field_case("F6")
def test_without_cinder_it_is_said_what_is_not_known() -> None:
    there = World(Model(HOSTS, seed=1), absent=("block_storage",))
    guest = there.boot("db")
    there.model.attach_volume(guest)
    there.apply("Cold", mode="Plan")
    there.run(3)
    (row,) = there.status["plan"]["reasons"]
    assert (row["reason"], row["count"]) == ("VolumesNotRead", 1)
    assert "no block storage service" in row["message"]


@pytest.mark.field_case("F6")
def test_while_cinder_is_down_nobody_with_volumes_is_stopped() -> None:
    cinder_is_down()


@pytest.mark.promise("never-11")
def test_a_volume_that_cinder_cannot_show_holds_up_no_other_server() -> None:
    there = world()
    waits, moves = there.boot("db"), there.boot("web")
    volume = there.model.attach_volume(waits)
    there.model.attach_volume(moves)
    there.broken[f"/volumes/{volume.id}"] = "503"
    drained(there, "Cold", waits)
    assert there.actions(waits.id) == []
    assert moves.host != HOST


def cinder_is_down() -> None:
    there = world()
    guest = there.boot("db")
    volume = there.model.attach_volume(guest)
    there.broken[f"/volumes/{volume.id}"] = "503"
    drained(there, "Cold", guest)
    assert there.actions(guest.id) == []
    there.broken.clear()
    there.until(lambda: guest.host != HOST and guest.task_state is None)


@pytest.mark.field_case("F6")
def test_where_the_spec_says_so_they_are_moved() -> None:
    there = world()
    guest = there.boot("db")
    there.model.attach_volume(guest, encrypted=True)
    guest.owner = there.model.state.users["quiesce"]  # its secret is in the operator's project
    there.apply("Cold", servers={"encryptedVolumes": "Move"})
    there.until(lambda: guest.host != HOST and guest.vm_state == "active")


@pytest.mark.field_case("F11")
@pytest.mark.parametrize("method", METHODS)
def test_an_accelerator_stays_and_the_way_out_works(method: str) -> None:
    there = world()
    guest = there.boot("gpu")
    there.model.set_extra_specs(guest, {"accel:device_profile": "gpu"})
    drained(there, method, guest)
    assert reasons(there) == {"gpu": "Accelerator"}
    assert there.actions(guest.id) == []
    there.bring(guest, "shelved")
    there.until(lambda: guest.host is None)
    there.until(lambda: there.is_true("Drained"))
    there.do("unshelve", guest)
    there.model.clock.advance(10)
    assert guest.vm_state == "active"
    assert guest.host != HOST


# F10, F12


def other_project(there: World, server: Server) -> None:
    user = there.model.add_user("other", Project("project-b", "b"), ("member",))
    server.owner = user


@pytest.mark.field_case("F10")
@pytest.mark.promise("never-11", "always-3")
def test_one_servers_403_holds_up_no_other() -> None:
    one_servers_403()


def one_servers_403() -> None:
    there = world(Config(before_xena=True))
    guest = there.boot("gpu")
    # Where the flavor does not tell, as with devices of ports, only Nova's answer does.
    there.model.set_extra_specs(guest, {"accel:device_profile": "gpu"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(obstacles, "has_accelerator", lambda _: False)
        drained(there, "Cold", guest, migration={"maxParallel": 1})
    assert reasons(there) == {"gpu": "Refused"}
    assert there.condition("Stalled")["reason"] == "Refused"


@pytest.mark.field_case("F10")
def test_a_403_for_servers_with_nothing_in_common_is_the_credentials() -> None:
    credentials_lack_a_permission()


def credentials_lack_a_permission() -> None:
    there = world()
    first, second = there.boot("a"), there.boot("b")
    other_project(there, second)
    for server in (first, second):
        there.broken[f"/servers/{server.id}/action"] = "403"
    there.apply("Cold")
    there.until(lambda: there.condition("Stalled").get("reason") == "NotAllowed")
    there.run(5)
    assert there.condition("Stalled").get("reason") == "NotAllowed"
    there.broken.clear()
    there.until(lambda: there.is_true("Drained"))


@pytest.mark.field_case("F12")
@pytest.mark.parametrize("method", ["Live", "LiveThenCold"])
def test_a_409_that_means_never(method: str) -> None:
    a_409_that_means_never(method)


def a_409_that_means_never(method: str = "LiveThenCold") -> None:
    there = world(Config(before_xena=True))
    guest = there.boot("sev")
    there.model.set_extra_specs(guest, {"hw:mem_encryption": "Yes"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(obstacles, "has_encrypted_memory", lambda _: False)
        there.apply(method)
        there.rest()
        if method == "Live":
            assert reasons(there) == {"sev": "Refused"}
            assert there.actions(guest.id) == []
        else:
            assert there.actions(guest.id) == ["migrate", "confirmResize"]
            assert there.is_true("Drained")


# F13, F22, F25, F29


@pytest.mark.field_case("F13")
def test_a_plan_goes_on_without_members_in_a_cell_that_is_down() -> None:
    there = world()
    here, away = there.boot("here"), there.boot("away", host="cmp2")
    there.group("anti-affinity", here, away)
    for compute in there.model.state.computes.values():
        compute.cell = "cell2" if compute.host == "cmp2" else "cell1"
    there.model.state.down_cells.add("cell2")
    there.apply("Cold", mode="Plan")
    there.run(3)
    rows = {row["reason"]: row for row in there.status["plan"]["reasons"]}
    assert there.status["phase"] == "Planned"
    assert there.status["plan"]["cold"] == 1
    assert rows["CellDown"]["count"] == 1
    assert away.id in rows["CellDown"]["message"]


@pytest.mark.field_case("F13")
@pytest.mark.promise("always-6")
def test_a_host_whose_cell_is_down_is_neither_empty_nor_a_defect() -> None:
    there = world()
    guest = there.boot("web")
    there.apply("Cold", mode="Plan")
    there.model.state.down_cells.add("cell1")
    there.run(3)
    rows = {row["reason"]: row for row in there.status["plan"]["reasons"]}
    assert "CellDown" in rows
    assert not there.is_true("Drained")
    assert not any("InternalError" in reason for reason, _ in there.events.emitted)
    there.model.state.down_cells.clear()
    there.edit(lambda spec: spec.update(mode="Drain"))
    there.until(lambda: guest.host != HOST and guest.task_state is None)


@pytest.mark.field_case("F22")
def test_no_host_in_other_words_is_tried_again_slowly() -> None:
    there = world(Config(migrate_max_retries=1))
    guest = there.boot("web")
    there.model.faults.set("check_can_live_migrate_destination", "fail:MigrationPreCheckError")
    there.apply("Live")
    there.until(lambda: there.status.get("phase") == "Stalled")
    assert reasons(there) == {"web": "NoCapacity"}
    there.model.faults.set("check_can_live_migrate_destination", "")
    there.model.clock.advance(700)
    there.until(lambda: guest.host != HOST and guest.task_state is None)


@pytest.mark.field_case("F25")
def test_a_confirm_by_nova_itself_is_told_once() -> None:
    nova_confirms_by_itself()


def nova_confirms_by_itself() -> None:
    there = world(Config(resize_confirm_window=20))
    guest = there.boot("web")
    there.apply("Cold", confirmation={"policy": "Manual"})
    there.until(lambda: guest.host != HOST and guest.vm_state == "active")
    there.rest()
    told = [message for reason, message in there.events.emitted if reason == "ConfirmedByNova"]
    assert len(told) == 1
    assert told[0].startswith("web: ")
    assert "resize_confirm_window" in told[0]


@pytest.mark.field_case("F16", "F25")
@pytest.mark.promise("never-11")
def test_a_confirm_of_which_nova_does_not_tell_the_user_holds_up_nobody() -> None:
    there = world()
    guest = there.boot("web")
    there.boot("other")
    there.apply("Cold", confirmation={"policy": "Manual"}, migration={"maxParallel": 1})
    there.until(lambda: guest.vm_state == "resized")
    there.broken[f"/servers/{guest.id}/os-instance-actions"] = "500 before"
    there.do("confirm", guest)
    other = next(s for s in there.model.state.servers.values() if s.name == "other")
    there.until(lambda: other.vm_state == "resized")
    there.broken.clear()
    there.rest()
    told = [reason for reason, _ in there.events.emitted if reason.startswith("Confirmed")]
    assert told == ["ConfirmedByOthers"]


@pytest.mark.field_case("F25")
def test_a_confirm_by_another_user_is_told_and_our_own_is_not() -> None:
    there = world()
    guest, ours = there.boot("web"), there.boot("ours")
    there.apply("Cold", confirmation={"policy": "Manual"})
    there.until(lambda: guest.vm_state == ours.vm_state == "resized")
    there.do("confirm", guest)
    decisions = [{"server": ours.id, "action": "Confirm"}]
    there.edit(lambda spec: spec["confirmation"].update(decisions=decisions))
    there.until(lambda: there.is_true("Drained"))
    told = [reason for reason, _ in there.events.emitted if reason.startswith("Confirmed")]
    assert told == ["ConfirmedByOthers"]


@pytest.mark.field_case("F25")
@pytest.mark.promise("always-2")
def test_a_confirm_before_a_restart_is_still_ours() -> None:
    there = world()
    guest = there.boot("web")
    there.apply("Cold")
    there.until(lambda: guest.vm_state == "resized")
    while not any(a.name == "confirmResize" for a in there.model.state.actions[guest.id]):
        there.reconcile_once()
    there.start()
    there.until(lambda: there.is_true("Drained"))
    assert not [reason for reason, _ in there.events.emitted if reason.startswith("Confirmed")]


@pytest.mark.field_case("F29")
@pytest.mark.promise("always-8")
def test_a_disable_of_novas_own_is_not_put_back() -> None:
    novas_own_disable()


def novas_own_disable() -> None:
    there = world()
    there.boot("web")
    there.disable("AUTO: Connection to libvirt lost: 1")
    there.apply("Cold", service={"afterDrain": "KeepDisabled"})
    there.until(lambda: there.is_true("Drained"))
    there.delete_drain()
    there.until(lambda: KEY not in there.store.objects)
    found = there.model.service(HOST)
    assert found is not None
    assert not found.disabled
    told = [message for reason, message in there.events.emitted if reason == "Restored"]
    assert "AUTO: Connection to libvirt lost: 1" in told[0]


# The tests of the tests


def every_403_is_the_credentials(original: Any, send: Any) -> Any:
    return send()


def by_the_code_alone(refusal: Refusal) -> bool:
    return refusal.status == 400


def volumes_are_plain(original: Any, cloud: Any, servers: tuple[Row, ...]) -> Any:
    return servers, ()


MUTANTS: dict[str, tuple[Patch, Story]] = {
    "moves guests whose secret belongs to the owner": (
        both(rule_out("cannot_be_moved"), answer(rules, "live_obstacle", None)),
        tpm_stays,
    ),
    "resumes a guest whose secret belongs to the owner": (
        rule_out("cannot_be_moved"),
        lambda: tpm_stays("Cold", "suspended"),
    ),
    "does not look at volumes": (
        wrap(observes, "read_volumes", volumes_are_plain),
        encrypted_stays,
    ),
    "moves encrypted volumes cold": (answer(rules, "cold_obstacle", None), encrypted_stays),
    "moves without an answer of Cinder": (answer(rules, "cold_obstacle", None), cinder_is_down),
    "takes one server's 403 for the credentials'": (
        wrap(act_servers, "_sent", every_403_is_the_credentials),
        one_servers_403,
    ),
    "never takes a 403 for the credentials'": (
        answer(outcome, "not_permitted", ""),
        credentials_lack_a_permission,
    ),
    "tells never from not now by the code": (
        lambda m: m.setattr(Refusal, "is_final", property(by_the_code_alone)),
        a_409_that_means_never,
    ),
    "does not notice who confirmed": (
        wrap(observes, "read_ended", lambda original, cloud, drain, seen: seen),
        nova_confirms_by_itself,
    ),
    "tells of no confirm": (answer(reconcile, "foreign_confirms", ()), nova_confirms_by_itself),
    "puts a disable of Nova's own back": (
        answer(service, "is_novas_own", False),
        novas_own_disable,
    ),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_broken_behavior_is_noticed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    patch, story = MUTANTS[name]
    patch(monkeypatch)
    with pytest.raises((AssertionError, KeyError, Forbidden)):
        story()
