"""A user of the cloud for an operator, its credentials with access rules, and what policies give to
its roles.
"""

import secrets
import tempfile
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
import yaml

from tests.harness.openstack import Json, Lab, bed_environment

ROOT = Path(__file__).parents[2]
POLICIES = ROOT / "manifests" / "openstack" / "policy"
SERVICES = ("nova", "placement", "neutron", "glance")
ROLE = "role:quiesce"

Rule = Mapping[str, str]


def title(rule: Rule) -> str:
    """An access rule as a test's name shows it."""
    return f"{rule['method']} {rule['path']}"


def identity(cloud: Lab, method: str, path: str, body: Json | None = None) -> Any:
    """As the administrator. Raises AssertionError where Keystone refuses."""
    status, answer = cloud.admin.ask(method, path, body, service="identity")
    assert status < 300, (method, path, status, answer)
    return answer


def named(cloud: Lab, kind: str, name: str) -> str | None:
    """The ID of a user, project or role; None: there is none."""
    found = identity(cloud, "GET", f"/{kind}s?name={name}")[f"{kind}s"]
    return found[0]["id"] if found else None


def remove(cloud: Lab, kind: str, name: str) -> None:
    if found := named(cloud, kind, name):
        identity(cloud, "DELETE", f"/{kind}s/{found}")


@dataclass
class User:
    """One with a project of its own, and roles there."""

    cloud: Lab
    name: str
    roles: tuple[str, ...]
    password: str = field(default_factory=lambda: secrets.token_hex(8))
    id: str = ""
    project: str = ""
    _token: str = ""
    _one_by_one: threading.Lock = field(default_factory=threading.Lock)

    def make(self) -> "User":
        domain = {"domain_id": "default", "name": self.name}
        project = identity(self.cloud, "POST", "/projects", {"project": domain})["project"]
        user = {"user": domain | {"password": self.password}}
        self.project, self.id = (
            project["id"],
            identity(self.cloud, "POST", "/users", user)["user"]["id"],
        )
        for name in self.roles:
            role = named(self.cloud, "role", name)
            role = (
                role
                or identity(self.cloud, "POST", "/roles", {"role": {"name": name}})["role"]["id"]
            )
            path = f"/projects/{self.project}/users/{self.id}/roles/{role}"
            identity(self.cloud, "PUT", path)
        return self

    def gone(self) -> None:
        remove(self.cloud, "user", self.name)
        remove(self.cloud, "project", self.name)
        for name in self.roles:
            if name != "admin":
                remove(self.cloud, "role", name)

    @property
    def _url(self) -> str:
        return str(self.cloud.entries["lab"]["auth"]["auth_url"])

    def clouds_yaml(self, role: str, rules: Iterable[Rule]) -> str:
        """With a new application credential that has this role and these access rules.

        One after the other: Keystone answers 409 where two need the same new rule at once.
        """
        with self._one_by_one:
            return self._clouds_yaml(role, rules)

    def _clouds_yaml(self, role: str, rules: Iterable[Rule]) -> str:
        wanted: Json = {
            "name": secrets.token_hex(4),
            "roles": [{"name": role}],
            "access_rules": [dict(rule) for rule in rules],
        }
        answer = requests.post(
            f"{self._url}/users/{self.id}/application_credentials",
            headers={"X-Auth-Token": self._signed_in()},
            json={"application_credential": wanted},
            timeout=60,
        )
        assert answer.status_code == 201, answer.text
        made = answer.json()["application_credential"]
        return clouds_yaml(self._url, made["id"], made["secret"])

    def _signed_in(self) -> str:
        if not self._token:
            password = {"user": {"id": self.id, "password": self.password}}
            auth: Json = {
                "identity": {"methods": ["password"], "password": password},
                "scope": {"project": {"id": self.project}},
            }
            answer = requests.post(f"{self._url}/auth/tokens", json={"auth": auth}, timeout=60)
            assert answer.status_code == 201, answer.text
            self._token = answer.headers["X-Subject-Token"]
        return self._token


def clouds_yaml(url: str, credential: str, secret: str) -> str:
    """What a person puts into the Secret."""
    auth = {
        "auth_url": url,
        "application_credential_id": credential,
        "application_credential_secret": secret,
    }
    entry = {"auth_type": "v3applicationcredential", "auth": auth, "region_name": "RegionOne"}
    return yaml.safe_dump({"clouds": {"openstack": entry}})


@dataclass
class Policies:
    """The policy files in manifests/openstack in the services of the bed, for some roles.

    Each may lack policies for a time: `lacking`, by role. The services read their files again when
    they change.
    """

    roles: tuple[str, ...] = ("quiesce",)
    lacking: dict[str, set[str]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, role: str, policy: str) -> None:
        """In place of another one that it lacks. At no time has it both, whosever they are."""
        with self.lock:
            for lacking in (self.lacking.get(role, set()) | {policy}, {policy}):
                self.lacking[role] = lacking
                self.write()

    def give(self, role: str) -> None:
        with self.lock:
            self.lacking.pop(role, None)
            self.write()

    def write(self) -> None:
        for service in SERVICES:
            rules = yaml.safe_load((POLICIES / f"{service}.yaml").read_text())
            put(service, {name: self._of(name, rules[name]) for name in rules})

    def _of(self, policy: str, expression: str) -> str:
        if f"not {ROLE}" in expression:
            denied = " or ".join(f"role:{role}" for role in self.roles)
            return expression.replace(f"not {ROLE}", f"not ({denied})")
        given = [role for role in self.roles if policy not in self.lacking.get(role, ())]
        return expression.replace(ROLE, f"({' or '.join(f'role:{r}' for r in given) or '!'})")


def grants() -> list[tuple[str, str]]:
    """(service, policy) of all that the files give to the role, rather than take from it."""
    return [
        (service, policy)
        for service in SERVICES
        for policy, rule in yaml.safe_load((POLICIES / f"{service}.yaml").read_text()).items()
        if ROLE in rule and f"not {ROLE}" not in rule
    ]


def no_policies() -> None:
    for service in SERVICES:
        put(service, {})


def put(service: str, rules: Mapping[str, str]) -> None:
    """Replaced at once: a service may read it at any moment."""
    folder = Path(bed_environment()["OS_CLIENT_CONFIG_FILE"]).parent / "etc" / service
    with tempfile.NamedTemporaryFile("w", dir=folder, delete=False) as file:
        yaml.safe_dump(dict(rules), file)
    Path(file.name).replace(folder / "policy.yaml")
