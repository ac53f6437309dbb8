"""PURE. What is known of each host of a keyring, and of the paths from it.

It is a cache: after a restart every host is visited again, and nothing is lost.
"""

import math
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from quiesce.api.backoff import Backoff
from quiesce.keyring.model.observation import HostObservation
from quiesce.keyring.model.visit import HostFailure, PathCheck, VisitResult
from quiesce.ops.weight import weight

RETRY = Backoff(first=5.0, longest=120.0)
"""Of a host that failed, and of a path that does not work."""
_TOLD = 2
"""Failed paths from one host whose message is kept, of each reason: one is told."""


@dataclass(frozen=True, slots=True)
class PathRecord:
    """The last check of a path, when it was (monotonic seconds), and with which key. Its message is
    empty where others from the same host failed for the same reason.
    """

    check: PathCheck
    at: float
    key_id: str | None
    failures: int = 0

    @property
    def retry_at(self) -> float:
        return self.at + RETRY.delay(self.failures)


@dataclass(frozen=True, slots=True)
class HostRecord:
    """What is known of one host. `at`: its last visit (monotonic seconds); None: none yet."""

    at: float | None = None
    observation: HostObservation | None = None
    since: float = 0.0
    """When the observation last changed."""
    failure: HostFailure | None = None
    failures: int = 0
    paths: Mapping[str, PathRecord] = field(default_factory=dict)
    """By the host at which each ends."""
    removed: bool = False
    """Nothing of ours was left there at the last visit."""

    @property
    def retry_at(self) -> float:
        return 0.0 if self.at is None else self.at + RETRY.delay(self.failures)

    def make_due(self) -> "HostRecord":
        """The host and all its paths are due at once; what is known is valid until then."""
        due = {path: replace(path, at=-math.inf) for path in set(self.paths.values())}
        paths = {name: due[path] for name, path in self.paths.items()}
        return replace(self, at=None, paths=paths)

    def keep_paths(self, names: set[str]) -> "HostRecord":
        """Without the paths to hosts that are no part of the keyring any more."""
        return replace(
            self, paths={name: path for name, path in self.paths.items() if name in names}
        )

    def after(self, visit: VisitResult, now: float) -> "HostRecord":
        """With what a visit found."""
        observed = visit.observation
        changed = observed is not None and observed != self.observation
        return HostRecord(
            at=now,
            observation=self.observation if observed is None else observed,
            since=now if changed else self.since,
            failure=visit.failure,
            failures=self.failures + 1 if visit.failure else 0,
            paths={**self.paths, **self._checked(visit, now)},
            removed=visit.removed,
        )

    @property
    def weight(self) -> int:
        """Bytes. Names of hosts are those of the keyring, and shared by all records of it."""
        paths = frozenset(self.paths.values())
        known = weight((self.observation, self.failure, paths))
        return sys.getsizeof(self) + sys.getsizeof(self.paths) + known

    def _checked(self, visit: VisitResult, now: float) -> Mapping[str, PathRecord]:
        """Paths may be a million: those that are alike share one record, and few have a message."""
        key_id = visit.observation.uses if visit.observation else None
        checks, shared = dict(visit.checks), dict[PathRecord, PathRecord]()
        told = Counter(
            path.check.reason
            for name, path in self.paths.items()
            if path.check.message and name not in checks
        )
        found: dict[str, PathRecord] = {}
        for target, check in checks.items():
            told[check.reason] += bool(check.message)
            kept = check if told[check.reason] <= _TOLD else PathCheck(check.reason)
            record = PathRecord(kept, now, key_id, self._failures(target, check))
            found[target] = shared.setdefault(record, record)
        return found

    def _failures(self, target: str, check: PathCheck) -> int:
        before = self.paths.get(target)
        return 0 if check.works else (before.failures if before else 0) + 1
