"""Every call of a drain, made to fail in every way on the real Nova: it ends right, and no server is touched twice."""

import pytest
from tests.beds.sim.web import HttpFault
from tests.harness.kubernetes import Operator
from tests.harness.proxy import Proxy, Refusal
from tests.nightly.lanes import HOSTS, Lanes, Prepare

FEW = {"running": 1, "stopped": 1, "paused": 0, "shelved": 1}

FAULTS: dict[str, HttpFault | Refusal] = {
    "connection refused": Refusal(3.0),
    "reset before it takes effect": HttpFault("reset"),
    "reset after it took effect": HttpFault("reset", after=True),
    "401": HttpFault("status", status=401),
    "403": HttpFault("status", status=403),
    "409": HttpFault("status", status=409),
    "429": HttpFault("status", status=429, headers=(("Retry-After", "7"),)),
    "500 before it takes effect": HttpFault("status", status=500),
    "500 after it took effect": HttpFault("status", status=500, after=True),
    "503": HttpFault("status", status=503),
    "20 s late": HttpFault("delay", seconds=20.0),
    "too late for the operator": HttpFault("delay", seconds=35.0),
    "half a JSON document": HttpFault("truncated"),
    "an empty list": HttpFault("empty"),
}

ROUTES = (
    "compute DELETE /os-services/{id}",
    "compute GET /",
    "compute GET /os-aggregates",
    "compute GET /os-hypervisors/detail",
    "compute GET /os-migrations",
    "compute GET /os-server-groups",
    "compute GET /os-services",
    "compute GET /servers/detail",
    "compute POST /servers/{id}/action confirmResize",
    "compute POST /servers/{id}/action migrate",
    "compute POST /servers/{id}/action os-migrateLive",
    "compute POST /servers/{id}/action shelveOffload",
    "compute PUT /os-services/{id}",
    "identity GET /",
    "identity POST /auth/tokens",
    "network GET /v2.0/ports",
    "placement GET /",
    "placement GET /allocation_candidates",
    "placement GET /resource_providers",
    "placement GET /resource_providers/{id}/allocations",
)


def fail(route: str, fault: HttpFault | Refusal) -> Prepare:
    return lambda proxy, _operator: proxy.fail(route, fault, times=2)


@pytest.mark.timeout(0)
def test_these_are_all_the_calls_of_a_drain(lanes: Lanes) -> None:
    proxies: list[Proxy] = []

    def keep(proxy: Proxy, _operator: Operator) -> None:
        proxies.append(proxy)

    wrong = lanes.run({"no fault": keep}, **FEW)
    assert not wrong, wrong["no fault"]
    assert sorted(proxies[0].log.counts) == sorted(ROUTES)


@pytest.mark.timeout(0)
@pytest.mark.parametrize("first", range(0, len(ROUTES), len(HOSTS)))
@pytest.mark.parametrize("fault", FAULTS)
def test_the_drain_ends_right_whichever_call_fails(lanes: Lanes, fault: str, first: int) -> None:
    routes = ROUTES[first : first + len(HOSTS)]
    wrong = lanes.run({route: fail(route, FAULTS[fault]) for route in routes}, **FEW)
    assert not wrong, "\n".join(f"{route}: {text}" for route, text in wrong.items())
