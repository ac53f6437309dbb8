"""A token that a service rejects for its access rules: what is missing is named."""

from collections.abc import Mapping
from typing import Any

import pytest
from tests.security.hostile_cloud import HostileCloud, answer

from quiesce.api.errors import BadCredentials, NotAllowed
from quiesce.openstack.access_rules import rule_for, why_rejected
from quiesce.openstack.cloud import Cloud
from quiesce.openstack.routes import Route, find_route
from quiesce.openstack.session import Clouds

NOVA = "https://nova.example.org/compute/v2.1"


def known(method: str, path: str) -> Route:
    found = find_route("compute", method, path)
    assert found
    return found


def why(*rules: Mapping[str, object]) -> str:
    row = known("POST", "/servers/6f0c/action")
    rule = rule_for(row, "compute", NOVA)
    return why_rejected(row, rule, f"{NOVA}/servers/6f0c/action", rules)


def test_the_missing_rule_is_named_as_keystone_takes_it() -> None:
    said = why({"service": "compute", "method": "GET", "path": "/compute/v2.1/**"})
    assert said.startswith(
        "the application credential has no access rule for POST /servers/{id}/action of the "
        "compute service (HTTP 401), which is needed to migrate"
    )
    assert said.endswith(
        '{"service": "compute", "method": "POST", "path": "/compute/v2.1/servers/*/action"}'
    )


def test_the_rule_that_is_named_is_one_of_the_list_that_users_have() -> None:
    """There, one rule allows both: `/servers/*` has `/servers/detail` in it."""
    rule = rule_for(known("GET", "/servers/detail"), "compute", NOVA)
    assert rule["path"] == "/compute/v2.1/servers/*"


@pytest.mark.parametrize(
    "path",
    [
        "/compute/v2.1/servers/*/action",
        "/compute/v2.1/servers/{server_id}/action",
        "/compute/v2.1/servers/**",
        "/compute/**",
        "/**",
    ],
)
def test_where_a_rule_allows_it_the_service_is_set_up_wrongly(path: str) -> None:
    said = why({"service": "compute", "method": "POST", "path": path})
    assert said.endswith("set service_type = compute in [keystone_authtoken] of its configuration")


@pytest.mark.parametrize(
    "rule",
    [
        {"service": "nova", "method": "POST", "path": "/**"},
        {"service": "compute", "method": "GET", "path": "/**"},
        {"service": "compute", "method": "POST", "path": "/v2.1/servers/*/action"},
        {"service": "compute", "method": "POST", "path": "/compute/v2.1/*/action"},
        {"service": "compute", "method": "POST", "path": "/compute/v2.1/servers/*"},
        {"service": "compute", "method": "POST", "path": "/compute/v2.1/servers/*/actions"},
        {"service": "compute", "method": "POST", "path": 7},
        {},
    ],
)
def test_another_rule_is_none(rule: dict[str, object]) -> None:
    assert "has no access rule" in why(rule)


def test_a_pattern_that_backtracking_would_never_end_with_is_compared() -> None:
    worst = {"service": "compute", "method": "POST", "path": "/" + "*a" * 112}
    assert "has no access rule" in why(*[worst] * 200)


def connect(there: HostileCloud, *rules: Any) -> Cloud:
    """With a token of an application credential that has these rules, where there are any."""
    body = there.token()
    body["token"]["methods"] = ["application_credential"]
    body["token"]["application_credential"] = {"id": "c1", "access_rules": list(rules)}
    if not rules:
        del body["token"]["application_credential"]["access_rules"]
    token = answer(body, 201, "X-Subject-Token: t")
    there.replies = {**there.replies, "/v3/auth/tokens": token}
    return Clouds(30).get(there.secret(), "openstack")


REJECTS = {
    "/v2.1/os-services": answer({"error": {"code": 401, "message": "requires authentication"}}, 401)
}
GET = {"service": "compute", "method": "GET", "path": "/v2.1/servers/detail"}


@pytest.mark.parametrize("rules", [[GET], ["x", {}, {"path": {}}, GET]])
def test_a_read_that_no_access_rule_allows_names_the_rule(rules: list[Any]) -> None:
    with HostileCloud(REJECTS) as there, pytest.raises(NotAllowed) as found:
        connect(there, *rules).services()
    assert '"method": "GET", "path": "/v2.1/os-services"}' in str(found.value)


def test_so_does_a_write_which_had_no_effect() -> None:
    rejects = {"/v2.1/os-services/7": answer({}, 401)}
    with HostileCloud(rejects) as there, pytest.raises(NotAllowed) as found:
        connect(there, GET).enable_service("7")
    assert '"method": "PUT", "path": "/v2.1/os-services/*"}' in str(found.value)


def test_without_access_rules_the_credentials_are_refused() -> None:
    with HostileCloud(REJECTS) as there, pytest.raises(BadCredentials):
        connect(there).services()
