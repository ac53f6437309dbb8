"""OpenStack's answers, made by hand."""

import json
from collections.abc import Callable
from typing import Any

import requests

from quiesce.openstack.http import Api


def answer(
    status: int, body: Any = None, headers: dict[str, str] | None = None, reason: str = ""
) -> requests.Response:
    """`body`: JSON, or text as it is."""
    response = requests.Response()
    response.status_code = status
    response.reason = reason
    response._content = (body if isinstance(body, str) else json.dumps(body)).encode()
    response.headers.update(headers or {})
    return response


class Wire(Api):
    """An Api that answers each request by a function of (service, method, path, query, body)."""

    def __init__(self, reply: Callable[..., Any]) -> None:
        self.user_id, self.identity, self.microversion = (
            "me",
            "https://nova.example.org/v2.1",
            "2.100",
        )
        self._reply = reply
        self.sent: list[tuple[str, str, str, Any, Any]] = []

    def _send(
        self, service: Any, method: str, path: str, query: Any = (), body: Any = None
    ) -> requests.Response:
        self.sent.append((service, method, path, query, body))
        found = self._reply(service, method, path, query, body)
        if isinstance(found, Exception):
            raise found
        return found if isinstance(found, requests.Response) else answer(200, found)
