"""The skeleton of a tick, the same for every kind: get, gone, finalizer, release, tick, problems.

To add a kind:

1. Its words: `api/KIND/` (spec, status) and a finalizer in `api/annotations.py`; its CRD.
2. Its rooms: a package beside `drain/` and `keyring/`. One class in its `reconcile.py` is an
   `Actuator` (see `runtime.kinds`): what a tick does, what is undone on deletion, and how a problem
   reads in its status. Connections come from `cloud_of`; status, Events and log lines go through
   `publish`. A function `make_reconciler(context)` returns `ResourceReconciler(…).reconcile`.
3. One line in `app.KINDS`: plural, finalizer, `make_reconciler`.

Nothing of this module is copied.
"""

import logging
from collections import Counter
from dataclasses import dataclass, field

from quiesce.api.annotations import is_abandoned
from quiesce.api.backoff import Backoff
from quiesce.api.errors import BadCredentials, InternalError, Problem, Transient
from quiesce.kube.errors import KubeError, KubeForbidden
from quiesce.kube.resource import Key, Resource
from quiesce.ops.leadership import NotLeading
from quiesce.runtime.clouds import forget_cloud
from quiesce.runtime.incident import reference
from quiesce.runtime.kinds import Actuator, Context, Released
from quiesce.runtime.publish import announce
from quiesce.runtime.shard import Step, marks
from quiesce.runtime.turn import Postponed

log = logging.getLogger(__name__)

AT_ONCE = 0.0
"""It is not done yet: what is new or changed keeps its place before all that is only polled."""
AFTER_TERMINAL_SECONDS = 15.0
"""How soon a Secret, spec or cloud that a person has corrected is noticed."""
_OTHER_SHARD_SECONDS = 2.0
"""How soon it is noticed that another shard has handed a resource over."""
_UNTIL_AT_REST_SECONDS = 0.5
AFTER_TRANSIENT = Backoff(first=5.0, longest=30.0, spread=0.2)


@dataclass(slots=True)
class _Memory:
    """Of one resource: its uid, and by call how many ticks ended in its Transient problem since the
    last one that ended well.

    `left`: what stays behind if nobody undoes it, as of its last tick; empty once that is told.
    """

    uid: str
    transients: Counter[str] = field(default_factory=Counter)
    left: str = ""


class ResourceReconciler:
    """One kind's reconciler. Many threads may use it, with each key in one at a time."""

    def __init__(self, context: Context, actuator: Actuator) -> None:
        self._context, self._actuator = context, actuator
        self._memories: dict[Key, _Memory] = {}

    def reconcile(self, key: Key) -> float | None:
        """One tick. -> seconds until the next one; None: the resource is gone or released.

        Raises KubeError, and what is unexpected once that is reported: the controller backs off.
        """
        rests_for = self._actuator.rests(key)
        if rests_for is not None:
            return rests_for
        try:
            resource = self._context.store.get(key)
        except KubeForbidden:
            self._tell_what_is_left(key)
            raise
        memory = self._remember(key, resource)
        if resource is None or memory is None:
            return None
        step = self._context.shard.step(resource)
        if step is not Step.WORK:
            return self._settle(resource, step)
        if self._actuator.finalizer not in resource.finalizers:
            return self._take_on(resource)
        try:
            memory.left = self._actuator.left_behind(resource)
            outcome = self._advance(resource)
        except (KubeError, Postponed, NotLeading):
            raise
        except Problem as problem:
            return self._report(resource, memory, problem)
        except BaseException as error:
            self._report_unexpected(resource, error)
            raise
        memory.transients.clear()
        if isinstance(outcome, Released):
            self._release(resource, outcome)
            return None
        return outcome

    def _settle(self, resource: Resource, step: Step) -> float | None:
        """Of a resource on which no tick is due here: who works on it is not settled, or another
        does. What a tick here knew of it is forgotten: the next one may come after another shard's.
        """
        if step is Step.HAND_OVER and not self._actuator.at_rest(resource.uid):
            return _UNTIL_AT_REST_SECONDS
        self._forget(resource.key, resource.uid)
        if step is Step.MARK:
            self._context.store.add_finalizer(resource)
            return AT_ONCE
        if step is Step.HAND_OVER:
            self._context.store.hand_over(resource)
            log.info("%s is handed over: the selector of another shard applies", resource.key)
            return None
        if step is Step.WAIT:
            if not self._context.shard.others_are_gone(resource):
                return _OTHER_SHARD_SECONDS
            self._context.store.replace_marks(resource, marks(resource.finalizers))
            return AT_ONCE
        return None

    def _remember(self, key: Key, resource: Resource | None) -> _Memory | None:
        """The same name with another uid is another object: the old one is forgotten."""
        memory = self._memories.get(key)
        if memory is not None and (resource is None or memory.uid != resource.uid):
            self._forget(key, memory.uid)
            memory = None
        if resource is not None and memory is None:
            memory = self._memories[key] = _Memory(resource.uid)
        return memory

    def _tell_what_is_left(self, key: Key) -> None:
        """A namespace that is deleted takes the operator's rights in it along, mostly before its
        resources: there is nothing then that the operator could undo, or write this to.
        """
        memory = self._memories.get(key)
        if memory is None or not memory.left:
            return
        log.warning(
            "the operator may no longer read %s, so nothing of it is undone: %s. If its namespace "
            "is not being deleted, restore the rights: apply the operator's manifests again. If "
            "it is, do that by hand, then remove its finalizers (kubectl patch)",
            key,
            memory.left,
        )
        memory.left = ""

    def _forget(self, key: Key, uid: str) -> None:
        self._memories.pop(key, None)
        self._actuator.forget(key, uid)

    def _take_on(self, resource: Resource) -> float | None:
        """The finalizer is stored first and alone: until then nothing else is changed anywhere.

        A resource in deletion without it is not ours (any more).
        """
        if resource.deleting:
            self._forget(resource.key, resource.uid)
            return None
        self._context.store.add_finalizer(resource)
        return AT_ONCE

    def _advance(self, resource: Resource) -> float | Released:
        if resource.deleting:
            abandoned = is_abandoned(resource.annotations)
            if abandoned or self._actuator.nothing_to_undo(resource):
                return Released(tuple(self._actuator.release_events(resource, abandoned=abandoned)))
        return self._actuator.tick(resource)

    def _release(self, resource: Resource, released: Released) -> None:
        """Events first: once its finalizer is removed the resource is gone."""
        announce(self._context, resource, released.events)
        self._context.secrets.hand_over(resource, self._actuator.secrets_of(resource))
        self._context.store.remove_finalizer(resource)
        self._forget(resource.key, resource.uid)

    def _report(self, resource: Resource, memory: _Memory, problem: Problem) -> float:
        if isinstance(problem, BadCredentials):
            forget_cloud(self._context, resource)
        self._actuator.report_problem(self._as_stored(resource), problem)
        if not isinstance(problem, Transient):
            return AFTER_TERMINAL_SECONDS
        memory.transients[problem.call] += 1
        delay = AFTER_TRANSIENT.delay(memory.transients[problem.call], resource.uid)
        return max(delay, problem.retry_after or 0.0)

    def _report_unexpected(self, resource: Resource, error: BaseException) -> None:
        """In the status, where people look; the controller logs it and backs off."""
        found = reference(error)
        problem = InternalError(
            f"unexpected {type(error).__name__}: a defect of the operator, which goes on retrying; "
            f"search its log for {found}"
        )
        try:
            self._actuator.report_problem(self._as_stored(resource), problem)
        except BaseException as failed:  # noqa: BLE001 - the caller raises the first error
            log.warning("could not report error %s in the status: %s", found, failed)

    def _as_stored(self, resource: Resource) -> Resource:
        """Its status may have been written in this very tick, before something failed."""
        return self._context.store.get(resource.key) or resource
