"""Every call of a drain fails in every way, on the real Nova: it ends right, all moved once."""

from collections.abc import Iterable

import pytest
from tests.beds.sim.web import HttpFault
from tests.harness.faults import EVERYWHERE
from tests.harness.kubernetes import Operator
from tests.harness.proxy import Proxy, Refusal
from tests.nightly.lanes import HOSTS, Lanes, Prepare

FEW = {"running": 1, "stopped": 1, "paused": 0, "shelved": 1}

FAULTS: dict[str, HttpFault | Refusal] = {
    **EVERYWHERE,
    "connection refused": Refusal(3.0),
    "20 s late": HttpFault("delay", seconds=20.0),
    "too late for the operator": HttpFault("delay", seconds=35.0),
}

# One group for each drain side by side, with as many reads before the first move in each: a drain
# waits longer after each poll in a row that fails. Servers and allocations are apart: they are the
# two witnesses of an empty host, and where both lie at once no third one contradicts them.
GROUPS = (
    (
        "compute DELETE /os-services/{id}",
        "compute GET /",
        "compute GET /os-server-groups",
        "compute POST /servers/{id}/action migrate",
        "network GET /v2.0/ports",
    ),
    (
        "compute GET /os-services",
        "compute GET /servers/detail",
        "compute GET /servers/{id}",
        "compute POST /servers/{id}/action confirmResize",
        "compute POST /servers/{id}/action os-migrateLive",
    ),
    (
        "compute GET /os-migrations",
        "compute PUT /os-services/{id}",
        "image GET /v2/images",
        "placement GET /allocation_candidates",
        "placement GET /resource_providers",
    ),
    (
        "compute GET /os-aggregates",
        "compute GET /os-hypervisors/detail",
        "compute POST /servers/{id}/action shelveOffload",
        "identity POST /auth/tokens",
        "placement GET /resource_providers/{id}/allocations",
    ),
)
assert len(GROUPS) == len(HOSTS)


def fail(routes: Iterable[str], fault: HttpFault | Refusal) -> Prepare:
    """The first two requests of each of these routes meet the fault."""

    def prepare(proxy: Proxy, _operator: Operator) -> None:
        for route in routes:
            proxy.fail(route, fault, times=2)

    return prepare


@pytest.mark.timeout(0)
def test_these_are_all_the_calls_of_a_drain(lanes: Lanes) -> None:
    proxies: list[Proxy] = []

    def keep(proxy: Proxy, _operator: Operator) -> None:
        proxies.append(proxy)

    wrong = lanes.run({"no fault": keep}, **FEW)
    assert not wrong, wrong["no fault"]
    assert sorted(proxies[0].log.counts) == sorted(route for routes in GROUPS for route in routes)


@pytest.mark.promise("never-9", "always-6")
@pytest.mark.timeout(0)
@pytest.mark.parametrize("fault", FAULTS)
def test_the_drain_ends_right_whichever_call_fails(lanes: Lanes, fault: str) -> None:
    wrong = lanes.run({", ".join(routes): fail(routes, FAULTS[fault]) for routes in GROUPS}, **FEW)
    assert not wrong, "\n".join(f"{routes}: {text}" for routes, text in wrong.items())
