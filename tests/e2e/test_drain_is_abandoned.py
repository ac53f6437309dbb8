"""A cloud that is gone for good holds no namespace hostage.

The drain is deleted while its cloud cannot be reached: it waits, and its status says how to
abandon it. So annotated, it is released at once, and says that the host was not restored.
"""

from typing import Any

import pytest
import yaml
from tests.harness.kubernetes import Drain, Kube, Operator
from tests.harness.openstack import Lab, until


def out_of_reach(entry: dict[str, Any]) -> str:
    """clouds.yaml of a cloud on a port without a listener."""
    return yaml.safe_dump(
        {
            "clouds": {
                "openstack": entry | {"auth": entry["auth"] | {"auth_url": "http://127.0.0.1:9/v3"}}
            }
        }
    )


@pytest.mark.promise("always-9")
def test_a_drain_of_an_unreachable_cloud_is_released_when_annotated(
    kube: Kube, cloud: Lab, operator: Operator, credentials: str, host: str
) -> None:
    drain = Drain.apply(kube, credentials, host, service={"afterDrain": "KeepDisabled"})
    drain.wait("Ready")
    kube.credentials(credentials, out_of_reach(cloud.entries["operator"]))
    kube.kubectl("delete", f"cnd/{drain.name}", "-n", credentials, "--wait=false")

    status = drain.until("what holds it", lambda s: s["phase"] == "Restoring")
    assert "127.0.0.1:9" in status["message"]
    assert status["message"].endswith(
        "(to release it without restoring the host: annotate with quiesce.dev/abandon=true)"
    )
    assert drain.condition("Reconciling")["reason"] == "CloudUnreachable"
    assert drain.row()[2] == "Restoring"
    drain.annotate("quiesce.dev/abandon=true")
    until("gone", lambda: drain.get() is None)

    events = kube.kubectl(
        "get", "events", "-n", credentials, "-o", "jsonpath={.items[*].reason}"
    ).stdout.split()
    assert "Abandoned" in events
    assert "Restored" not in events
    assert (cloud.service(host) or {})["status"] == "disabled"
    assert operator.healthy()
