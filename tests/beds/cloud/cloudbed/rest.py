"""A small client for the APIs of the cloud, for seeding it and waiting for it.

The bed's own commands have to answer at once and before the virtual environment is
there, so this needs nothing but the standard library.
"""

import json
import urllib.error
import urllib.request
from typing import Any

from .errors import BedError
from .settings import LOOPBACK, PASSWORD, Knobs

COMPUTE_API = {"X-OpenStack-Nova-API-Version": "2.53"}  # service and hypervisor ids are UUIDs
BASES = {"keystone": "/v3", "placement": "", "glance": "/v2", "neutron": "/v2.0", "nova": "/v2.1"}
# Service -> its type and the base of its URL in Keystone's catalog.
CATALOG = {
    "keystone": ("identity", "/v3"),
    "placement": ("placement", ""),
    "glance": ("image", ""),
    "neutron": ("network", ""),
    "nova": ("compute", "/v2.1"),
}


def catalog_url(knobs: Knobs, service: str) -> str:
    return f"http://{LOOPBACK}:{knobs.port(service)}{CATALOG[service][1]}"


class Api:
    """The cloud's APIs as one of its users."""

    def __init__(self, knobs: Knobs, user: str = "admin", project: str = "admin") -> None:
        self.knobs = knobs
        self.user = user
        self.project = project
        self._token = ""

    def url(self, service: str, path: str = "") -> str:
        return f"http://{LOOPBACK}:{self.knobs.port(service)}{BASES[service]}{path}"

    def call(self, service: str, method: str, path: str, body: Any = None) -> Any:
        """Send a request and return the decoded answer; BedError for any failure.

        body: JSON-able, or bytes, which are sent as they are.
        """
        headers = {"X-Auth-Token": self._signed_in(), "Accept": "application/json", **COMPUTE_API}
        return _send(self.url(service, path), method, headers, body)[0]

    def _signed_in(self) -> str:
        if not self._token:
            domain = {"id": "default"}
            password = {"user": {"name": self.user, "domain": domain, "password": PASSWORD}}
            body = {
                "auth": {
                    "identity": {"methods": ["password"], "password": password},
                    "scope": {"project": {"name": self.project, "domain": domain}},
                }
            }
            _, self._token = _send(self.url("keystone", "/auth/tokens"), "POST", {}, body)
        return self._token


def _send(url: str, method: str, headers: dict[str, str], body: Any) -> tuple[Any, str]:
    """Return the decoded answer and the token of a request."""
    raw = isinstance(body, bytes)
    data = body if raw or body is None else json.dumps(body).encode()
    kind = {"Content-Type": "application/octet-stream" if raw else "application/json"}
    request = urllib.request.Request(url, data, {**headers, **kind}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            text = answer.read()
            return (json.loads(text) if text else None), answer.headers.get("X-Subject-Token", "")
    except urllib.error.HTTPError as error:
        reason = error.read().decode(errors="replace")[:300]
        raise BedError(f"{method} {url} was answered with {error.code}: {reason}") from error
    except OSError as error:
        raise BedError(f"{method} {url} failed: {error}") from error


def answers(url: str) -> bool:
    """Return whether a server answers without an error of its own."""
    try:
        with urllib.request.urlopen(url, timeout=20):
            return True
    except urllib.error.HTTPError as error:
        return error.code < 500
    except OSError:
        return False
