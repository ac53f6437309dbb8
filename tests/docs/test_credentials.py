"""The access rules, the policy files and docs/credentials.md are of the table in the code."""

import json
from typing import Any

import pytest
import yaml
from tools import access_rules
from tools.access_rules import PAGE, ROOT, RULES

from quiesce.openstack.routes import ROUTES

POLICY = ROOT / "manifests" / "openstack" / "policy"
FILES = {
    "compute": "nova",
    "placement": "placement",
    "network": "neutron",
    "block_storage": "cinder",
    "image": "glance",
}
# What a rule of another name gives: of Nova everything that only administrators may do.
BY_ADMIN = {
    "os_compute_api:os-services:list",
    "os_compute_api:os-services:update",
    "os_compute_api:os-services:delete",
    "os_compute_api:os-hypervisors:list-detail",
    "os_compute_api:os-aggregates:index",
    "os_compute_api:os-aggregates:add_host",
    "os_compute_api:os-server-groups:index:all_projects",
    "os_compute_api:os-migrations:index:all_projects",
    "os_compute_api:os-migrations:index:host",
    "os_compute_api:servers:detail:get_all_tenants",
    "os_compute_api:servers:allow_all_filters",
    "os_compute_api:os-extended-server-attributes",
    "os_compute_api:os-migrate-server:migrate:host",
    "os_compute_api:os-migrate-server:migrate_live:host",
    "os_compute_api:os-shelve:shelve_offload",
    "os_compute_api:os-server-diagnostics",
    "os_compute_api:os-instance-actions:events",
    "os_compute_api:os-instance-actions:events:details",
    "volume:get",
    "get_image",
    "get_images",
}


def test_the_files_are_as_the_table_makes_them() -> None:
    """After a change: PYTHONPATH=operator python -m tools.access_rules."""
    assert RULES.read_text() == access_rules.document()
    assert json.loads(RULES.read_text()) == access_rules.access_rules()
    assert PAGE.read_text() == access_rules.with_table(PAGE.read_text())


def test_a_rule_that_another_one_has_in_it_is_left_out() -> None:
    paths = [rule["path"] for rule in access_rules.access_rules()]
    assert "/v2.1/servers/*" in paths
    assert "/v2.1/servers/detail" not in paths


def rules_of(service: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((POLICY / f"{FILES[service]}.yaml").read_text())
    return found


@pytest.mark.parametrize("service", FILES)
def test_every_policy_that_is_needed_is_given_to_the_role(service: str) -> None:
    given = {
        name
        for name, rule in rules_of(service).items()
        if rule.endswith("role:quiesce") and "not role:quiesce" not in rule
    }
    needed = {policy for each in ROUTES if each.service == service for policy in each.policies}
    general = {"context_is_admin", "context_with_global_access"} & given
    assert given - general == needed - BY_ADMIN


@pytest.mark.parametrize("service", FILES)
def test_no_file_takes_anything_from_others(service: str) -> None:
    """What is given is added, and what is taken is taken from the role."""
    for name, rule in rules_of(service).items():
        taken = "not role:quiesce" in rule
        added = rule == "role:quiesce" or rule.endswith(" or role:quiesce")
        assert taken or added, name
