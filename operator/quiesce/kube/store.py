"""The objects of one kind: read, finalizer, status. All that is ever written to them is here."""

import builtins
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from kubernetes.client import ApiClient, CustomObjectsApi

from quiesce.api.annotations import GROUP, VERSION
from quiesce.kube.errors import KubeExpired, KubeNotFound, call
from quiesce.kube.outgoing import outgoing_status
from quiesce.kube.resource import Key, Resource
from quiesce.kube.writes import write

FIELD_MANAGER = "quiesce"
PAGE = 50
"""Objects a page of a list: one object may have more than a megabyte."""
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"


class Store:
    """Reads and writes the objects of one kind. Safe to use from many threads."""

    def __init__(
        self,
        client: ApiClient,
        plural: str,
        namespaces: Sequence[str] | None,
        finalizer: str,
        mark: str | None = None,
    ) -> None:
        """`namespaces`: where to list; None: everywhere. `finalizer`: the one that we write.

        `mark`: the finalizer of this shard, if any, which goes with it.
        """
        self._api = CustomObjectsApi(client)
        self._plural = plural
        self._namespaces = namespaces
        self._finalizer, self._mark = finalizer, mark
        self._written = tuple(name for name in (finalizer, mark) if name is not None)

    def get(self, key: Key) -> Resource | None:
        """As it is now in etcd, not in a cache; None if it is not there."""
        try:
            return Resource(call(self._api.get_namespaced_custom_object, *self._path(key)))
        except KubeNotFound:
            return None

    def list(self) -> builtins.list[Resource]:
        """All objects in the watched namespaces; a list that breaks off raises KubeError.

        Without metadata that is not needed of many objects at once, such as others' annotations.
        """
        try:
            return self._list()
        except KubeExpired:  # a page was requested too late (etcd compacts every 5 minutes)
            return self._list()

    def add_finalizer(self, resource: Resource) -> None:
        """In a request of its own. Raises KubeConflict if the object changed since it was read."""
        missing = [name for name in self._written if name not in resource.finalizers]
        if missing:
            self._write_finalizers(resource, [*resource.finalizers, *missing])

    def remove_finalizer(self, resource: Resource) -> None:
        """One that is gone already is fine. Raises KubeConflict as above."""
        if self._finalizer not in resource.finalizers:
            return
        try:
            self._write_finalizers(resource, _without(resource, *self._written))
        except KubeNotFound:
            return

    def replace_marks(self, resource: Resource, marks: Sequence[str]) -> None:
        """Our mark, if any, in place of `marks`. Raises KubeConflict as above."""
        kept = _without(resource, *marks, *filter(None, [self._mark]))
        own = [self._mark] if self._mark is not None and not resource.deleting else []
        self._write_finalizers(resource, [*kept, *own])

    def hand_over(self, resource: Resource) -> None:
        """Without our mark; its own finalizer stays. Raises KubeConflict as above."""
        if self._mark is not None:
            self._write_finalizers(resource, _without(resource, self._mark))

    def write_status(self, resource: Resource, status: Mapping[str, Any]) -> None:
        """Makes `status` the whole status, unless it is already. An object that is gone is fine.

        Server-side apply: keys that are no longer sent disappear, and nothing has to be read first.
        """
        wanted = outgoing_status(status)
        if wanted == resource.status:
            return
        body = {
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "metadata": {"namespace": resource.key.namespace, "name": resource.key.name},
            "status": wanted,
        }
        try:
            write(
                f"{self._plural}/status",
                "patch",
                self._api.patch_namespaced_custom_object_status,
                *self._path(resource.key),
                body,
                field_manager=FIELD_MANAGER,
                force=True,
                _content_type=APPLY,
            )
        except KubeNotFound:
            return

    def _list(self) -> builtins.list[Resource]:
        if self._namespaces is None:
            return builtins.list(
                self._pages(self._api.list_cluster_custom_object, GROUP, VERSION, self._plural)
            )
        found: builtins.list[Resource] = []
        for namespace in self._namespaces:
            lister = self._api.list_namespaced_custom_object
            found.extend(self._pages(lister, GROUP, VERSION, namespace, self._plural))
        return found

    def _pages(self, lister: Callable[..., Any], *path: str) -> Iterator[Resource]:
        token: str | None = None
        while token != "":
            page = call(lister, *path, limit=PAGE, _continue=token)
            yield from map(_slim, page["items"])
            token = page["metadata"].get("continue", "")

    def _write_finalizers(self, resource: Resource, finalizers: Sequence[str]) -> None:
        # A merge patch replaces the list as a whole: resourceVersion keeps others' finalizers safe.
        metadata = {"finalizers": finalizers, "resourceVersion": resource.resource_version}
        write(
            self._plural,
            "patch",
            self._api.patch_namespaced_custom_object,
            *self._path(resource.key),
            {"metadata": metadata},
            field_manager=FIELD_MANAGER,
            _content_type=MERGE,
        )

    def _path(self, key: Key) -> tuple[str, str, str, str, str]:
        return GROUP, VERSION, key.namespace, self._plural, key.name


def _without(resource: Resource, *names: str) -> builtins.list[str]:
    return [name for name in resource.finalizers if name not in names]


def _slim(found: dict[str, Any]) -> Resource:
    """Annotations may have 256 KiB an object, and its field managers as much."""
    metadata = {key: value for key, value in found["metadata"].items() if key != "managedFields"}
    annotations = metadata.pop("annotations", None) or {}
    metadata["annotations"] = {
        name: value for name, value in annotations.items() if name.startswith(f"{GROUP}/")
    }
    return Resource({**found, "metadata": metadata})
