"""Drain a node, live: no guest is restarted.

The same mix as in test_node_is_retired_cold, and two paused servers. Running and paused guests are
only ever live-migrated: their launch time stands (Nova sets it again at the end of every cold
migration) and their action log names no other move. Servers that are shut off go cold.
"""

import pytest
from tests.harness.kubernetes import Drain, Kube, Operator
from tests.harness.openstack import Lab
from tests.harness.promises import COLD, LIVE, most_at_once, moved

KEEP = {"afterDrain": "KeepDisabled"}


def launched(cloud: Lab, ids: list[str]) -> dict[str, str]:
    return {s["id"]: s["OS-SRV-USG:launched_at"] for s in cloud.servers() if s["id"] in ids}


@pytest.mark.promise("never-8")
def test_running_and_paused_guests_are_never_restarted(
    kube: Kube, cloud: Lab, operator: Operator, credentials: str, host: str
) -> None:
    running = cloud.boot(host, [f"run-{i}" for i in range(15)])
    stopped = cloud.boot(host, [f"off-{i}" for i in range(5)], "SHUTOFF")
    paused = cloud.boot(host, ["paused-0", "paused-1"], "PAUSED")
    before = launched(cloud, running + paused)
    drain = Drain.apply(kube, credentials, host, "Live", service=KEEP)

    drain.wait("Ready")

    assert drain.row()[1:-1] == [host, "Drained", "22/22", "0", "0", "disabled"]
    assert launched(cloud, running + paused) == before
    for server_id in running:
        moved(cloud, server_id, host, "ACTIVE", LIVE)
    for server_id in paused:
        moved(cloud, server_id, host, "PAUSED", LIVE, before=("create", "pause"))
    for server_id in stopped:
        moved(cloud, server_id, host, "SHUTOFF", COLD, before=("create", "stop"))
    assert most_at_once(cloud.migrations(host)) <= 4
    assert operator.healthy()
