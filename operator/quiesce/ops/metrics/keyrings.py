"""How many keyrings stand where."""

import threading
from collections import Counter as Tally
from collections.abc import Hashable, Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from quiesce.ops.metrics.registry import REGISTRY


class _Keyrings(Collector):
    """A pair of phase and reason that no keyring has any more shows 0."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._of: dict[Hashable, tuple[str, str]] = {}
        self._known: set[tuple[str, str]] = set()

    def put(self, keyring: Hashable, standing: tuple[str, str] | None) -> None:
        with self._lock:
            if standing is None:
                self._of.pop(keyring, None)
            else:
                self._of[keyring] = standing
                self._known.add(standing)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        family = GaugeMetricFamily(
            "quiesce_keyrings", "MigrationKeyrings by phase and reason", labels=["phase", "reason"]
        )
        with self._lock:
            tally = Tally(self._of.values())
            for phase, reason in sorted(self._known):
                family.add_metric([phase, reason], tally[phase, reason])
        yield family


_keyrings = _Keyrings()
REGISTRY.register(_keyrings)


def keyring(key: Hashable, standing: tuple[str, str] | None) -> None:
    """`standing`: (Ready, Reconciling or Stalled; the reason of `Ready`); None: it is gone."""
    _keyrings.put(key, standing)
