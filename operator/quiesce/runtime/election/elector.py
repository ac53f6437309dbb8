"""Acquires one Lease and renews it, in a thread of its own, which no other work can hold up."""

import random
import threading
from collections.abc import Callable

from quiesce.api.outside import cleaned
from quiesce.kube.errors import KubeConflict, KubeError, KubeForbidden, KubeNotFound
from quiesce.kube.lease import Lease, Leases
from quiesce.ops import metrics
from quiesce.ops.identity import IDENTITY
from quiesce.ops.leadership import Fence, uptime
from quiesce.ops.logging import get_logger
from quiesce.runtime.election.rule import (
    DEADLINE,
    DURATION,
    POLL_EVERY,
    RENEW_EVERY,
    Act,
    Seen,
    act,
    rival,
    see,
)
from quiesce.runtime.election.scope import Scope

RIVALS_EVERY = 10.0
"""How often a leader searches for operators with another Lease, in seconds: one that may not list
ours does not stand by for us."""
_UNREAD_SECONDS = 30.0
"""After so long without having read the Lease, one that stands by could not take over."""

log = get_logger(__name__)


class Elector:
    """start(), wait() until it leads, stop(). The fence is open only while the Lease is ours."""

    def __init__(
        self,
        leases: Leases,
        name: str,
        scope: Scope,
        fence: Fence,
        lost: Callable[[], None],
        *,
        me: str = IDENTITY,
        clock: Callable[[], float] = uptime,
    ) -> None:
        """`lost`: called once in the thread of the elector, with the fence closed."""
        self._leases, self._name, self._scope = leases, name, scope
        self._fence, self._tell_lost, self._me, self._clock = fence, lost, me, clock
        self._id = f"{leases.namespace}/{name}"
        self._ours: Lease | None = None
        self._until = 0.0
        self._seen: Seen | None = None
        self._others: dict[str, Seen] = {}
        self._everywhere = True
        self._leading, self._ended = threading.Event(), threading.Event()
        self._read_at, self._said, self._trouble = clock(), "", ""
        self._in_the_way = ""
        self._looked_at = float("-inf")
        self.lost: str | None = None
        self._thread = threading.Thread(target=self._run, name="election", daemon=True)

    def start(self) -> None:
        metrics.leader(self._id, leads=False)
        self._thread.start()

    def wait(self) -> None:
        """Until it leads, or has ended."""
        while not self._leading.wait(1.0) and not self._ended.is_set():
            pass

    def stop(self, seconds: float) -> None:
        """Closes the fence, lets calls under way end, and releases the Lease if they all did."""
        idle = self._fence.close(seconds)
        self._ended.set()
        if self.lost is None and self._thread.is_alive():
            self._thread.join(5.0)
        metrics.leader(self._id, leads=False)
        if self.lost is None and self._ours is not None and not self._thread.is_alive():
            self._release(self._ours, idle=idle)

    def failing(self) -> list[str]:
        """Why it could not take over now, a line each. Not that an operator beside it works on the
        same: during a rollout that is the one that it is to replace, which ends once this is ready.
        """
        silent = self._clock() - self._read_at
        if self._ours is None and silent > _UNREAD_SECONDS:
            return [f"Lease {self._id} was not read for {silent:.0f}s: {self._trouble}"]
        return [self._in_the_way] if self._in_the_way else []

    def dead(self) -> list[str]:
        return [] if self._thread.is_alive() or self._ended.is_set() else ["election: dead"]

    def _run(self) -> None:
        pause = 0.0
        while not self._ended.wait(pause):
            pause = self.step()

    def step(self) -> float:
        """Reads the Lease, or renews it. -> seconds until the next step."""
        try:
            return self._stand_by() if self._ours is None else self._renew(self._ours)
        except KubeConflict:  # somebody else was quicker, or has changed a label of it
            return 0.1 + 0.2 * random.random()  # noqa: S311 - two must not go on in step
        except KubeError as error:
            self._trouble = cleaned(str(error))
            where = f"Lease {self._id}: {self._trouble}"
            if isinstance(error, KubeForbidden):
                where += "; give the operator its rights: manifests/base/lease-rights.yaml"
            self._say(where, warn=True)
            return POLL_EVERY

    # One that does not lead

    def _stand_by(self) -> float:
        lease = self._leases.get(self._name)
        self._read_at = now = self._clock()
        self._seen = see(self._seen, lease, now) if lease else None
        todo = act(self._seen, self._me, now)
        if todo is Act.WAIT or self._is_rivalled():
            if self._seen and todo is Act.WAIT:
                self._say(f"standing by: {_held(self._seen.lease)}")
            return POLL_EVERY
        sent = self._clock()
        taken = self._acquire()
        if self._is_rivalled():  # both asked at once: at least one of the two sees the other
            self._leases.release(taken)
            return POLL_EVERY + 2 * random.random()  # noqa: S311
        self._hold_since(sent)
        self._ours, self._said = taken, ""
        metrics.leader(self._id, leads=True)
        log.info("leads: holds Lease %s as %s", self._id, self._me)
        self._leading.set()
        return RENEW_EVERY

    def _acquire(self) -> Lease:
        if self._seen is None:
            return self._leases.create(self._name, self._me, DURATION, str(self._scope))
        return self._leases.take(self._seen.lease, self._me, DURATION, str(self._scope))

    def _is_rivalled(self) -> bool:
        """Whether an operator with another Lease works on the same resources. Raises KubeError."""
        found, now = self._list_others(), self._clock()
        self._others = {each.id: see(self._others.get(each.id), each, now) for each in found}
        seen = rival(self._others.values(), self._id, self._scope, now)
        self._in_the_way = ""
        if seen is not None:
            text = (
                f"standing by: another operator watches some of the same resources "
                f"({cleaned(str(Scope.read(seen.lease.scope)))}); {_held(seen.lease)}. Stop one of "
                "the two, or give them namespaces or label selectors that exclude each other"
            )
            if seen.lease.namespace != self._leases.namespace:
                self._in_the_way = text
            self._say(text, warn=True)
        return seen is not None

    def _list_others(self) -> list[Lease]:
        """In all namespaces where we may; else beside ours."""
        if self._everywhere:
            try:
                return self._leases.list(everywhere=True)
            except KubeForbidden:
                self._everywhere = False
        return self._leases.list(everywhere=False)

    # The leader

    def _renew(self, ours: Lease) -> float:
        sent = self._clock()
        if sent >= self._until:
            why = f": {self._trouble}" if self._trouble else ""
            return self._lose(f"was not renewed for {DEADLINE:.0f}s{why}")
        try:
            self._ours = self._leases.renew(ours, DURATION)
        except KubeNotFound:
            return self._lose("was deleted")
        except KubeConflict:
            current = self._leases.get(self._name)
            if current is None or current.holder != self._me:
                return self._lose(_held(current) if current else "was deleted")
            self._ours = current  # its labels have changed, or a renewal without an answer worked
            raise
        self._hold_since(sent)
        self._trouble = self._said = ""
        if self._everywhere and sent - self._looked_at >= RIVALS_EVERY:
            self._looked_at = sent
            if self._is_rivalled():
                return self._lose("is not the only one: another operator leads for the same")
        return RENEW_EVERY

    def _hold_since(self, sent: float) -> None:
        self._until = sent + DEADLINE
        self._fence.extend(self._until)

    def _lose(self, why: str) -> float:
        self._fence.close(0)
        self._ours, self.lost = None, f"lost Lease {self._id}: it {why}"
        metrics.leader(self._id, leads=False)
        self._ended.set()
        self._tell_lost()
        return 0.0

    def _release(self, ours: Lease, *, idle: bool) -> None:
        if not idle:
            log.warning(
                "Lease %s is not released: calls are still under way. Another takes it in %ds",
                self._id,
                DURATION,
            )
            return
        try:
            try:
                self._leases.release(ours)
            except KubeConflict:  # a renewal without an answer has worked
                current = self._leases.get(self._name)
                if current is not None and current.holder == self._me:
                    self._leases.release(current)
        except KubeError as error:
            log.warning("Lease %s could not be released: %s", self._id, error)
        else:
            log.info("released Lease %s", self._id)

    def _say(self, text: str, *, warn: bool = False) -> None:
        """Once, until there is another message."""
        if text != self._said:
            self._said = text
            (log.warning if warn else log.info)("%s", text)


def _held(lease: Lease) -> str:
    holder = cleaned(lease.holder, 120) or "nobody"
    return f"Lease {cleaned(lease.id, 200)} is held by {holder}"
