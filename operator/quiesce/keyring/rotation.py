"""PURE: the change from one key to the next, without a moment in which a login would fail.

Three steps, each derived from what the hosts show, so that an interruption costs nothing:
every host lets the new key in; then every host uses it; then the old one is taken away.
A host that cannot be seen holds the next step up: it may still use the old key, or not know the new one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from quiesce.keyring.sight import Sight
from quiesce.keyring.wanted import CONNECT_SECONDS, Wanted

GRACE_SECONDS = 3.0 * CONNECT_SECONDS
"""After the last host has changed over: a login that began before with the old key has long ended or failed."""


class Step(StrEnum):
    STABLE = "Stable"
    ACCEPT = "Accept"
    USE = "Use"
    RETIRE = "Retire"


@dataclass(frozen=True, slots=True)
class Rotation:
    """`waits_for`: the hosts that hold this step up, sorted. `rest`: seconds until the keys before may be forgotten."""

    step: Step
    waits_for: tuple[str, ...] = ()
    rest: float = 0.0

    @property
    def retired(self) -> bool:
        return self.step is Step.RETIRE and self.rest <= 0.0

    @property
    def may_switch(self) -> bool:
        return self.step in (Step.USE, Step.RETIRE, Step.STABLE)


def rotation(wanted: Wanted, sights: Mapping[str, Sight | None], since: float) -> Rotation:
    """`sights`: every host of the keyring, None where none was seen yet. `since`: seconds for which they have
    been as they are."""
    if not wanted.previous:
        return Rotation(Step.STABLE)
    key = wanted.key.public.id
    closed = tuple(
        name for name, sight in sorted(sights.items()) if sight is None or key not in sight.accepts
    )
    if closed:
        return Rotation(Step.ACCEPT, closed)
    behind = tuple(name for name, sight in sorted(sights.items()) if sight and sight.uses != key)
    if behind:
        return Rotation(Step.USE, behind)
    return Rotation(Step.RETIRE, rest=max(0.0, GRACE_SECONDS - since))
