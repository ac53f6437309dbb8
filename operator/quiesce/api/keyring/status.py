"""PURE. The status of a MigrationKeyring: as it is reported, and as it is read back.

No other module knows how it is spelled in JSON; the CRD explains each field.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from quiesce.api.conditions import Condition, merged
from quiesce.api.text import clipped

_PROBLEM_ROWS = 20
_REMEDIES = 5
_MESSAGE_LENGTH = 512
_SENTENCE_LENGTH = 160
_REMEDY_LENGTH = 256
_TARGETS = 50


@dataclass(frozen=True, slots=True)
class ProblemRow:
    """A host, or of paths the host that they start at. `remedies`: each a sentence or a command.

    `targets`: hosts that these paths lead to.
    """

    host: str
    reason: str
    message: str
    remedies: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        row: dict[str, Any] = {
            "host": self.host,
            "reason": self.reason,
            "message": clipped(self.message, _SENTENCE_LENGTH),
        }
        if self.remedies:
            row["remedies"] = [clipped(each, _REMEDY_LENGTH) for each in self.remedies[:_REMEDIES]]
        if self.targets:
            row["targets"] = list(self.targets[:_TARGETS])
        return row

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> Self:
        remedies, targets = (tuple(row.get(key) or ()) for key in ("remedies", "targets"))
        return cls(row["host"], row["reason"], row["message"], remedies, targets)


@dataclass(frozen=True, slots=True)
class HostCounts:
    total: int
    ready: int
    failed: int

    @property
    def summary(self) -> str:
        return f"{self.ready}/{self.total}"

    def as_json(self) -> dict[str, Any]:
        return {
            "summary": self.summary,
            "total": self.total,
            "ready": self.ready,
            "failed": self.failed,
        }


@dataclass(frozen=True, slots=True)
class PathCounts:
    total: int
    proven: int
    failed: int

    @property
    def summary(self) -> str:
        return f"{self.proven}/{self.total}"

    def as_json(self) -> dict[str, Any]:
        return {
            "summary": self.summary,
            "total": self.total,
            "proven": self.proven,
            "failed": self.failed,
        }


@dataclass(frozen=True, slots=True)
class RotationStatus:
    step: str
    waits_for: tuple[str, ...]
    message: str

    def as_json(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "waitsFor": list(self.waits_for[:_PROBLEM_ROWS]),
            "message": clipped(self.message, _MESSAGE_LENGTH),
        }


@dataclass(frozen=True, slots=True)
class KeyringStatus:
    """The whole status. What is None is left out. `conditions`: `Ready` among them."""

    observed_generation: int
    message: str
    conditions: tuple[Condition, ...]
    hosts: HostCounts | None = None
    paths: PathCounts | None = None
    proven_hosts: tuple[str, ...] | None = None
    fingerprint: str | None = None
    rotation: RotationStatus | None = None
    problems: tuple[ProblemRow, ...] = ()
    """All of them: only the first are shown."""
    problems_omitted: int | None = None
    """How many more there are than `problems` holds; None: not counted yet."""

    @property
    def standing(self) -> tuple[str, str]:
        """(Ready, Reconciling or Stalled; the reason of `Ready`)."""
        reasons = {c.type: c.reason for c in self.conditions if c.status == "True"}
        kind = next((kind for kind in ("Stalled", "Reconciling") if kind in reasons), "Ready")
        return kind, next((c.reason for c in self.conditions if c.type == "Ready"), "")

    def as_json(self, previous: "KeyringRecord", now: str) -> dict[str, Any]:
        """`now`: RFC 3339, for conditions that differ from the previous status."""
        omitted = None
        if self.problems_omitted is not None:
            omitted = self.problems_omitted + max(0, len(self.problems) - _PROBLEM_ROWS)
        problems = [row.as_json() for row in self.problems[:_PROBLEM_ROWS]]
        whole = {
            "observedGeneration": self.observed_generation,
            "message": clipped(self.message, _MESSAGE_LENGTH),
            "conditions": merged(
                previous.stored_conditions, self.conditions, self.observed_generation, now
            ),
            "hosts": self.hosts and self.hosts.as_json(),
            "paths": self.paths and self.paths.as_json(),
            "provenHosts": None if self.proven_hosts is None else list(self.proven_hosts),
            "fingerprint": self.fingerprint,
            "rotation": self.rotation and self.rotation.as_json(),
            "problems": None if omitted is None else problems,
            "problemsOmitted": omitted,
        }
        return {key: value for key, value in whole.items() if value is not None}


@dataclass(frozen=True, slots=True)
class KeyringRecord:
    """What is read back of a stored status: by the next tick, and by drains.

    Nothing of it is memory: a keyring whose status is lost derives it again.
    """

    status: KeyringStatus
    stored_conditions: Sequence[Mapping[str, Any]] = field(default=())
    """As JSON, with their transition times."""

    @property
    def ready(self) -> tuple[str, str]:
        """Status and reason of `Ready`; two empty strings where there is none."""
        found = [(c.status, c.reason) for c in self.status.conditions if c.type == "Ready"]
        return found[0] if found else ("", "")

    def has_counted(self, generation: int) -> bool:
        """Whether it is of this generation and has counted hosts."""
        return self.status.observed_generation == generation and self.status.hosts is not None

    @property
    def installed(self) -> bool:
        """Whether keys may be on hosts: it has reported hosts, or a key that they use."""
        return self.total > 0 or self.status.fingerprint is not None

    @property
    def total(self) -> int:
        """Hosts of the keyring; 0 where it has not counted them."""
        return self.status.hosts.total if self.status.hosts else 0

    @property
    def named_hosts(self) -> frozenset[str]:
        """Hosts that it names anywhere; there may be more (`hosts.total`)."""
        return frozenset(
            (*(self.status.proven_hosts or ()), *(row.host for row in self.status.problems))
        )

    def problem_of(self, host: str) -> ProblemRow | None:
        """The first one that is shown: of the host itself, else of a path to it."""
        rows = self.status.problems
        own = (row for row in rows if row.host == host)
        return next(own, None) or next((row for row in rows if host in row.targets), None)

    @classmethod
    def read(cls, status: Mapping[str, Any]) -> Self:
        """From JSON; an empty status is an empty record."""
        stored = status.get("conditions") or ()
        conditions = tuple(
            Condition(c["type"], c["status"], c["reason"], c["message"]) for c in stored
        )
        hosts, paths = status.get("hosts"), status.get("paths")
        rotation, proven = status.get("rotation"), status.get("provenHosts")
        return cls(
            KeyringStatus(
                observed_generation=status.get("observedGeneration", -1),
                message=status.get("message", ""),
                conditions=conditions,
                hosts=hosts and HostCounts(hosts["total"], hosts["ready"], hosts["failed"]),
                paths=paths and PathCounts(paths["total"], paths["proven"], paths["failed"]),
                proven_hosts=None if proven is None else tuple(proven),
                fingerprint=status.get("fingerprint"),
                rotation=rotation
                and RotationStatus(
                    rotation["step"], tuple(rotation["waitsFor"]), rotation["message"]
                ),
                problems=tuple(map(ProblemRow.read, status.get("problems") or ())),
                problems_omitted=status.get("problemsOmitted"),
            ),
            stored,
        )
