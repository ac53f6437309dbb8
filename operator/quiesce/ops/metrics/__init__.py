"""What is counted, for Prometheus. docs/monitoring.md lists every metric.

Labels have few values: what a cloud answers, or how many resources there are, makes no new ones.
The one exception are the series of single drains (`drains`), whose number is bounded.
"""

from quiesce.ops.metrics.calls import kube_write, nova_request
from quiesce.ops.metrics.drains import DrainFacts, drain
from quiesce.ops.metrics.keyrings import keyring
from quiesce.ops.metrics.leader import leader
from quiesce.ops.metrics.moves import move_finished, move_stage, move_started
from quiesce.ops.metrics.registry import REGISTRY
from quiesce.ops.metrics.ticks import queue_depth, queue_wait, tick

__all__ = [
    "REGISTRY",
    "DrainFacts",
    "drain",
    "keyring",
    "kube_write",
    "leader",
    "move_finished",
    "move_stage",
    "move_started",
    "nova_request",
    "queue_depth",
    "queue_wait",
    "tick",
]
