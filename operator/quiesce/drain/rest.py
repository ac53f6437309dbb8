"""Drains with nothing to do, as most have for most of their time: while nothing is seen to have
changed, their hosts are looked at less and less often.

In between, a tick reads two lists that all drains of the same credentials share: the services, and
which hosts' migrations have changed. It ends without an action, or a whole look follows. What these
lists do not show is noticed by the next whole look only. That is little: whatever moves to the host
has a migration, and Nova sends no new server to a disabled service, even where an administrator has
named the host (scheduler/request_filter.py compute_status_filter), unless its nova-compute was down
when it was disabled, and so did not tell placement.
"""

from collections.abc import Callable
from dataclasses import dataclass

from quiesce.api.backoff import Backoff
from quiesce.api.drain.spec import AfterDrain, WhileRunning
from quiesce.drain.model.decision import Decision, Goal
from quiesce.drain.model.drain import Drain
from quiesce.drain.model.observation import Observation
from quiesce.kube.resource import Resource
from quiesce.openstack.cloud import Cloud
from quiesce.openstack.records import Service

LONGEST = 600.0
"""Seconds between two whole looks at a host."""
CHANGES_AGE = 5.0
"""Seconds for which an answer about changes counts here; drains that move ask more often."""


@dataclass(frozen=True, slots=True)
class _Rest:
    """What a whole look has found, with nothing to do: `version` of the resource, the host's
    service, and when its migrations were asked for, by the cloud's clock. `looks`: how many in a
    row. `requeue`: seconds between two ticks. `until`: when the next whole look is due.
    """

    version: str
    service: Service | None
    asked: float
    looks: int
    requeue: float
    until: float


class Rests:
    """By the resource's uid. Each is ticked by one thread at a time."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._rests: dict[str, _Rest] = {}

    def requeue(self, resource: Resource, drain: Drain, cloud: Cloud) -> float | None:
        """Seconds until the next tick, as there is nothing to do in this one; None: look.

        Raises what a read of the cloud raises.
        """
        rest = self._rests.get(resource.uid)
        if rest is None:
            return None
        service = next((s for s in cloud.services() if s.host == drain.host), None)
        if resource.resource_version != rest.version or service != rest.service:
            self.forget(resource.uid)
            return None
        if self._clock() >= rest.until:
            return None
        if not cloud.no_migration_changed(drain.host, rest.asked, age=CHANGES_AGE):
            return None
        return rest.requeue

    def note(
        self, resource: Resource, drain: Drain, observation: Observation, decision: Decision
    ) -> None:
        """After a whole look, whose tick has ended well."""
        asked = observation.history.asked
        if asked is None or not _is_at_rest(drain, observation, decision):
            self.forget(resource.uid)
            return
        before = self._rests.get(resource.uid)
        looks = before.looks + 1 if before else 1
        wait = Backoff(decision.requeue, LONGEST, spread=0.2).delay(looks, resource.uid)
        self._rests[resource.uid] = _Rest(
            resource.resource_version,
            observation.service,
            asked,
            looks,
            decision.requeue,
            self._clock() + wait,
        )

    def forget(self, uid: str) -> None:
        self._rests.pop(uid, None)


def _is_at_rest(drain: Drain, observation: Observation, decision: Decision) -> bool:
    """The host is proven empty and its service as the spec wants it, or nova-compute is still to be
    stopped by a person, which the services show.
    """
    found, wanted = observation.service, drain.spec.service
    stops = wanted.after_drain is AfterDrain.DELETE and wanted.while_running is WhileRunning.STOP
    is_watched = found is not None and (found.forced_down or stops)
    waits = decision.actions or decision.verdicts or decision.refused or decision.leftovers
    return (
        decision.goal is Goal.KEEP_DRAINED
        and decision.proof.complete
        and not (is_watched or waits or observation.history.host_failure)
    )
