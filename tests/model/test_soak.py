"""Drains come, change and go for hours while people act and calls fail: at the end nothing is left
of them, neither in the cloud nor in the operator. In virtual time; minutes by day, two hours by
night.
"""

import gc
import os
import random
import secrets
from collections import Counter
from contextlib import suppress
from typing import Any

import pytest

from quiesce.drain.reconcile import Drains
from quiesce.kube.resource import Key, Resource
from tests.beds.sim.errors import ApiError, ServerGoneError
from tests.beds.sim.records import Server
from tests.harness.fleet import TARGETS, Fleet
from tests.harness.inprocess import Json
from tests.model.nova import FAULTS, Fault

NIGHTLY = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"
DRAINS, SECONDS = (2000, 7200.0) if NIGHTLY else (100, 240.0)
HOSTS, SERVERS, MOVE = 24, 3, 5
MOST_DRAINED = 14  # the others take the servers
MOST = 4  # maxParallel
PEOPLE = ("os-stop", "os-start", "pause", "unpause", "resize", "delete", "lock", "unlock")
BREAKS = ("migrate_disk_and_power_off", "finish_migration", "live_migration", "pre_live_migration")
CALLS_FAIL = 0.01
RESTART_EVERY = 300.0
END_WITHIN = 60  # virtual minutes after everybody has stopped


class Soak(Fleet):
    """`applied_for`: drains so far. `wrong`: what was seen that must never be."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.calm = False
        self.applied_for = 0
        self.drains: dict[str, Key] = {}  # by host
        self.seen = 0
        self.wrong: list[str] = []
        super().__init__(HOSTS, SERVERS, MOVE)
        self.to_come = []
        self.next_drain = self.next_act = self.model.clock.now()
        self.next_restart = self.next_drain + RESTART_EVERY

    def _connect(self) -> None:
        """A new process of the operator: all resources are news to it."""
        super()._connect()
        self.api._fault = self._fault
        self.busy.clear()
        for key in self.store.objects:
            self._tell(key)

    def _fault(self, *_: str) -> Fault | None:
        fails = not self.calm and self.chance.random() < CALLS_FAIL
        return self.chance.choice(FAULTS) if fails else None

    def _tell(self, key: Key) -> None:
        if (resource := self.store.get(key)) is not None:
            self.newcomers.notice(resource)
        self.queue.add(key, news=True)

    def _apply_due(self) -> None:
        now = self.model.clock.now()
        self.drains = {host: key for host, key in self.drains.items() if key in self.store.objects}
        self._look()
        if self.calm:
            return
        if now >= self.next_drain:
            self.next_drain = now + self.chance.expovariate(DRAINS / SECONDS)
            self._change_drains()
        if now >= self.next_act:
            self.next_act = now + self.chance.expovariate(0.5)
            self._somebody_acts()
        if now >= self.next_restart:
            self.next_restart = now + RESTART_EVERY
            self._connect()

    def _change_drains(self) -> None:
        free = sorted(set(self.hosts) - self.drains.keys())
        if len(self.drains) < MOST_DRAINED:
            self._apply(self.chance.choice(free))
        for host, key in list(self.drains.items()):
            resource = self.store.get(key)
            if resource is not None and self._is_over(resource):
                self._delete(host)
        if self.store.objects and self.chance.random() < 0.3:
            key = self.chance.choice(sorted(self.store.objects))
            self.store.edit(key, self._edit)
            self._tell(key)

    def _is_over(self, resource: Resource) -> bool:
        phase = resource.status.get("phase")
        return phase == "Drained" or self.chance.random() < (0.2 if phase == "Stalled" else 0.05)

    def _apply(self, host: str) -> None:
        self.applied_for += 1
        self.drains[host] = key = Key("openstack", f"{host}-{self.applied_for}")
        method = self.chance.choice(["Cold", "Live", "LiveThenCold"])
        migration = {"method": method, "maxParallel": self.chance.randint(1, MOST)}
        spec = {"host": host, "migration": migration, "service": {"afterDrain": "KeepDisabled"}}
        self.store.put(key, spec, self._now())
        self._tell(key)

    def _delete(self, host: str) -> None:
        key = self.drains[host]
        if "deletionTimestamp" not in self.store.objects[key]["metadata"]:
            self.store.delete(key)
            self._tell(key)

    def _edit(self, spec: Json) -> None:
        if self.chance.random() < 0.5:
            spec["suspend"] = not spec.get("suspend", False)
        else:
            spec["migration"]["maxParallel"] = self.chance.randint(1, MOST)

    def _somebody_acts(self) -> None:
        servers = [s for s in self.model.state.servers.values() if not s.deleted]
        server, action = self.chance.choice(servers), self.chance.choice(PEOPLE)
        if self.chance.random() < 0.2:
            self.model.faults.set(self.chance.choice(BREAKS), "fail,once", server=server.id)
        self._do(action, server)
        if len(servers) < HOSTS * SERVERS:
            self.model.boot("late", host=None)

    def _do(self, action: str, server: Server) -> None:
        user, guests = self.model.as_user("demo"), self.model.guests
        with suppress(ApiError, ServerGoneError, KeyError):
            if action == "resize":
                flavors = self.model.state.flavors
                other = "small" if server.flavor.name == "tiny" else "tiny"
                self.model.cold.resize(user, server.id, flavors[other])
            elif action in ("lock", "unlock", "delete"):
                getattr(guests, action)(user, server.id)
            else:
                guests.act(user, server.id, action)

    def _look(self) -> None:
        """What must never be, as far as it shows in Nova's records."""
        moves = self.model.state.migrations
        for m in moves[self.seen :]:
            if m.initiator.name == "quiesce" and m.source not in self.drains:
                self.wrong.append(f"{m.server} is moved off {m.source}, which has no drain")
        self.seen = len(moves)
        recent = moves[-20 * HOSTS :]
        under_way = Counter(
            m.source
            for m in recent
            if m.initiator.name == "quiesce" and _is_under_way(m.status) and not m.deleted
        )
        self.wrong += [f"{n} moves off {host}" for host, n in under_way.items() if n > MOST]

    # The end

    def ends(self) -> None:
        """People finish what only they can, and delete the drains."""
        self.calm = True
        self.model.faults.clear()
        for key in self.store.objects:
            self.store.edit(key, lambda spec: spec.update(suspend=False))
        for host, key in self.drains.items():
            if key in self.store.objects:
                self._delete(host)
        for _ in range(END_WITHIN):
            if not self.store.objects:
                return
            self.run(60)
            for server in list(self.model.state.servers.values()):
                self._mend(server)
        left = {
            str(key): found["status"].get("message") for key, found in self.store.objects.items()
        }
        raise AssertionError(f"not released: {left}")

    def _mend(self, server: Server) -> None:
        admin = self.model.as_user("admin")
        with suppress(ApiError, ServerGoneError, KeyError):
            if server.vm_state == "resized":
                self.model.cold.confirm(admin, server.id)
            elif server.vm_state == "error":
                self.model.guests.reset_state(admin, server.id, "active")


def _is_under_way(status: str) -> bool:
    return status not in ("confirmed", "completed", "error", "failed", "reverted", "cancelled")


def operators_objects() -> Counter[str]:
    """Of values that live longer than a tick, by type."""
    gc.collect()
    kinds = (type(each) for each in gc.get_objects())
    return Counter(kind.__name__ for kind in kinds if str(kind.__module__).startswith("quiesce."))


def soaked(seed: int) -> Soak:
    soak = Soak(seed)
    soak.run(SECONDS)
    soak.ends()
    return soak


def left_behind(soak: Soak) -> dict[str, int]:
    """What the operator still has beyond one that was just started, by type."""
    kept = operators_objects()
    soak._connect()
    known = HOSTS + TARGETS  # the cloud's hosts are remembered for a while
    left = kept - operators_objects()
    return {name: count for name, count in left.items() if count > known}


def test_nothing_is_left_of_drains_that_are_gone() -> None:
    seed = int(os.environ.get("QUIESCE_SEED") or (secrets.randbits(32) if NIGHTLY else 1))
    print(f"QUIESCE_SEED={seed} draws the same moments again")
    soak = soaked(seed)
    assert soak.wrong == []
    assert soak.applied_for > DRAINS / 2
    services: dict[str, Any] = {host: soak.model.service(host) for host in soak.hosts}
    assert [host for host, each in services.items() if each.disabled] == []
    # The record of a server that its owner deletes in between stays as it was, marked as deleted.
    moves = soak.model.state.migrations
    mine = [m for m in moves if m.initiator.name == "quiesce" and not m.deleted]
    assert [m.id for m in mine if _is_under_way(m.status)] == []
    assert left_behind(soak) == {}


def test_it_is_noticed_if_drains_are_remembered_for_good(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Drains, "forget", lambda *_: None)
    monkeypatch.setattr("tests.model.test_soak.RESTART_EVERY", SECONDS)
    assert left_behind(soaked(seed=1))["History"] >= DRAINS / 2
