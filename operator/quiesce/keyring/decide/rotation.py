"""PURE. The change from one key to the next, without a moment in which a login would fail.

Three steps, each derived from what the hosts show, so that an interruption costs nothing: every
host accepts the new key; then every host uses it; then the earlier one is removed. A host that
cannot be observed holds the next step up: it may use the earlier key, or not know the new one.
"""

from collections.abc import Mapping

from quiesce.keyring.model.desired import CONNECT_SECONDS, DesiredState
from quiesce.keyring.model.observation import HostObservation
from quiesce.keyring.model.rotation import Rotation, RotationStep

GRACE_SECONDS = 3.0 * CONNECT_SECONDS
"""After the last host has changed over: by then any login with the earlier key has ended."""


def rotation(
    desired: DesiredState, observations: Mapping[str, HostObservation | None], unchanged: float
) -> Rotation:
    """`observations`: of every host of the keyring, None where there was none yet.

    `unchanged`: for how many seconds they have all been the same.
    """
    if not desired.previous:
        return Rotation(RotationStep.STABLE)
    key, hosts = desired.key.public.id, sorted(observations.items())
    refusing = tuple(
        name for name, observed in hosts if observed is None or key not in observed.accepts
    )
    if refusing:
        return Rotation(RotationStep.ACCEPT, refusing)
    behind = tuple(name for name, observed in hosts if observed and observed.uses != key)
    if behind:
        return Rotation(RotationStep.USE, behind)
    return Rotation(RotationStep.RETIRE, remaining=max(0.0, GRACE_SECONDS - unchanged))
