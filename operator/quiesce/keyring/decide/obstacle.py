"""PURE. What a person has to correct on a host first."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Something on the host that a person has to correct first; nothing is touched until then.

    `remedies`: each a sentence or a command.
    """

    reason: str
    message: str
    remedies: tuple[str, ...] = ()
