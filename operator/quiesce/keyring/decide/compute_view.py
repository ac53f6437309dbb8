"""PURE. Does a running nova-compute look where the keys are?

Its ssh asks the account database of its own mount namespace for the home of its user, and finds
keys, settings and host keys there or not at all.
"""

from quiesce.keyring.decide.obstacle import Obstacle
from quiesce.keyring.model.desired import HostLayout
from quiesce.keyring.model.observation import Account, ComputeView, HostObservation

_EXCLUDE = (
    "Or exclude the host (spec.hosts.exclude), and let what deploys nova-compute there manage its "
    "keys"
)


def compute_obstacle(layout: HostLayout, observed: HostObservation) -> Obstacle | None:
    """The first nova-compute that would not use what is installed on the host.

    Where none runs, nothing is known of where it will look, and nothing is refused.
    """
    found = (_view_obstacle(layout, view, observed.account) for view in observed.computes)
    return next((obstacle for obstacle in found if obstacle is not None), None)


def _view_obstacle(
    layout: HostLayout, view: ComputeView, account: Account | None
) -> Obstacle | None:
    where = "on the host" if view.where == "host" else f"in a {view.where}"
    if not view.same_home:
        return Obstacle(
            "HiddenFromNova",
            f"nova-compute runs {where}, and {layout.home} there is not the host's: it would not "
            "see the keys",
            (f"Mount the host's {layout.home} there, at the same path", _EXCLUDE),
        )
    if account is not None and view.uid != account.uid:
        return Obstacle(
            "WrongAccount",
            f"nova-compute runs {where} with user id {view.uid}, not as {layout.user} (id "
            f"{account.uid}): it would not use the keys",
            (
                f"Run nova-compute as {layout.user}, or create the keyring again with "
                "spec.nova.user and spec.nova.home of the account that it runs as",
                _EXCLUDE,
            ),
        )
    if view.home != layout.home:
        home = view.home or "unknown: it is not in the account database"
        return Obstacle(
            "HiddenFromNova",
            f"nova-compute runs {where}, and the home of its user there is {home}, not "
            f"{layout.home}: ssh looks there",
            (f"Give user id {view.uid} the home {layout.home} there", _EXCLUDE),
        )
    if not view.same_known_hosts:
        return Obstacle(
            "HiddenFromNova",
            f"nova-compute runs {where}, and does not see {layout.known_hosts_file} as it is on "
            "the host",
            (
                "Mount the host's /etc/ssh there, not the file alone: a file that is mounted stays "
                "the old one. If it is mounted, restart the container",
                _EXCLUDE,
            ),
        )
    return None
