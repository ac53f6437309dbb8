"""A node drained for a reboot is restored exactly as it was found.

Three drains at once, one a host: one host was enabled; one had been disabled by another user, with
a reason; and for one another user sets a reason while it is drained, which stays. A fourth leaves
the host as it is, as its `onDelete: Leave` says.
"""

import pytest
from tests.harness.kubernetes import Drain, Kube, condition
from tests.harness.openstack import Lab
from tests.harness.promises import COLD, moved

KEEP = {"afterDrain": "KeepDisabled"}
FAN = "fan broken, see the rack log"
MINE = "do not touch, I am measuring"


def found(cloud: Lab, host: str) -> tuple[str, str | None]:
    service = cloud.service(host)
    assert service
    return service["status"], service["disabled_reason"]


def begin(kube: Kube, cloud: Lab, namespace: str, host: str, **spec: str) -> Drain:
    """A drain that has disabled its host, and says why to those who look at Nova."""
    drain = Drain.apply(kube, namespace, host, service=KEEP, reason="new kernel", **spec)
    drain.until(
        "disabled by the drain",
        lambda s: condition(s, "ServiceDisabled").get("reason") == "Disabled",
    )
    status, reason = found(cloud, host)
    assert status == "disabled"
    assert (reason or "").startswith(f"quiesce: drain {namespace}/{drain.name} [")
    assert (reason or "").endswith("]: new kernel")
    return drain


@pytest.mark.promise("never-6", "always-8")
@pytest.mark.usefixtures("operator")
def test_every_host_is_restored_as_it_was_found(
    kube: Kube, cloud: Lab, credentials: str, hosts: tuple[str, ...]
) -> None:
    enabled, disabled, contested, _ = hosts
    servers = {host: cloud.boot(host, [f"on-{host}"])[0] for host in (enabled, disabled)}
    cloud.set_service(disabled, "disabled", FAN)
    # The one that is disabled already comes last: until a host is, servers of others move there.
    drains = {
        host: begin(kube, cloud, credentials, host) for host in (contested, enabled, disabled)
    }
    cloud.set_service(contested, "disabled", MINE)

    for host, drain in drains.items():
        drain.wait("Ready")
        assert drain.status["phase"] == "Drained", host
    for host, server in servers.items():
        moved(cloud, server, host, "ACTIVE", COLD)
    by_others = drains[contested].until(
        "another user's reason",
        lambda s: condition(s, "ServiceDisabled").get("reason") == "DisabledByOthers",
    )
    assert MINE in condition(by_others, "ServiceDisabled")["message"]

    for drain in drains.values():
        drain.delete()
    assert found(cloud, enabled) == ("enabled", None)
    assert found(cloud, disabled) == ("disabled", FAN)
    assert found(cloud, contested) == ("disabled", MINE)


@pytest.mark.promise("always-8")
@pytest.mark.usefixtures("operator")
def test_a_host_is_left_as_it_is_where_the_spec_says_so(
    kube: Kube, cloud: Lab, credentials: str, host: str
) -> None:
    drain = begin(kube, cloud, credentials, host, onDelete="Leave")
    drain.delete()
    status, reason = found(cloud, host)
    assert status == "disabled"
    assert drain.name in (reason or "")
