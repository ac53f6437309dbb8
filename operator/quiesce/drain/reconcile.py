"""One tick of one drain: observe → decide → report → act. Level-triggered; the next tick starts from what is there then."""

import difflib
import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from quiesce.api.drain.record import Record
from quiesce.api.drain.spec import DrainSpec, Mode
from quiesce.api.errors import BadCredentials, CloudUnreachable, HostNotFound, Problem
from quiesce.drain.act.calls import ActionContext, act
from quiesce.drain.decide.claims import refuse_second
from quiesce.drain.decide.compute_service import DrainIdentity
from quiesce.drain.decide.failures import back_off
from quiesce.drain.decide.goals import Decision, Goal, Limits, ServerVerdict, decide, suffices
from quiesce.drain.decide.proof import worth_reading
from quiesce.drain.host_access import HostCompute, compute_of, keyring_of
from quiesce.drain.model.history import History
from quiesce.drain.model.observation import HostTrouble, Observation, Paths, Refusal
from quiesce.drain.model.verdict import Blocked, Follow, Wait
from quiesce.drain.observe.reads import complete, glance, observe
from quiesce.drain.report.events import events
from quiesce.drain.report.status import Report, newest_migration, stamp, status, troubled
from quiesce.keyring.paths import proven
from quiesce.kube.resource import Key, Resource
from quiesce.openstack.cloud import Cloud
from quiesce.openstack.session import Clouds
from quiesce.ops import metrics
from quiesce.runtime.kinds import Context, Reconciler

log = logging.getLogger(__name__)

FINALIZER = "quiesce.dev/drain"
ABANDON = "quiesce.dev/abandon"
REQUESTED_AT = "quiesce.dev/requestedAt"

AT_ONCE = 0.0
PLAN_EVERY = timedelta(seconds=60)
LOOK_FOR_A_PERSON = 15.0  # seconds: how soon a corrected Secret, spec or cloud is noticed


def utc_now() -> datetime:
    return datetime.now(UTC)


class MoveLimiter:
    """Moves in flight over all drains of this operator (`--max-moves`); 0: no limit.

    As a context: from asking for room to holding it, no other drain is given the same.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.RLock()
        self._held: dict[str, int] = {}

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def room(self, uid: str) -> int | None:
        """How many moves this drain may have beside those of all others."""
        if not self._limit:
            return None
        with self._lock:
            return max(0, self._limit - sum(n for other, n in self._held.items() if other != uid))

    def hold(self, uid: str, moves: int) -> None:
        with self._lock:
            self._held[uid] = moves
            if not moves:
                del self._held[uid]


@dataclass(frozen=True)
class Drains:
    """The reconciler of ComputeNodeDrains and what it keeps from tick to tick."""

    context: Context
    clouds: Clouds
    brake: MoveLimiter
    notes: dict[str, History]
    now: Callable[[], datetime]

    def reconcile(self, key: Key) -> float | None:
        """One tick. -> seconds until the next look; None: the drain is gone."""
        resource = self.context.store.get(key)
        if resource is None:
            metrics.drain_phase(key, None)
            return None
        if resource.deleting and nothing_to_give_back(resource):
            self.let_go(resource)
            return None
        if FINALIZER not in resource.finalizers:
            self.context.store.add_finalizer(resource)
            return AT_ONCE
        notes = self.notes.setdefault(resource.uid, History())
        try:
            wait = self.tick(resource, notes)
        except Problem as problem:
            written = (
                self.context.store.get(key) or resource
            )  # maybe in this very tick, before a call failed
            return self.report_trouble(written, notes, problem)
        notes.tries_unreached = 0
        return wait

    def tick(self, resource: Resource, notes: History) -> float | None:
        began = time.monotonic()
        spec, who = read_spec(resource), who_is(resource)
        cloud = self.cloud_of(resource, spec)
        keyring = keyring_of(self.context, resource, spec)
        compute = compute_of(self.context, resource, spec, keyring, cloud)
        if not resource.deleting or Record.read(resource.status).begun:
            refuse_second(
                resource, self.rivals(resource), lambda other: self.shares_cloud(other, cloud)
            )
        try:
            memory, seen, decision = self.look_and_decide(
                resource, spec, cloud, notes, keyring, compute
            )
        except BadCredentials:
            self.forget_cloud(resource, spec)
            raise
        note_proof(notes, decision, seen)
        if decision.given_back:
            self.let_go(resource, decision.left_undone)
            return None
        self.report(
            Report(who, spec, memory, seen, decision, dict(resource.status), resource.generation),
            resource,
        )
        notes.was |= {
            j.server_id: j.server.status
            for j in decision.judged
            if j.server and j.server_id in decision.started
        }
        notes.expect(decision.actions)
        act(
            decision.actions,
            ActionContext(cloud, seen, notes, str(resource.key), self.now, compute),
        )
        return max(0.0, self.look_again(decision, seen) - (time.monotonic() - began))

    def look_and_decide(
        self,
        resource: Resource,
        spec: DrainSpec,
        cloud: Cloud,
        notes: History,
        keyring: Resource | None,
        compute: HostCompute | None,
    ) -> tuple[Record, Observation, Decision]:
        """A glance where that is enough for what is to be done, else a whole look."""
        memory, now = Record.read(resource.status), self.now()
        planning = wants_plan(spec, memory, resource, notes, now)

        def judge(seen: Observation) -> tuple[Record, Observation, Decision]:
            if keyring is not None:
                seen = replace(seen, paths=Paths(*proven(keyring.status, spec.host)))
            told = memory.acknowledge(
                resource.annotations.get(REQUESTED_AT), newest_migration(seen.migrations)
            )
            with self.brake:
                decision = decide(who_is(resource), spec, told, seen, self.limits(resource))
                self.brake.hold(
                    resource.uid, sum(j.in_flight for j in decision.judged) + len(decision.started)
                )
            return told, seen, decision

        if (
            not planning
            and not resource.deleting
            and (seen := glance(cloud, spec, memory, notes, now)) is not None
        ):
            found = judge(seen)
            if suffices(*found[1:]):
                return found
            seen = complete(cloud, spec, memory, notes, seen)
            if not worth_reading(seen):
                return judge(seen)
        seen = observe(
            cloud,
            spec,
            memory,
            notes,
            now,
            deleting=resource.deleting,
            planning=planning,
            compute=compute,
        )
        if seen.service is None and not memory.begun and not resource.deleting:
            raise HostNotFound(near_misses(spec.host, (s.host for s in seen.services)))
        return judge(seen)

    def limits(self, resource: Resource) -> Limits:
        settings = self.context.settings
        return Limits(timedelta(seconds=settings.settle), self.brake.room(resource.uid))

    def report(self, report: Report, resource: Resource) -> None:
        after = status(report)
        self.context.store.write_status(resource, after)
        self.announce(resource, after)

    def announce(self, resource: Resource, after: dict[str, Any]) -> None:
        metrics.drain_phase(resource.key, after["phase"])
        for event in events(resource.status, after):
            self.context.events.emit(
                resource, event.type, event.reason, event.action, event.message
            )
            level = logging.WARNING if event.type == "Warning" else logging.INFO
            log.log(
                level, "%s: %s", event.reason, event.message, extra={"drain": str(resource.key)}
            )

    def report_trouble(self, resource: Resource, notes: History, problem: Problem) -> float:
        """The trouble as conditions. Looked at again: soon where a person corrects it, with back-off where it may pass."""
        after = troubled(
            problem,
            dict(resource.status),
            resource.generation,
            stamp(self.now()),
            deleting=resource.deleting,
        )
        notes.clean_since = None
        self.context.store.write_status(resource, after)
        self.announce(resource, after)
        if not isinstance(problem, CloudUnreachable):
            return LOOK_FOR_A_PERSON
        notes.tries_unreached += 1
        pause = min(30.0, back_off(notes.tries_unreached, resource.uid).total_seconds())
        return max(pause, problem.retry_after or 0.0)

    def look_again(self, decision: Decision, seen: Observation) -> float:
        """Seconds from the beginning of this tick: at once after a host action, soon while anything moves, slowly at rest."""
        settings = self.context.settings
        if (
            decision.actions
            and not decision.started
            and not any(j.in_flight for j in decision.judged)
        ):
            return min(1.0, settings.poll_interval)
        if decision.started or any(is_lively(j) for j in decision.judged):
            return settings.poll_interval
        waits = [
            j.verdict.until - seen.now
            for j in decision.judged
            if isinstance(j.verdict, Wait | Blocked) and j.verdict.until
        ]
        tried: list[Refusal | HostTrouble] = [refusal for _, refusal in decision.refused]
        tried += [seen.host_trouble] if seen.host_trouble else []
        waits += [each.at + back_off(each.count, seen.host) - seen.now for each in tried]
        soon = [w.total_seconds() for w in waits if w.total_seconds() > 0]
        if (
            decision.goal is Goal.KEPT_DRAINED
            and decision.proof.clean
            and not decision.proof.complete
        ):
            soon.append(settings.settle)
        elif decision.proof.complete and seen.service is not None and seen.service.state == "up":
            soon.append(min(5.0, settings.idle_interval))
        return min([settings.idle_interval, *soon])

    # The cloud

    def cloud_of(self, resource: Resource, spec: DrainSpec) -> Cloud:
        ref, namespace = spec.cloud_credentials_ref, resource.key.namespace
        secret = self.context.secrets.get(namespace, ref.secret_name)
        if secret is None:
            raise BadCredentials(
                f"Secret {namespace}/{ref.secret_name} does not exist: "
                f"create it with a key clouds.yaml that has a cloud named {ref.cloud_name!r}"
            )
        return self.clouds.get(secret, ref.cloud_name)

    def forget_cloud(self, resource: Resource, spec: DrainSpec) -> None:
        ref = spec.cloud_credentials_ref
        secret = self.context.secrets.get(resource.key.namespace, ref.secret_name)
        if secret is not None:
            self.clouds.forget(secret, ref.cloud_name)

    def rivals(self, resource: Resource) -> Iterable[Resource]:
        """Asked of the API server until the drain has begun; from then on no younger drain can take the host from it."""
        return () if Record.read(resource.status).begun else self.context.store.list()

    def shares_cloud(self, other: Resource, cloud: Cloud) -> bool:
        """Whether another drain is for the same cloud. Where its credentials cannot tell, it is taken to be."""
        try:
            return self.cloud_of(other, read_spec(other)).identity == cloud.identity
        except Problem:
            return True

    def let_go(self, resource: Resource, left_undone: str = "") -> None:
        """`left_undone`: told before the resource goes, and with it the last place to read it."""
        if FINALIZER in resource.finalizers:
            if left_undone:
                self.context.events.emit(
                    resource, "Warning", "NovaComputeNotRunning", "Restore", left_undone
                )
                log.warning("%s", left_undone, extra={"drain": str(resource.key)})
            self.context.store.remove_finalizer(resource)
            abandoned = resource.annotations.get(ABANDON) == "true"
            text = (
                "let go without giving the host back (quiesce.dev/abandon)"
                if abandoned
                else "the host is given back"
            )
            text += ", but for nova-compute" if left_undone else ""
            self.context.events.emit(
                resource, "Normal", "Abandoned" if abandoned else "Restored", "Restore", text
            )
            log.info(text, extra={"drain": str(resource.key)})
        self.notes.pop(resource.uid, None)
        self.brake.hold(resource.uid, 0)
        metrics.drain_phase(resource.key, None)


def is_lively(judged: ServerVerdict) -> bool:
    """Whether something is expected to happen within seconds."""
    match judged.verdict:
        case Follow(stage="Soaking"):
            return False
        case Wait(reason="BackingOff" | "Refused" | "ForeignMigration" | "SourceDown") | Blocked():
            return False
        case verdict:
            return judged.in_flight or isinstance(verdict, Wait)


def note_proof(notes: History, decision: Decision, seen: Observation) -> None:
    if not decision.proof.clean:
        notes.clean_since = None
    elif notes.clean_since is None:
        notes.clean_since = seen.now


def wants_plan(
    spec: DrainSpec, memory: Record, resource: Resource, notes: History, now: datetime
) -> bool:
    """mode: Plan renews it now and then, and with every change of the spec; a drain makes one before its first move.

    If that depends on it, before its first write.
    """
    if resource.deleting:
        return False
    if spec.mode is Mode.PLAN:
        edited = resource.status.get("observedGeneration") != resource.generation
        return edited or notes.planned is None or now - notes.planned >= PLAN_EVERY
    return "plan" not in resource.status if memory.begun else spec.migration.require_capacity


def nothing_to_give_back(resource: Resource) -> bool:
    """Not ours any more, abandoned by a person, or never begun: what was found is saved before the first write to OpenStack."""
    abandoned = resource.annotations.get(ABANDON) == "true"
    return (
        FINALIZER not in resource.finalizers or abandoned or not Record.read(resource.status).begun
    )


def who_is(resource: Resource) -> DrainIdentity:
    return DrainIdentity(resource.key.namespace, resource.key.name, resource.uid, resource.deleting)


def read_spec(resource: Resource) -> DrainSpec:
    """Raises InvalidSpec: no field is ignored in silence."""
    return DrainSpec.read(resource.spec)


def near_misses(host: str, known: Iterable[str]) -> str:
    hosts = sorted(known)
    near = difflib.get_close_matches(host, hosts, n=3, cutoff=0.5) or hosts[:3]
    hint = (
        f"Did you mean {', '.join(near)}?" if near else "Nova lists no nova-compute service at all"
    )
    return f"Nova has no nova-compute service on host {host!r}. {hint}"


def make_reconciler(context: Context) -> Reconciler:
    drains = Drains(context, context.clouds, MoveLimiter(context.settings.max_moves), {}, utc_now)
    return drains.reconcile
