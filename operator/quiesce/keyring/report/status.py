"""PURE. What is known of the hosts -> the whole status, for people and for drains."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

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
from quiesce.api.text import NAMED, count, some
from quiesce.keyring.model import HostRecord, Identity, KeyringDecision, Rotation, RotationStep
from quiesce.keyring.report.rows import Problem, host_problem, problems

ON_EACH = "on each of them, "


def timestamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _problems(decision: KeyringDecision) -> tuple[Problem, ...]:
    return problems(decision.failures, decision.checks)


def _host_counts(decision: KeyringDecision) -> HostCounts:
    failed = sum(record.failure is not None for record in decision.hosts.values())
    return HostCounts(len(decision.hosts), len(decision.ready_hosts), failed)


def _path_counts(decision: KeyringDecision) -> PathCounts:
    proven = sum(check.works for check in decision.checks.values())
    return PathCounts(decision.paths, proven, len(decision.checks) - proven)


def _numbers(decision: KeyringDecision) -> str:
    hosts, paths = _host_counts(decision), _path_counts(decision)
    return (
        f"{hosts.ready} of {hosts.total} hosts ready, {paths.proven} of {paths.total} paths proven"
    )


def status(decision: KeyringDecision, generation: int) -> KeyringStatus:
    conditions = _conditions(decision)
    return KeyringStatus(
        observed_generation=generation,
        message=conditions[0].message,
        conditions=conditions,
        hosts=_host_counts(decision),
        paths=_path_counts(decision),
        proven_hosts=decision.proven_hosts,
        fingerprint=decision.desired.key.public.fingerprint,
        rotation=_rotation(decision.rotation),
        problems=tuple(each.row for each in _problems(decision)),
        problems_omitted=0,
    )


def _conditions(decision: KeyringDecision) -> tuple[Condition, ...]:
    """`Ready` first."""
    complete = decision.installed and (decision.all_proven or decision.probe is Probe.NONE)
    return (*_kstatus(decision, complete), _keys_installed(decision), _paths_proven(decision))


def _keys_installed(decision: KeyringDecision) -> Condition:
    if decision.installed:
        text = f"every host accepts and uses {decision.desired.key.public.fingerprint}"
        return Condition("KeysInstalled", "True", "Installed", text)
    names = some(set(decision.hosts) - set(decision.ready_hosts))
    return Condition("KeysInstalled", "False", "HostsOutOfOrder", f"not as desired: {names}")


def _paths_proven(decision: KeyringDecision) -> Condition:
    if decision.probe is Probe.NONE:
        text = "spec.probe is None: no path is checked"
        return Condition("PathsProven", "Unknown", "NotProbed", text)
    if decision.all_proven:
        return Condition(
            "PathsProven", "True", "Proven", "every checked copy from host to host works"
        )
    return Condition("PathsProven", "False", "PathsUnproven", _numbers(decision))


def _kstatus(decision: KeyringDecision, complete: bool) -> tuple[Condition, ...]:
    """Ready with Reconciling or Stalled (kstatus): Stalled where nothing but a person helps."""
    found, numbers = _problems(decision), _numbers(decision)
    rotating = decision.rotation.step is not RotationStep.STABLE
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
        return (ready(True, "Installed" if decision.probe is Probe.NONE else "Proven", numbers),)
    if complete:
        reason, text = "Rotating", _rotation_message(decision.rotation)
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


def named(hosts: Collection[str], total: int) -> str:
    """`5 hosts (cmp1, cmp2, cmp3 and 1 more)`: as many as are known to be there, and as named."""
    number = count(max(total, len(hosts)), "host")
    return f"{number} ({some(hosts)})" if hosts else number


def problem_status(
    problem: errors.Problem,
    previous: KeyringRecord,
    generation: int,
    removing: Identity | None = None,
) -> KeyringStatus:
    """The previous status with a problem of the whole keyring; what was known of hosts stays.

    `removing`: the keyring is being deleted, and something of it is installed.
    """
    text = str(problem)
    if removing is not None:
        hosts = named(previous.named_hosts, previous.total)
        text = (
            f"{text}. Until that is solved, keys stay on {hosts}. "
            "To delete the keyring all the same, annotate it with quiesce.dev/abandon=true; then "
            f"{ON_EACH}{removing.by_hand}"
        )
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
