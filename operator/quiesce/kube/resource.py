"""One custom object as the API server gave it. No I/O."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple


class Key(NamedTuple):
    """Which object of a kind."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, eq=False)
class Resource:
    """A thin typed view on the JSON of one custom object."""

    raw: Mapping[str, Any]

    def __repr__(self) -> str:
        return f"<{self.kind} {self.key} {self.uid}>"

    @property
    def _metadata(self) -> Mapping[str, Any]:
        metadata: Mapping[str, Any] = self.raw["metadata"]
        return metadata

    @property
    def key(self) -> Key:
        return Key(self._metadata["namespace"], self._metadata["name"])

    @property
    def kind(self) -> str:
        return str(self.raw["kind"])

    @property
    def api_version(self) -> str:
        return str(self.raw["apiVersion"])

    @property
    def uid(self) -> str:
        return str(self._metadata["uid"])

    @property
    def generation(self) -> int:
        return int(self._metadata["generation"])

    @property
    def resource_version(self) -> str:
        return str(self._metadata["resourceVersion"])

    @property
    def created(self) -> datetime:
        """Aware, in UTC, whole seconds: the API server's `creationTimestamp`."""
        return datetime.fromisoformat(self._metadata["creationTimestamp"])

    @property
    def deleting(self) -> bool:
        return self._metadata.get("deletionTimestamp") is not None

    @property
    def finalizers(self) -> tuple[str, ...]:
        return tuple(self._metadata.get("finalizers") or ())

    @property
    def labels(self) -> Mapping[str, str]:
        return self._metadata.get("labels") or {}

    @property
    def annotations(self) -> Mapping[str, str]:
        return self._metadata.get("annotations") or {}

    @property
    def spec(self) -> Mapping[str, Any]:
        return self.raw.get("spec") or {}

    @property
    def status(self) -> Mapping[str, Any]:
        return self.raw.get("status") or {}
