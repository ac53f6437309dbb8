"""On which hosts migrations, or servers, have changed: one small read of the whole cloud, for all
who wait.

It tells that nothing has happened, and saves reading the records again; never what they are. Facts
of Nova on which this rests (read at 21.2.4, 29.4.0 and 34.0.0):

* `changes-since` is `updated_at >= time` (nova/db/main/api.py
  _get_query_nova_resource_by_changes_time, also of instance_get_all_by_filters_sort). A migration
  that was never updated since its creation is not among the changes, nor is one whose server was
  deleted. A server is updated when a host takes it.
* `updated_at` is set by the clock of whichever process writes, in whole seconds. The newest that
  was shown is taken for Nova's time: answers need not have a `Date` (those of uWSGI have none),
  which would be a proxy's time besides. For servers the reports of services that are up tell it:
  the earliest one, which is service_down_time old at most (60 s by default).
* Rows of a cell that does not answer are left out in silence.

So changes may be missed, for as long as nobody reads the records themselves: who asks does that
every few seconds, and before anything is done.
"""

import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from quiesce.api.errors import CloudUnreachable, NotAllowed
from quiesce.openstack.shared import Shared

AGE = 1.0
"""Seconds for which an answer counts, at least."""
OVERLAP = timedelta(seconds=45)
"""Clocks of Nova's processes may be 30 s apart, and a change is written some seconds after its
time."""
SHARED_BY = 3
"""Hosts: for fewer, reading each one's records is less."""
_ASKED_WITHIN = 10.0
_LONGEST_GAP = 120.0
"""After that many seconds without a read the changes would be a long list."""
MOST, REST = 1000, 60.0
"""A cloud that changes more than that, or does not answer such a request, is left alone so long."""
MOST_HOSTS = 10_000
"""So is one that names more hosts than any cloud has: none of them is forgotten."""


@dataclass(frozen=True, slots=True)
class Change:
    """A row. `version`: what is compared to tell whether there is something new. `hosts`: what it
    is a change of; of a server that has left its host for none, the server itself. `updated`: by
    Nova's clock; None: never.
    """

    id: str
    version: tuple[str | None, ...]
    hosts: tuple[str, ...]
    updated: datetime | None


@dataclass(frozen=True, slots=True)
class _Known:
    """All changes after `since` and before `read` were seen, both by our clock. `newest`: the last
    one that was seen, by Nova's. `versions`: the rows of the last answer. `changed`: when an answer
    with something new of a host was there.
    """

    since: float
    read: float
    newest: datetime
    versions: Mapping[str, tuple[str | None, ...]] = field(default_factory=dict)
    changed: Mapping[str, float] = field(default_factory=dict)

    def advance(
        self, answer: Sequence[Change], asked: float, there: float, time: datetime | None
    ) -> "_Known | None":
        """`time`: Nova's, before it was asked; None: the rows tell it. -> None: it cannot be
        followed from here.
        """
        if len(answer) >= MOST:
            return None
        changed = dict(self.changed)
        for each in answer:
            if self.versions.get(each.id) != each.version:
                changed |= dict.fromkeys(each.hosts, there)
        if len(changed) > MOST_HOSTS:
            return None
        newest = time or max(self.newest, _newest(answer) or self.newest)
        return _Known(self.since, asked, newest, _versions(answer), changed)


def _versions(changes: Iterable[Change]) -> Mapping[str, tuple[str | None, ...]]:
    return {each.id: each.version for each in changes}


def _newest(changes: Iterable[Change]) -> datetime | None:
    return max((each.updated for each in changes if each.updated), default=None)


class Changes:
    """Safe to use from many threads."""

    def __init__(
        self, ask: Callable[[datetime], Sequence[Change]], clock: Callable[[], float]
    ) -> None:
        """`ask`: for all records that were updated since then, by Nova's clock."""
        self._ask, self._clock = ask, clock
        self._lock = threading.Lock()
        self._known: _Known | None = None
        self._time: datetime | None = None
        self._rests_until = float("-inf")
        self._asked_by: dict[str, float] = {}
        self._shared = Shared(self._read, AGE, clock)

    def begin(self, asked: float, found: Sequence[Change] = ()) -> None:
        """All records of a host were read. Changes are followed from here on, unless they already
        are, or Nova's time is not known: no record has ever changed, and no other list tells it.
        """
        with self._lock:
            newest = max(filter(None, (self._time, _newest(found))), default=None)
            if newest and not self._follows(asked):
                self._known = _Known(asked, asked, newest, _versions(found))

    def tell_time(self, asked: float, time: datetime | None) -> None:
        """Nova's time, by another list that was `asked` for; None: it does not show it."""
        with self._lock:
            self._time = time
        self.begin(asked)

    def none_since(self, host: str, asked: float, age: float = AGE) -> bool:
        """Whether no record of the host has changed since all of them were asked for, as an answer
        shows that is `age` seconds old at most. False also where that is not known.
        """
        return self.since(host, asked, age) is False

    def since(
        self,
        host: str,
        asked: float,
        age: float = AGE,
        *,
        read: bool = True,
        also: Collection[str] = (),
    ) -> bool | None:
        """As `none_since`, the other way round; None: it is not known. `read` False: as far as it
        is known already. `also`: of which a change counts as one of the host.
        """
        if not self._is_worth_it(host, age) or self._clock() < self._rests_until:
            return None
        known = self._shared.get(age) if read else self._shared.known(age)
        if known is None or known.since > asked:
            return None
        return any(known.changed.get(each, asked) > asked for each in (host, *also))

    def _is_worth_it(self, host: str, age: float) -> bool:
        """Always for those that ask seldom: they would read more than the host's records."""
        if age > AGE:
            return True
        now = self._clock()
        with self._lock:
            self._asked_by[host] = now
            recent = {h: at for h, at in self._asked_by.items() if now - at < _ASKED_WITHIN}
            self._asked_by = recent
        return len(recent) >= SHARED_BY

    def _follows(self, now: float) -> bool:
        return self._known is not None and now - self._known.read < _LONGEST_GAP

    def _read(self) -> _Known | None:
        """By one thread at a time."""
        asked = self._clock()
        with self._lock:
            known, time = self._known if self._follows(asked) else None, self._time
        if known is None:
            return None
        try:
            answer = self._ask(known.newest - OVERLAP)
        except (CloudUnreachable, NotAllowed):
            known = None  # the records of the host itself are read next: that says what is wrong
        else:
            known = known.advance(answer, asked, self._clock(), time)
        with self._lock:
            self._known = known
            self._rests_until = self._clock() + REST if known is None else self._rests_until
        return known
