"""Drains that were applied and whose host is not disabled yet: Nova may still send servers there.

So meanwhile no other drain of the same credentials begins a move, or servers of the first of many
drains that are applied at once would move onto hosts of the last, and have to move again.
"""

import threading
import time
from collections.abc import Callable

from quiesce.api.drain.spec import Mode
from quiesce.api.errors import InvalidSpec
from quiesce.api.model import CloudCredentialsRef
from quiesce.kube.resource import Resource
from quiesce.runtime.clouds import credentials_ref

_Credentials = tuple[str, CloudCredentialsRef]  # with the namespace of the Secret

LONGEST_HOLD = 10.0
"""Seconds. A drain whose tick does not end in that time holds nobody up any longer."""


class Newcomers:
    """Safe to use from many threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting: dict[str, tuple[_Credentials, float]] = {}

    def notice(self, resource: Resource) -> None:
        """It is new or was changed, and no tick of it has begun since."""
        spec, service = resource.spec, resource.status.get("service") or {}
        writes = spec.get("mode") != Mode.PLAN and spec.get("suspend") is not True
        begun = "foundStatus" in service
        try:
            credentials = _credentials(resource)
        except InvalidSpec:
            return
        now = self._clock()
        with self._lock:
            self._waiting = {
                uid: each for uid, each in self._waiting.items() if each[1] > now - LONGEST_HOLD
            }
            if writes and not begun and not resource.deleting:
                self._waiting.setdefault(resource.uid, (credentials, now))

    def settle(self, uid: str) -> None:
        """A tick of it has ended: its host is disabled, or will not be for now."""
        with self._lock:
            self._waiting.pop(uid, None)

    def hold(self, resource: Resource) -> bool:
        """Whether another drain of the same credentials is still to be disabled."""
        credentials, since = _credentials(resource), self._clock() - LONGEST_HOLD
        with self._lock:
            return any(
                uid != resource.uid and other == credentials and at > since
                for uid, (other, at) in self._waiting.items()
            )


def _credentials(resource: Resource) -> _Credentials:
    return resource.key.namespace, credentials_ref(resource)
