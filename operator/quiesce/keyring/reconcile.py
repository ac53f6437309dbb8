"""One tick of one keyring: observe → visit hosts → decide → report.

Unlike a drain, it acts before it reports: a visit derives what to do from the host itself, and
repeating it is safe; the status only tells what was found. Visits run beside the ticks.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial

from quiesce.api.annotations import KEYRING_FINALIZER, REQUESTED_AT, request
from quiesce.api.errors import ForeignSecret, Problem, Terminal
from quiesce.api.events import Event
from quiesce.api.keyring.spec import KeyringSpec, OnDelete
from quiesce.api.keyring.status import KeyringRecord, KeyringStatus
from quiesce.keyring import report
from quiesce.keyring.act import Fleet, Lanes, VisitOrder, current_goal, run_visits, visit
from quiesce.keyring.decide import conflicts, decide, seconds_until_due
from quiesce.keyring.model import (
    Identity,
    KeyringDecision,
    Rotation,
    RotationStep,
    VisitResult,
)
from quiesce.keyring.observe import KeyringObservation, KeyStore, observe, secrets_by_default
from quiesce.kube.resource import Key, Resource
from quiesce.ops import metrics
from quiesce.runtime.clouds import forget_secret
from quiesce.runtime.kinds import Context, Reconciler, Released
from quiesce.runtime.publish import announce, publish
from quiesce.runtime.reconciler import AT_ONCE, ResourceReconciler
from quiesce.ssh.keys import PublicKey
from quiesce.ssh.pins import trusted_line

log = logging.getLogger(__name__)

_WHILE_VISITING = 0.2
"""Seconds between ticks while visits are in flight; a tick itself waits for them."""
_REMOVAL_CHECK_SECONDS = 15.0


@dataclass(frozen=True)
class Keyrings:
    """What MigrationKeyrings supply to the skeleton, and what is kept from tick to tick."""

    context: Context
    lanes: Lanes = field(default_factory=Lanes)
    fleets: dict[str, Fleet] = field(default_factory=dict)
    visit: Callable[[VisitOrder, float], VisitResult] = visit
    known: dict[str, frozenset[str]] = field(default_factory=dict)
    """By uid: hosts that a keyring named when its removal began."""
    told: set[tuple[str, str]] = field(default_factory=set)
    """(uid, reason) of warnings that were given once."""
    finalizer: str = KEYRING_FINALIZER

    def rests(self, key: Key) -> float | None:
        """Hosts change without a sign: each tick looks."""
        return None

    def tick(self, resource: Resource) -> float | Released:
        observed = self._observe(resource)
        self._tell_loss(resource, observed)
        fleet = self._fleet(resource, observed)
        visits = run_visits(observed, fleet)
        self._announce_changes(resource, observed, visits.changed)
        if visits.presented:
            return self._pin(resource, observed, visits.presented)
        if resource.deleting:
            return self._finish_removal(resource, fleet)
        return self._report(resource, observed, fleet)

    def nothing_to_undo(self, resource: Resource) -> bool:
        """By the status as well: the Secret may be deleted before the keyring is."""
        spec, record = KeyringSpec.read(resource.spec), KeyringRecord.read(resource.status)
        if spec.on_delete is OnDelete.LEAVE:
            return True
        try:
            return self._keys(resource, spec).history() is None and not record.installed
        except ForeignSecret:
            if record.installed:
                raise
            return True

    def left_behind(self, resource: Resource) -> str:
        record = KeyringRecord.read(resource.status)
        if not record.installed:
            return ""
        hosts, total = self._remaining(resource, record)
        return report.keys_stay(hosts, total, _identity(resource))

    def release_events(self, resource: Resource, *, abandoned: bool) -> Sequence[Event]:
        record = KeyringRecord.read(resource.status)
        hosts, total = self._remaining(resource, record)
        if abandoned:
            return (report.abandoned(hosts, total, _identity(resource)),)
        return (report.keys_kept(hosts, total),) if record.installed else ()

    def secrets_of(self, resource: Resource) -> Sequence[str]:
        """The key may have been in a Secret of its default name before the spec named another."""
        key = resource.spec.get("key") or {}
        names = (*secrets_by_default(resource.key.name), key.get("secretName"))
        return tuple(name for name in names if name)

    def report_problem(self, resource: Resource, problem: Problem) -> None:
        before = KeyringRecord.read(resource.status)
        removing = _identity(resource) if resource.deleting and before.installed else None
        after = report.problem_status(problem, before, resource.generation, removing)
        told: tuple[str, str] = (resource.uid, problem.reason)
        events: tuple[Event, ...] = ()
        if removing and isinstance(problem, Terminal) and told not in self.told:
            self.told.add(told)
            hosts, total = self._remaining(resource, before)
            events = (report.keys_left(str(problem), hosts, total, removing),)
        self._publish(resource, before, after, events)

    def at_rest(self, uid: str) -> bool:
        """Visits go on beside the ticks."""
        fleet = self.fleets.get(uid)
        if fleet is None:
            return True
        fleet.collect(0.0, time.monotonic)
        return not fleet.in_flight

    def forget(self, key: Key, uid: str) -> None:
        metrics.keyring(uid, None)
        self.fleets.pop(uid, None)
        self.known.pop(uid, None)
        self.told.difference_update([each for each in self.told if each[0] == uid])

    # Steps of a tick

    def _observe(self, resource: Resource) -> KeyringObservation:
        observed = observe(self.context, resource, datetime.now(UTC))
        if observed.keys and observed.keys.generated:
            name = self._keys(resource, observed.spec).key_name
            event = report.key_generated(observed.keys.pair.public.fingerprint, name)
            announce(self.context, resource, [event])
        return observed

    def _tell_loss(self, resource: Resource, observed: KeyringObservation) -> None:
        told = (resource.uid, "StateLost")
        installed = KeyringRecord.read(resource.status).installed
        if observed.remembered or not installed or told in self.told:
            return
        name = self._keys(resource, observed.spec).history_name
        trusted = observed.spec.host_access.trust_on_first_use
        announce(self.context, resource, [report.state_lost(name, trusted=trusted)])
        if resource.deleting:  # else it has just been stored again
            self.told.add(told)

    def _fleet(self, resource: Resource, observed: KeyringObservation) -> Fleet:
        """The hosts are those of Nova now. A new requestedAt makes all of them due at once."""
        timeout, namespace = self.context.settings.visit_timeout, resource.key.namespace
        fleet = self.fleets.setdefault(
            resource.uid,
            Fleet(self.lanes, lambda order: self.visit(order, timeout), namespace=namespace),
        )
        fleet.keep_only(host.name for host in observed.hosts)
        fleet.handle_request(request(resource.annotations, REQUESTED_AT))
        return fleet

    def _announce_changes(
        self,
        resource: Resource,
        observed: KeyringObservation,
        changed: Mapping[str, tuple[str, ...]],
    ) -> None:
        was_ready = KeyringRecord.read(resource.status).ready[0] == "True"
        repaired = was_ready and not observed.history.previous
        for host, what in sorted(changed.items()):
            log.info("%s: changed %s", host, ", ".join(what))
        if not resource.deleting:
            announce(self.context, resource, report.change_events(changed, repaired=repaired))

    def _pin(
        self, resource: Resource, observed: KeyringObservation, presented: Mapping[str, PublicKey]
    ) -> float:
        """Keys on first use, where the spec trusts them: saved before anything else is sent."""
        port = observed.spec.host_access.port
        lines = [trusted_line(host, port, key) for host, key in sorted(presented.items())]
        history = replace(observed.history, trusted=observed.history.trusted + "".join(lines))
        self._keys(resource, observed.spec).save(history)
        announce(self.context, resource, report.pinned(presented))
        return AT_ONCE

    def _finish_removal(self, resource: Resource, fleet: Fleet) -> float | Released:
        before = KeyringRecord.read(resource.status)
        known = self.known.setdefault(resource.uid, before.named_hosts)
        if all(record.removed for record in fleet.hosts.values()) and not fleet.in_flight:
            return Released(self._farewell(resource, before, fleet, known - set(fleet.hosts)))
        after = report.removal_status(fleet.hosts, before, resource.generation)
        metrics.keyring(resource.uid, after.standing)
        publish(self.context, resource, after.as_json(before, _now()))
        if fleet.in_flight:
            return _WHILE_VISITING
        return seconds_until_due(fleet.hosts, _REMOVAL_CHECK_SECONDS, time.monotonic())

    def _farewell(
        self, resource: Resource, before: KeyringRecord, fleet: Fleet, missing: frozenset[str]
    ) -> tuple[Event, ...]:
        """`missing`: hosts of the keyring that were not visited."""
        removed = report.keys_removed(len(fleet.hosts))
        if not missing and (fleet.hosts or not before.installed):
            return (removed,)
        why = "these are excluded, or no longer in Nova, and were not visited"
        total = len(missing) if fleet.hosts else before.total
        left = report.keys_left(why, missing, total, _identity(resource))
        return (left, removed) if fleet.hosts else (left,)

    def _remaining(self, resource: Resource, record: KeyringRecord) -> tuple[frozenset[str], int]:
        """Hosts on which keys may still be: those that are known by name, and how many at least."""
        fleet = self.fleets.get(resource.uid)
        visited = fleet.hosts if fleet else {}
        removed = {name for name, host in visited.items() if host.removed}
        known = record.named_hosts | self.known.get(resource.uid, frozenset())
        return (known | set(visited)) - removed, record.total - len(removed)

    def _report(self, resource: Resource, observed: KeyringObservation, fleet: Fleet) -> float:
        desired, rotation = current_goal(observed, fleet, time.monotonic())
        assert desired is not None  # noqa: S101 -- only a keyring in deletion desires nothing
        if rotation.retired:
            self._keys(resource, observed.spec).save(replace(observed.history, previous=()))
            event = report.key_rotated(desired.key.public.fingerprint)
            announce(self.context, resource, [event])
            return AT_ONCE
        found = decide(
            desired,
            rotation,
            observed.spec.probe,
            fleet.hosts,
            observed.destinations,
            observed.up,
            conflicts(observed.hosts),
        )
        self._publish_report(resource, found, fleet)
        return self._next_tick(observed, fleet, rotation)

    def _publish_report(self, resource: Resource, found: KeyringDecision, fleet: Fleet) -> None:
        """Until every host was visited once, a stored status of this generation says more."""
        before = KeyringRecord.read(resource.status)
        fresh = any(record.at is None for record in found.hosts.values())
        if fresh and before.has_counted(resource.generation):
            return
        failures = found.failures
        events = report.host_events(fleet.announced, failures)
        self._publish(resource, before, report.status(found, resource.generation), events)
        fleet.announced = {name: failure.reason for name, failure in failures.items()}

    def _next_tick(self, observed: KeyringObservation, fleet: Fleet, rotation: Rotation) -> float:
        """Soon while visits are in flight; else when a host or the end of a rotation is due.

        Often enough in any case to see new hosts in Nova.
        """
        if fleet.in_flight:
            return _WHILE_VISITING
        wait = seconds_until_due(fleet.hosts, observed.spec.check_every, time.monotonic())
        end = rotation.remaining if rotation.step is RotationStep.RETIRE else wait
        return min(wait, end, self.context.settings.idle_interval)

    # Helpers

    def _publish(
        self,
        resource: Resource,
        before: KeyringRecord,
        after: KeyringStatus,
        events: Sequence[Event] = (),
    ) -> None:
        metrics.keyring(resource.uid, after.standing)
        events = (*events, *report.transitions(before, after))
        publish(self.context, resource, after.as_json(before, _now()), events)

    def _keys(self, resource: Resource, spec: KeyringSpec) -> KeyStore:
        return KeyStore(self.context.secrets, resource, spec)


def _identity(resource: Resource) -> Identity:
    return Identity.of(resource.key.namespace, resource.key.name, resource.uid)


def _now() -> str:
    return report.timestamp(datetime.now(UTC))


def make_reconciler(context: Context) -> Reconciler:
    context.on_news.append(partial(forget_secret, context))
    return ResourceReconciler(context, Keyrings(context)).reconcile
