"""One tick of one keyring: observe → decide → act → report. Visits to hosts run beside the ticks (see fleet)."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from quiesce.api.errors import BadCredentials, Problem
from quiesce.api.keyring.spec import KeyringSpec, OnDelete
from quiesce.keyring.act import Turn, standing, turn
from quiesce.keyring.fleet import Fleet, Lanes
from quiesce.keyring.keys import KeyStore
from quiesce.keyring.observe import Inputs, observe
from quiesce.keyring.report import Picture, removing, some, status, troubled
from quiesce.keyring.rotation import Rotation, Step
from quiesce.keyring.schedule import next_due
from quiesce.keyring.visit import Order, Visit, visit
from quiesce.kube.resource import Key, Resource
from quiesce.openstack.session import Clouds
from quiesce.runtime.kinds import Context, Reconciler
from quiesce.ssh.pins import spelled

log = logging.getLogger(__name__)

FINALIZER = "quiesce.dev/keyring"
ABANDON = "quiesce.dev/abandon"
REQUESTED_AT = "quiesce.dev/requestedAt"

AT_ONCE = 0.0
WHILE_VISITING = (
    0.2  # seconds between ticks while visits are in flight; a tick itself waits for them
)
LOOK_FOR_A_PERSON = 15.0
AT_ONCE_TOLD = 5  # hosts that get an event of their own in one tick; the rest is in the status


@dataclass(frozen=True)
class Keyrings:
    """The reconciler of MigrationKeyrings and what it keeps from tick to tick."""

    context: Context
    clouds: Clouds
    lanes: Lanes = field(default_factory=Lanes)
    fleets: dict[str, Fleet] = field(default_factory=dict)
    visit: Callable[[Order, float], Visit] = visit

    def reconcile(self, key: Key) -> float | None:
        """One tick. -> seconds until the next look; None: the keyring is gone."""
        resource = self.context.store.get(key)
        if resource is None:
            return None
        if resource.deleting and self.is_free(resource):
            self.let_go(resource)
            return None
        if FINALIZER not in resource.finalizers:
            self.context.store.add_finalizer(resource)
            return AT_ONCE
        timeout = self.context.settings.visit_timeout
        fleet = self.fleets.setdefault(
            resource.uid, Fleet(self.lanes, lambda order: self.visit(order, timeout))
        )
        try:
            return self.remove(resource, fleet) if resource.deleting else self.keep(resource, fleet)
        except Problem as problem:
            return self.report_trouble(resource, problem)

    def keep(self, resource: Resource, fleet: Fleet) -> float:
        now = datetime.now(UTC)
        inputs = self.observe(resource, now)
        self.prepare(resource, inputs, fleet)
        happened = turn(inputs, fleet)
        self.tell_changes(resource, happened, repairing=not inputs.state.previous)
        if happened.presented:
            self.pin(resource, inputs, happened)
            return AT_ONCE
        wanted, step = standing(inputs, fleet, time.monotonic())
        assert wanted is not None  # noqa: S101 -- only a keyring that is being deleted wants nothing
        if step.retired:
            self.key_store(resource, inputs.spec).keep(replace(inputs.state, previous=()))
            self.tell(
                resource,
                "KeyRotated",
                f"every host uses {wanted.key.public.fingerprint} now; the old key goes",
            )
            return AT_ONCE
        self.report(
            resource,
            Picture(wanted, step, inputs.spec.probe, fleet.hosts, inputs.destinations),
            fleet,
        )
        return self.look_again(inputs, fleet, step)

    def remove(self, resource: Resource, fleet: Fleet) -> float | None:
        inputs = self.observe(resource, datetime.now(UTC))
        self.prepare(resource, inputs, fleet)
        happened = turn(inputs, fleet)
        if happened.presented:
            self.pin(resource, inputs, happened)
            return AT_ONCE
        if all(memory.clear for memory in fleet.hosts.values()) and not fleet.in_flight:
            self.tell(
                resource,
                "KeysRemoved",
                f"nothing of this keyring is left on {len(fleet.hosts)} hosts",
            )
            self.let_go(resource)
            return None
        after = removing(fleet.hosts, resource.status, resource.generation, datetime.now(UTC))
        self.context.store.write_status(resource, after)
        return (
            WHILE_VISITING
            if fleet.in_flight
            else next_due(fleet.hosts, LOOK_FOR_A_PERSON, time.monotonic())
        )

    def observe(self, resource: Resource, now: datetime) -> Inputs:
        try:
            inputs = observe(resource, self.context.secrets, self.clouds, now)
        except BadCredentials:
            self.forget_cloud(resource)
            raise
        if inputs.keys and inputs.keys.made:
            fingerprint = inputs.keys.pair.public.fingerprint
            self.tell(
                resource,
                "KeyGenerated",
                f"made the key {fingerprint} in Secret {self.key_name(resource, inputs)}",
            )
        return inputs

    def prepare(self, resource: Resource, inputs: Inputs, fleet: Fleet) -> None:
        """The fleet's hosts are those of Nova now. A new requestedAt makes every host and every path due at once."""
        fleet.keep_only({host.name for host in inputs.hosts})
        asked = resource.annotations.get(REQUESTED_AT)
        if asked != fleet.requested:
            fleet.ask()
            fleet.requested = asked

    def pin(self, resource: Resource, inputs: Inputs, happened: Turn) -> None:
        """Keys seen for the first time, where the spec trusts them: kept before anything is sent to these hosts."""
        port, hosts = inputs.spec.host_access.port, {host.name: host for host in inputs.hosts}
        lines = [
            f"{','.join(spelled(name, port) for name in hosts[host].names)} {key.line}\n"
            for host, key in sorted(happened.presented.items())
        ]
        store = self.key_store(resource, inputs.spec)
        store.keep(replace(inputs.state, trusted=inputs.state.trusted + "".join(lines)))
        for host, key in sorted(happened.presented.items())[:AT_ONCE_TOLD]:
            self.tell(
                resource,
                "HostKeyTrusted",
                f"{host} presented {key.type} {key.fingerprint}: pinned from now on",
            )

    def tell_changes(self, resource: Resource, happened: Turn, repairing: bool) -> None:
        """`repairing`: everything was in order, and nothing else is wanted than before."""
        for host, what in sorted(happened.changed.items()):
            log.info("%s: changed %s", host, ", ".join(what), extra={"keyring": str(resource.key)})
        if happened.changed:
            repaired = repairing and ready_condition(resource.status)[0] == "True"
            self.tell(
                resource, "HostsRepaired" if repaired else "HostsChanged", changes_told(happened)
            )

    def report(self, resource: Resource, picture: Picture, fleet: Fleet) -> None:
        """Until every host was seen once, a status of before (of this generation) says more than we know."""
        fresh = any(memory.at is None for memory in picture.hosts.values())
        if fresh and is_settled(resource.status, resource.generation):
            return
        after = status(picture, resource.status, resource.generation, datetime.now(UTC))
        self.context.store.write_status(resource, after)
        self.announce(resource, after, picture, fleet)

    def announce(
        self, resource: Resource, after: Mapping[str, Any], picture: Picture, fleet: Fleet
    ) -> None:
        was, cause = ready_condition(resource.status), ready_condition(after)
        failing = {name: memory.failure for name, memory in picture.hosts.items() if memory.failure}
        for name in [name for name in failing if fleet.announced.get(name) != failing[name].reason][
            :AT_ONCE_TOLD
        ]:
            self.tell(
                resource, failing[name].reason, f"{name}: {failing[name].message}", warning=True
            )
        if back := sorted(set(fleet.announced) - set(failing)):
            self.tell(resource, "HostsRecovered", some(back))
        fleet.announced = {name: failure.reason for name, failure in failing.items()}
        if was != cause:
            self.tell(resource, cause[1], str(after["message"]), warning=cause[0] == "False")

    def look_again(self, inputs: Inputs, fleet: Fleet, step: Rotation) -> float:
        """Visits in flight: soon. Else when the next host or the end of a rotation is due, and often enough to see new
        hosts in Nova."""
        if fleet.in_flight:
            return WHILE_VISITING
        wait = next_due(fleet.hosts, inputs.spec.check_every, time.monotonic())
        ends = step.rest if step.step is Step.RETIRE else wait
        return min(wait, ends, self.context.settings.idle_interval)

    def report_trouble(self, resource: Resource, problem: Problem) -> float:
        after = troubled(problem, resource.status, resource.generation, datetime.now(UTC))
        self.context.store.write_status(resource, after)
        if ready_condition(after) != ready_condition(resource.status):
            self.tell(resource, problem.reason, str(problem), warning=True)
        return LOOK_FOR_A_PERSON

    def tell(self, resource: Resource, reason: str, message: str, warning: bool = False) -> None:
        self.context.events.emit(
            resource, "Warning" if warning else "Normal", reason, "KeepKeys", message
        )
        level = logging.WARNING if warning else logging.INFO
        log.log(level, "%s: %s", reason, message, extra={"keyring": str(resource.key)})

    # Ends

    def is_free(self, resource: Resource) -> bool:
        """Nothing is to be removed from hosts, or nothing must be."""
        if FINALIZER not in resource.finalizers or resource.annotations.get(ABANDON) == "true":
            return True
        try:
            spec = KeyringSpec.read(resource.spec)
            return (
                spec.on_delete is OnDelete.LEAVE or self.key_store(resource, spec).state() is None
            )
        except Problem:
            return False

    def let_go(self, resource: Resource) -> None:
        if FINALIZER in resource.finalizers:
            self.context.store.remove_finalizer(resource)
            if resource.annotations.get(ABANDON) == "true":
                self.tell(
                    resource,
                    "Abandoned",
                    "let go; keys may be left on hosts (quiesce.dev/abandon)",
                    warning=True,
                )
        self.fleets.pop(resource.uid, None)

    # Where things are

    def key_store(self, resource: Resource, spec: KeyringSpec) -> KeyStore:
        return KeyStore(self.context.secrets, resource, spec)

    def key_name(self, resource: Resource, inputs: Inputs) -> str:
        return self.key_store(resource, inputs.spec).key_name

    def forget_cloud(self, resource: Resource) -> None:
        ref = KeyringSpec.read(resource.spec).cloud_credentials_ref
        secret = self.context.secrets.get(resource.key.namespace, ref.secret_name)
        if secret is not None:
            self.clouds.forget(secret, ref.cloud_name)


def changes_told(happened: Turn) -> str:
    """What was done to the account comes before the files: the list may be cut."""
    found = {thing for what in happened.changed.values() for thing in what}
    things = sorted(found, key=lambda thing: (thing.startswith("/"), thing))
    return f"{some(sorted(happened.changed))}: {', '.join(things[:8])}{' …' if len(things) > 8 else ''}"


def is_settled(status: Mapping[str, Any], generation: int) -> bool:
    """A status that speaks of this generation and has counted hosts."""
    return status.get("observedGeneration") == generation and "hosts" in status


def ready_condition(status: Mapping[str, Any]) -> tuple[str, str]:
    """(status, reason) of Ready; two empty words where there is none."""
    found = [c for c in status.get("conditions") or () if c["type"] == "Ready"]
    return (found[0]["status"], found[0]["reason"]) if found else ("", "")


def make_reconciler(context: Context) -> Reconciler:
    return Keyrings(context, context.clouds).reconcile
