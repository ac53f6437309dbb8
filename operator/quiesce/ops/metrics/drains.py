"""Where drains stand: all of them in numbers, and each by name, as far as a bound allows.

An alert in the night has to name the drain, so drains have series of their own, as in
kube-state-metrics. What is bounded is their number, because anyone who may create drains could
else fill Prometheus' memory: at most MOST_DRAINS are shown by name. Namespaces take turns, so that
one with thousands of drains takes no place that another one needs; within a namespace those in
trouble come first. `quiesce_drains_without_series` says how many are left out; the numbers over all
drains count them.
"""

import threading
from collections import Counter as Tally
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, islice, zip_longest

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from quiesce.ops.metrics.registry import REGISTRY

MOST_DRAINS = 1000


@dataclass(frozen=True, slots=True)
class DrainFacts:
    """What is known of one drain. Times are seconds since 1970.

    `ratio`: how much of it is done, from 0 to 1. `progress`: servers by what became of them (moved,
    offloaded, moving, waiting, blocked).
    `servers`: how many are in each (state, reason). `guests_off`: guests that ran before their move
    and are off. `verify_resize_since`: since when the oldest of the drain's servers in
    VERIFY_RESIZE is there. None, and empty: not known, or none.
    """

    namespace: str
    name: str
    host: str
    phase: str
    reason: str
    stalled: bool
    progress_at: float
    read_at: float
    migration_timeout: float
    ratio: float
    progress: Mapping[str, int]
    servers: Mapping[tuple[str, str], int]
    guests_off: int | None = None
    verify_resize_since: float | None = None

    @property
    def in_trouble(self) -> bool:
        return self.stalled or bool(self.guests_off) or self.verify_resize_since is not None


class _Drains(Collector):
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._of: dict[Hashable, DrainFacts] = {}
        self._phases: set[tuple[str, str]] = set()
        self._states: set[tuple[str, str]] = set()

    def put(self, drain: Hashable, facts: DrainFacts | None) -> None:
        with self._lock:
            if facts is None:
                self._of.pop(drain, None)
                return
            self._of[drain] = facts
            self._phases.add((facts.phase, facts.reason))
            self._states.update(facts.servers)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        with self._lock:
            every = list(self._of.values())
            phases, states = sorted(self._phases), sorted(self._states)
        yield _tally(
            "quiesce_drains",
            "ComputeNodeDrains by phase and reason",
            ("phase", "reason"),
            phases,
            Tally((facts.phase, facts.reason) for facts in every),
        )
        servers: Tally[tuple[str, str]] = Tally()
        for facts in every:
            servers.update(facts.servers)
        yield _tally(
            "quiesce_servers",
            "Servers that drains have to do with, by state (docs/monitoring.md) and reason",
            ("state", "reason"),
            states,
            servers,
        )
        named = _in_turns(every)
        yield GaugeMetricFamily(
            "quiesce_drains_without_series",
            f"Drains beyond the {MOST_DRAINS} that have series of their own",
            value=len(every) - len(named),
        )
        yield from _by_name(named)


_drains = _Drains()
REGISTRY.register(_drains)


def drain(key: Hashable, facts: DrainFacts | None) -> None:
    """`key`: anything that tells drains apart, such as their Key; `facts` None: it is gone."""
    _drains.put(key, facts)


def _tally(
    name: str,
    text: str,
    labels: tuple[str, str],
    known: Iterable[tuple[str, str]],
    tally: Mapping[tuple[str, str], int],
) -> GaugeMetricFamily:
    """A pair that was there once and is empty now shows 0."""
    family = GaugeMetricFamily(name, text, labels=labels)
    for pair in known:
        family.add_metric(pair, tally.get(pair, 0))
    return family


def _in_turns(every: Iterable[DrainFacts]) -> list[DrainFacts]:
    """One of each namespace in turn, those in trouble first, until the bound is reached."""
    of_namespace: dict[str, list[DrainFacts]] = defaultdict(list)
    for facts in every:
        of_namespace[facts.namespace].append(facts)
    queues = [sorted(each, key=lambda f: not f.in_trouble) for each in of_namespace.values()]
    rounds = chain.from_iterable(zip_longest(*queues))
    return list(islice((facts for facts in rounds if facts is not None), MOST_DRAINS))


def _by_name(named: Iterable[DrainFacts]) -> Iterator[GaugeMetricFamily]:
    whose = ("namespace", "name")

    def family(name: str, text: str, *more: str) -> GaugeMetricFamily:
        return GaugeMetricFamily(f"quiesce_drain_{name}", text, labels=(*whose, *more))

    info = family("info", "Always 1", "host", "phase", "reason")
    stalled = family("stalled", "1: only a person can help (the condition Stalled)")
    ratio = family("progress_ratio", "The part of its servers that has left, from 0 to 1")
    progress = family("servers", "Servers by what became of them", "state")
    off = family("guests_off", "Guests that ran before their move and are off now")
    held = family(
        "verify_resize_since_timestamp_seconds",
        "Since when the oldest of its servers in VERIFY_RESIZE is there",
    )
    progressed = family("last_progress_timestamp_seconds", "When it last got further")
    read = family("last_read_timestamp_seconds", "When its cloud last answered all that was asked")
    timeout = family("migration_timeout_seconds", "spec.migration.timeout")
    for facts in named:
        labels = (facts.namespace, facts.name)
        info.add_metric((*labels, facts.host, facts.phase, facts.reason), 1)
        stalled.add_metric(labels, facts.stalled)
        ratio.add_metric(labels, facts.ratio)
        for state, number in facts.progress.items():
            progress.add_metric((*labels, state), number)
        if facts.guests_off is not None:
            off.add_metric(labels, facts.guests_off)
        if facts.verify_resize_since is not None:
            held.add_metric(labels, facts.verify_resize_since)
        progressed.add_metric(labels, facts.progress_at)
        read.add_metric(labels, facts.read_at)
        timeout.add_metric(labels, facts.migration_timeout)
    yield from (info, stalled, ratio, progress, off, held, progressed, read, timeout)
