"""PURE: what is known of the hosts -> the whole status, for people and for drains. Bounded, sorted, stable."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from quiesce.api.conditions import Condition, merged, ready
from quiesce.api.errors import Problem, Terminal
from quiesce.api.keyring.spec import Probe
from quiesce.keyring.fleet import HostMemory
from quiesce.keyring.rotation import Rotation, Step
from quiesce.keyring.schedule import in_order, needed, paths
from quiesce.keyring.visit import Failure, Pair
from quiesce.keyring.wanted import Wanted

PROBLEM_ROWS = 20
NAMES = 3
TEXT = 512
NEEDS_PERSON = frozenset(
    {"HostKeyMismatch", "PermissionDenied", "ShellNotAllowed", "ClientConfig", "NoClient"}
)
"""Failed logins between hosts that waiting does not mend."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of `status.problems`."""

    host: str
    reason: str
    message: str
    person: bool

    def as_json(self) -> dict[str, str]:
        return {"host": self.host, "reason": self.reason, "message": self.message[:TEXT]}


@dataclass(frozen=True)
class Picture:
    """The hosts of a keyring as they stand, counted."""

    wanted: Wanted
    rotation: Rotation
    probe: Probe
    hosts: Mapping[str, HostMemory]
    destinations: AbstractSet[str]
    """Hosts to which Nova can move something now."""

    @property
    def ready(self) -> list[str]:
        return [name for name, memory in self.hosts.items() if in_order(self.wanted, memory)]

    @property
    def failed(self) -> list[str]:
        return [name for name, memory in self.hosts.items() if memory.failure is not None]

    @property
    def routes(self) -> Mapping[str, tuple[str, ...]]:
        return paths(self.probe, list(self.hosts), self.destinations)

    def pair(self, source: str, target: str) -> Pair | None:
        """How the last try went; None: not tried, or one of the two hosts is out of order since."""
        if self.hosts[source].failure or self.hosts[target].failure:
            return None
        proof = self.hosts[source].proofs.get(target)
        return proof.pair if proof else None


def status(
    picture: Picture, previous: Mapping[str, Any], generation: int, now: datetime
) -> dict[str, Any]:
    """The status as JSON, whole."""
    hosts_ready, failed, routes = picture.ready, picture.failed, picture.routes
    pairs = {(a, b): picture.pair(a, b) for a, targets in routes.items() for b in targets}
    proven = sum(pair is not None and pair.reason is None for pair in pairs.values())
    rows = problem_rows(picture, pairs)
    total = len(picture.hosts)
    numbers = f"{len(hosts_ready)} of {total} hosts ready, {proven} of {len(pairs)} paths proven"
    conditions = _conditions(
        picture, rows, numbers, len(hosts_ready) == total, proven == len(pairs)
    )
    whole = {
        "observedGeneration": generation,
        "message": conditions[0].message[:TEXT],
        "conditions": merged(previous.get("conditions") or (), conditions, generation, stamp(now)),
        "hosts": {
            "summary": f"{len(hosts_ready)}/{total}",
            "total": total,
            "ready": len(hosts_ready),
            "failed": len(failed),
        },
        "paths": {
            "summary": f"{proven}/{len(pairs)}",
            "total": len(pairs),
            "proven": proven,
            "failed": sum(pair is not None and pair.reason is not None for pair in pairs.values()),
        },
        "provenHosts": proven_hosts(picture, pairs),
        "fingerprint": picture.wanted.key.public.fingerprint,
        "rotation": _rotation(picture.rotation),
        "problems": [row.as_json() for row in rows[:PROBLEM_ROWS]],
        "problemsOmitted": max(0, len(rows) - PROBLEM_ROWS),
    }
    return {key: value for key, value in whole.items() if value is not None}


def stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def proven_hosts(picture: Picture, pairs: Mapping[tuple[str, str], Pair | None]) -> list[str]:
    """Hosts from which a cold migration reaches every host that Nova could choose and that the probe has to reach."""
    works = {path for path, pair in pairs.items() if pair is not None and pair.reason is None}
    routes = picture.routes

    def is_proven(name: str) -> bool:
        return all((name, target) in works for target in needed(routes[name], picture.destinations))

    return sorted(name for name in picture.ready if is_proven(name))


def problem_rows(picture: Picture, pairs: Mapping[tuple[str, str], Pair | None]) -> list[Row]:
    """Hosts first, then paths, one row for each source and cause; what a person has to mend comes first."""
    found = [
        Row(name, failure.reason, failure.message, failure.person)
        for name, memory in picture.hosts.items()
        for failure in [memory.failure]
        if failure is not None
    ]
    grouped: dict[tuple[str, str], list[tuple[str, Pair]]] = {}
    for (source, target), pair in pairs.items():
        if pair is not None and pair.reason is not None:
            grouped.setdefault((source, pair.reason), []).append((target, pair))
    paths_found = [
        _path_row(source, reason, failed) for (source, reason), failed in grouped.items()
    ]
    return sorted(found, key=_urgent) + sorted(paths_found, key=_urgent)


def _urgent(row: Row) -> tuple[bool, str, str]:
    return (not row.person, row.host, row.reason)


def _path_row(source: str, reason: str, failed: Sequence[tuple[str, Pair]]) -> Row:
    names = some([target for target, _ in sorted(failed, key=lambda each: each[0])])
    return Row(
        source,
        reason,
        f"no login from {source} to {names}: {failed[0][1].message}",
        reason in NEEDS_PERSON,
    )


def some(names: Sequence[str]) -> str:
    """The first three, and how many more."""
    shown = ", ".join(names[:NAMES])
    return shown if len(names) <= NAMES else f"{shown} and {len(names) - NAMES} more"


def _conditions(
    picture: Picture, rows: Sequence[Row], numbers: str, installed: bool, proven: bool
) -> tuple[Condition, ...]:
    """`Ready` first."""
    if installed:
        keys = Condition(
            "KeysInstalled", "True", "Installed", f"every host accepts and uses {_key(picture)}"
        )
    else:
        keys = Condition("KeysInstalled", "False", "HostsOutOfOrder", _names_out_of_order(picture))
    if picture.probe is Probe.NONE:
        reached = Condition(
            "PathsProven", "Unknown", "NotProbed", "spec.probe is None: no login is tried"
        )
    elif proven:
        reached = Condition("PathsProven", "True", "Proven", "every probed login works")
    else:
        reached = Condition("PathsProven", "False", "PathsUnproven", numbers)
    return (
        *_kstatus(picture, rows, numbers, installed and (proven or picture.probe is Probe.NONE)),
        keys,
        reached,
    )


def _key(picture: Picture) -> str:
    return picture.wanted.key.public.fingerprint


def _names_out_of_order(picture: Picture) -> str:
    return some(sorted(set(picture.hosts) - set(picture.ready)))


def _kstatus(
    picture: Picture, rows: Sequence[Row], numbers: str, complete: bool
) -> tuple[Condition, ...]:
    """Ready with Reconciling or Stalled, by kstatus' rules: Stalled only when nothing but a person helps."""
    told = (
        f"{numbers}; {'; '.join(f'{row.host}: {row.reason}' for row in rows[:NAMES])}"
        if rows
        else numbers
    )
    waiting = picture.rotation.step is not Step.STABLE
    if complete and not rows and not waiting:
        return (ready(True, "Proven" if picture.probe is not Probe.NONE else "Installed", numbers),)
    if not rows:
        message = rotation_message(picture.rotation) if complete else numbers
        reason = "Rotating" if waiting and complete else "Progressing"
        return ready(None, reason, message), Condition("Reconciling", "True", reason, message)
    if rows[0].person and not any(not row.person for row in rows):
        return ready(False, rows[0].reason, told), Condition(
            "Stalled", "True", rows[0].reason, told
        )
    return ready(False, rows[0].reason, told), Condition(
        "Reconciling", "True", "ProgressingWithRetry", told
    )


def rotation_message(rotation: Rotation) -> str:
    texts = {
        Step.ACCEPT: "a new key: hosts that do not accept it yet",
        Step.USE: "a new key: hosts that still use the old one",
        Step.RETIRE: "a new key: every host uses it, the old one is about to be removed",
        Step.STABLE: "",
    }
    names = f": {some(rotation.waits_for)}" if rotation.waits_for else ""
    return texts[rotation.step] + names


def _rotation(rotation: Rotation) -> dict[str, Any] | None:
    if rotation.step is Step.STABLE:
        return None
    return {
        "step": rotation.step.value,
        "waitsFor": list(rotation.waits_for[:PROBLEM_ROWS]),
        "message": rotation_message(rotation)[:TEXT],
    }


def troubled(
    problem: Problem, previous: Mapping[str, Any], generation: int, now: datetime
) -> dict[str, Any]:
    """The same status with the trouble of the whole keyring; what was known of the hosts stays."""
    text = str(problem)[:TEXT]
    stalled = isinstance(problem, Terminal)
    kind = Condition("Stalled" if stalled else "Reconciling", "True", problem.reason, text)
    kept = [
        c
        for c in previous.get("conditions") or ()
        if c["type"] not in ("Ready", "Stalled", "Reconciling")
    ]
    state = merged(
        previous.get("conditions") or (),
        (ready(False, problem.reason, text), kind),
        generation,
        stamp(now),
    )
    return {
        **previous,
        "observedGeneration": generation,
        "message": text,
        "conditions": sorted([*kept, *state], key=lambda c: str(c["type"])),
    }


def removing(
    hosts: Mapping[str, HostMemory], previous: Mapping[str, Any], generation: int, now: datetime
) -> dict[str, Any]:
    """While the keyring is being deleted: what is left, and what stands in the way."""
    left = sorted(name for name, memory in hosts.items() if not memory.clear)
    failures = {name: hosts[name].failure for name in left}
    rows = [_removal_row(name, failure) for name, failure in failures.items() if failure]
    text = f"removing keys, {len(hosts) - len(left)} of {len(hosts)} hosts done"
    if rows:
        text += f"; {'; '.join(f'{row.host}: {row.reason}' for row in rows[:NAMES])}"
        text += ". To let go without them: annotate with quiesce.dev/abandon=true"
    conditions = (
        ready(False, "Removing", text),
        Condition("Reconciling", "True", "Removing", text),
    )
    return {
        **previous,
        "observedGeneration": generation,
        "message": text[:TEXT],
        "conditions": merged(previous.get("conditions") or (), conditions, generation, stamp(now)),
        "provenHosts": [],
        "problems": [row.as_json() for row in rows[:PROBLEM_ROWS]],
        "problemsOmitted": max(0, len(rows) - PROBLEM_ROWS),
    }


def _removal_row(name: str, failure: Failure) -> Row:
    return Row(name, failure.reason, failure.message, failure.person)
