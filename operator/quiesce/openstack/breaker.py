"""A service that gives no answer is asked by one at a time, until it gives one.

Otherwise every resource of a cloud that is down asks for itself, and each holds a worker until its
request has timed out. Those that do not ask fail as the last one did that asked, so that nothing
looks different. An answer is one with any status: errors in it are the business of who asked.
"""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import requests

from quiesce.api.backoff import Backoff
from quiesce.api.outside import cleaned

log = logging.getLogger(__name__)

OPENS_AFTER = 3
"""Requests in a row without an answer."""
PAUSE = Backoff(first=3.0, longest=3.0, spread=0.2)
"""Between two requests then: less than the time after which any resource alone asks again."""
_LONGEST = 1000  # characters of an error, some of which may be the service's
_MOST_SERVICES = 32
"""More than one cloud has."""


class NotAsked(requests.RequestException):
    """Nothing was sent."""


class NotAskedTimeout(NotAsked, requests.Timeout):
    pass


class NotAskedConnection(NotAsked, requests.ConnectionError):
    pass


@dataclass(slots=True)
class _Silence:
    """`failures`: in a row, of requests during which nothing was answered. `until`: nobody asks
    before that. `error`: how the last one failed.
    """

    failures: int = 0
    until: float = 0.0
    asked: bool = False
    error: type[NotAsked] = NotAskedConnection
    text: str = ""


class Breaker:
    """Of the services of one cloud, by scheme, host and port. Safe to use from many threads.

    One Secret's own: one that names another's services with certificates that do not fit, say, does
    not keep anybody else from asking.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._silent: OrderedDict[str, _Silence] = OrderedDict()
        self._answered: OrderedDict[str, float] = OrderedDict()  # when last

    @contextmanager
    def asking(self, service: str, *, counts: bool = True) -> Iterator[Callable[[], None]]:
        """Around one request: yields what is to be called once there is an answer.

        `counts` False: it is not given the time to be sure that there is none. Raises NotAsked.
        """
        alone, heard, began = self._admit(service), False, self._clock()

        def answered() -> None:
            nonlocal heard
            heard = True
            self._forget(service)

        try:
            yield answered
        except (requests.ConnectionError, requests.Timeout) as error:
            if counts and not heard:
                self._note(service, error, began)
            raise
        finally:
            if alone is not None:
                alone.asked = False

    def _admit(self, service: str) -> _Silence | None:
        """-> the silence that this request is to end, if there is one."""
        with self._lock:
            found = self._silent.get(service)
            if found is None or found.failures < OPENS_AFTER:
                return None
            if found.asked or self._clock() < found.until:
                raise found.error(found.text)
            found.asked = True
            return found

    def _note(self, service: str, error: requests.RequestException, began: float) -> None:
        with self._lock:
            if self._answered.get(service, began) > began:  # to another request meanwhile
                return
            found = self._silent.setdefault(service, _Silence())
            found.failures += 1
            found.until = self._clock() + PAUSE.delay(found.failures, service)
            timeout = isinstance(error, requests.Timeout)
            found.error = NotAskedTimeout if timeout else NotAskedConnection
            found.text = str(error)[:_LONGEST]
            while len(self._silent) > _MOST_SERVICES:
                self._silent.popitem(last=False)
        if found.failures == OPENS_AFTER:
            log.warning(
                "no answer from %s: until there is one, one request is sent to it every 3 seconds",
                cleaned(service, 200),
            )

    def _forget(self, service: str) -> None:
        with self._lock:
            found = self._silent.pop(service, None)
            self._answered.pop(service, None)
            self._answered[service] = self._clock()
            while len(self._answered) > _MOST_SERVICES:
                self._answered.popitem(last=False)
        if found is not None and found.failures >= OPENS_AFTER:
            log.info("%s answers again", cleaned(service, 200))


def was_sent(error: BaseException | None) -> bool:
    """Of an error that a library has made of another one."""
    while error is not None:
        if isinstance(error, NotAsked):
            return False
        error = error.__context__
    return True
