"""Leases (coordination.k8s.io/v1): read, create, change. What they mean is not known here.

Each request ends within seconds: a renewal that takes longer is worth nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from kubernetes.client import ApiClient, CustomObjectsApi

from quiesce.api.annotations import SCOPE
from quiesce.api.labels import MANAGED_BY, MANAGER
from quiesce.kube import errors
from quiesce.kube.errors import KubeNotFound
from quiesce.kube.store import FIELD_MANAGER, MERGE
from quiesce.kube.writes import write

_API = ("coordination.k8s.io", "v1")
_TIMEOUT = (1.5, 2.5)
"""Seconds to connect, and to wait for each read."""
_PAGE = 500
_MOST = 10_000
"""Leases to read: anyone who may write Leases can give his the label."""

call = partial(errors.call, timeout=_TIMEOUT)
_create = partial(write, "leases", "create", timeout=_TIMEOUT)
_change = partial(write, "leases", "patch", timeout=_TIMEOUT)


@dataclass(frozen=True, slots=True)
class Lease:
    """What stands in a Lease. `holder` empty: nobody's. `duration`: seconds, as
    the holder wrote it; 0: no number. `spec` tells two states of it apart. `transitions`: how often
    it has changed hands.
    """

    namespace: str
    name: str
    version: str
    holder: str
    duration: int
    transitions: int
    spec: str
    scope: str

    @property
    def id(self) -> str:
        return f"{self.namespace}/{self.name}"


class Leases:
    """Safe to use from many threads."""

    def __init__(self, client: ApiClient, namespace: str) -> None:
        """`client`: one that is not fenced. `namespace`: where ours is."""
        self._api = CustomObjectsApi(client)
        self.namespace = namespace

    def get(self, name: str) -> Lease | None:
        """Raises KubeError."""
        try:
            return read(call(self._api.get_namespaced_custom_object, *self._path(), name))
        except KubeNotFound:
            return None

    def list(self, *, everywhere: bool) -> list[Lease]:
        """All that an operator of ours has made, or says so: the first _MOST. Raises KubeError."""
        options: dict[str, Any] = {"label_selector": f"{MANAGED_BY}={MANAGER}", "limit": _PAGE}
        ask = partial(
            call,
            *(self._api.list_cluster_custom_object, *_API, "leases")
            if everywhere
            else (self._api.list_namespaced_custom_object, *self._path()),
            **options,
        )
        found: list[Lease] = []
        page = ask()
        while True:
            found += map(read, page["items"])
            following = page["metadata"].get("continue")
            if not following or len(found) >= _MOST:
                return found
            page = ask(_continue=following)

    def create(self, name: str, holder: str, seconds: int, scope: str) -> Lease:
        """Raises KubeConflict where there is one by now."""
        now = _now()
        body = {
            "apiVersion": "/".join(_API),
            "kind": "Lease",
            "metadata": {
                "name": name,
                "labels": {MANAGED_BY: MANAGER},
                "annotations": {SCOPE: scope},
            },
            "spec": _spec(holder, seconds, acquireTime=now, leaseTransitions=0),
        }
        made = _create(
            self._api.create_namespaced_custom_object,
            *self._path(),
            body,
            field_manager=FIELD_MANAGER,
        )
        return read(made)

    def take(self, lease: Lease, holder: str, seconds: int, scope: str) -> Lease:
        """Not where it changed since it was read: that raises KubeConflict."""
        again = _spec(holder, seconds, acquireTime=_now(), leaseTransitions=lease.transitions + 1)
        metadata = {"labels": {MANAGED_BY: MANAGER}, "annotations": {SCOPE: scope}}
        return self._patch(lease, again, metadata)

    def renew(self, lease: Lease, seconds: int) -> Lease:
        """As `take`."""
        return self._patch(lease, _spec(lease.holder, seconds), {})

    def release(self, lease: Lease) -> Lease:
        """Nobody's from now on. As `take`."""
        return self._patch(lease, _spec("", 1), {})

    def _patch(self, lease: Lease, spec: Mapping[str, Any], metadata: Mapping[str, Any]) -> Lease:
        changed = _change(
            self._api.patch_namespaced_custom_object,
            *self._path(),
            lease.name,
            {"metadata": {**metadata, "resourceVersion": lease.version}, "spec": spec},
            field_manager=FIELD_MANAGER,
            _content_type=MERGE,
        )
        return read(changed)

    def _path(self) -> tuple[str, str, str, str]:
        return (*_API, self.namespace, "leases")


def read(found: Mapping[str, Any]) -> Lease:
    """Whatever stands in it: anyone with the right to write Leases can have written it."""
    metadata, spec = found["metadata"], found.get("spec") or {}
    fields = ("holderIdentity", "leaseDurationSeconds", "acquireTime", "renewTime")
    return Lease(
        namespace=str(metadata["namespace"]),
        name=str(metadata["name"]),
        version=str(metadata["resourceVersion"]),
        holder=str(spec.get("holderIdentity") or ""),
        duration=_whole(spec.get("leaseDurationSeconds")),
        transitions=_whole(spec.get("leaseTransitions")),
        spec="\n".join(repr(spec.get(name)) for name in (*fields, "leaseTransitions")),
        scope=str((metadata.get("annotations") or {}).get(SCOPE) or ""),
    )


def _whole(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _spec(holder: str, seconds: int, **more: Any) -> dict[str, Any]:
    """The times are for people: no process compares them with a clock of its own."""
    return {
        "holderIdentity": holder,
        "leaseDurationSeconds": seconds,
        "renewTime": _now(),
        **more,
    }


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
