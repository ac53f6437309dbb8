"""A keyring from tick to tick, on the shared skeleton; hosts are disks that carry out changes."""

import threading
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from tests.harness.inprocess import Boundary, MemoryEvents, MemoryStore
from tests.harness.shelf import CLOUD_CREDENTIALS, HOST_LOGIN, Shelf
from tests.unit.drain.build import NOW
from tests.unit.keyring.build import OLD, Disk
from tests.unit.keyring.test_observe import UP, Nova

from quiesce.api.annotations import KEYRING_FINALIZER
from quiesce.api.keyring.status import KeyringRecord
from quiesce.keyring.act import VisitOrder
from quiesce.keyring.decide import changes, removals
from quiesce.keyring.model import HostFailure, Identity, PathCheck, VisitResult
from quiesce.keyring.reconcile import Keyrings
from quiesce.kube.resource import Key, Resource
from quiesce.openstack.session import Clouds
from quiesce.runtime.kinds import Context
from quiesce.runtime.reconciler import ResourceReconciler
from quiesce.settings import Settings

KEY = Key("openstack", "cold")


def disk() -> Disk:
    """A host with nothing of the keyring, whose files will bear its mark."""
    return Disk(identity=Identity.of(KEY.namespace, KEY.name, f"uid-{KEY.name}-0000"))


class Objects(MemoryStore):
    def remove_finalizer(self, resource: Resource) -> None:
        del self.objects[resource.key]


@dataclass
class World:
    """Two hosts, and a keyring of them."""

    spec: dict[str, Any] = field(default_factory=dict)
    disks: dict[str, Disk] = field(default_factory=lambda: {"cmp1": disk(), "cmp2": disk()})
    down: set[str] = field(default_factory=set)
    bug: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.store, self.events, self.shelf = Objects(Boundary()), MemoryEvents(), Shelf()
        self.shelf.put("login", {"ssh-privatekey": OLD.private.encode()}, HOST_LOGIN)
        self.shelf.put("openstack-clouds", {}, CLOUD_CREDENTIALS)
        access = {"privateKeySecretRef": {"name": "login"}, "trustOnFirstUse": True}
        self.store.put(KEY, {"hostAccess": access, **self.spec}, NOW)
        self.store.objects[KEY]["metadata"]["finalizers"] = [KEYRING_FINALIZER]
        self.nova = Nova({"cmp1": UP, "cmp2": UP})
        clouds = cast("Clouds", self.nova)
        context = Context(Settings(), self.store, self.shelf, self.events, {}, clouds)  # type: ignore[arg-type]
        self.keyrings = Keyrings(context, visit=self.visit)
        self.reconciler = ResourceReconciler(context, self.keyrings)

    def visit(self, order: VisitOrder, timeout: float) -> VisitResult:
        if self.bug:
            raise ZeroDivisionError("a bug")
        name = order.target.name
        if name in self.down:
            return VisitResult(failure=HostFailure("Timeout", f"{name} does not answer", False))
        if not order.pinned:
            return VisitResult(presented=OLD.public)
        with self.lock:
            disk = self.disks[name]
            todo = (
                changes(order.desired, disk.seen)
                if order.desired
                else removals(order.layout, disk.seen)
            )
            for change in todo:
                disk.do(change)
            checks = tuple((target.name, PathCheck()) for target in order.targets)
            done = tuple(change.what for change in todo)
            removed = order.desired is None
            return VisitResult(disk.seen, None, done, checks, removed=removed)

    def tick(self, times: int = 1) -> float | None:
        wait = None
        for _ in range(times):
            wait = self.reconciler.reconcile(KEY)
        return wait

    @property
    def record(self) -> KeyringRecord:
        return KeyringRecord.read(self.store.objects[KEY]["status"])

    def message(self, reason: str) -> str:
        """Of the last event with this reason."""
        return [message for found, message in self.events.emitted if found == reason][-1]

    @property
    def told(self) -> list[str]:
        return [reason for reason, _ in self.events.emitted]


def test_from_nothing_to_ready() -> None:
    world = World()
    assert world.tick() == 0.0, "the keys that hosts present are pinned before anything is sent"
    assert world.told == ["KeyGenerated", "HostKeyTrusted", "HostKeyTrusted"]
    world.tick(3)
    assert world.record.ready == ("True", "Proven")
    assert world.record.status.proven_hosts == ("cmp1", "cmp2")
    writes = world.store.writes
    assert (world.tick() or 0) >= 1
    assert world.store.writes == writes, "an unchanged keyring writes nothing"


def test_what_somebody_broke_is_repaired_on_request_and_told() -> None:
    world = World()
    world.tick(4)
    disk = world.disks["cmp1"]
    disk.seen = Disk().seen
    world.store.objects[KEY]["metadata"]["annotations"]["quiesce.dev/requestedAt"] = "now"
    world.tick(2)
    assert "HostsRepaired" in world.told
    assert disk.seen == world.disks["cmp2"].seen


def test_a_deleted_keyring_removes_everything_then_goes() -> None:
    world = World()
    world.tick(4)
    world.store.delete(KEY)
    world.tick(2)
    assert KEY not in world.store.objects
    assert world.told[-1] == "KeysRemoved"
    assert [each.seen for each in world.disks.values()] == [Disk().seen] * 2
    assert world.keyrings.fleets == {}


def test_a_deleted_keyring_waits_for_a_host_that_is_down_unless_it_is_abandoned() -> None:
    world = World()
    world.tick(4)
    world.down = {"cmp2"}
    world.store.delete(KEY)
    world.tick(2)
    assert "1 of 2 hosts done" in world.record.status.message
    assert [row.host for row in world.record.status.problems] == ["cmp2"]
    world.store.objects[KEY]["metadata"]["annotations"]["quiesce.dev/abandon"] = "true"
    assert world.tick() is None
    assert KEY not in world.store.objects
    assert world.told[-1] == "Abandoned"


@pytest.mark.parametrize("installed", [True, False])
def test_leave_or_nothing_installed_means_no_visit(*, installed: bool) -> None:
    world = World({"onDelete": "Leave"} if installed else {})
    world.tick(4 if installed else 0)
    world.down = {"cmp1", "cmp2"}
    world.store.delete(KEY)
    assert world.tick() is None
    assert KEY not in world.store.objects


def test_a_missing_secret_is_a_problem_of_the_whole_keyring_and_keeps_what_is_known() -> None:
    world = World()
    world.tick(4)
    world.shelf.drop("login")
    assert world.tick() == 15.0
    assert world.record.ready == ("False", "BadHostAccess")
    assert world.record.status.proven_hosts == ("cmp1", "cmp2")
    world.shelf.put("login", {"ssh-privatekey": OLD.private.encode()}, HOST_LOGIN)
    world.tick()
    assert world.record.ready == ("True", "Proven")


def test_a_bug_in_a_visit_is_a_failure_of_that_host_with_a_reference() -> None:
    world = World()
    world.tick(4)
    world.bug = True
    world.store.objects[KEY]["metadata"]["annotations"]["quiesce.dev/requestedAt"] = "now"
    world.tick()
    rows = world.record.status.problems
    assert {row.reason for row in rows} == {"InternalError"}
    assert "search its log for" in rows[0].message


# Deletion that tells what may be left behind


@pytest.mark.finding("H5")
def test_secrets_survive_foreground_deletion_until_everything_is_removed() -> None:
    world = World()
    world.tick(4)
    uid = world.store.objects[KEY]["metadata"]["uid"]
    world.store.delete(KEY)
    world.shelf.collect(uid)  # dependents go first
    assert {"cold-migration-key", "cold-keyring-state"} <= set(world.shelf.held)
    world.tick(2)
    assert KEY not in world.store.objects
    assert [disk.seen for disk in world.disks.values()] == [Disk().seen] * 2
    world.shelf.collect(uid)
    assert set(world.shelf.held) == {"login", "openstack-clouds"}, "last, they go as well"


@pytest.mark.finding("H5")
def test_a_state_secret_that_is_gone_does_not_mean_that_nothing_is_installed() -> None:
    world = World()
    world.tick(4)
    world.shelf.drop("cold-keyring-state")
    world.store.delete(KEY)
    world.tick(4)
    assert KEY not in world.store.objects
    assert [disk.seen for disk in world.disks.values()] == [Disk().seen] * 2
    assert "StateLost" in world.told
    assert world.told.count("StateLost") == 1
    assert "cold-keyring-state was deleted" in world.message("StateLost")


@pytest.mark.finding("H5")
@pytest.mark.parametrize("gone", ["login", "openstack-clouds"])
def test_what_removal_needs_is_gone_so_the_hosts_with_keys_are_named(gone: str) -> None:
    """As with the deletion of a namespace, whose Secrets all go at once."""
    world = World()
    world.tick(4)
    for name in list(world.shelf.held):
        if name in (gone, "cold-keyring-state", "cold-migration-key"):
            world.shelf.drop(name)
    world.store.delete(KEY)
    world.tick(3)
    assert KEY in world.store.objects
    left = world.message("KeysLeft")
    assert "2 hosts (cmp1, cmp2)" in left
    assert "quiesce:openstack/cold" in left, "how to remove them by hand"
    assert world.told.count("KeysLeft") == 1, "once"
    status = world.record.status
    assert "keys stay on 2 hosts (cmp1, cmp2)" in status.message
    assert "quiesce.dev/abandon=true" in status.message


@pytest.mark.finding("H5")
def test_an_abandoned_keyring_names_the_hosts_that_still_have_keys() -> None:
    world = World()
    world.tick(4)
    world.down = {"cmp2"}
    world.store.delete(KEY)
    world.tick(2)
    world.store.objects[KEY]["metadata"]["annotations"]["quiesce.dev/abandon"] = "true"
    world.tick()
    assert "1 host (cmp2)" in world.message("Abandoned")


@pytest.mark.finding("H5")
def test_a_cloud_that_lists_no_host_any_more_is_no_proof_that_nothing_is_left() -> None:
    world = World()
    world.tick(4)
    world.nova.rows = {}
    world.store.delete(KEY)
    world.tick(2)
    assert KEY not in world.store.objects
    assert world.told[-1] == "KeysLeft"
    assert "2 hosts (cmp1, cmp2)" in world.message("KeysLeft")


@pytest.mark.finding("H5")
def test_a_host_that_was_excluded_since_is_named() -> None:
    world = World()
    world.tick(4)
    world.store.edit(KEY, lambda spec: spec.update(hosts={"exclude": ["cmp2"]}))
    world.store.delete(KEY)
    world.tick(2)
    assert world.told[-2:] == ["KeysLeft", "KeysRemoved"]
    assert "1 host (cmp2)" in world.message("KeysLeft")


@pytest.mark.finding("H5")
def test_leave_says_where_everything_stays() -> None:
    world = World({"onDelete": "Leave"})
    world.tick(4)
    world.store.delete(KEY)
    world.tick()
    assert "2 hosts (cmp1, cmp2)" in world.message("KeysKept")


@pytest.mark.finding("H5", "M3")
def test_a_keyring_that_never_installed_anything_is_free_to_go() -> None:
    world = World()
    world.shelf.put("cold-keyring-state", {"precious": b"1"})
    assert world.tick() == 15.0
    assert world.record.ready == ("False", "ForeignSecret")
    world.store.delete(KEY)
    world.tick()
    assert KEY not in world.store.objects
    assert world.shelf.held["cold-keyring-state"] == {"precious": b"1"}
