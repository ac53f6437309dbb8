"""Keystone v3 over HTTP: tokens by password or application credential, and the catalog."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.beds.sim.clock import iso_micro
from tests.beds.sim.errors import ForbiddenError, UnauthorizedError
from tests.beds.sim.records import User
from tests.beds.sim.state import State
from tests.beds.sim.web import Request, Response, Router

DENIED = "The request you have made requires authentication."
DAY = 86400.0
CATALOG = {
    "identity": ("keystone", "/identity/v3"),
    "compute": ("nova", "/compute/v2.1"),
    "placement": ("placement", "/placement"),
    "network": ("neutron", "/network"),
    "block-storage": ("cinder", "/block_storage/v3"),
}


@dataclass(frozen=True)
class ApplicationCredential:
    id: str
    name: str
    secret: str
    user: User


@dataclass
class Identity:
    """Tokens and who they belong to.

    services: which of CATALOG the catalog shows; a test may take some away.
    """

    state: State
    base: Callable[[], str]
    services: list[str] = field(default_factory=lambda: list(CATALOG))
    tokens: dict[str, User] = field(default_factory=dict)
    credentials: dict[str, ApplicationCredential] = field(default_factory=dict)

    def router(self) -> Router:
        router = Router()
        router.add("GET", "/", self._versions)
        router.add("GET", "/v3", self._version)
        router.add("POST", "/v3/auth/tokens", self._new_token)
        router.add("GET", "/v3/auth/tokens", self._show_token)
        router.add("DELETE", "/v3/auth/tokens", self._revoke)
        router.add(
            "GET", "/v3/auth/catalog", lambda request: Response(200, {"catalog": self._catalog()})
        )
        router.add("GET", "/v3/users/{id}", self._show_user)
        router.add("GET", "/v3/projects", self._projects)
        return router

    def add_application_credential(self, user: str, name: str = "drain") -> ApplicationCredential:
        credential = ApplicationCredential(self._hex(), name, self._hex(), self.state.users[user])
        self.credentials[credential.id] = credential
        return credential

    def revoke_tokens(self) -> None:
        """End every token at once, as a key rotation gone wrong or a restart of memcached does."""
        self.tokens.clear()

    def user_of(self, request: Request) -> User:
        """Return who sent a request; UnauthorizedError if its token is none of ours."""
        user = self.tokens.get(request.headers.get("X-Auth-Token", ""))
        if user is None:
            raise UnauthorizedError(DENIED)
        request.user = user.name
        return user

    def _hex(self) -> str:
        return self.state.new_uuid().replace("-", "")

    def _versions(self, request: Request) -> Response:
        return Response(300, {"versions": {"values": [self._description()]}})

    def _version(self, request: Request) -> Response:
        return Response(200, {"version": self._description()})

    def _description(self) -> dict[str, Any]:
        return {
            "id": "v3.14",
            "status": "stable",
            "updated": "2020-04-07T00:00:00Z",
            "links": [{"rel": "self", "href": f"{self.base()}/identity/v3/"}],
            "media-types": [],
        }

    def _new_token(self, request: Request) -> Response:
        identity = (request.body or {}).get("auth", {}).get("identity", {})
        user, method = self._authenticate(identity)
        scope = request.body["auth"].get("scope", {})
        wanted = scope.get("project", {}) if isinstance(scope, dict) else {}
        if (
            wanted
            and user.project.name != wanted.get("name")
            and user.project.id != wanted.get("id")
        ):
            raise UnauthorizedError(DENIED)
        token = f"gAAAA{self._hex()}{self._hex()}"
        self.tokens[token] = user
        return Response(201, {"token": self._token(user, method)}, {"X-Subject-Token": token})

    def _authenticate(self, identity: dict[str, Any]) -> tuple[User, str]:
        methods = identity.get("methods", [])
        if "application_credential" in methods:
            return self._by_credential(identity["application_credential"]), "application_credential"
        if "token" in methods:
            user = self.tokens.get(identity["token"].get("id", ""))
            if user is not None:
                return user, "token"
        if "password" in methods:
            given = identity["password"]["user"]
            for user in self.state.users.values():
                known = given.get("name") == user.name or given.get("id") == user.id
                if known and given.get("password") == user.password:
                    return user, "password"
        raise UnauthorizedError(DENIED)

    def _by_credential(self, given: dict[str, Any]) -> User:
        for credential in self.credentials.values():
            owner = given.get("user", {}).get("name")
            by_name = given.get("name") == credential.name and owner == credential.user.name
            known = given.get("id") == credential.id or by_name
            if known and given.get("secret") == credential.secret:
                return credential.user
        raise UnauthorizedError(DENIED)

    def _token(self, user: User, method: str) -> dict[str, Any]:
        domain = {"id": "default", "name": "Default"}
        # Clients compare this with their own clock, which may be far from the model's.
        end = max(time.time(), self.state.now()) + DAY
        return {
            "methods": [method],
            "user": {
                "id": user.id,
                "name": user.name,
                "domain": domain,
                "password_expires_at": None,
            },
            "project": {"id": user.project.id, "name": user.project.name, "domain": domain},
            "is_domain": False,
            "roles": [{"id": f"role-{role}", "name": role} for role in user.roles],
            "catalog": self._catalog(),
            "issued_at": iso_micro(self.state.now()) + "Z",
            "expires_at": datetime.fromtimestamp(end, UTC).strftime("%Y-%m-%dT%H:%M:%S.000000Z"),
            "audit_ids": [self._hex()[:22]],
        }

    def _catalog(self) -> list[dict[str, Any]]:
        return [
            {
                "id": f"service-{kind}",
                "type": kind,
                "name": CATALOG[kind][0],
                "endpoints": [
                    {
                        "id": f"endpoint-{kind}-{interface}",
                        "interface": interface,
                        "region": "RegionOne",
                        "region_id": "RegionOne",
                        "url": self.base() + CATALOG[kind][1],
                    }
                    for interface in ("public", "internal", "admin")
                ],
            }
            for kind in self.services
        ]

    def _show_token(self, request: Request) -> Response:
        self.user_of(request)
        subject = self.tokens.get(request.headers.get("X-Subject-Token", ""))
        if subject is None:
            raise UnauthorizedError(DENIED)
        return Response(200, {"token": self._token(subject, "password")})

    def _revoke(self, request: Request) -> Response:
        self.user_of(request)
        self.tokens.pop(request.headers.get("X-Subject-Token", ""), None)
        return Response(204)

    def _show_user(self, request: Request) -> Response:
        asking = self.user_of(request)
        for user in self.state.users.values():
            if user.id == request.names[0] and (asking.is_admin or asking is user):
                shown = {"id": user.id, "name": user.name, "domain_id": "default", "enabled": True}
                return Response(200, {"user": shown})
        raise ForbiddenError(
            "You are not authorized to perform the requested action: identity:get_user."
        )

    def _projects(self, request: Request) -> Response:
        self.user_of(request)
        projects = {user.project for user in self.state.users.values()}
        shown = [
            {"id": project.id, "name": project.name, "domain_id": "default", "enabled": True}
            for project in sorted(projects, key=lambda project: project.name)
        ]
        name = request.one("name")
        return Response(200, {"projects": [row for row in shown if name in (None, row["name"])]})
