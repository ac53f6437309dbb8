"""What a drain makes of Nova's answers, in this process, on the stand-in and on a real Nova."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml
from tests.contract.clouds import RealLab, SimLab
from tests.contract.lab import Lab
from tests.harness.inprocess import KEY, Boundary, Json, MemoryEvents, MemorySecrets, MemoryStore
from tests.harness.world import reconciler

from quiesce.openstack.session import Clouds
from quiesce.ops.clock import Clock
from quiesce.runtime.kinds import Reconciler
from quiesce.settings import Settings

TPM = {"hw:tpm_version": "2.0", "hw:tpm_model": "tpm-crb"}


@dataclass
class Drain:
    """A drain of a lab's source host, whose operator is this process."""

    nova: Lab
    store: MemoryStore = field(init=False)
    events: MemoryEvents = field(default_factory=MemoryEvents)
    reconcile: Reconciler = field(init=False)

    def __post_init__(self) -> None:
        self.store = MemoryStore(Boundary())
        secrets = MemorySecrets(yaml.safe_dump({"clouds": {"openstack": self._entry()}}))
        settings = Settings(namespaces=(KEY.namespace,), listen=None)
        self.reconcile = reconciler(
            settings, self.store, secrets, self.events, Clouds(30.0), self._clock()
        )

    def _entry(self) -> Json:
        if isinstance(self.nova, SimLab):
            return self.nova.simulator.cloud_entry("quiesce")
        assert isinstance(self.nova, RealLab)
        return self.nova.entry("operator")

    def _now(self) -> datetime:
        real = isinstance(self.nova, RealLab)
        return datetime.fromtimestamp(time.time() if real else self.nova.clock(), UTC)

    def _clock(self) -> Clock:
        return Clock() if isinstance(self.nova, RealLab) else Clock(self._now, self.nova.clock)

    def apply(self, method: str, **spec: Any) -> None:
        keep = {"service": {"afterDrain": "KeepDisabled"}}
        whole = {"host": self.nova.source, "migration": {"method": method}} | keep | spec
        self.store.put(KEY, whole, self._now())

    @property
    def status(self) -> Json:
        return dict(self.store.objects[KEY]["status"])

    def reasons(self) -> dict[str, str]:
        return {row["id"]: row["reason"] for row in self.status.get("problems") or ()}

    def until(self, condition: Callable[[], bool], within: float = 180.0) -> None:
        end = self.nova.clock() + within
        while not condition():
            assert self.nova.clock() < end, yaml.safe_dump(self.status)
            self.nova.pause(min(2.0, max(0.2, self.reconcile(KEY) or 0.0)))

    def told(self, reason: str) -> list[str]:
        return [text for word, text in self.events.emitted if word == reason]

    def delete(self) -> None:
        self.store.delete(KEY)
        self.until(lambda: KEY not in self.store.objects)


@pytest.fixture
def drain(nova: Lab) -> Iterator[Drain]:
    """Released at the end, also after a failure, for Placement too (TRAIT_AT_ONCE)."""
    made = Drain(nova)
    yield made
    if KEY in made.store.objects:
        made.delete()
    nova.wait("no trait", lambda: not nova.barred(nova.source))


def stays(nova: Lab, server: str) -> bool:
    shown = nova.show(server)
    return (shown["status"], shown["OS-EXT-SRV-ATTR:host"]) == ("ACTIVE", nova.source)


@pytest.mark.field_case("F5", "F7", "F11", "F12")
def test_what_nova_never_does_and_what_it_is_asked(nova: Lab, drain: Drain) -> None:
    """A mode that Nova 34 rejects live goes cold by its message; what only looks immovable goes
    live. The hosts of a real Nova's bed have no TPM, so that its scheduler finds none for it; but
    before 22.0.0 Nova knows of no TPM at all.
    """
    no_tpm = nova.version < (22,)
    plain, tpm, gpu, deployment, pci = nova.many({} for _ in range(5))
    nova.set_extra_specs(tpm, TPM)
    nova.set_extra_specs(gpu, {"accel:device_profile": "gpu"})
    nova.set_extra_specs(deployment, TPM | {"hw:tpm_secret_security": "deployment"})
    nova.set_extra_specs(pci, {"pci_passthrough:alias": "nic:1"})
    drain.apply("LiveThenCold")
    drain.until(lambda: drain.status.get("phase") == "Stalled")
    tried = {deployment: "NoCapacity"} if isinstance(nova, RealLab) and not no_tpm else {}
    assert drain.reasons() == {tpm: "VirtualTPM", gpu: "Accelerator"} | tried
    assert stays(nova, tpm)
    assert stays(nova, gpu)
    kinds = {
        server: {row["migration_type"] for row in nova.migrations(server)}
        for server in (plain, deployment, pci, tpm, gpu)
    }
    assert kinds == {
        plain: {"live-migration"},
        deployment: {"live-migration" if no_tpm else "migration"},
        pci: {"live-migration"},
        tpm: set(),
        gpu: set(),
    }


@pytest.mark.field_case("F25")
def test_a_confirm_by_another_user_is_told(nova: Lab, drain: Drain) -> None:
    server = nova.active()
    drain.apply("Cold", confirmation={"policy": "Manual"})
    drain.until(lambda: drain.reasons() == {server: "AwaitingDecision"})
    assert nova.act(server, "confirmResize", user="lab").status == 204
    drain.until(lambda: drain.status["progress"]["moved"] == 1 and not drain.reasons())
    drain.until(lambda: bool(drain.told("ConfirmedByOthers")))
    assert len(drain.told("ConfirmedByOthers")) == 1


@pytest.mark.field_case("F29")
def test_a_disable_of_novas_own_is_not_put_back(nova: Lab, drain: Drain) -> None:
    service = nova.service(nova.source)
    assert service is not None
    words = "AUTO: Connection to libvirt lost: 1"
    disable = {"status": "disabled", "disabled_reason": words}
    assert nova.api("PUT", f"/os-services/{service['id']}", disable).status == 200
    drain.apply("Cold")
    drain.until(lambda: (nova.service(nova.source) or {})["disabled_reason"] != words)
    drain.delete()
    found = nova.service(nova.source)
    assert found is not None
    assert (found["status"], found["disabled_reason"]) == ("enabled", None)
    assert words in drain.told("Restored")[0]
