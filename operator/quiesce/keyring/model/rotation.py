"""PURE. How far all hosts together are with the change from one key to the next."""

from dataclasses import dataclass
from enum import StrEnum


class RotationStep(StrEnum):
    STABLE = "Stable"
    ACCEPT = "Accept"
    USE = "Use"
    RETIRE = "Retire"


@dataclass(frozen=True, slots=True)
class Rotation:
    """`waits_for`: the hosts that hold this step up, sorted.

    `remaining`: seconds until the earlier keys may be removed.
    """

    step: RotationStep
    waits_for: tuple[str, ...] = ()
    remaining: float = 0.0

    @property
    def retired(self) -> bool:
        return self.step is RotationStep.RETIRE and self.remaining <= 0.0

    @property
    def may_switch(self) -> bool:
        return self.step is not RotationStep.ACCEPT
