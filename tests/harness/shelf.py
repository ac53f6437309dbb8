"""Secrets as the API server keeps them, in dictionaries: the real client's code on top of them."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any, cast

from kubernetes.client import ApiClient
from kubernetes.client.exceptions import ApiException

from quiesce.api.labels import CLOUD_CREDENTIALS, HOST_LOGIN, MIGRATION_KEY
from quiesce.kube.secrets import RECENT, Secrets

__all__ = ["CLOUD_CREDENTIALS", "HOST_LOGIN", "MIGRATION_KEY", "Shelf"]

Json = dict[str, Any]


@dataclass
class _Api:
    """The verbs of CoreApi that the operator may use on Secrets, with their answers."""

    shelf: "Shelf"

    def read(self, _plural: str, namespace: str, name: str, **_: Any) -> Json:
        if name not in self.shelf.held:
            raise _refusal(404, name)
        return self._answer(name, namespace)

    def create(self, _plural: str, namespace: str, body: Json, **_: Any) -> Json:
        name = body["metadata"]["name"]
        if name in self.shelf.held:
            raise _refusal(409, name)
        self.shelf.held[name] = {}
        self.shelf.types[name] = body["type"]
        return self._merge(name, namespace, body)

    def patch(self, _plural: str, namespace: str, name: str, body: Json, **options: Any) -> Json:
        assert options["content_type"] == "application/merge-patch+json"
        assert body["metadata"]["resourceVersion"] == str(self.shelf.versions.get(name, 1))
        return self._merge(name, namespace, body)

    def _merge(self, name: str, namespace: str, body: Json) -> Json:
        shelf, metadata = self.shelf, body["metadata"]
        shelf.versions[name] = shelf.versions.get(name, 1) + 1
        shelf.labels[name] = {**shelf.labels.get(name, {}), **metadata.get("labels", {})}
        if "ownerReferences" in metadata:
            shelf.owners[name] = {each["uid"] for each in metadata["ownerReferences"]}
        for key, value in body.get("data", {}).items():
            shelf.held[name].pop(key, None)
            if value is not None:
                shelf.held[name][key] = base64.b64decode(value)
        return self._answer(name, namespace)

    def _answer(self, name: str, namespace: str) -> Json:
        shelf = self.shelf
        metadata = {
            "namespace": namespace,
            "name": name,
            "uid": "u",
            "resourceVersion": str(shelf.versions.get(name, 1)),
            "labels": dict(shelf.labels.get(name, {})),
            "ownerReferences": [{"uid": uid} for uid in shelf.owners.get(name, ())],
        }
        data = {key: base64.b64encode(value).decode() for key, value in shelf.held[name].items()}
        return {"metadata": metadata, "data": data, "type": shelf.types.get(name, "Opaque")}


def _refusal(status: int, name: str) -> ApiException:
    error = ApiException(status=status, reason="refused")
    error.body = f'{{"message": "{name}", "details": {{"name": "{name}"}}}}'
    return error


@dataclass(eq=False)
class Shelf(Secrets):
    """Secrets of one namespace: data, type, labels and owners' uids, each by name."""

    held: dict[str, dict[str, bytes]] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)
    labels: dict[str, dict[str, str]] = field(default_factory=dict)
    owners: dict[str, set[str]] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    config_maps: dict[str, Mapping[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        later = count(step=2 * RECENT)
        super().__init__(cast(ApiClient, None), lambda: next(later))  # nothing is recent for long
        self._api = _Api(self)  # type: ignore[assignment]

    def put(
        self, name: str, data: Mapping[str, bytes], *labels: str, type_: str = "Opaque"
    ) -> None:
        """As a person does; each of `labels` is set to "true"."""
        self.held[name], self.types[name] = dict(data), type_
        self.labels[name] = dict.fromkeys(labels, "true")

    def drop(self, name: str) -> None:
        for kept in (self.held, self.types, self.labels, self.owners):
            kept.pop(name, None)

    def collect(self, uid: str) -> None:
        """What the garbage collector deletes with this owner."""
        for name in [name for name, uids in self.owners.items() if uid in uids]:
            self.drop(name)

    def config_map(self, namespace: str, name: str) -> Mapping[str, str] | None:
        return self.config_maps.get(name)
