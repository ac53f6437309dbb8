"""Drains with nothing to do, as most have for most of their time, and those that wait until others
have moved their servers (`--max-moves`): while nothing is seen to have changed, their hosts are
looked at less and less often.

In between, a tick reads three lists that all drains of the same credentials share: the services,
and on which hosts migrations and servers have changed. It ends without an action, or a whole look
follows. Where they were read a moment ago, and the watch has not shown that the resource changed,
it ends before the resource and its Secret are read.

What those lists do not show is noticed by the next whole look only. That is little: whatever moves
to the host has a migration, a server that comes to it in any way is changed, and Nova sends no new
server to a disabled service, even where an administrator has named the host
(scheduler/request_filter.py compute_status_filter), unless its nova-compute was down when it was
disabled, and so did not tell placement.

So whole looks need not be more with more hosts: all of them together have one in three minutes, and
each has one an hour where they are few. Where changes are not known, as after an outage, each host
is looked at soon, and not all at once; where they stay unknown, each in ten minutes.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from quiesce.api.backoff import Backoff
from quiesce.api.drain.spec import AfterDrain, WhileRunning
from quiesce.drain.model.decision import Decision, Goal
from quiesce.drain.model.drain import Drain
from quiesce.drain.model.observation import Observation
from quiesce.kube.resource import Key, Resource
from quiesce.openstack.cloud import Cloud
from quiesce.openstack.records import Service

LONGEST, WATCHED = 600.0, 3600.0
"""Seconds between two whole looks at a host; and where changes are known."""
EACH = 180.0
"""Seconds between two whole looks at any host at rest then."""
APART = 2.0
"""Seconds between two hosts, in the mean, where all have to be looked at."""
TICK = 15.0
"""Seconds between two ticks, at least, of a host that is drained."""
SEEN_WITHIN = 180.0
"""Seconds: all resources are listed once a minute; one that is not may be none that we may read."""
SERVICES_AGE, CHANGES_AGE = 15.0, 30.0
"""Seconds for which these lists count here; drains that move ask more often."""


@dataclass(frozen=True, slots=True)
class Rest:
    """What a whole look has found, with nothing to do: uid and `version` of the resource, the host,
    its service and servers, and by the cloud's clock when the look began, and when its migrations
    were asked for. `looks`: how many in a row. `requeue`: seconds between two ticks. `until`: when
    the next whole look is due; `watched_until`: where changes are known. `waits`: what has to stay
    so, if anything.
    """

    uid: str
    version: str
    host: str
    cloud: Cloud
    service: Service | None
    servers: tuple[str, ...]
    began: float
    asked: float
    looks: int
    requeue: float
    until: float
    watched_until: float
    waits: Callable[[], bool] | None


class Rests:
    """Each drain is ticked by one thread at a time; the watch tells of all of them meanwhile."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._shown: dict[Key, tuple[str, float]] = {}  # which version was seen last, and when
        self._rests: dict[Key, Rest] = {}
        self._began: dict[Key, float] = {}
        self._unknown: dict[Key, float] = {}  # since when it is not known what has changed

    def see(self, resource: Resource, gone: bool = False) -> None:
        """The watch, or a list, shows it so; a list may be older than what the watch has shown."""
        if gone:
            self.forget(resource.key)
            return
        version = resource.resource_version
        before, _ = self._shown.get(resource.key, ("", 0.0))
        if not (before.isdecimal() and version.isdecimal() and int(version) < int(before)):
            self._shown[resource.key] = version, self._clock()

    def unchanged(self, key: Key) -> Rest | None:
        """Before the resource is read: as `look`, by what is known without a read."""
        rest = self._rests.get(key)
        version, seen = self._shown.get(key, ("", float("-inf")))
        if rest is None or rest.version != version or self._clock() - seen > SEEN_WITHIN:
            return None
        if self._is_over(rest):
            return None
        services = rest.cloud.known_services(SERVICES_AGE)
        if services is None or rest.service != services.get(rest.host):
            return None
        return rest if _changed(rest, rest.cloud, read=False) == (False, False) else None

    def look(self, resource: Resource, drain: Drain, cloud: Cloud) -> Rest | None:
        """What there is to do in this tick: nothing, but wait; None: look at the host.

        Raises what a read of the cloud raises.
        """
        now, rest = cloud.clock(), self._rests.get(resource.key)
        if rest is not None and self._is_unchanged(rest, resource, drain, cloud):
            return rest
        self._began[resource.key] = now
        return None

    def _is_unchanged(self, rest: Rest, resource: Resource, drain: Drain, cloud: Cloud) -> bool:
        service = _service_of(drain.host, cloud.services(age=SERVICES_AGE))
        if resource.resource_version != rest.version or service != rest.service:
            self._rests.pop(resource.key, None)
            return False
        if self._is_over(rest):
            return False
        changed = _changed(rest, cloud, read=True)
        if None not in changed:
            self._unknown.pop(resource.key, None)
            return True not in changed
        now = self._clock()
        since = self._unknown.setdefault(resource.key, now)
        last = min(APART * len(self._rests), LONGEST)
        look_at = max(
            rest.until, since + Backoff(last / 2, last, spread=1.0).delay(1, resource.uid)
        )
        return True not in changed and now < look_at

    def _is_over(self, rest: Rest) -> bool:
        return self._clock() >= rest.watched_until or not (rest.waits is None or rest.waits())

    def note(
        self,
        resource: Resource,
        drain: Drain,
        cloud: Cloud,
        observation: Observation,
        decision: Decision,
        waits: Callable[[], bool] | None = None,
    ) -> None:
        """After a whole look, whose tick has ended well. `waits`: it rests while that is so."""
        key, asked = resource.key, observation.history.asked
        began = self._began.get(key)
        # A poll knows its servers as they were some seconds before it began.
        rests = observation.whole and (
            waits is not None or _is_at_rest(drain, observation, decision)
        )
        if began is None or asked is None or not rests:
            self._end(key)
            return
        before, uid = self._rests.get(key), resource.uid
        looks, now = before.looks + 1 if before else 1, self._clock()
        self._unknown.pop(key, None)
        among = EACH * len(self._rests)
        wait = Backoff(decision.requeue, LONGEST, spread=0.2)
        watched = Backoff(max(decision.requeue, among), max(WATCHED, among), spread=0.2)
        self._rests[key] = Rest(
            resource.uid,
            resource.resource_version,
            drain.host,
            cloud,
            observation.service,
            tuple(server.id for server in observation.servers),
            began,
            asked,
            looks,
            decision.requeue if waits else max(decision.requeue, TICK),
            now + wait.delay(looks, uid),
            now + watched.delay(looks, uid),
            waits,
        )

    def forget(self, key: Key) -> None:
        self._end(key)
        self._shown.pop(key, None)

    def _end(self, key: Key) -> None:
        for kept in (self._rests, self._began, self._unknown):
            kept.pop(key, None)


def _changed(rest: Rest, cloud: Cloud, *, read: bool) -> tuple[bool | None, bool | None]:
    """Its migrations, its servers; None: not known."""
    return (
        cloud.migration_changed(rest.host, rest.asked, age=CHANGES_AGE, read=read),
        cloud.server_changed(
            rest.host, rest.began, age=CHANGES_AGE, read=read, servers=rest.servers
        ),
    )


def _service_of(host: str, services: Iterable[Service]) -> Service | None:
    return next((each for each in services if each.host == host), None)


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
