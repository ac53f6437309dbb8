"""Objects of the core API, read and written as JSON, by the request that `kubernetes` makes.

Its class for them, CoreV1Api, loads 240 modules of models: 20 MiB that stay, and a third of a
second of processor time at each start.
"""

from collections.abc import Mapping
from typing import Any, Literal

from kubernetes.client import ApiClient

Plural = Literal["secrets", "configmaps"]

_ALL = "/api/v1/namespaces/{namespace}/{plural}"
_ONE = f"{_ALL}/{{name}}"
_JSON = "application/json"


class CoreApi:
    """Its methods are made for `call` and `write`: what they raise is the client's own."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client

    def read(
        self, plural: Plural, namespace: str, name: str, *, _request_timeout: tuple[float, float]
    ) -> Any:
        place = {"namespace": namespace, "plural": plural, "name": name}
        return self._send("GET", _ONE, place, _request_timeout)

    def create(
        self,
        plural: Plural,
        namespace: str,
        body: Mapping[str, Any],
        *,
        field_manager: str,
        _request_timeout: tuple[float, float],
    ) -> Any:
        place = {"namespace": namespace, "plural": plural}
        query = {"fieldManager": field_manager}
        return self._send("POST", _ALL, place, _request_timeout, query, body)

    def patch(
        self,
        plural: Plural,
        namespace: str,
        name: str,
        body: Mapping[str, Any],
        *,
        field_manager: str,
        content_type: str,
        force: bool = False,
        _request_timeout: tuple[float, float],
    ) -> Any:
        """`force`: to take over fields of others, with a `content_type` of APPLY only."""
        place = {"namespace": namespace, "plural": plural, "name": name}
        query = {"fieldManager": field_manager, **({"force": "true"} if force else {})}
        return self._send("PATCH", _ONE, place, _request_timeout, query, body, content_type)

    def _send(
        self,
        method: str,
        path: str,
        place: Mapping[str, str],
        timeout: tuple[float, float],
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        content_type: str = _JSON,
    ) -> Any:
        request = self._client.param_serialize(
            method,
            path,
            path_params=dict(place),
            query_params=[*(query or {}).items()],
            header_params={"Accept": _JSON} | ({"Content-Type": content_type} if body else {}),
            body=body,
            auth_settings=["BearerToken"],
        )
        answer = self._client.call_api(*request, _request_timeout=timeout)
        answer.read()  # type: ignore[no-untyped-call]
        return self._client.response_deserialize(answer, {"2XX": "object"}).data
