"""PURE. From what is known of the hosts to what is done next: no I/O, no clock, no client."""

from quiesce.keyring.decide.changes import changes, installation_obstacle
from quiesce.keyring.decide.conflicts import conflicts
from quiesce.keyring.decide.desired import desired_state, layout_of
from quiesce.keyring.decide.obstacle import Obstacle
from quiesce.keyring.decide.removal import removal_obstacle, removals
from quiesce.keyring.decide.rotation import rotation
from quiesce.keyring.decide.schedule import (
    due_removals,
    due_visits,
    paths_to_check,
    seconds_until_due,
)
from quiesce.keyring.decide.standing import decide

__all__ = [
    "Obstacle",
    "changes",
    "conflicts",
    "decide",
    "desired_state",
    "due_removals",
    "due_visits",
    "installation_obstacle",
    "layout_of",
    "paths_to_check",
    "removal_obstacle",
    "removals",
    "rotation",
    "seconds_until_due",
]
