"""One tick of one drain. Level-triggered; the next tick starts from what is there then."""

import difflib
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial

from quiesce.api.annotations import DRAIN_FINALIZER, REQUESTED_AT, request
from quiesce.api.drain.record import Record
from quiesce.api.drain.spec import DrainSpec, Mode, OnDelete
from quiesce.api.drain.status import DrainStatus
from quiesce.api.errors import HostAsked, HostNotFound, HostTaken, Problem
from quiesce.api.events import Event, normal, warning
from quiesce.compute.access import host_key_secret
from quiesce.compute.host import HostCompute
from quiesce.drain.act import Acted, ActionContext, act
from quiesce.drain.claimed import Claims, StoredClaims, cloud_digest
from quiesce.drain.decide import Claim, decide, suffices, to_read
from quiesce.drain.decide.schedule import (
    as_stored,
    holds_slot,
    on_their_way,
    only_waits_for_others,
    room_to_arrive,
    wants_more,
)
from quiesce.drain.histories import Histories
from quiesce.drain.host_access import compute_of, keyring_of, paths_of
from quiesce.drain.limiter import MoveLimiter
from quiesce.drain.model.actions import StartMove
from quiesce.drain.model.decision import Arrivals, Decision, Limits
from quiesce.drain.model.drain import Drain
from quiesce.drain.model.history import History
from quiesce.drain.model.identity import DrainIdentity
from quiesce.drain.model.missing import IncompleteList
from quiesce.drain.model.observation import Observation
from quiesce.drain.newcomers import Newcomers
from quiesce.drain.observe import complete, observe, poll, read_chosen, read_guests
from quiesce.drain.report import (
    Report,
    events,
    foreign_confirms,
    left_on_host,
    status,
    status_of_problem,
)
from quiesce.drain.rest import Rest, Rests
from quiesce.drain.telemetry import Telemetry
from quiesce.kube.resource import Key, Resource
from quiesce.openstack.cloud import FOUND_AGE, Cloud
from quiesce.ops import metrics
from quiesce.ops.clock import Clock
from quiesce.runtime.clouds import cloud_of, forget_secret
from quiesce.runtime.kinds import Context, Reconciler, Released
from quiesce.runtime.publish import publish
from quiesce.runtime.reconciler import ResourceReconciler

_PLAN_EVERY = timedelta(seconds=60)
_COMPARED, _MOST_COMPARED = 64, 2000
"""Characters of a name, and names, in the search for one that was meant: the time for each grows
with the square of its length."""
_AS_ALIKE = 0.1
"""By so much less than the best one, of 1, may a name be like the one that was asked for."""
_AFTER_TICK = 0.01
"""Seconds, where a tick took longer than the time until the next one: others come in between."""


@dataclass(frozen=True, slots=True)
class _Access:
    """What a tick reads from and writes to. `keyring` None: the spec names none."""

    cloud: Cloud
    keyring: Resource | None
    compute: HostCompute | None


@dataclass
class Drains:
    """The actuator of ComputeNodeDrains (see runtime.kinds), and what it keeps from tick to
    tick.
    """

    context: Context
    limiter: MoveLimiter
    clock: Clock = field(default_factory=Clock)
    histories: Histories = field(default_factory=Histories)
    claims: Claims = field(default_factory=Claims)
    stored: StoredClaims = field(init=False)
    """Of all shards."""
    newcomers: Newcomers = field(default_factory=Newcomers)
    resting: Rests = field(default_factory=lambda: Rests(time.monotonic))
    telemetry: Telemetry = field(default_factory=Telemetry)
    finalizer: str = DRAIN_FINALIZER

    def __post_init__(self) -> None:
        self.stored = StoredClaims(lambda: map(_claim_of, self.context.store.list()))

    def see(self, resource: Resource, gone: bool) -> None:
        """The watch, or a list, shows it so. What a process before this one had in flight counts
        from the beginning, not only once each drain has had its first tick.
        """
        self.resting.see(resource, gone)
        if gone:
            self.limiter.forget(resource.uid)
        if gone or self.limiter.has_met(resource.uid):
            return
        last = DrainStatus.read(resource.status)
        self.limiter.hold(
            resource.uid,
            resource.key.namespace,
            max(last.progress.moving if last.progress else 0, len(last.moving)),
            cloud=last.record.cloud or "",
            arrivals=as_stored(last.moving),
        )

    def tick(self, resource: Resource) -> float | Released:
        began = time.monotonic()
        drain = self.read(resource)
        access = self.connect(resource, drain)
        resource = self.claim(resource, drain, access)
        rest = self.resting.look(resource, drain, access.cloud)
        if rest is not None:
            return self._rest(rest)
        observation, decision = self.observe_and_decide(resource, drain, access)
        notices = self.notices(resource, drain, observation)
        self._prove(resource, access)
        self.remember(resource, drain, observation, decision)
        self.telemetry.observed(resource, drain, observation, decision)
        if decision.released:
            return Released(_farewell(drain, decision))
        self.report(resource, drain, observation, decision, notices)
        self.act(resource, access, observation, decision)
        self.newcomers.settle(resource.uid)
        waits = self._waits_for_others(resource, drain, access.cloud, observation, decision)
        if waits is not None:  # a slot is not left unused for long
            decision = replace(decision, requeue=self.context.settings.poll_interval)
        self.resting.note(resource, drain, access.cloud, observation, decision, waits)
        return max(_AFTER_TICK, decision.requeue - (time.monotonic() - began))

    def _rest(self, rest: Rest) -> float:
        self.telemetry.rested(
            rest.uid, self.clock.now(), self.clock.set_by(), waits=rest.waits is not None
        )
        return rest.requeue

    def read(self, resource: Resource) -> Drain:
        """Raises InvalidSpec: no field is ignored in silence."""
        status = DrainStatus.read(resource.status)
        return Drain(
            DrainIdentity(resource.key.namespace, resource.key.name, resource.uid),
            DrainSpec.read(resource.spec),
            status.record,
            deleting=resource.deleting,
            edited=status.generation != resource.generation,
            requested_at=request(resource.annotations, REQUESTED_AT),
        )

    def connect(self, resource: Resource, drain: Drain) -> _Access:
        cloud = cloud_of(self.context, resource)
        keyring = keyring_of(self.context, resource, drain.spec)
        compute = compute_of(self.context, resource, drain.spec, drain.record, keyring, cloud)
        return _Access(cloud, keyring, compute)

    def claim(self, resource: Resource, drain: Drain, access: _Access) -> Resource:
        """Asked until the drain has begun; from then on no other drain can take the host from it.

        The list of services, which only administrators may read, proves the credentials; it is
        hardly older than this call, for what follows. -> the resource as it is stored now.
        """
        mine = _claim_of(resource)
        if drain.begun:
            self.claims.hold(mine)
        if drain.begun or drain.deleting:
            return resource
        access.cloud.services(age=FOUND_AGE)
        mine = replace(mine, cloud=self._prove(resource, access))
        divided = self.context.shard.divided
        if divided:
            resource = self._ask(resource, drain, mine)
        if not divided or drain.spec.mode is not Mode.PLAN:
            self._take(mine, divided=divided)
        return resource

    def _take(self, mine: Claim, *, divided: bool) -> None:
        try:
            self.claims.take(mine, partial(self.stored.get, fresh=divided), divided=divided)
        except HostTaken:
            if divided:
                raise
            # By one that may be gone since it was listed.
            self.claims.take(mine, partial(self.stored.get, fresh=True))

    def _ask(self, resource: Resource, drain: Drain, mine: Claim) -> Resource:
        """Stores that this drain asks for its host, where drains of other shards read it, before
        they are read: see `Claim.keeps_off`. Not again and again where it is kept off anyway.
        """
        self.claims.refuse(mine, self.stored.get(fresh=True))
        before = _claim_of(resource)
        if drain.spec.mode is Mode.PLAN or (before.asking and before.cloud == mine.cloud):
            return resource
        asked = HostAsked(
            f"asks for host {drain.host}, which a drain of another operator may want as well; "
            "begins within seconds"
        )
        last = DrainStatus.read(resource.status)
        after = status_of_problem(
            asked, last, resource.generation, self.clock.wall(), restoring=None
        )
        publish(self.context, resource, self._with_cloud(resource, after).to_json())
        return self.context.store.get(resource.key) or resource

    def _prove(self, resource: Resource, access: _Access) -> str:
        """The credentials have just worked in this cloud; its digest."""
        cloud = cloud_digest(access.cloud.identity)
        self.claims.prove(resource.uid, cloud)
        return cloud

    def observe_and_decide(
        self, resource: Resource, drain: Drain, access: _Access
    ) -> tuple[Observation, Decision]:
        """A poll where that is enough for what is to be done, with the servers that are to move;
        else a whole observation.
        """
        history = self.histories.get(resource.uid, History())
        now, set_by = self.clock.now(), self.clock.set_by()
        planning = _wants_plan(drain, history, now)
        if not planning and not drain.deleting:
            polled = poll(access.cloud, drain, history, now, set_by)
            if polled is not None:
                found = self._decide(resource, drain, access, polled)
                if suffices(drain, *found):
                    asked = read_guests(access.cloud, drain, found[0])
                    if asked is not found[0]:
                        found = self._decide(resource, drain, access, asked)
                elif chosen := to_read(drain, *found):
                    read = read_chosen(access.cloud, drain, found[0], chosen)
                    found = self._decide(resource, drain, access, read) if read else found
                if suffices(drain, *found):
                    return found
                observation = complete(access.cloud, drain, found[0])
                if not observation.looks_empty:
                    return self._decide(resource, drain, access, observation)
                history = observation.history
        observation = observe(
            access.cloud, drain, history, now, set_by, planning=planning, compute=access.compute
        )
        if observation.service is None and not drain.begun and not drain.deleting:
            raise HostNotFound(_near_misses(drain.host, (s.host for s in observation.services)))
        return self._decide(resource, drain, access, observation)

    def _decide(
        self, resource: Resource, drain: Drain, access: _Access, observation: Observation
    ) -> tuple[Observation, Decision]:
        if access.keyring is not None:
            paths = paths_of(access.keyring, access.cloud, observation)
            observation = replace(observation, paths=paths)
        last_plan = DrainStatus.read(resource.status).plan
        with self.limiter:
            limits = self._limits(resource, access.cloud)
            decision = decide(drain, observation, limits, last_plan)
            self._hold(resource, drain, access.cloud, decision, limits)
        return observation, decision

    def _hold(
        self,
        resource: Resource,
        drain: Drain,
        cloud: Cloud,
        decision: Decision,
        limits: Limits,
    ) -> None:
        """A cloud may list more moves in flight than this drain would ever begin."""
        parallel, verdicts = drain.spec.migration.max_parallel, decision.verdicts
        counts, started = sum(holds_slot(drain, v) for v in verdicts), len(decision.started)
        moves = min(parallel, counts + started)
        most = max(moves, parallel - sum(v.in_flight for v in verdicts) + counts)
        slots, more = limits.slots, wants_more(drain, decision) and moves < most
        begin = sum(isinstance(action, StartMove) for action in decision.actions)
        arrivals = on_their_way(verdicts) + Arrivals(open=begin)
        self.limiter.hold(
            resource.uid,
            resource.key.namespace,
            moves,
            most=most,
            waits=more and slots is not None and slots <= moves,
            waits_for_arrivals=more and room_to_arrive(verdicts, limits) <= begin,
            cloud=cloud_digest(cloud.identity),
            arrivals=arrivals,
        )

    def _waits_for_others(
        self,
        resource: Resource,
        drain: Drain,
        cloud: Cloud,
        observation: Observation,
        decision: Decision,
    ) -> Callable[[], bool] | None:
        """Whether it does; None: it has other things to wait for, or to do."""
        if not only_waits_for_others(drain, observation, decision):
            return None
        still_waits = partial(
            self.limiter.still_waits,
            resource.uid,
            resource.key.namespace,
            cloud_digest(cloud.identity),
        )
        return still_waits if still_waits() else None

    def _limits(self, resource: Resource, cloud: Cloud) -> Limits:
        settings, where = self.context.settings, cloud_digest(cloud.identity)
        return Limits(
            timedelta(seconds=settings.settle),
            self.limiter.slots(resource.uid, resource.key.namespace),
            settings.poll_interval,
            settings.idle_interval,
            held=self.newcomers.hold(resource),
            most_arrivals=self.limiter.most_arrivals,
            beside=self.limiter.beside(resource.uid, where),
            arriving=self.limiter.arriving(resource.uid, resource.key.namespace, where),
        )

    def notices(
        self, resource: Resource, drain: Drain, observation: Observation
    ) -> tuple[Event, ...]:
        """What happened since the last tick that no status shows."""
        before = self.histories.get(resource.uid, History()).foreign_confirms
        new = observation.history.foreign_confirms[len(before) :]
        return foreign_confirms(new, observation.history.names, drain.spec.confirmation)

    def remember(
        self, resource: Resource, drain: Drain, observation: Observation, decision: Decision
    ) -> None:
        """For the next tick, should this one not come to its end: its calls are expected to
        work.
        """
        before = self.histories.get(resource.uid, History())
        for m in before.ended(observation.migrations):
            metrics.move_finished("live" if m.live else "cold", m.status)
        tries = observation.begun(decision.record.tries)
        history = observation.history.note_proof(decision.proof.clean, observation.now)
        more = wants_more(drain, decision)
        history = history.note_tries(tries).expect(decision.actions, more=more)
        self.histories[resource.uid] = history

    def report(
        self,
        resource: Resource,
        drain: Drain,
        observation: Observation,
        decision: Decision,
        notices: tuple[Event, ...] = (),
    ) -> None:
        before = DrainStatus.read(resource.status)
        after = self._with_cloud(
            resource, status(Report(drain, observation, decision, before, resource.generation))
        )
        self._publish(resource, before, after, notices)

    def act(
        self, resource: Resource, access: _Access, observation: Observation, decision: Decision
    ) -> None:
        """Raises the first NotAllowed or BadCredentials among the calls, after all others were
        tried.
        """
        key = str(resource.key)
        fields = self.telemetry.call_fields(resource)
        context = ActionContext(
            access.cloud, observation, key, self.clock.now, access.compute, fields
        )
        acted: Acted = act(decision.actions, context)
        self.histories[resource.uid] = acted.advance(self.histories[resource.uid])
        if acted.problem is not None:
            raise acted.problem

    # What the skeleton asks for besides

    def nothing_to_undo(self, resource: Resource) -> bool:
        """Never begun: what was found is saved before the first write to OpenStack."""
        return not Record.read(resource.status).begun

    def left_behind(self, resource: Resource) -> str:
        return left_on_host(str(resource.spec.get("host")), DrainStatus.read(resource.status))

    def release_events(self, resource: Resource, *, abandoned: bool) -> Sequence[Event]:
        if abandoned:
            left = self.left_behind(resource)
            text = "released without restoring the host (quiesce.dev/abandon)"
            return (warning("Abandoned", "Restore", f"{text}. {left}" if left else text),)
        text = "nothing to restore: nothing was written to OpenStack"
        return (normal("Released", "Restore", text),)

    def secrets_of(self, resource: Resource) -> Sequence[str]:
        return (host_key_secret(resource),)

    def report_problem(self, resource: Resource, problem: Problem) -> None:
        self.newcomers.settle(resource.uid)
        history = self.histories.get(resource.uid, History())
        missed = problem.missed if isinstance(problem, IncompleteList) else {}
        self.histories[resource.uid] = history.interrupt().miss(missed)
        before = DrainStatus.read(resource.status)
        host = str(resource.spec.get("host")) if resource.deleting else None
        now = self.clock.wall()
        after = status_of_problem(problem, before, resource.generation, now, restoring=host)
        self._publish(resource, before, self._with_cloud(resource, after))

    def rests(self, key: Key) -> float | None:
        rest = self.resting.unchanged(key)
        return self._rest(rest) if rest is not None else None

    def at_rest(self, uid: str) -> bool:
        """All calls are made within the ticks."""
        return True

    def forget(self, key: Key, uid: str) -> None:
        self.histories.pop(uid, None)
        self.limiter.forget(uid)
        self.claims.forget(uid)
        self.newcomers.settle(uid)
        self.resting.forget(key)
        self.telemetry.forget(uid)

    def _with_cloud(self, resource: Resource, after: DrainStatus) -> DrainStatus:
        """Once its credentials have worked: where other drains look for it."""
        cloud = self.claims.cloud_of(resource.uid)
        if cloud is None:
            return after
        return replace(after, record=replace(after.record, cloud=cloud))

    def _publish(
        self,
        resource: Resource,
        before: DrainStatus,
        after: DrainStatus,
        notices: tuple[Event, ...] = (),
    ) -> None:
        self.telemetry.reported(resource, after, self.clock.now(), self.clock.set_by())
        told = (*events(before, after), *notices)
        publish(self.context, resource, after.to_json(), told)


def _farewell(drain: Drain, decision: Decision) -> tuple[Event, ...]:
    """Told before the resource goes, and with it the last place to read it."""
    if drain.spec.on_delete is OnDelete.LEAVE:
        return (normal("Released", "Restore", "host left as it is: spec.onDelete is Leave"),)
    undone, text = decision.left_undone, "host restored"
    if decision.restored_as:
        text = f"host restored, but {decision.restored_as}"
    if not undone:
        tell = warning if decision.restored_as else normal
        return (tell("Restored", "Restore", text),)
    return (
        warning("NovaComputeNotRunning", "Restore", undone),
        normal("Restored", "Restore", f"{text}, except for nova-compute"),
    )


def _wants_plan(drain: Drain, history: History, now: datetime) -> bool:
    """mode: Plan renews it now and then, and with every change of the spec; a drain makes one
    before its first move.

    If that depends on it, before its first write.
    """
    if drain.deleting:
        return False
    if drain.spec.mode is Mode.PLAN:
        return drain.edited or history.planned is None or now - history.planned >= _PLAN_EVERY
    return not drain.record.planned if drain.begun else drain.spec.migration.require_capacity


def _claim_of(resource: Resource) -> Claim:
    host = str(resource.spec.get("host"))
    status, key = DrainStatus.read(resource.status), resource.key
    record = status.record
    plans = resource.spec.get("mode") == Mode.PLAN and status.generation == resource.generation
    yields = status.ready is not None and status.ready.reason == HostTaken.reason
    asking = record.cloud is not None and not record.begun and not plans and not yields
    return Claim(
        resource.created,
        resource.uid,
        key.namespace,
        key.name,
        host,
        record.cloud,
        record.begun,
        asking,
    )


def _near_misses(host: str, known: Iterable[str]) -> str:
    """Of hosts that are alike, those most alike: that others come and go changes no status."""
    hosts, asked = sorted(known), host[:_COMPARED]
    alike = [each for each in hosts if len(each) <= _COMPARED][:_MOST_COMPARED]
    near = difflib.get_close_matches(asked, alike, n=3, cutoff=0.5)
    likeness = [difflib.SequenceMatcher(None, each, asked).ratio() for each in near]
    near = [each for each, of in zip(near, likeness, strict=True) if of > likeness[0] - _AS_ALIKE]
    if not hosts:
        return f"Nova has no nova-compute service on host {host!r}, nor on any other"
    hint = "No host has a name like it: openstack compute service list --service nova-compute."
    if near:
        hint = f"Did you mean {', '.join(near)}?"
    return (
        f"Nova has no nova-compute service on host {host!r}. {hint} "
        "spec.host cannot be changed: delete this drain and create another"
    )


def make_reconciler(context: Context) -> Reconciler:
    settings = context.settings
    limiter = MoveLimiter(settings.max_moves, most_arrivals=settings.max_arrivals)
    drains = Drains(context, limiter)
    context.on_news.extend((drains.newcomers.notice, partial(forget_secret, context)))
    context.on_seen.append(drains.see)
    return ResourceReconciler(context, drains).reconcile
