"""PURE. What is known of the hosts -> the whole status, for people and for drains."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property

from quiesce.api import errors
from quiesce.api.conditions import Condition, ready
from quiesce.api.keyring.spec import Probe
from quiesce.api.keyring.status import (
    HostCounts,
    KeyringRecord,
    KeyringStatus,
    PathCounts,
    RotationStatus,
)
from quiesce.api.text import NAMED, some
from quiesce.keyring.decide import is_ready, paths_to_check, required_targets
from quiesce.keyring.model import DesiredState, HostRecord, PathCheck, Rotation, RotationStep
from quiesce.keyring.report.rows import Problem, host_problem, problems


def timestamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True)
class KeyringReport:
    """The hosts of a keyring, counted. `destinations`: where Nova can move something now."""

    desired: DesiredState
    rotation: Rotation
    probe: Probe
    hosts: Mapping[str, HostRecord]
    destinations: AbstractSet[str]

    @cached_property
    def ready_hosts(self) -> tuple[str, ...]:
        return tuple(name for name, record in self.hosts.items() if is_ready(self.desired, record))

    @cached_property
    def paths(self) -> Mapping[str, tuple[str, ...]]:
        return paths_to_check(self.probe, list(self.hosts), self.destinations)

    @cached_property
    def checks(self) -> Mapping[tuple[str, str], PathCheck | None]:
        """None: not checked, or one of the two hosts has failed since."""
        return {(a, b): self._check(a, b) for a, targets in self.paths.items() for b in targets}

    def _check(self, source: str, target: str) -> PathCheck | None:
        if self.hosts[source].failure or self.hosts[target].failure:
            return None
        record = self.hosts[source].paths.get(target)
        return record.check if record else None

    @cached_property
    def problems(self) -> tuple[Problem, ...]:
        failures = {name: record.failure for name, record in self.hosts.items() if record.failure}
        return problems(failures, self.checks)

    @cached_property
    def host_counts(self) -> HostCounts:
        failed = sum(record.failure is not None for record in self.hosts.values())
        return HostCounts(len(self.hosts), len(self.ready_hosts), failed)

    @cached_property
    def path_counts(self) -> PathCounts:
        checked = [check for check in self.checks.values() if check is not None]
        proven = sum(check.works for check in checked)
        return PathCounts(len(self.checks), proven, len(checked) - proven)

    @property
    def proven_hosts(self) -> tuple[str, ...]:
        """Those from which a cold migration reaches every host that Nova could choose.

        Only the paths count that the probe checks.
        """

        def is_proven(name: str) -> bool:
            targets = required_targets(self.paths[name], self.destinations)
            return all(
                check is not None and check.works
                for check in (self.checks[name, target] for target in targets)
            )

        return tuple(sorted(name for name in self.ready_hosts if is_proven(name)))

    @property
    def installed(self) -> bool:
        return self.host_counts.ready == self.host_counts.total

    @property
    def all_proven(self) -> bool:
        return self.path_counts.proven == self.path_counts.total

    @property
    def numbers(self) -> str:
        hosts, paths = self.host_counts, self.path_counts
        return (
            f"{hosts.ready} of {hosts.total} hosts ready, "
            f"{paths.proven} of {paths.total} paths proven"
        )


def status(report: KeyringReport, generation: int) -> KeyringStatus:
    conditions = _conditions(report)
    return KeyringStatus(
        observed_generation=generation,
        message=conditions[0].message,
        conditions=conditions,
        hosts=report.host_counts,
        paths=report.path_counts,
        proven_hosts=report.proven_hosts,
        fingerprint=report.desired.key.public.fingerprint,
        rotation=_rotation(report.rotation),
        problems=tuple(each.row for each in report.problems),
        problems_omitted=0,
    )


def _conditions(report: KeyringReport) -> tuple[Condition, ...]:
    """`Ready` first."""
    complete = report.installed and (report.all_proven or report.probe is Probe.NONE)
    return (*_kstatus(report, complete), _keys_installed(report), _paths_proven(report))


def _keys_installed(report: KeyringReport) -> Condition:
    if report.installed:
        text = f"every host accepts and uses {report.desired.key.public.fingerprint}"
        return Condition("KeysInstalled", "True", "Installed", text)
    names = some(set(report.hosts) - set(report.ready_hosts))
    return Condition("KeysInstalled", "False", "HostsOutOfOrder", f"not as desired: {names}")


def _paths_proven(report: KeyringReport) -> Condition:
    if report.probe is Probe.NONE:
        text = "spec.probe is None: no path is checked"
        return Condition("PathsProven", "Unknown", "NotProbed", text)
    if report.all_proven:
        return Condition("PathsProven", "True", "Proven", "every checked login works")
    return Condition("PathsProven", "False", "PathsUnproven", report.numbers)


def _kstatus(report: KeyringReport, complete: bool) -> tuple[Condition, ...]:
    """Ready with Reconciling or Stalled (kstatus): Stalled where nothing but a person helps."""
    found, numbers = report.problems, report.numbers
    rotating = report.rotation.step is not RotationStep.STABLE
    if found:
        reason, text = found[0].row.reason, f"{numbers}; {_named(found)}"
        stalled = all(each.needs_person for each in found)
        other = (
            Condition("Stalled", "True", reason, text)
            if stalled
            else Condition("Reconciling", "True", "ProgressingWithRetry", text)
        )
        return ready(False, reason, text), other
    if complete and not rotating:
        return (ready(True, "Installed" if report.probe is Probe.NONE else "Proven", numbers),)
    if complete:
        reason, text = "Rotating", _rotation_message(report.rotation)
    else:
        reason, text = "Progressing", numbers
    return ready(None, reason, text), Condition("Reconciling", "True", reason, text)


def _named(found: Sequence[Problem]) -> str:
    return "; ".join(f"{each.row.host}: {each.row.reason}" for each in found[:NAMED])


def _rotation_message(rotation: Rotation) -> str:
    texts = {
        RotationStep.ACCEPT: "new key: waiting for hosts to accept it",
        RotationStep.USE: "new key: waiting for hosts to use it",
        RotationStep.RETIRE: "new key: every host uses it; the old key is removed shortly",
        RotationStep.STABLE: "",
    }
    names = f": {some(rotation.waits_for)}" if rotation.waits_for else ""
    return texts[rotation.step] + names


def _rotation(rotation: Rotation) -> RotationStatus | None:
    if rotation.step is RotationStep.STABLE:
        return None
    return RotationStatus(rotation.step.value, rotation.waits_for, _rotation_message(rotation))


def problem_status(
    problem: errors.Problem, previous: KeyringRecord, generation: int
) -> KeyringStatus:
    """The previous status with a problem of the whole keyring; what was known of hosts stays."""
    text = str(problem)
    kind = "Stalled" if isinstance(problem, errors.Terminal) else "Reconciling"
    kept = [
        condition
        for condition in previous.status.conditions
        if condition.type not in ("Ready", "Stalled", "Reconciling")
    ]
    own = ready(False, problem.reason, text), Condition(kind, "True", problem.reason, text)
    return replace(
        previous.status,
        observed_generation=generation,
        message=text,
        conditions=(*own, *kept),
    )


def removal_status(
    hosts: Mapping[str, HostRecord], previous: KeyringRecord, generation: int
) -> KeyringStatus:
    """While the keyring is being deleted: what is left, and what prevents its removal."""
    remaining = sorted(name for name, record in hosts.items() if not record.removed)
    failures = {name: hosts[name].failure for name in remaining}
    found = [host_problem(name, failure) for name, failure in failures.items() if failure]
    text = f"removing keys, {len(hosts) - len(remaining)} of {len(hosts)} hosts done"
    if found:
        text += (
            f"; {_named(found)}. To delete the keyring without these hosts: "
            "annotate it with quiesce.dev/abandon=true"
        )
    return replace(
        previous.status,
        observed_generation=generation,
        message=text,
        conditions=(
            ready(False, "Removing", text),
            Condition("Reconciling", "True", "Removing", text),
        ),
        proven_hosts=(),
        problems=tuple(each.row for each in found),
        problems_omitted=0,
    )
