"""Secrets and ConfigMaps, read by name: no list and no watch, so that few rights are needed."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kubernetes.client import ApiClient, CoreV1Api

from quiesce.kube.errors import KubeNotFound, call
from quiesce.kube.resource import Resource
from quiesce.kube.store import APPLY, FIELD_MANAGER


@dataclass(frozen=True)
class Secret:
    """A Secret's bytes. `version` changes with every change, and when it is created again."""

    namespace: str
    name: str
    version: str
    data: Mapping[str, bytes] = field(repr=False)


class Secrets:
    """Safe to use from many threads."""

    def __init__(self, client: ApiClient) -> None:
        self._api = CoreV1Api(client)

    def get(self, namespace: str, name: str) -> Secret | None:
        """None if there is no such Secret; raises KubeForbidden if we may not read it."""
        try:
            return _secret(call(self._api.read_namespaced_secret, name, namespace))
        except KubeNotFound:
            return None

    def apply(
        self,
        namespace: str,
        name: str,
        data: Mapping[str, bytes],
        type_: str,
        owner: Resource | None,
    ) -> Secret:
        """Creates it, or makes our keys in it exactly `data`; deleted with its `owner`.

        `type_` (such as kubernetes.io/ssh-auth) cannot change afterwards: that raises KubeRejected.
        """
        body = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "namespace": namespace,
                "name": name,
                "ownerReferences": [] if owner is None else [_reference(owner)],
            },
            "type": type_,
            "data": {key: base64.b64encode(value).decode() for key, value in data.items()},
        }
        applied = call(
            self._api.patch_namespaced_secret,
            name,
            namespace,
            body,
            field_manager=FIELD_MANAGER,
            force=True,
            _content_type=APPLY,
        )
        return _secret(applied)

    def config_map(self, namespace: str, name: str) -> Mapping[str, str] | None:
        """Its `data`; None if there is no such ConfigMap."""
        try:
            found = call(self._api.read_namespaced_config_map, name, namespace)
        except KubeNotFound:
            return None
        return found.data or {}


def _secret(found: Any) -> Secret:
    meta = found.metadata
    data = {key: base64.b64decode(value) for key, value in (found.data or {}).items()}
    return Secret(meta.namespace, meta.name, f"{meta.uid}/{meta.resource_version}", data)


def _reference(owner: Resource) -> dict[str, str]:
    return {
        "apiVersion": owner.api_version,
        "kind": owner.kind,
        "name": owner.key.name,
        "uid": owner.uid,
    }
